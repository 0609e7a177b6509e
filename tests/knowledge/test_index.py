import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from domain.errors import KnowledgeError
from knowledge.documents import Entry, make_entry
from knowledge.embedding import HashedNgramEmbedder, Vectors
from knowledge.index import ImportSummary, KnowledgeIndex

RETURNS = make_entry("能退货吗", "七天内可退。", source="faq.md#售后", aliases=["可以退么", "退货"])
INVOICE = make_entry("能开发票吗", "可以。", source="faq.md#财务", category="财务")
HOURS = make_entry("几点开门", "九点。", source="hours.md")


def edited(entry: Entry, answer: str, aliases: Sequence[str] = ()) -> Entry:
    return make_entry(
        entry.question, answer, source=entry.source, aliases=aliases, category=entry.category
    )


def questions(index: KnowledgeIndex) -> set[str]:
    return {entry.question for entry in index.list_entries()}


def wordings(index: KnowledgeIndex) -> set[str]:
    return {wording.text for wording in index.contents(with_vectors=False).wordings}


def test_entries_come_back_whole(index: KnowledgeIndex) -> None:
    assert index.import_entries([RETURNS, INVOICE]) == ImportSummary(added=2)
    assert set(index.list_entries()) == {RETURNS, INVOICE}
    assert index.count() == 2
    assert index.list_entries("财务") == [INVOICE]
    pages = [*index.list_entries(limit=1), *index.list_entries(limit=1, offset=1)]
    assert set(pages) == {RETURNS, INVOICE}


def test_importing_again_writes_only_what_changed(index: KnowledgeIndex) -> None:
    index.import_entries([RETURNS, INVOICE])
    version = index.version()
    assert index.import_entries([RETURNS, INVOICE]) == ImportSummary(unchanged=2)
    assert index.version() == version
    changed = edited(RETURNS, "不可退。", ["退货"])
    assert index.import_entries([changed, INVOICE]) == ImportSummary(updated=1, unchanged=1)
    assert index.changed_since(version)
    assert wordings(index) == {"能退货吗", "退货", "不可退。", "能开发票吗", "可以。"}


def test_refresh_removes_what_its_documents_no_longer_say(index: KnowledgeIndex) -> None:
    index.import_entries([RETURNS, INVOICE, HOURS])
    summary = index.import_entries([INVOICE], refresh={"faq.md"})
    assert summary == ImportSummary(unchanged=1, removed=1)
    assert questions(index) == {"能开发票吗", "几点开门"}
    assert "可以退么" not in wordings(index)


def test_rebuild_holds_exactly_what_is_given(index: KnowledgeIndex) -> None:
    index.import_entries([RETURNS, HOURS])
    generation = index.version().generation
    summary = index.import_entries([RETURNS, INVOICE], rebuild=True)
    assert summary == ImportSummary(added=1, unchanged=1, removed=1)
    assert questions(index) == {"能退货吗", "能开发票吗"}
    assert index.version().generation == generation + 1


@pytest.mark.parametrize(
    ("source", "left"),
    [("faq.md", {"几点开门"}), ("faq.md#财务", {"能退货吗", "几点开门"}), ("none.md", None)],
)
def test_remove_takes_a_document_or_one_topic(
    index: KnowledgeIndex, source: str, left: set[str] | None
) -> None:
    entries = [RETURNS, INVOICE, HOURS]
    index.import_entries(entries)
    everything = {entry.question for entry in entries}
    kept = everything if left is None else left
    assert index.remove(source) == len(everything - kept)
    assert questions(index) == kept


def test_progress_reaches_the_total(index: KnowledgeIndex) -> None:
    steps: list[tuple[int, int]] = []
    index.import_entries([RETURNS, INVOICE], progress=lambda *step: steps.append(step))
    assert steps[-1] == (2, 2)


def test_a_folder_is_self_contained(tmp_path: Path) -> None:
    embedder = HashedNgramEmbedder(64)
    first = KnowledgeIndex(tmp_path, embedder)
    first.import_entries([RETURNS])
    version = first.version()
    first.close()
    second = KnowledgeIndex(tmp_path, embedder)
    assert second.list_entries() == [RETURNS]
    assert second.version() == version
    second.close()


def test_another_embedder_embeds_everything_again(tmp_path: Path) -> None:
    first = KnowledgeIndex(tmp_path, HashedNgramEmbedder(64))
    first.import_entries([RETURNS, INVOICE])
    first.close()
    wider = HashedNgramEmbedder(128)
    second = KnowledgeIndex(tmp_path, wider)
    contents = second.contents(with_vectors=True)
    second.close()
    assert set(contents.entries) == {RETURNS, INVOICE}
    assert contents.vectors is not None
    assert contents.vectors.shape == (6, 128)


class _FailingEmbedder(HashedNgramEmbedder):
    name = "failing"

    def embed(self, texts: Sequence[str]) -> Vectors:
        raise KnowledgeError(self.name, "away")


def test_a_rebuild_that_dies_leaves_the_old_generation(tmp_path: Path) -> None:
    embedder = HashedNgramEmbedder(64)
    first = KnowledgeIndex(tmp_path, embedder)
    first.import_entries([RETURNS])
    first.close()
    broken = KnowledgeIndex(tmp_path, _FailingEmbedder(64))
    with pytest.raises(KnowledgeError, match="away"):
        broken.count()
    again = KnowledgeIndex(tmp_path, embedder)
    assert again.list_entries() == [RETURNS]
    assert again.import_entries([INVOICE], rebuild=True).removed == 1
    again.close()


def test_a_second_writer_is_refused_and_told_who_holds_the_folder(
    index: KnowledgeIndex,
) -> None:
    index.import_entries([RETURNS])
    program = (
        "import sys; from pathlib import Path; from knowledge.index import KnowledgeIndex;"
        "from knowledge.embedding import HashedNgramEmbedder;"
        "KnowledgeIndex(Path(sys.argv[1]), HashedNgramEmbedder(256)).count()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, index.where], capture_output=True, text=True, timeout=60
    )
    assert run.returncode != 0
    assert f"in use by process {os.getpid()}" in run.stderr


def test_a_reader_needs_no_lock_and_cannot_write(index: KnowledgeIndex) -> None:
    index.import_entries([RETURNS])
    reader = KnowledgeIndex(Path(index.where), HashedNgramEmbedder(256), read_only=True)
    assert reader.list_entries() == [RETURNS]
    with pytest.raises(KnowledgeError, match="reading only"):
        reader.remove("faq.md")
    reader.close()


def test_a_reader_says_when_there_is_nothing_to_read(tmp_path: Path) -> None:
    reader = KnowledgeIndex(tmp_path / "none", HashedNgramEmbedder(64), read_only=True)
    with pytest.raises(KnowledgeError, match="no index yet"):
        reader.count()


def test_a_server_that_is_away_is_a_knowledge_error() -> None:
    away = KnowledgeIndex("http://127.0.0.1:9", HashedNgramEmbedder(64))
    with pytest.raises(KnowledgeError, match=r"127\.0\.0\.1:9"):
        away.count()


def test_a_broken_index_says_so_at_every_try(tmp_path: Path) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(KnowledgeError, match="Chroma"):
            KnowledgeIndex(tmp_path, HashedNgramEmbedder()).count()
