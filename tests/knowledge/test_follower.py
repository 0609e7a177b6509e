"""The follower: what searches see is always a whole state of the rows, whatever happens."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from domain.errors import KnowledgeError
from knowledge import follower as follower_module
from knowledge.base import KnowledgeBase
from knowledge.documents import Entry, make_entry
from knowledge.embedding import Embedder, HashedNgramEmbedder, Vectors
from knowledge.feed import Change, DatabaseSource
from knowledge.follower import IndexFollower
from knowledge.segments import draft as draft_module
from knowledge.segments.corpus import Corpus
from knowledge.segments.tiers import MAX_PARTS
from knowledge.terms import Floats, Keys, encode, term_keys, wording_key
from storage.database import Database


class ListSource:
    """Rows and their feed in memory."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.rows: dict[str, Entry] = {}
        self._changed: dict[str, int] = {}
        self._revision = 0
        self.put(*entries)

    def put(self, *entries: Entry) -> None:
        for entry in entries:
            self.rows[entry.id] = entry
            self._note(entry.id)

    def remove(self, *entries: Entry) -> None:
        for entry in entries:
            del self.rows[entry.id]
            self._note(entry.id)

    def _note(self, entry_id: str) -> None:
        self._revision += 1
        self._changed[entry_id] = self._revision

    def newest_revision(self) -> int:
        return self._revision

    def count(self) -> int:
        return len(self.rows)

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        tail = sorted((at, ident) for ident, at in self._changed.items() if at > revision)
        return [Change(at, ident, self.rows.get(ident)) for at, ident in tail[:limit]]

    def entries_after(self, entry_id: str, limit: int) -> list[Entry]:
        ids = sorted(ident for ident in self.rows if ident > entry_id)
        return [self.rows[ident] for ident in ids[:limit]]


class CountingEmbedder(HashedNgramEmbedder):
    """Remembers what it was asked for; may be told to fail."""

    def __init__(self, dimensions: int = 32, version: str = "1") -> None:
        super().__init__(dimensions)
        self.version = version
        self.texts: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.before()
        self.texts += texts
        return super().embed(texts)


def faq(number: int, answer: str = "答复") -> Entry:
    return make_entry(f"第{number}个问题怎么办", f"{answer}{number}", source=f"faq.md#{number}")


FIRST = [faq(number) for number in range(20)]


@pytest.fixture
def opened() -> Iterator[list[IndexFollower]]:
    followers: list[IndexFollower] = []
    yield followers
    for follower in followers:
        follower.close()


Make = Callable[..., IndexFollower]


@pytest.fixture
def make(tmp_path: Path, opened: list[IndexFollower]) -> Make:
    def made(
        source: ListSource, embedder: Embedder | None = None, **options: bool
    ) -> IndexFollower:
        follower = IndexFollower(
            source,
            tmp_path / "segments",
            embedder or CountingEmbedder(),
            tmp_path / "chroma",
            **options,
        )
        opened.append(follower)
        follower.open()
        return follower

    return made


def contents(corpus: Corpus) -> dict[str, Entry]:
    return {entry.id: entry for entry in corpus.entries(corpus.live_rows())}


def test_what_is_added_changed_and_removed_is_followed(make: Make) -> None:
    source = ListSource(FIRST)
    follower = make(source)
    assert follower.sync()
    assert contents(follower.corpus) == source.rows
    source.put(faq(3, "新的答复"), faq(30))
    source.remove(FIRST[5])
    assert follower.sync()
    assert contents(follower.corpus) == source.rows
    assert follower.corpus.size == 20
    assert follower.revision == source.newest_revision()
    assert not follower.sync()


def test_a_closed_follower_holds_no_file_and_follows_nothing(make: Make, tmp_path: Path) -> None:
    follower = make(ListSource(FIRST))
    follower.sync()
    assert open_in(tmp_path)
    follower.close()
    ends = time.monotonic() + 60  # Chroma's own threads let go of its file, a little later
    while open_in(tmp_path) and time.monotonic() < ends:
        time.sleep(0.01)
    assert open_in(tmp_path) == []
    with pytest.raises(KnowledgeError, match="closed"):
        follower.sync()


def open_in(folder: Path) -> list[Path]:
    held = [file.path for file in psutil.Process().open_files()]
    return [path for path in map(Path, held) if path.is_relative_to(folder)]


def test_a_corpus_that_a_search_holds_never_changes(make: Make) -> None:
    source = ListSource(FIRST)
    follower = make(source)
    follower.sync()
    held = follower.corpus
    before = contents(held)
    source.remove(*FIRST[:15])
    follower.sync()
    follower.rebuild()
    follower.drain()
    assert contents(held) == before
    assert held.keyword_candidates(*_asked("第3个问题"), 5).rows.size == 5


