"""The index of a knowledge base: follows its rows, and survives whatever happens to the process.

A folder holds segments and a manifest that says which of them count and up to which revision of
the source. A change set becomes new segments and marks on old ones; then the manifest is replaced
and, after it, the corpus that searches see: at no moment is there half a change set. Merging
segments, and writing vectors to Chroma, goes on behind that on threads of its own.

One process writes a folder. Another one that opens it serves what the manifest says, and takes
over when the writer is gone.
"""

import logging
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import numpy as np

from domain.errors import KnowledgeError
from knowledge.documents import Progress
from knowledge.embedding import Embedder, Vectors
from knowledge.feed import Source
from knowledge.lock import LOCK_NAME, FolderLock
from knowledge.segments.corpus import EXACT_VECTORS, Corpus
from knowledge.segments.draft import SEGMENT_PREFIX, Draft, Vector
from knowledge.segments.manifest import (
    DELETED_SUFFIX,
    MANIFEST,
    Manifest,
    files_of,
    read_manifest,
    write_manifest,
)
from knowledge.segments.merge import merge_segments, with_merged
from knowledge.segments.segment import Segment
from knowledge.segments.tiers import parts_to_merge
from knowledge.vectors import BATCH, Chroma, VectorStore, describe

log = logging.getLogger(__name__)

CHANGES_AT_ONCE = 2_000
READ_TRIES = 5


class Live(NamedTuple):
    """What a search uses: the two belong together."""

    corpus: Corpus
    embedder: Embedder


@dataclass(frozen=True, slots=True)
class _State:
    manifest: Manifest
    live: Live
    vectors: VectorStore


