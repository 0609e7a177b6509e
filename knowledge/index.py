"""The index of record: Chroma, embedded in a folder or behind a URL.

One vector per wording (question, alias) and per short answer; the question's record carries the
whole entry, so a folder is self-contained. Vectors are ours: no embedding function of Chroma's.

A collection is one *generation*. A rebuild, or a change of embedder, fills the next generation and
marks it complete before the old one goes, so a crash leaves one usable generation. ``revision``
counts the changes within a generation; both together are the index's version.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Collection as Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import numpy as np

from domain.errors import KnowledgeError
from knowledge.documents import Entry, Progress, document_of
from knowledge.embedding import Embedder, Vectors
from knowledge.lock import FolderLock

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

BATCH = 5_000
"""Chroma refuses more than 5,461 records at once."""
PAGE = 2_000
SHORT_ANSWER_CHARS = 160
"""A longer answer speaks of too much for one vector; its words are on the keyword side."""
POLL_SECONDS = 5.0
DEFAULT_NAME = "kefu-knowledge"

WordingKind = Literal["question", "alias", "answer"]


T = TypeVar("T")


class Version(NamedTuple):
    generation: int
    revision: int


@dataclass(frozen=True, slots=True)
class Wording:
    """One record of the index: a text that stands for an entry."""

    id: str
    entry_id: str
    kind: WordingKind
    text: str


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """Numbers of entries."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the index holds. ``vectors`` has a row per wording, or is None where not asked."""

    version: Version
    entries: tuple[Entry, ...]
    wordings: tuple[Wording, ...]
    vectors: Vectors | None


class Hit(NamedTuple):
    wording_id: str
    similarity: float


def wordings_of(entry: Entry) -> list[Wording]:
    """The question comes last: it is written last, and only then is the entry complete."""
    wordings = [
        Wording(f"{entry.id}:{number}", entry.id, "alias", alias)
        for number, alias in enumerate(entry.aliases)
    ]
    if 0 < len(entry.answer) <= SHORT_ANSWER_CHARS:
        wordings.append(Wording(f"{entry.id}:a", entry.id, "answer", entry.answer))
    wordings.append(Wording(f"{entry.id}:q", entry.id, "question", entry.question))
    return wordings