def _asked(text: str) -> tuple[Keys, Floats]:
    keys = np.unique(term_keys(encode([text]))[0])
    return keys, np.ones(keys.size, np.float32)


def test_half_a_change_set_is_never_seen(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "CHANGES_AT_ONCE", 3)
    monkeypatch.setattr(draft_module, "SEGMENT_ROWS", 4)
    source, embedder = ListSource(FIRST), CountingEmbedder()
    follower = make(source, embedder)
    follower.sync()
    source.put(*(faq(number, "改过的") for number in range(20)))
    seen: list[set[str]] = []
    embedder.before = lambda: seen.append(
        {e.answer[:2] for e in contents(follower.corpus).values()}
    )
    follower.sync()
    assert len(seen) >= 5
    assert all(answers == {"答复"} for answers in seen)
    assert {entry.answer[:2] for entry in contents(follower.corpus).values()} == {"改过"}


def test_a_change_set_that_fails_leaves_the_old_state_and_is_taken_later(make: Make) -> None:
    source, embedder = ListSource(FIRST), CountingEmbedder()
    follower = make(source, embedder)
    follower.sync()
    source.put(faq(99))

    def fail() -> None:
        raise KnowledgeError("embedder", "away")

    embedder.before = fail
    with pytest.raises(KnowledgeError, match="away"):
        follower.sync()
    assert follower.corpus.size == 20
    embedder.before = lambda: None
    assert follower.sync()
    assert contents(follower.corpus) == source.rows


def test_a_restart_serves_at_once_without_rows_embedding_or_chroma(
    make: Make, opened: list[IndexFollower], tmp_path: Path
) -> None:
    source = ListSource(FIRST)
    first = make(source)
    first.sync()
    first.drain()
    first.close()
    command = (
        "import sys; from pathlib import Path;"
        "from knowledge.embedding import HashedNgramEmbedder;"
        "from knowledge.follower import IndexFollower;"
        "embedder = HashedNgramEmbedder(32); root = Path(sys.argv[1]);"
        "f = IndexFollower(None, root / 'segments', embedder, root / 'chroma'); f.open();"
        "near = f.corpus.vector_candidates(embedder.embed(['第7个问题'])[0], 1);"
        "print(f.corpus.entry(int(near.rows[0])).answer, f.revision, 'chromadb' in sys.modules);"
        "f.close()"
    )
    args = [sys.executable, "-c", command, str(tmp_path)]
    told = subprocess.run(args, capture_output=True, text=True, check=True)
    assert told.stdout == f"答复7 {source.newest_revision()} False\n", told.stderr


def test_an_unchanged_wording_is_not_embedded_again(make: Make) -> None:
    source, embedder = ListSource(FIRST), CountingEmbedder()
    follower = make(source, embedder)
    follower.sync()
    embedder.texts.clear()
    source.put(replace(FIRST[2], answer="完全不同", content_hash="x"), FIRST[4])
    follower.sync()
    assert embedder.texts == ["完全不同"]


def test_what_chroma_has_is_fetched_where_the_segments_are_lost(make: Make, tmp_path: Path) -> None:
    source, embedder = ListSource(FIRST), CountingEmbedder()
    follower = make(source, embedder)
    follower.sync()
    follower.drain()
    before = follower.corpus.unit_vectors(follower.corpus.live_rows()).matrix
    follower.close()
    (tmp_path / "segments" / "manifest.json").unlink()
    embedder.texts.clear()
    again = make(source, embedder)
    again.sync()
    assert contents(again.corpus) == source.rows
    assert embedder.texts == []
    after = again.corpus.unit_vectors(again.corpus.live_rows()).matrix
    assert np.allclose(np.sort(before.sum(axis=1)), np.sort(after.sum(axis=1)), atol=1e-2)


def test_a_rebuild_embeds_all_anew_and_forgets_what_nobody_says(make: Make) -> None:
    source, embedder = ListSource(FIRST), CountingEmbedder()
    follower = make(source, embedder)
    follower.sync()
    follower.drain()
    vectors = follower._state.vectors
    vectors.add(["k_gone:q:0000000000000001"], np.ones((1, 32), np.float32))
    embedder.texts.clear()
    follower.rebuild()
    follower.drain()
    assert len(embedder.texts) == 40
    assert vectors.count() == 40
    assert contents(follower.corpus) == source.rows


def test_records_of_removed_and_changed_entries_leave_chroma(make: Make) -> None:
    source = ListSource(FIRST)
    follower = make(source)
    follower.sync()
    source.remove(*FIRST[:5])
    source.put(faq(6, "改过的"))
    follower.sync()
    follower.drain()
    vectors = follower._state.vectors
    names = {name for page in vectors.names() for name in page}
    assert len(names) == 30
    assert all(follower.corpus.has_record(name) for name in names)
    source.put(*FIRST[:5])
    follower.sync()
    follower.drain()
    assert vectors.count() == 40