class IndexFollower:
    """Synchronous and thread-safe: call it from threads, never on the event loop. `live`,
    `corpus`, `embedder` and `revision` never block.

    ``chroma``: a folder or the URL of a server. Nothing is read before `open`; ``close`` it: from
    then on it holds no file and follows nothing.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        embedder: Embedder,
        chroma: Path | str,
        *,
        read_only: bool = False,
        exact_vectors: int = EXACT_VECTORS,
    ) -> None:
        self._source, self._folder, self._location = source, folder, chroma
        self._read_only, self._exact_vectors = read_only, exact_vectors
        self._lock: FolderLock | None = None
        self._writing = threading.RLock()
        self._rebuilding = threading.Lock()
        self._closing = threading.Event()
        self._outdated = False
        self._merger, self._indexer = Worker("knowledge-merge"), Worker("knowledge-vectors")
        self._queued: set[str] = set()
        self._indexed: set[str] = set()
        self._seen: tuple[int, int] | None = None
        self._chroma = Chroma(chroma, read_only=True)
        self._state = self._state_of(
            Manifest(0, describe(embedder), ()), embedder, VectorStore(self._chroma, embedder)
        )

    @property
    def live(self) -> Live:
        return self._state.live

    @property
    def corpus(self) -> Corpus:
        return self._state.live.corpus

    @property
    def embedder(self) -> Embedder:
        return self._state.live.embedder

    @property
    def revision(self) -> int:
        """Of the source, up to which its changes are in."""
        return self._state.manifest.revision

    @property
    def is_writer(self) -> bool:
        return self._lock is not None

    @property
    def needs_rebuild(self) -> bool:
        """What the folder holds is damaged or another embedder's; the next `sync` makes it anew."""
        return self._outdated

    # Following

    def open(self) -> None:
        """Take what the folder holds. It is not compared with the source: that is `sync`."""
        with self._writing:
            self._check_open()
            if not self._take_over():
                self._reload()

    def sync(self, progress: Progress | None = None) -> bool:
        """Bring in what changed; whether anything did. ``progress`` counts revisions, or entries
        where all is made anew.

        A process that may not write follows the writer's manifest, and takes over when the writer
        is gone.
        """
        with self._writing:
            self._check_open()
            if self._lock is None and not self._take_over():
                return self._reload()
            newest, start = self._source.newest_revision(), self.revision
            if start and newest >= start and not self._outdated:
                return self._catch_up(start, newest, progress)
            if not newest and not start and not self._outdated:
                return False
        # A source that is behind us is another one: a restored backup, a new database.
        self._rebuild(self._state.live.embedder, self._state.vectors, progress, afresh=False)
        return True

    def rebuild(self, progress: Progress | None = None, *, afresh: bool = True) -> None:
        """Make all anew from the rows, while the old corpus serves and goes on to follow.

        ``afresh``: also embed anew what has a vector in Chroma.
        """
        self._rebuild(self._state.live.embedder, self._state.vectors, progress, afresh=afresh)

    def set_embedder(self, embedder: Embedder, progress: Progress | None = None) -> None:
        """Embed all anew beside the old index, then change over to both at once."""
        if describe(embedder) == self._state.manifest.embedder:
            self._adopt(self._state.manifest, embedder)
        elif self.is_writer:
            self._rebuild(embedder, VectorStore(self._chroma, embedder), progress, afresh=False)
        else:
            self._adopt(self._state.manifest, embedder)

    def drain(self) -> None:
        """Wait for what goes on behind: merges, and vectors on their way to Chroma."""
        self._merger.drain()
        self._indexer.drain()

    def close(self) -> None:
        self._closing.set()
        self._merger.stop()
        self._indexer.stop()
        with self._rebuilding, self._writing:
            self._chroma.close()
            state = self._state
            without = replace(state.manifest, parts=())
            self._state = self._state_of(without, state.live.embedder, state.vectors)
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _catch_up(self, start: int, newest: int, progress: Progress | None) -> bool:
        if newest == start:
            self._index_parts()
            return False
        state = self._state
        with self._draft(state.manifest, state.live.embedder, state.vectors) as draft:
            revision = self._follow(draft, start, newest, progress)
            parts = draft.finish()
            self._commit(
                Manifest(revision, state.manifest.embedder, parts, sorted(draft.stale)),
                state.live.embedder,
                state.vectors,
            )
        return True

    def _follow(self, draft: Draft, start: int, newest: int, progress: Progress | None) -> int:
        """Until there is nothing more: a change set may be longer than what one call gives."""
        revision = start
        while changes := self._source.changes_since(revision, CHANGES_AT_ONCE):
            self._check_open()
            draft.apply({change.entry_id: change.entry for change in changes})
            revision = changes[-1].revision
            if progress is not None:
                progress(revision - start, max(newest, revision) - start)
        return max(revision, newest)

    def _rebuild(
        self, embedder: Embedder, vectors: VectorStore, progress: Progress | None, *, afresh: bool
    ) -> None:
        if not self.is_writer:
            raise KnowledgeError(str(self._folder), "another process writes this index")
        same = describe(embedder) == self._state.manifest.embedder
        empty = Manifest(0, describe(embedder), (), self._state.manifest.stale if same else ())
        with self._rebuilding, self._draft(empty, embedder, vectors, afresh=afresh) as draft:
            revision = self._source.newest_revision()
            self._take_all(draft, progress)
            draft.flush()  # embedding takes long: not while the lock keeps `sync` waiting
            with self._writing:
                revision = self._follow(draft, revision, revision, None)
                parts = draft.finish()
                self._commit(
                    Manifest(revision, empty.embedder, parts, sorted(draft.stale)),
                    embedder,
                    vectors,
                )
                self._outdated = False
        self._indexer.submit(partial(self._purge, vectors))

    def _take_all(self, draft: Draft, progress: Progress | None) -> None:
        total, done, after = self._source.count(), 0, ""
        while page := self._source.entries_after(after, CHANGES_AT_ONCE):
            self._check_open()
            draft.apply({entry.id: entry for entry in page})
            done, after = done + len(page), page[-1].id
            if progress is not None:
                progress(done, max(total, done))

    @contextmanager
    def _draft(
        self,
        manifest: Manifest,
        embedder: Embedder,
        vectors: VectorStore,
        *,
        afresh: bool = False,
    ) -> Iterator[Draft]:
        fetch = _nothing if afresh else partial(_fetch, vectors)
        built = partial(self._index, vectors, replace=afresh)
        draft = Draft(self._folder, embedder, manifest.parts, manifest.stale, fetch, built)
        try:
            yield draft
        except BaseException:
            draft.discard()
            raise

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise KnowledgeError(str(self._folder), "the index is being closed")

    # The folder

    def _take_over(self) -> bool:
        """Become the writer, if there is none."""
        if self._read_only:
            return False
        try:
            self._lock = FolderLock(self._folder)
        except KnowledgeError as error:
            log.debug("following as a reader: %s", error)
            return False
        self._chroma.close()
        self._chroma, self._indexed = Chroma(self._location), set()
        embedder = self.embedder
        try:
            manifest = read_manifest(self._folder, {})
        except KnowledgeError as error:
            log.warning("the index will be made anew from the rows: %s", error)
            self._outdated = True
            manifest = None
        self._adopt(manifest or self._state.manifest, embedder)
        if manifest is not None:
            self._outdated = manifest.embedder != describe(embedder)
            self._remove(self._listed() - files_of(manifest))
            self._forget_vectors()
            self._index_parts()
            self._merger.submit(self._merge)
        return True

    def _reload(self) -> bool:
        """Follow another process's manifest; whether it has changed."""
        for tries_left in reversed(range(READ_TRIES)):
            seen = self._stamp()
            if seen is None or seen == self._seen:
                return False
            opened = {part.segment.name: part.segment for part in self._state.manifest.parts}
            try:
                manifest = read_manifest(self._folder, opened)
            except KnowledgeError:
                # The writer may have replaced it, and removed what it named, while we read.
                if not tries_left:
                    raise
                continue
            if manifest is None:
                return False
            self._seen = seen
            self._adopt(self._as_read(manifest), self.embedder)
            return True
        return False

    def _as_read(self, manifest: Manifest) -> Manifest:
        """What an embedded Chroma got after we opened it we compare ourselves, until it is much:
        opening a large index anew takes seconds."""
        if not self._chroma.is_embedded:
            return manifest
        late = [p for p in manifest.parts if p.indexed and p.segment.name not in self._indexed]
        if sum(len(part.segment.vectors) for part in late) > self._exact_vectors:
            self._chroma.close()
            self._chroma = Chroma(self._location, read_only=True)
            self._indexed = {part.segment.name for part in manifest.parts if part.indexed}
        parts = [
            replace(part, indexed=part.indexed and part.segment.name in self._indexed)
            for part in manifest.parts
        ]
        return replace(manifest, parts=parts)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = (self._folder / MANIFEST).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _adopt(self, manifest: Manifest, embedder: Embedder) -> None:
        vectors = self._state.vectors
        if vectors.chroma is not self._chroma or embedder is not self.embedder:
            vectors = VectorStore(self._chroma, embedder)
        self._state = self._state_of(manifest, embedder, vectors)
        self._warm(vectors)

    def _warm(self, vectors: VectorStore) -> None:
        if self.corpus.needs_nearest:
            self._indexer.submit(vectors.warm)

    def _state_of(self, manifest: Manifest, embedder: Embedder, vectors: VectorStore) -> _State:
        foreign = manifest.embedder != describe(embedder)
        corpus = Corpus(
            manifest.parts,
            vectors,
            exact_vectors=self._exact_vectors,
            blind=embedder.dimensions if foreign else None,
        )
        return _State(manifest, Live(corpus, embedder), vectors)

    def _commit(self, manifest: Manifest, embedder: Embedder, vectors: VectorStore) -> None:
        """The manifest first: what searches see is on disk."""
        parts = [
            replace(part, indexed=part.indexed or part.segment.name in self._indexed)
            for part in manifest.parts
        ]
        before = self._state
        written = write_manifest(self._folder, replace(manifest, parts=parts))
        self._state = self._state_of(written, embedder, vectors)
        self._remove(files_of(before.manifest) - files_of(written))
        self._warm(vectors)
        self._forget_vectors()
        self._index_parts()
        self._merger.submit(self._merge)

    def _listed(self) -> set[str]:
        return {path.name for path in self._folder.iterdir()} - {LOCK_NAME}

    def _remove(self, names: Iterable[str]) -> None:
        """Whoever has them open reads on: they go when the last map is closed."""
        for name in names:
            path = self._folder / name
            if name.startswith(SEGMENT_PREFIX):
                shutil.rmtree(path, ignore_errors=True)
            elif name.endswith(DELETED_SUFFIX):
                path.unlink(missing_ok=True)

    # Behind the searches

    def _merge(self) -> None:
        while not self._closing.is_set():
            parts = parts_to_merge(self._state.manifest.parts)
            if not parts:
                return
            folder = self._folder / f"{SEGMENT_PREFIX}{token_hex(8)}"
            moved = merge_segments(folder, parts)
            merged = Segment(folder)
            with self._writing:
                manifest = self._state.manifest
                current = with_merged(manifest.parts, parts, moved, merged)
                if current is None:
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                state = self._state
                self._commit(replace(manifest, parts=current), state.live.embedder, state.vectors)

    def _index_parts(self) -> None:
        state = self._state
        if self._lock is None or state.manifest.embedder != describe(state.live.embedder):
            return
        for part in state.manifest.parts:
            if not part.indexed:
                self._index(state.vectors, part.segment)

    def _index(self, vectors: VectorStore, segment: Segment, *, replace: bool = False) -> None:
        if segment.name not in self._queued:
            self._queued.add(segment.name)
            self._indexer.submit(partial(self._write_vectors, vectors, segment, replace))

    def _write_vectors(self, vectors: VectorStore, segment: Segment, replace: bool) -> None:
        try:
            if segment.name not in self._indexed:
                for names, matrix in _records(segment):
                    if self._closing.is_set() or not segment.folder.exists():
                        return
                    vectors.add(names, matrix, replace=replace)
                self._indexed.add(segment.name)
        finally:
            self._queued.discard(segment.name)
        self._note_indexed(segment.name)

    def _note_indexed(self, name: str) -> None:
        if all(part.segment.name != name for part in self._state.manifest.parts):
            return
        with self._writing:
            state = self._state
            if any(p.segment.name == name and not p.indexed for p in state.manifest.parts):
                self._commit(state.manifest, state.live.embedder, state.vectors)

    def _forget_vectors(self) -> None:
        if self._state.manifest.stale and not self._outdated:
            self._indexer.submit(self._remove_stale)

    def _remove_stale(self) -> None:
        stale, vectors = self._state.manifest.stale, self._state.vectors
        if not stale:
            return
        vectors.remove(stale)
        with self._writing:
            state = self._state
            if state.vectors is vectors:
                left = sorted(set(state.manifest.stale) - set(stale))
                manifest = replace(state.manifest, stale=left)
                self._commit(manifest, state.live.embedder, vectors)

    def _purge(self, vectors: VectorStore) -> None:
        """Records and collections that nothing stands for, after all was made anew. A server's
        may be another process's."""
        if not self._chroma.is_embedded or vectors is not self._state.vectors:
            return
        vectors.drop_others()
        for page in list(vectors.names()):
            if self._closing.is_set():
                return
            corpus = self.corpus
            stale = [name for name in page if not corpus.has_record(name)]
            if stale:
                vectors.remove(stale)


