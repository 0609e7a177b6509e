"""Vectors in Chroma, embedded in a folder or behind a URL: the approximate index of a large base.

One collection per embedder. A record's name says which text of which entry it is, and the vector of
a text never changes, so adding is idempotent and what is there never has to be embedded again,
whoever put it there. Chroma is imported and opened at the first call that needs it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from domain.errors import KnowledgeError
from knowledge.embedding import Embedder, Vectors
from knowledge.lock import FolderLock

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection

BATCH = 5_000
"""Chroma refuses more than 5,461 records at once."""
DEFAULT_NAME = "kefu-knowledge"
HNSW: "CreateHNSWConfiguration" = {
    "space": "cosine",
    "ef_construction": 100,
    "ef_search": 100,
    "max_neighbors": 16,
    # What was added since the last of these is inserted once more at the next start.
    "sync_threshold": 5_000,
    "batch_size": 5_000,
}


class Chroma:
    """A connection, made at the first call that needs it. Every fault is a KnowledgeError.

    A folder that is written to belongs to one process (`FolderLock`). ``read_only`` opens it
    without, and may not see what the writer adds afterwards.
    """

    def __init__(
        self, location: Path | str, *, name: str = DEFAULT_NAME, read_only: bool = False
    ) -> None:
        self.where = str(location)
        self.prefix, self.read_only = name, read_only
        self._folder = None if is_url(self.where) else Path(location)
        self._mutex = threading.Lock()
        self._client: ClientAPI | None = None
        self._lock: FolderLock | None = None
        self._collections: dict[str, Collection] = {}

    @property
    def is_embedded(self) -> bool:
        return self._folder is not None

    def collection(self, name: str, described: Mapping[str, Any]) -> "Collection | None":
        """None where a reader finds nothing yet."""
        found = self._collections.get(name)
        if found is not None:
            return found
        with self._mutex:
            if name not in self._collections:
                client = self._connected()
                opened = None if client is None else self._open(client, name, described)
                if opened is None:
                    return None
                self._collections[name] = opened
            return self._collections[name]

    def forget(self, name: str) -> None:
        """Another process removed the collection: the next call makes it anew."""
        self._collections.pop(name, None)

    def drop_all_but(self, name: str) -> None:
        with self._mutex:
            client = self._connected()
            assert client is not None
            for found in client.list_collections():
                if found.name.startswith(f"{self.prefix}-") and found.name != name:
                    client.delete_collection(found.name)
                    self._collections.pop(found.name, None)

    def close(self) -> None:
        with self._mutex:
            if self._client is not None:
                sessions = list(_sessions(self._client))
                self._client.close()  # type: ignore[attr-defined]
                for session in sessions:
                    session.close()
            if self._lock is not None:
                self._lock.release()
            self._client = self._lock = None
            self._collections = {}

    def _open(
        self, client: "ClientAPI", name: str, described: Mapping[str, Any]
    ) -> "Collection | None":
        from chromadb.errors import NotFoundError

        if not self.read_only:
            return client.get_or_create_collection(
                name,
                configuration={"hnsw": HNSW},
                metadata=dict(described),
                embedding_function=None,
            )
        try:
            return client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None

    def _connected(self) -> "ClientAPI | None":
        """None where there is no folder to read."""
        if self._client is None:
            if self._folder is None:
                self._client = _http_client(self.where)
            elif not self.read_only:
                self._client = self._writing_client(self._folder)
            elif self._folder.is_dir():
                self._client = _folder_client(self._folder)
        return self._client

    def _writing_client(self, folder: Path) -> "ClientAPI":
        lock = FolderLock(folder)
        try:
            client = _folder_client(folder)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return client


class VectorStore:
    """One embedder's vectors in Chroma. Synchronous and thread-safe; every fault is a
    KnowledgeError. The connection stays its owner's to close."""

    def __init__(self, chroma: Chroma, embedder: Embedder) -> None:
        self.chroma = chroma
        self._described = describe(embedder)
        signature = "\x1e".join(map(str, self._described.values())).encode()
        self._name = f"{chroma.prefix}-{blake2b(signature, digest_size=8).hexdigest()}"
        self._dimensions = embedder.dimensions
        self._is_warm = False

    def nearest(self, vectors: Vectors, limit: int) -> list[list[str]]:
        """Of each vector the names of the nearest records, best first; none before `warm`: no
        search waits until Chroma has read a large index."""
        if not self._is_warm:
            return [[] for _ in vectors]
        with self._translated():
            collection = self._collection()
            if collection is None:
                return [[] for _ in vectors]
            return collection.query(query_embeddings=vectors, n_results=limit, include=[])["ids"]

    def warm(self) -> None:
        if self._is_warm:
            return
        with self._translated():
            collection = self._collection()
            if collection is not None:
                probe = np.full((1, self._dimensions), self._dimensions**-0.5, np.float32)
                collection.query(query_embeddings=probe, n_results=1, include=[])
            self._is_warm = True

    def count(self) -> int:
        with self._translated():
            collection = self._collection()
            return collection.count() if collection is not None else 0

    def fetch(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those records that are there."""
        found: dict[str, Vectors] = {}
        with self._translated():
            collection = self._collection()
            if collection is None or not collection.count():
                return found
            for start in range(0, len(ids), BATCH):
                part = collection.get(ids=list(ids[start : start + BATCH]), include=["embeddings"])
                vectors = np.asarray(part["embeddings"], dtype=np.float32)
                found.update(zip(part["ids"], vectors, strict=True))
        return found

    def add(self, names: Sequence[str], vectors: Vectors, *, replace: bool = False) -> int:
        """Those that are not there yet, or all; how many. Empty texts (zeros) are left out."""
        added = 0
        for start in range(0, len(names), BATCH):
            part = slice(start, start + BATCH)
            added += self._add(list(names[part]), vectors[part], replace)
        return added

    def _add(self, names: list[str], vectors: Vectors, replace: bool) -> int:
        with self._translated():
            collection = self._writable()
            known: set[str] = set()
            if not replace and collection.count():
                known = set(collection.get(ids=names, include=[])["ids"])
            filled = np.count_nonzero(vectors, axis=1)
            chosen = {
                name: number
                for number, name in enumerate(names)
                if name not in known and filled[number]
            }
            if chosen:
                rows = vectors[list(chosen.values())].astype(np.float32)
                collection.upsert(ids=list(chosen), embeddings=rows)
            return len(chosen)

    def remove(self, ids: Sequence[str]) -> None:
        with self._translated():
            collection = self._writable()
            for start in range(0, len(ids), BATCH):
                collection.delete(ids=list(ids[start : start + BATCH]))

    def names(self) -> Iterator[list[str]]:
        """Of all records, in pages."""
        offset = 0
        while page := self._page(offset):
            yield page
            offset += len(page)

    def _page(self, offset: int) -> list[str]:
        with self._translated():
            collection = self._collection()
            if collection is None:
                return []
            return collection.get(limit=BATCH, offset=offset, include=[])["ids"]

    def drop_others(self) -> None:
        """Remove the collections of other embedders."""
        with self._translated():
            self.chroma.drop_all_but(self._name)

    def _collection(self) -> "Collection | None":
        return self.chroma.collection(self._name, self._described)

    def _writable(self) -> "Collection":
        if self.chroma.read_only:
            raise KnowledgeError(self.chroma.where, "the vectors were opened for reading only")
        collection = self._collection()
        assert collection is not None
        return collection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from chromadb.errors import ChromaError, NotFoundError

        try:
            yield
        except NotFoundError as error:
            self.chroma.forget(self._name)
            raise KnowledgeError(self.chroma.where, f"Chroma: {error}") from error
        except (ChromaError, httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
            raise KnowledgeError(self.chroma.where, f"Chroma: {error}") from error


def is_url(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def describe(embedder: Embedder) -> dict[str, Any]:
    """What stored vectors must agree with."""
    return {
        "name": embedder.name,
        "version": embedder.version,
        "dimensions": embedder.dimensions,
    }


def _http_client(where: str) -> "ClientAPI":
    import chromadb
    from chromadb.config import Settings

    url = urlsplit(where)
    ssl = url.scheme == "https"
    port = url.port or (443 if ssl else 80)
    settings = Settings(anonymized_telemetry=False)
    return chromadb.HttpClient(url.hostname or "", port, ssl=ssl, settings=settings)


def _folder_client(folder: Path) -> "ClientAPI":
    import chromadb
    from chromadb.config import Settings

    try:
        return chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    except BaseException:
        _forget_clients()
        raise


def _forget_clients() -> None:
    """Chroma keeps a half-opened client and hands it out again: the next try must start anew."""
    from chromadb.api.shared_system_client import SharedSystemClient

    SharedSystemClient.clear_system_cache()


def _sessions(client: Any) -> Iterator[httpx.Client]:
    """Connections that Chroma's HTTP client (1.5.9) and its inner admin client leave open."""
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if isinstance(session, httpx.Client):
            yield session