DAMAGES: dict[str, Callable[[Path], object]] = {
    "manifest": lambda folder: (folder / "manifest.json").write_bytes(b'{"format": 1'),
    "segment gone": lambda folder: next(folder.glob("segment-*/vectors.npy")).unlink(),
    "segment cut": lambda folder: os.truncate(next(folder.glob("segment-*/post_rows.npy")), 40),
    "deleted gone": lambda folder: next(folder.glob("*.deleted.npy")).unlink(),
    "deleted wrong": lambda folder: np.save(next(folder.glob("*.deleted.npy")), np.array([999])),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_index_is_made_anew_from_the_rows(
    make: Make, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    source = ListSource(FIRST)
    follower = make(source)
    follower.sync()
    source.remove(FIRST[0])
    follower.sync()
    follower.close()
    damage(tmp_path / "segments")
    again = make(source)
    assert (again.needs_rebuild, again.sync(), again.needs_rebuild) == (True, True, False)
    assert contents(again.corpus) == source.rows


def test_rows_that_are_behind_the_index_are_another_database(make: Make) -> None:
    first = make(ListSource(FIRST))
    first.sync()
    first.close()
    restored = ListSource(FIRST[:3])
    again = make(restored)
    again.sync()
    assert contents(again.corpus) == restored.rows


def test_another_embedder_after_a_restart_is_never_compared_with_the_old_vectors(
    make: Make,
) -> None:
    source = ListSource(FIRST)
    first = make(source, CountingEmbedder(32))
    first.sync()
    first.close()
    embedder = CountingEmbedder(16)
    again = make(source, embedder)
    (vector,) = embedder.embed(["第7个问题怎么办"])
    assert again.corpus.size == 20
    assert again.corpus.exact(wording_key("第7个问题怎么办")).size == 1
    assert not again.corpus.vector_candidates(vector, 3).rows.size
    again.sync()
    found = again.corpus.vector_candidates(vector, 1)
    assert again.corpus.entry(int(found.rows[0])).answer == "答复7"


def test_a_new_embedder_takes_over_together_with_its_vectors_and_the_old_ones_go(
    make: Make,
) -> None:
    source, old, new = ListSource(FIRST), CountingEmbedder(32), CountingEmbedder(16)
    follower = make(source, old)
    follower.sync()
    dimensions: list[tuple[int, int]] = []

    def look() -> None:
        corpus, embedder = follower.live
        matrix = corpus.unit_vectors(corpus.live_rows()[:1]).matrix
        dimensions.append((matrix.shape[1], embedder.dimensions))

    new.before = look
    follower.set_embedder(new)
    assert dimensions == [(32, 32)]
    look()
    assert dimensions[-1] == (16, 16)
    follower.drain()
    assert follower._state.vectors.count() == 40


def test_changes_during_a_rebuild_are_followed_and_are_in_its_outcome(make: Make) -> None:
    source, new = ListSource(FIRST), CountingEmbedder(16)
    follower = make(source)
    follower.sync()
    sizes: list[int] = []

    def change() -> None:
        if len(sizes) == 0:
            source.put(faq(50))
            follower.sync()
            sizes.append(follower.corpus.size)

    new.before = change
    follower.set_embedder(new)
    assert sizes == [21]
    assert contents(follower.corpus) == source.rows


def test_many_small_changes_are_merged_behind_the_searches(make: Make, tmp_path: Path) -> None:
    source = ListSource(FIRST)
    follower = make(source)
    follower.sync()
    for number in range(40, 40 + 3 * MAX_PARTS):
        source.put(faq(number))
        if number % 3 == 0:
            source.remove(faq(number - 1))
        follower.sync()
    follower.drain()
    assert len(follower.corpus.parts) <= MAX_PARTS
    assert contents(follower.corpus) == source.rows
    follower.close()
    listed = {path.name for path in (tmp_path / "segments").glob("segment-*")}
    again = make(source)
    assert {part.segment.name for part in again.corpus.parts} == listed
    assert contents(again.corpus) == source.rows


def test_a_second_process_follows_the_first_and_takes_over_when_it_is_gone(make: Make) -> None:
    source = ListSource(FIRST)
    writer = make(source)
    writer.sync()
    reader = make(source)
    assert (writer.is_writer, reader.is_writer) == (True, False)
    assert contents(reader.corpus) == source.rows
    source.put(faq(60))
    source.remove(FIRST[1])
    assert writer.sync()
    assert reader.sync()
    assert contents(reader.corpus) == source.rows
    with pytest.raises(KnowledgeError, match="another process"):
        reader.rebuild()
    writer.close()
    source.put(faq(61))
    assert reader.sync()
    assert reader.is_writer
    assert contents(reader.corpus) == source.rows


def test_a_second_process_finds_in_a_large_corpus_what_came_after_it_opened(
    tmp_path: Path, make: Make
) -> None:
    source = ListSource([faq(number) for number in range(200)])
    writer = make(source)
    writer._exact_vectors = 50
    writer.sync()
    writer.drain()
    command = [sys.executable, "-c", READER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def ask(number: int) -> str:
            reader.stdin.write(f"第{number}个问题怎么办\n")  # type: ignore[union-attr]
            reader.stdin.flush()  # type: ignore[union-attr]
            return reader.stdout.readline().strip()  # type: ignore[union-attr]

        assert ask(77) == "答复77"
        source.put(*(faq(number) for number in range(300, 310)))
        writer.sync()
        writer.drain()
        assert ask(305) == "答复305"
        source.put(*(faq(number) for number in range(400, 500)))
        writer.sync()
        writer.drain()
        assert ask(444) == "答复444"
        assert ask(78) == "答复78"
        reader.stdin.close()


READER = """
import sys
from pathlib import Path
from tests.knowledge.test_follower import CountingEmbedder, ListSource
from knowledge.follower import IndexFollower
root, embedder = Path(sys.argv[1]), CountingEmbedder()
follower = IndexFollower(
    ListSource(), root / "segments", embedder, root / "chroma", read_only=True, exact_vectors=50
)
follower.open()
for line in sys.stdin:
    follower.sync()
    follower.drain()
    found = follower.corpus.vector_candidates(embedder.embed([line])[0], 1)
    print(follower.corpus.entry(int(found.rows[0])).answer, flush=True)
follower.close()
"""


def test_a_read_only_follower_never_writes(make: Make, tmp_path: Path) -> None:
    reader = make(ListSource(FIRST), read_only=True)
    assert not reader.sync()
    assert reader.corpus.size == 0
    assert not (tmp_path / "segments").exists()


def test_a_large_corpus_is_searched_in_chroma(make: Make, opened: list[IndexFollower]) -> None:
    source = ListSource([faq(number) for number in range(200)])
    follower = make(source)
    follower._exact_vectors = 50
    follower.sync()
    follower.drain()
    assert follower.corpus.needs_nearest
    assert all(part.indexed for part in follower.corpus.parts)
    (vector,) = follower.embedder.embed(["第77个问题怎么办"])
    found = follower.corpus.vector_candidates(vector, 3)
    assert follower.corpus.entry(int(found.rows[0])).answer == "答复77"
    assert found.scores[0] == pytest.approx(1.0, abs=1e-2)


CHILD = """
import sys, time
from pathlib import Path
from tests.knowledge.test_follower import CountingEmbedder, ListSource, faq
from knowledge.follower import IndexFollower
from knowledge.segments import draft
draft.SEGMENT_ROWS = 50
root = Path(sys.argv[1])
source = ListSource([faq(n) for n in range(20)] + [faq(n, "改过的") for n in range(600)])
follower = IndexFollower(source, root / "segments", CountingEmbedder(), root / "chroma")
follower.open()
print("open", flush=True)
follower.sync()
print("synced", flush=True)
follower.drain()
print("done", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("moment", ["open", "open+0.1", "open+0.3", "open+0.7", "synced", "done"])
def test_a_process_killed_at_any_moment_leaves_an_index_that_the_next_completes(
    make: Make, tmp_path: Path, moment: str
) -> None:
    old = ListSource(FIRST)
    first = make(old)
    first.sync()
    first.close()
    word, _, pause = moment.partition("+")
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        while child.stdout.readline().strip() != word:
            assert child.poll() is None
        time.sleep(float(pause or 0))
        child.send_signal(signal.SIGKILL)
    new = ListSource([*FIRST, *(faq(number, "改过的") for number in range(600))])
    again = make(new)
    served = contents(again.corpus)
    assert served in (old.rows, new.rows)
    assert not again.needs_rebuild
    again.sync()
    again.drain()
    assert contents(again.corpus) == new.rows
    assert again._state.vectors.count() == 1_200


async def test_the_rows_of_the_database_are_followed(
    database: Database, tmp_path: Path, opened: list[IndexFollower]
) -> None:

    base = KnowledgeBase(database)
    follower = IndexFollower(
        DatabaseSource(database), tmp_path / "segments", CountingEmbedder(), tmp_path / "chroma"
    )
    opened.append(follower)
    await base.import_entries(FIRST)
    await asyncio.to_thread(follower.open)
    await asyncio.to_thread(follower.sync)
    assert contents(follower.corpus) == {entry.id: entry for entry in FIRST}
    await base.remove([FIRST[0].id], by="test")
    await base.put([faq(1, "改过的")], by="test")
    await asyncio.to_thread(follower.sync)
    want = {entry.id: entry for entry in [faq(1, "改过的"), *FIRST[2:]]}
    assert contents(follower.corpus) == want
