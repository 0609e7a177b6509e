"""What a search promises, whatever the model that ranks has learned; its quality is elsewhere."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.errors import KnowledgeError
from knowledge.documents import Entry, make_entry
from knowledge.embedding import (
    Embedder,
    HashedNgramEmbedder,
    OpenAICompatibleEmbedder,
    Vectors,
    normalised,
)
from knowledge.encoder import TermEncoder
from knowledge.features import ENTRY, QUERY
from knowledge.feed import Change
from knowledge.model import RankingModel
from knowledge.retrieval import PROFILE_DRIFT, Sight
from tests.api.cli.embeddings import DIMENSIONS, embeddings_server
from tests.knowledge.conftest import EntryList, Samples, Searching

QUERIES = [
    "充电桩装一台多少钱", "能不能开专票", "今天天气怎么样", "蓝牙连不上", "什么时候发货",
    "图片能不能做大一点", "学生有没有优惠", "e05 是什么故障", "", "退款多久到账",
]  # fmt: skip
RETURNS = make_entry("能退货吗", "能。", source="faq.md")


@contextlib.asynccontextmanager
async def opened(folder: Path, **parts: Any) -> AsyncIterator[Searching]:
    searching = Searching(folder, **parts)
    try:
        yield searching
    finally:
        await searching.retriever.aclose()


def sight_of(searching: Searching) -> Sight:
    assert searching.retriever.sight is not None
    return searching.retriever.sight


def numbered(count: int, *, start: int = 0) -> list[Entry]:
    ordinal = range(start, start + count)
    return [make_entry(f"第 {n} 号柜台卖什么", f"卖 {n} 号货。", source="a.md") for n in ordinal]


@pytest.fixture
async def small(searching: Searching) -> Searching:
    """Two shops that answer one question differently, and fault codes."""
    await searching.feed(
        [
            make_entry("安装要多久", "两小时。", source="pile.md", category="pile"),
            make_entry("充电桩安装怎么收费", "998 元。", source="pile.md", category="pile"),
            make_entry("卫衣怎么收费", "199 元。", source="shop.md", category="shop"),
            make_entry("几点开门", "九点。", source="shop.md", category="shop"),
            make_entry("几点开门", "八点。", source="pile.md", category="pile"),
            make_entry(
                "屏幕显示 E05 怎么办", "过温，等十分钟。", source="pile.md", category="pile"
            ),
        ]
    )
    return searching


# What is found


async def test_a_known_wording_is_answered_exactly(
    samples: Searching, sample_entries: tuple[Entry, ...]
) -> None:
    entry = next(entry for entry in sample_entries if entry.aliases)
    for wording in (entry.question, entry.aliases[0], f"请问，{entry.question}"):
        found = await samples.retriever.search(wording, category=entry.category)
        assert found.exact
        assert found.confidence >= 0.99
        assert [evidence.id for evidence in found.evidence] == [entry.id]
        assert found.evidence[0].source == entry.source


async def test_one_wording_with_two_answers_is_never_answered_outright(small: Searching) -> None:
    found = await small.retriever.search("几点开门")
    assert not found.exact
    assert found.confidence < 0.75
    assert {evidence.answer for evidence in found.evidence[:2]} == {"九点。", "八点。"}
    of_shop = await small.retriever.search("几点开门", category="shop")
    assert (of_shop.exact, of_shop.evidence[0].answer) == (True, "九点。")


async def test_a_category_is_the_only_source_of_evidence(small: Searching) -> None:
    found = await small.retriever.search("怎么收费啊这边", category="shop", top_k=10)
    assert {evidence.category for evidence in found.evidence} == {"shop"}
    assert (await small.retriever.search("怎么收费啊", category="none")).evidence == ()


async def test_how_long_is_never_the_answer_to_how_much(
    samples: Searching,
) -> None:
    for query in ("7kw充电桩多少钱", "7kw充电桩什么价"):
        found = await samples.retriever.search(query)
        first = found.evidence[0].question
        assert found.confidence < 0.75 or "多久" not in first


async def test_another_fault_code_is_never_answered_outright(small: Searching) -> None:
    right = await small.retriever.search("屏幕显示 E05 咋办呀")
    assert right.evidence[0].answer.startswith("过温")
    other = await small.retriever.search("屏幕显示 E03 怎么办")
    assert other.confidence < min(0.75, right.confidence)


async def test_a_follow_up_is_read_with_what_was_said_before(small: Searching) -> None:
    query = "那怎么收费呢这个"
    after_pile = await small.retriever.search(query, context=["我想装充电桩"])
    after_shirt = await small.retriever.search(query, context=["卫衣有灰色的吗"])
    assert after_pile.evidence[0].answer == "998 元。"
    assert after_shirt.evidence[0].answer == "199 元。"


async def test_a_question_that_stands_alone_ignores_what_was_said(samples: Searching) -> None:
    query = "充电桩安装需要物业开什么证明材料"
    alone = await samples.retriever.search(query)
    assert await samples.retriever.search(query, context=["卫衣有灰色的吗"]) == alone


async def test_nothing_to_search_for_is_no_evidence(samples: Searching) -> None:
    for query in ("", "  ", "？！……", "\u200b"):
        found = await samples.retriever.search(query)
        assert (found.confidence, found.evidence) == (0.0, ())


async def test_any_text_is_survived(samples: Searching) -> None:
    for query in ("\ud800坏", "a" * 100_000, "😀😀", "1", "的", "%s{}\x00'\"", "ﷺ"):
        found = await samples.retriever.search(query, context=[query])
        assert 0.0 <= found.confidence <= 1.0


async def test_scores_fall_and_start_at_the_confidence(samples: Searching) -> None:
    found = await samples.retriever.search("充电桩装一台大概多少钱呢", top_k=5)
    scores = [evidence.score for evidence in found.evidence]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(found.confidence, abs=1e-3)


async def test_an_explanation_names_its_signals_and_is_of_the_very_search(
    samples: Searching,
) -> None:
    for query in filter(None, QUERIES):
        explained = await samples.retriever.explain(query, top_k=2)
        assert explained.retrieval == await samples.retriever.search(query, top_k=2)
        if explained.retrieval.exact:
            continue
        assert len(explained.signals) == len(explained.logits) == 2
        assert all(tuple(signals) == ENTRY for signals in explained.signals)
        assert tuple(explained.query or ()) == QUERY
        assert explained.logits[0] >= explained.logits[1]
        shown = explained.as_dict()
        assert shown["confidence"] == explained.retrieval.confidence
        assert shown["signals"] == list(explained.signals)


async def test_an_empty_index_finds_nothing(searching: Searching) -> None:
    assert (await searching.retriever.search("能退货吗")).evidence == ()


# Many at once


async def test_concurrent_searches_give_the_answers_of_serial_ones(samples: Searching) -> None:
    retriever = samples.retriever
    serial = [await retriever.search(query) for query in QUERIES]
    together = await asyncio.gather(*(retriever.search(query) for query in QUERIES * 20))
    for number, found in enumerate(together):
        expected = serial[number % len(QUERIES)]
        assert [e.id for e in found.evidence] == [e.id for e in expected.evidence]
        assert found.confidence == pytest.approx(expected.confidence, abs=1e-3)


async def test_searches_that_wait_together_are_embedded_together(tmp_path: Path) -> None:
    with embeddings_server() as server, served_by(server.url) as embedder:
        async with opened(tmp_path, embedder=embedder) as searching:
            await searching.feed([RETURNS])
            before = len(server.sizes)
            searches = [searching.retriever.search(f"第 {n} 单怎么退") for n in range(50)]
            found = await asyncio.gather(*searches)
            calls = server.sizes[before:]
    assert all(result.evidence[0].answer == "能。" for result in found)
    assert sum(calls) == 50
    assert len(calls) <= 10


async def test_a_repeated_query_is_remembered_until_the_base_changes(tmp_path: Path) -> None:
    with embeddings_server() as server, served_by(server.url) as embedder:
        async with opened(tmp_path, embedder=embedder, remembered=1) as searching:
            await searching.feed([RETURNS])
            before = len(server.texts)
            first = await searching.retriever.search("东西想退货")
            assert await searching.retriever.search("东西想退货") == first
            assert server.texts[before:] == ["东西想退货"]
            await searching.feed([make_entry("能退货吗", "不能。", source="faq.md")])
            before = len(server.texts)
            for query in ("东西想退货", "发票", "东西想退货"):
                found = await searching.retriever.search(query)
            assert server.texts[before:] == ["东西想退货", "发票", "东西想退货"]
    assert found.evidence[0].answer == "不能。"


@contextlib.contextmanager
def served_by(url: str) -> Any:
    embedder = OpenAICompatibleEmbedder(url, "m", DIMENSIONS)
    try:
        yield embedder
    finally:
        embedder.close()


# While the base or the model changes


async def test_a_change_is_seen_when_refresh_returns(searching: Searching) -> None:
    await searching.feed([RETURNS])
    for answer in ("不能。", "七天内能。", "看情况。"):
        searching.source.replace([make_entry("能退货吗", answer, source="faq.md")])
        await searching.retriever.refresh()
        assert (await searching.retriever.search("能退货吗")).evidence[0].answer == answer
    searching.source.replace([])
    await searching.retriever.refresh()
    assert (await searching.retriever.search("能退货吗")).evidence == ()


class SlowList(EntryList):
    """A source that gives nothing new until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.free = threading.Event(), threading.Event()
        self.free.set()

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        self.reading.set()
        assert self.free.wait(30.0)
        return super().changes_since(revision, limit)