class Worker:
    """Jobs one after the other, on a thread that starts with the first. A job that fails is
    logged: what it left undone is taken up by the next one of its kind."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()
        self._stopped = False

    def submit(self, job: Callable[[], None]) -> None:
        with self._mutex:
            if self._stopped:
                return
            self._jobs.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()

    def drain(self) -> None:
        self._jobs.join()

    def stop(self) -> None:
        """After the job at hand; the others are dropped."""
        with self._mutex:
            self._stopped = True
            thread = self._thread
            with suppress(queue.Empty):
                while True:
                    self._jobs.get_nowait()
                    self._jobs.task_done()
            self._jobs.put(None)
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                if job is None:
                    return
                job()
            except KnowledgeError as error:
                log.warning("%s: %s", self._name, error)
            except Exception:
                log.exception("%s: a job failed", self._name)
            finally:
                self._jobs.task_done()


def _records(segment: Segment) -> Iterator[tuple[list[str], Vectors]]:
    """Names and vectors of a segment's wordings, in batches that Chroma takes."""
    names: list[str] = []
    vectors: list[Vector] = []
    for row in range(segment.rows):
        records = segment.records(row, segment.entry(row).id)
        names += records
        vectors += records.values()
        if len(names) >= BATCH or row == segment.rows - 1:
            yield names, np.stack(vectors).astype(np.float32)
            names, vectors = [], []


def _fetch(vectors: VectorStore, names: Sequence[str]) -> Mapping[str, Vector]:
    try:
        return vectors.fetch(names)
    except KnowledgeError as error:
        log.warning("embedding again what may be in Chroma: %s", error)
        return {}


def _nothing(_names: Sequence[str]) -> Mapping[str, Vector]:
    return {}