class KnowledgeIndex:
    """Synchronous and thread-safe: call it from threads, never on the event loop.

    Opens itself at first use; ``close`` it. Every fault is a KnowledgeError. An embedded folder
    belongs to one process (`FolderLock`); ``read_only`` opens it without, for a look from a second
    process, which may then not see vectors that the first one adds.
    """

    def __init__(
        self,
        location: Path | str,
        embedder: Embedder,
        *,
        name: str = DEFAULT_NAME,
        read_only: bool = False,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """``location``: a folder, or the URL of a Chroma server, which is asked for changes of
        other processes every ``poll_seconds``."""
        self.embedder = embedder
        self.where = str(location)
        self._folder = None if _is_url(self.where) else Path(location)
        self._name = name
        self._read_only = read_only
        self._poll_seconds = poll_seconds
        self._mutex = threading.RLock()
        self._client: ClientAPI | None = None
        self._lock: FolderLock | None = None
        self._active: Collection | None = None
        self._version = Version(0, 0)
        self._polled = 0.0

    # Reading

    def version(self) -> Version:
        """Of the contents. A Chroma server is asked every few seconds: others may change it."""
        with self._guarded():
            self._collection()
            if self._poll_is_due():
                self._activate()
            return self._version

    def changed_since(self, version: Version) -> bool:
        """Whether `version` may give another one. Never blocks, not even during an import."""
        return version != self._version or self._poll_is_due()

    def count(self) -> int:
        """Number of entries."""
        found = self._read(lambda active: active.get(where={"kind": "question"}, include=[]))
        return len(found["ids"])

    def list_entries(
        self, category: str | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Entry]:
        where: dict[str, Any] = {"kind": "question"}
        if category:
            where = {"$and": [where, {"category": category}]}
        found = self._read(
            lambda active: active.get(
                where=where, limit=limit, offset=offset, include=["metadatas"]
            )
        )
        return [_entry_from(row) for row in found["metadatas"] or []]

    def contents(self, *, with_vectors: bool, max_vectors: int | None = None) -> Contents:
        """Everything; vectors only up to ``max_vectors`` records."""

        def read(active: "Collection") -> Contents:
            few = max_vectors is None or active.count() <= max_vectors
            return _contents(active, self._version, self.embedder.dimensions, with_vectors and few)

        with self._guarded():
            self.version()
            return self._read(read)

    def query(self, vectors: Vectors, limit: int, category: str | None = None) -> list[list[Hit]]:
        """The ``limit`` nearest wordings for each row, by cosine; one call for all rows."""
        found = self._nearest(vectors, limit, category)
        distances = found["distances"] or []
        return [
            [Hit(record_id, 1.0 - distance) for record_id, distance in zip(*row, strict=True)]
            for row in zip(found["ids"], distances, strict=True)
        ]

    def _nearest(self, vectors: Vectors, limit: int, category: str | None) -> Any:
        """Without the mutex, so that searches go on during an import."""
        from chromadb.errors import NotFoundError

        active = self._active
        if active is not None:
            try:
                with self._translated():
                    return _query(active, vectors, limit, category)
            except KnowledgeError as error:
                if not isinstance(error.__cause__, NotFoundError):
                    raise
        return self._read(lambda active: _query(active, vectors, limit, category))

    def _read(self, call: "Callable[[Collection], T]") -> T:
        """``call`` on the active generation, or on its successor if a rebuild replaced it."""
        from chromadb.errors import NotFoundError

        with self._guarded():
            try:
                return call(self._collection())
            except NotFoundError:
                self._activate()
                return call(self._collection())

    def _poll_is_due(self) -> bool:
        return self._folder is None and time.monotonic() - self._polled > self._poll_seconds

    # Writing

    def import_entries(
        self,
        entries: Iterable[Entry],
        *,
        refresh: Set[str] = frozenset(),
        rebuild: bool = False,
        progress: Progress | None = None,
    ) -> ImportSummary:
        """Adds new entries and replaces those whose content hash differs.

        ``refresh``: documents (`Entry.document`) whose entries that are not given go.
        ``rebuild``: the index holds exactly ``entries`` afterwards, embedded afresh.
        """
        given = {entry.id: entry for entry in entries}
        with self._guarded(writing=True):
            known = {entry.id: entry for entry in self.list_entries()}
            gone = [
                entry
                for entry in known.values()
                if entry.id not in given and (rebuild or entry.document in refresh)
            ]
            added = [entry for entry in given.values() if entry.id not in known]
            updated = [
                entry
                for entry in given.values()
                if entry.id in known and known[entry.id].content_hash != entry.content_hash
            ]
            if rebuild:
                self._next_generation(list(given.values()), progress)
            elif added or updated or gone:
                self._write(self._collection(), added + updated, progress)
                self._delete(_stale_ids(known, updated, gone))
                self._bump()
        unchanged = len(given) - len(added) - len(updated)
        return ImportSummary(len(added), len(updated), unchanged, len(gone))

    def remove(self, source: str) -> int:
        """Remove the entries of a document, or of one source within it; how many there were."""
        with self._guarded(writing=True):
            gone = [
                entry
                for entry in self.list_entries()
                if source in (entry.source, document_of(entry.source))
            ]
            if gone:
                self._delete([wording.id for entry in gone for wording in wordings_of(entry)])
                self._bump()
            return len(gone)

    def close(self) -> None:
        with self._mutex:
            if self._client is not None:
                sessions = list(_sessions(self._client))
                self._client.close()  # type: ignore[attr-defined]
                for session in sessions:
                    session.close()
            if self._lock is not None:
                self._lock.release()
            self._client = self._active = self._lock = None

    # Generations

    def _collection(self) -> "Collection":
        if self._active is None:
            self._open()
        assert self._active is not None
        return self._active

    def _open(self) -> None:
        if self._folder is not None and not self._read_only:
            self._lock = FolderLock(self._folder)
        try:
            self._client = self._connect()
            self._activate()
        except BaseException as error:
            self.close()
            _forget_clients()
            if isinstance(error, Exception) and not isinstance(error, KnowledgeError):
                raise KnowledgeError(self.where, f"Chroma cannot open it: {error}") from error
            raise

    def _connect(self) -> "ClientAPI":
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        if self._folder is None:
            url = urlsplit(self.where)
            ssl = url.scheme == "https"
            port = url.port or (443 if ssl else 80)
            return chromadb.HttpClient(url.hostname or "", port, ssl=ssl, settings=settings)
        if self._read_only and not self._folder.is_dir():
            raise KnowledgeError(self.where, "there is no index yet; import documents first")
        return chromadb.PersistentClient(self._folder, settings=settings)

    def _activate(self) -> None:
        """Take the newest complete generation; make one where there is none or it is outdated."""
        complete = [found for found in self._generations() if _metadata(found).get("complete")]
        self._polled = time.monotonic()
        if not complete:
            if self._read_only:
                raise KnowledgeError(self.where, "there is no index yet; import documents first")
            self._active = None
            self._next_generation([], None)
            return
        newest = max(complete, key=_generation)
        self._adopt(newest)
        if self._signature().items() <= _metadata(newest).items():
            return
        if self._read_only:
            made_by = _metadata(newest).get("embedder")
            raise KnowledgeError(
                self.where, f"the index was made by embedder {made_by!r}; open it for writing once"
            )
        self._next_generation(self.list_entries(), None)

    def _generations(self) -> list["Collection"]:
        assert self._client is not None
        prefix = f"{self._name}-"
        return [
            self._client.get_collection(found.name, embedding_function=None)
            for found in self._client.list_collections()
            if found.name.startswith(prefix) and found.name.removeprefix(prefix).isdigit()
        ]

    def _next_generation(self, entries: list[Entry], progress: Progress | None) -> None:
        assert self._client is not None
        others = self._generations()
        number = max((_generation(other) for other in others), default=0) + 1
        built = self._client.create_collection(
            f"{self._name}-{number}",
            configuration={"hnsw": {"space": "cosine"}},
            metadata={**self._signature(), "generation": number, "revision": 0, "complete": False},
            embedding_function=None,
        )
        self._write(built, entries, progress)
        built.modify(metadata={**_metadata(built), "complete": True})
        self._adopt(built)
        for other in others:
            # On a server, an unfinished generation may be another process's work.
            if self._folder is not None or _metadata(other).get("complete"):
                self._client.delete_collection(other.name)

    def _adopt(self, collection: "Collection") -> None:
        self._active = collection
        self._version = Version(
            _generation(collection), int(_metadata(collection).get("revision", 0))
        )

    def _bump(self) -> None:
        collection = self._collection()
        revision = self._version.revision + 1
        collection.modify(metadata={**_metadata(collection), "revision": revision})
        self._version = Version(self._version.generation, revision)

    def _signature(self) -> dict[str, Any]:
        embedder = self.embedder
        return {
            "embedder": embedder.name,
            "embedder_version": embedder.version,
            "dimensions": embedder.dimensions,
        }

    # Records

    def _write(
        self, collection: "Collection", entries: Sequence[Entry], progress: Progress | None
    ) -> None:
        done = 0
        for batch in _batches(entries):
            records = [(wording, entry) for entry in batch for wording in wordings_of(entry)]
            for start in range(0, len(records), BATCH):
                part = records[start : start + BATCH]
                collection.upsert(
                    ids=[wording.id for wording, _ in part],
                    embeddings=self.embedder.embed([wording.text for wording, _ in part]),
                    documents=[wording.text for wording, _ in part],
                    metadatas=[_row_of(wording, entry) for wording, entry in part],
                )
            done += len(batch)
            if progress is not None:
                progress(done, len(entries))

    def _delete(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), BATCH):
            self._collection().delete(ids=list(ids[start : start + BATCH]))

    @contextmanager
    def _guarded(self, *, writing: bool = False) -> Iterator[None]:
        """One thread at a time, and every fault of Chroma's as a KnowledgeError."""
        if writing and self._read_only:
            raise KnowledgeError(self.where, "the index was opened for reading only")
        with self._mutex, self._translated():
            if writing and self._folder is None and self._active is not None:
                self._activate()  # other processes may have changed what the server holds
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from chromadb.errors import ChromaError

        try:
            yield
        except (ChromaError, httpx.HTTPError, OSError, ValueError) as error:
            raise KnowledgeError(self.where, f"Chroma: {error}") from error