async def test_a_search_during_a_long_sync_is_answered_from_the_old_state(tmp_path: Path) -> None:
    source = SlowList()
    async with opened(tmp_path, source=source) as searching:
        await searching.feed([RETURNS])
        source.free.clear()
        source.reading.clear()
        source.replace([make_entry("能退货吗", "不能。", source="faq.md")])
        syncing = asyncio.create_task(searching.retriever.refresh())
        assert await asyncio.to_thread(source.reading.wait, 30.0)
        for query in ("能退货吗", "东西想退货"):
            assert (await searching.retriever.search(query)).evidence[0].answer == "能。"
        assert not syncing.done()
        source.free.set()
        await syncing
        for query in ("能退货吗", "东西想退货"):
            assert (await searching.retriever.search(query)).evidence[0].answer == "不能。"


def other_model() -> RankingModel:
    """The shipped model with an encoder that learned something else."""
    shipped = RankingModel.load()
    learned = np.roll(shipped.encoder.learned, 1, axis=1)
    return RankingModel(
        shipped.encoder.with_learned(learned),
        shipped.rank,
        shipped.gate,
        shipped.scope,
        shipped.cap,
    )


async def test_model_and_embedder_change_over_at_once_and_no_search_fails(
    opened_samples: Samples, tmp_path: Path
) -> None:
    seen: set[tuple[str, str]] = set()
    async with opened_samples(tmp_path / "changing") as changed:
        retriever, model = changed.retriever, other_model()
        changing = asyncio.create_task(retriever.use_model(model))
        while not changing.done():
            for query in QUERIES[:4]:
                found = await retriever.search(query)
                assert len(found.evidence) in (1, 3)
                sight = sight_of(changed)
                assert isinstance(sight.embedder, TermEncoder)
                seen.add((sight.embedder.version, sight.model.encoder.version))
        await changing
        assert all(embedder == encoder for embedder, encoder in seen)
        assert sight_of(changed).model is retriever.model is model
        assert sight_of(changed).embedder is changed.follower.embedder is model.encoder
        found = await retriever.search("充电桩跳闸了")
    assert found.evidence[0].question.startswith("充电桩")


