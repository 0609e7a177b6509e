"""What nobody could answer becomes knowledge, in the running engine, on both databases."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from domain.messages import InboundMessage
from engine.bootstrap import SAMPLES, Kefu, build
from engine.settings import load_settings
from knowledge.documents import Entry, load_paths
from knowledge.unknown import ClusterView
from tests.knowledge.charging import ANSWER, ELEVENTH, WORDINGS

_numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def running(url: str, folder: Path, **changes: Any) -> AsyncIterator[Kefu]:
    told: dict[str, Any] = {"data_dir": folder, "database_url": url, "index_poll_s": 0.2}
    settings = load_settings(env_files=None, **(told | changes))
    kefu = await asyncio.to_thread(build, settings)
    await kefu.start()
    assert kefu.warming is not None
    await kefu.warming
    try:
        yield kefu
    finally:
        await kefu.stop()


async def ask(kefu: Kefu, text: str) -> dict[str, Any]:
    """Each time another customer."""
    number = next(_numbers)
    message = InboundMessage("api", "shop", f"m{number}", f"c{number}", f"c{number}", text)
    return await kefu.engine.ask(message)


async def until(found: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """The first true value."""
    async with asyncio.timeout(seconds):
        while not (value := await found()):  # noqa: ASYNC110 - rows tell nobody that they changed
            await asyncio.sleep(0.05)
    return value


def others() -> tuple[Entry, ...]:
    """The samples without what is said about charging piles."""
    with resources.as_file(SAMPLES) as folder:
        entries = load_paths([folder]).entries
    return tuple(entry for entry in entries if entry.document != "charging_pile.md")


def metrics_of(kefu: Kefu) -> dict[str, float]:
    lines = generate_latest(kefu.metrics.registry).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


async def test_ten_wordings_are_one_cluster_whose_answer_is_cited_and_can_be_taken_back(
    database_url: str, tmp_path: Path
) -> None:
    async with running(database_url, tmp_path / "data") as kefu:
        knowledge = kefu.knowledge
        await knowledge.base.import_entries(others())
        await knowledge.retriever.refresh()
        for wording in WORDINGS:
            answer = await ask(kefu, wording)
            assert (answer["decision"], answer["citations"]) == ("handoff", [])

        async def gathered() -> ClusterView | None:
            page = await knowledge.questions.clusters(state="open")
            return page.items[0] if page.items and page.items[0].count == 10 else None

        cluster: ClusterView = await until(gathered)
        assert (await knowledge.questions.clusters()).total == 1
        assert (cluster.customers, cluster.representative in WORDINGS) == (10, True)

        accepted = await knowledge.learning.answer_cluster(cluster.id, ANSWER, by="店长")
        await knowledge.retriever.refresh()
        answer = await ask(kefu, ELEVENTH)
        assert (answer["decision"], answer["content"]) == ("answer", ANSWER)
        assert [cited["id"] for cited in answer["citations"]] == [accepted.entry_id]

        await knowledge.learning.undo(accepted.id, by="店长")
        await knowledge.retriever.refresh()
        assert (await ask(kefu, ELEVENTH))["decision"] == "handoff"
        reopened = await knowledge.questions.cluster(cluster.id)
        assert reopened.state == "open"


async def test_what_answered_is_counted_and_gauges_tell_of_the_knowledge(
    database_url: str, tmp_path: Path
) -> None:
    async with running(database_url, tmp_path / "data", learn_sweep_s=0.1) as kefu:
        entries = others()
        await kefu.knowledge.base.import_entries(entries)
        await kefu.knowledge.retriever.refresh()
        cited = [(await ask(kefu, entries[0].question))["citations"][0]["id"] for _ in range(3)]
        assert len(set(cited)) == 1
        await ask(kefu, WORDINGS[0])

        async def counted() -> bool:
            (entry,) = await kefu.knowledge.base.get(cited)
            return entry.useful_count == 3

        await until(counted)

        async def gathered() -> bool:
            return metrics_of(kefu)['kefu_question_clusters{state="open"}'] == 1

        await until(gathered)
        told = metrics_of(kefu)
        assert told["kefu_unknown_questions_total"] == 1
        assert told["kefu_index_entries"] == len(entries)
        assert told["kefu_index_revision_lag"] == 0
        assert told['kefu_suggestions{state="pending"}'] == 0
        assert told["kefu_search_seconds_count"] >= 4


async def test_a_count_that_was_not_written_yet_is_written_at_the_end(
    database_url: str, tmp_path: Path
) -> None:
    entries = others()
    async with running(database_url, tmp_path / "data") as kefu:
        await kefu.knowledge.base.import_entries(entries)
        await kefu.knowledge.retriever.refresh()
        used = (await ask(kefu, entries[0].question))["citations"][0]["id"]
    async with running(database_url, tmp_path / "data") as kefu:
        (entry,) = await kefu.knowledge.base.get([used])
        assert entry.useful_count == 1


async def test_an_index_that_cannot_be_read_hands_questions_to_people_and_is_counted(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "knowledge").write_text("no folder")
    async with running(database_url, tmp_path / "data") as kefu:
        await kefu.knowledge.base.import_entries(others())
        answer = await ask(kefu, "校园商城怎么退款")
        told = metrics_of(kefu)
    assert answer["decision"] == "handoff"
    assert told['kefu_knowledge_failures_total{part="warm"}'] == 1
    assert told['kefu_knowledge_failures_total{part="search"}'] >= 1
    assert "questions go to people" in caplog.text


async def test_a_model_that_comes_into_use_is_taken_up_while_the_service_runs(
    database_url: str, tmp_path: Path
) -> None:
    async with running(database_url, tmp_path / "data", learn_sweep_s=0.1) as kefu:
        before = kefu.knowledge.retriever.model
        kefu.knowledge.models.add(before, {})

        async def changed() -> bool:
            return kefu.knowledge.retriever.model is not before

        await until(changed)
        assert (await ask(kefu, WORDINGS[0]))["decision"] == "handoff"