def _forget_clients() -> None:
    """Chroma keeps a half-opened client and hands it out again: the next try must start anew."""
    from chromadb.api.shared_system_client import SharedSystemClient

    SharedSystemClient.clear_system_cache()


def _contents(
    collection: "Collection", version: Version, dimensions: int, with_vectors: bool
) -> Contents:
    entries: list[Entry] = []
    wordings: list[Wording] = []
    vectors: list[Vectors] = [np.zeros((0, dimensions), dtype=np.float32)]
    for page in _pages(collection, with_vectors=with_vectors):
        for record_id, text, row in zip(
            page["ids"], page["documents"], page["metadatas"], strict=True
        ):
            wordings.append(Wording(record_id, row["entry_id"], row["kind"], text))
            if row["kind"] == "question":
                entries.append(_entry_from(row))
        if with_vectors:
            vectors.append(np.asarray(page["embeddings"], dtype=np.float32))
    rows = np.concatenate(vectors) if with_vectors else None
    return Contents(version, tuple(entries), tuple(wordings), rows)


def _query(collection: "Collection", vectors: Vectors, limit: int, category: str | None) -> Any:
    return collection.query(
        query_embeddings=vectors,
        n_results=limit,
        where={"category": category} if category else None,
        include=["distances"],
    )


def _is_url(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _sessions(client: Any) -> Iterator[httpx.Client]:
    """Connections that Chroma's HTTP client (1.5.9) and its inner admin client leave open."""
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if isinstance(session, httpx.Client):
            yield session


def _metadata(collection: "Collection") -> Mapping[str, Any]:
    return collection.metadata or {}


def _generation(collection: "Collection") -> int:
    return int(_metadata(collection).get("generation", 0))


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries in groups of at most BATCH records (one entry may have more)."""
    batch: list[Entry] = []
    records = 0
    for entry in entries:
        size = len(entry.aliases) + 2
        if batch and records + size > BATCH:
            yield batch
            batch, records = [], 0
        batch.append(entry)
        records += size
    if batch:
        yield batch


def _pages(collection: "Collection", *, with_vectors: bool) -> Iterator[Any]:
    include: Any = ["documents", "metadatas", *(["embeddings"] if with_vectors else [])]
    for offset in range(0, collection.count(), PAGE):
        yield collection.get(limit=PAGE, offset=offset, include=include)


def _stale_ids(
    known: Mapping[str, Entry], updated: Iterable[Entry], gone: Iterable[Entry]
) -> list[str]:
    """Records of removed entries, and those that an updated entry no longer has."""
    stale = [wording.id for entry in gone for wording in wordings_of(entry)]
    for entry in updated:
        kept = {wording.id for wording in wordings_of(entry)}
        stale += [old.id for old in wordings_of(known[entry.id]) if old.id not in kept]
    return stale


def _row_of(wording: Wording, entry: Entry) -> dict[str, Any]:
    row = {"kind": wording.kind, "entry_id": entry.id, "category": entry.category}
    if wording.kind != "question":
        return row
    return row | {
        "question": entry.question,
        "answer": entry.answer,
        "aliases": json.dumps(entry.aliases, ensure_ascii=False),
        "tags": json.dumps(entry.tags, ensure_ascii=False),
        "source": entry.source,
        "position": entry.position,
        "content_hash": entry.content_hash,
    }


def _entry_from(row: Mapping[str, Any]) -> Entry:
    return Entry(
        id=row["entry_id"],
        question=row["question"],
        answer=row["answer"],
        aliases=tuple(json.loads(row["aliases"])),
        category=row["category"],
        tags=tuple(json.loads(row["tags"])),
        source=row["source"],
        position=row.get("position", ""),
        content_hash=row["content_hash"],
    )