async def test_a_profile_is_kept_on_small_changes_and_renewed_on_large_ones(
    searching: Searching,
) -> None:
    entries = numbered(100)
    await searching.feed(entries)
    first = sight_of(searching)
    small = int(100 * PROFILE_DRIFT)
    await searching.feed(entries[small // 2 :])
    kept = sight_of(searching)
    assert kept is not first
    assert kept.profile is first.profile
    await searching.feed([*entries[small // 2 :], *numbered(small, start=200)])
    assert sight_of(searching).profile is not first.profile


async def test_a_base_of_the_same_size_with_other_entries_has_another_profile(
    searching: Searching,
) -> None:
    await searching.feed(numbered(40))
    first = sight_of(searching)
    await searching.feed(numbered(40, start=100))
    assert sight_of(searching).corpus.size == 40
    assert sight_of(searching).profile is not first.profile


# Other embedders


class Squeezed:
    """An embedder like ``inner``, whose cosines all lie between 0.7 and 1."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.name, self.version = f"squeezed-{inner.name}", inner.version
        self.dimensions = inner.dimensions + 1

    def embed(self, texts: Sequence[str]) -> Vectors:
        inner = self._inner.embed(texts)
        common = np.full((len(inner), 1), np.sqrt(0.7), np.float32)
        return normalised(np.hstack((inner * np.float32(np.sqrt(0.3)), common)))


async def test_cosines_of_another_range_mean_what_those_of_our_own_encoder_mean(
    samples: Searching, sample_entries: tuple[Entry, ...], tmp_path: Path
) -> None:
    squeezed = Squeezed(RankingModel.load().encoder)
    async with opened(tmp_path / "squeezed", embedder=squeezed) as other:
        await other.feed(sample_entries)
        for query in filter(None, QUERIES):
            ours = await samples.retriever.search(query)
            theirs = await other.retriever.search(query)
            assert theirs.evidence[0].id == ours.evidence[0].id
            assert theirs.confidence == pytest.approx(ours.confidence, abs=0.05)


async def test_an_embedder_of_another_geometry_finds_mostly_the_same(
    samples: Searching, sample_entries: tuple[Entry, ...], tmp_path: Path
) -> None:
    embedder = Squeezed(HashedNgramEmbedder(512))
    queries = [f"想问下{entry.question}" for entry in sample_entries[::12]]
    same = 0
    async with opened(tmp_path / "ngrams", embedder=embedder) as other:
        await other.feed(sample_entries)
        for query in queries:
            ours = await samples.retriever.search(query)
            theirs = await other.retriever.search(query)
            same += theirs.evidence[0].id == ours.evidence[0].id
            assert 0.0 <= theirs.confidence <= 1.0
    assert same >= 0.8 * len(queries)


# Faults and the end


class BrokenList(EntryList):
    """``read`` is set when entries were given out."""

    def __init__(self) -> None:
        super().__init__()
        self.broken, self.read = True, threading.Event()

    def entries_after(self, entry_id: str, limit: int) -> list[Entry]:
        self.read.set()
        return super().entries_after(entry_id, limit)

    def newest_revision(self) -> int:
        if self.broken:
            raise KnowledgeError("rows", "the database is away")
        return super().newest_revision()


async def test_a_fault_of_the_rows_reaches_every_waiting_search_until_it_is_gone(
    tmp_path: Path,
) -> None:
    source = BrokenList()
    source.replace([RETURNS])
    async with opened(tmp_path, source=source) as searching:
        for _ in range(2):
            searches = (searching.retriever.search(f"问题{n}") for n in range(3))
            found = await asyncio.gather(*searches, return_exceptions=True)
            assert [type(error) for error in found] == [KnowledgeError] * 3
        source.broken = False
        assert (await searching.retriever.search("能退货吗")).evidence[0].answer == "能。"


async def test_a_base_whose_rows_are_away_at_the_start_is_followed_as_soon_as_they_are_back(
    tmp_path: Path,
) -> None:
    source = BrokenList()
    source.replace([RETURNS])
    async with opened(tmp_path, source=source, refresh_s=0.02) as searching:
        with pytest.raises(KnowledgeError, match="database is away"):
            await searching.retriever.warm()
        source.broken = False
        assert await asyncio.to_thread(source.read.wait, 20.0)


async def test_an_old_index_serves_where_the_rows_are_away(tmp_path: Path) -> None:
    async with opened(tmp_path) as before:
        await before.feed([RETURNS])
    async with opened(tmp_path, source=BrokenList()) as searching:
        assert (await searching.retriever.search("能退货吗")).evidence[0].answer == "能。"
        with pytest.raises(KnowledgeError, match="database is away"):
            await searching.retriever.refresh()


async def test_an_embedding_server_that_goes_away_fails_the_searches_that_need_it(
    tmp_path: Path,
) -> None:
    with embeddings_server() as server:
        embedder = OpenAICompatibleEmbedder(server.url, "m", DIMENSIONS)
        searching = Searching(tmp_path, embedder=embedder)
        await searching.feed([RETURNS])
    try:
        found = await asyncio.gather(
            *(searching.retriever.search(f"退货{n}") for n in range(3)), return_exceptions=True
        )
        assert [type(error) for error in found] == [KnowledgeError] * 3
        assert (await searching.retriever.search("能退货吗")).exact
    finally:
        await searching.retriever.aclose()
        embedder.close()


async def test_a_closed_retriever_says_so(searching: Searching) -> None:
    await searching.feed([RETURNS])
    await searching.retriever.aclose()
    await searching.retriever.aclose()
    for call in (searching.retriever.search("东西想退货"), searching.retriever.refresh()):
        with pytest.raises(KnowledgeError, match="closed"):
            await call
