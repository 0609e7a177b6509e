"""What a developer does in LangGraph Studio, done with the official client."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.knowledge import Knowledge
from engine.settings import Settings, load_settings
from engine.studio import SAMPLE_FOLDER, close_knowledge, studio_knowledge
from knowledge.documents import load_paths
from tests.api.service import Service, running_service, settings_for
from tests.e2e.studio_server import ROOT, StudioServer, running_studio
from tests.filling import fill

GRAPH = "conversation"
NODES = {
    *("order", "desk", "draft"),
    *("classify", "act", "look", "retrieve", "price_estimate", "risk_check", "approve"),
    *("reply", "escalate"),
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    """One server for all tests; what went wrong inside must not go unnoticed."""
    with running_studio(tmp_path_factory.mktemp("studio")) as server:
        yield server
    assert "BlockingError" not in server.log()
    assert "Traceback" not in server.log()


@pytest.fixture
async def client(studio: StudioServer) -> AsyncIterator[LangGraphClient]:
    opened = get_client(url=studio.url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def thread(client: LangGraphClient) -> str:
    return str((await client.threads.create())["thread_id"])


def says(text: str) -> dict[str, Any]:
    """As Studio's chat sends it."""
    return {"messages": [{"role": "user", "content": text}]}


async def assistant_id(client: LangGraphClient) -> str:
    (assistant,) = await client.assistants.search(graph_id=GRAPH)
    return str(assistant["assistant_id"])


async def run(client: LangGraphClient, thread: str, text: str, **options: Any) -> dict[str, Any]:
    values = await client.runs.wait(thread, GRAPH, input=says(text), **options)
    assert isinstance(values, dict)
    return values


async def resume(client: LangGraphClient, thread: str, **options: Any) -> dict[str, Any]:
    values = await client.runs.wait(thread, GRAPH, input=None, **options)
    assert isinstance(values, dict)
    return values


async def test_studio_can_draw_the_graph_and_knows_its_state_and_context(
    client: LangGraphClient,
) -> None:
    identifier = await assistant_id(client)
    drawn = await client.assistants.get_graph(identifier)
    assert {str(node["id"]) for node in drawn["nodes"]} == NODES | {"__start__", "__end__"}
    arrows = {(edge["source"], edge["target"]) for edge in drawn["edges"]}
    assert {("risk_check", "reply"), ("risk_check", "escalate")} <= arrows

    schemas = await client.assistants.get_schemas(identifier)
    state, context = schemas["state_schema"], schemas["context_schema"]
    assert state is not None
    assert context is not None
    assert {"messages", "decision", "risk"} <= state["properties"].keys()
    assert context["properties"]["level"]["enum"] == ["white", "gray", "black"]
    assert "required" not in context


async def test_a_chat_message_is_answered_from_the_sample_knowledge(
    client: LangGraphClient, thread: str
) -> None:
    values = await run(client, thread, "E03是什么故障")
    assert values["decision"]["citations"][0]["source"] == "charging_pile.md#故障处理"
    assert values["messages"][-1]["type"] == "ai"
    assert "通信故障" in values["messages"][-1]["content"]


async def test_the_context_says_who_the_customer_is(client: LangGraphClient, thread: str) -> None:
    context = {"customer_name": "李雷", "level": "white"}
    values = await run(client, thread, "转人工", context=context)
    (notice,) = [e["payload"] for e in values["effects"] if e["kind"] == "notice"]
    assert "李雷" in notice["text"]
    assert thread in notice["text"]
    assert notice["priority"] == "high"


async def test_a_run_streams_its_nodes_its_words_and_its_message(
    client: LangGraphClient, thread: str
) -> None:
    nodes: list[str] = []
    custom: list[dict[str, Any]] = []
    messages: list[str] = []
    modes: Any = ["updates", "custom", "messages"]
    async for part in client.runs.stream(
        thread, GRAPH, input=says("抠图多少钱一张"), stream_mode=modes
    ):
        if part.event == "updates":
            nodes += part.data
        elif part.event == "custom":
            custom.append(dict(part.data))
        elif part.event == "messages/complete":
            messages += [message["content"] for message in part.data]
    assert nodes[0] == "classify"
    assert set(nodes[1:3]) == {"retrieve", "price_estimate"}
    assert nodes[3:] == ["risk_check", "reply"]
    said = "".join(part["text"] for part in custom if part["event"] == "token")
    assert "合计：8元" in said
    assert messages == [said]


async def test_an_interrupted_run_shows_its_state_and_goes_on(
    client: LangGraphClient, thread: str
) -> None:
    await run(client, thread, "充电桩质保几年", interrupt_before=["reply"])
    state: Any = await client.threads.get_state(thread)
    assert list(state["next"]) == ["reply"]
    assert state["values"]["risk"]["outcome"] == "accept"
    assert "decision" not in state["values"]

    values = await resume(client, thread)
    assert "3 年" in values["decision"]["content"]
    after: Any = await client.threads.get_state(thread)
    assert list(after["next"]) == []


async def test_an_edited_state_decides_how_the_run_ends(
    client: LangGraphClient, thread: str
) -> None:
    await run(client, thread, "充电桩质保几年", interrupt_after=["retrieve"])
    unsure = {"query": "充电桩质保几年", "confidence": 0.1, "evidence": [], "exact": False}
    await client.threads.update_state(thread, {"retrieval": unsure}, as_node="retrieve")
    values = await resume(client, thread)
    assert values["decision"]["reason"] == "low_confidence"


async def test_a_thread_can_be_forked_from_its_history(
    client: LangGraphClient, thread: str
) -> None:
    first = await run(client, thread, "抠图多少钱一张")
    history: Any = await client.threads.get_history(thread, limit=20)
    (before,) = [entry for entry in history if entry["next"] == ["classify"]]
    question = before["values"]["messages"][0]
    assert question["content"] == "抠图多少钱一张"

    changed = {"messages": [{**question, "content": "帮我抠20张图要多少钱"}]}
    fork: Any = await client.threads.update_state(
        thread, changed, checkpoint=before["checkpoint"], as_node="__start__"
    )
    second = await resume(client, thread, checkpoint=fork["checkpoint"])
    assert (first["quote"]["total"], second["quote"]["total"]) == (800, 14400)

    later: Any = await client.threads.get_history(thread, limit=40)
    totals = [(entry["values"].get("quote") or {}).get("total") for entry in later]
    assert {800, 14400} <= set(totals), "the first branch stays in the history"


async def test_the_second_message_of_a_thread_sees_the_first(
    client: LangGraphClient, thread: str
) -> None:
    await run(client, thread, "商城学生认证")
    values = await run(client, thread, "怎么做")
    assert "学号" in values["decision"]["content"]
    assert [message["type"] for message in values["messages"]] == ["human", "ai"] * 2


async def test_a_picture_may_come_as_a_content_block(client: LangGraphClient, thread: str) -> None:
    blocks = [
        {"type": "text", "text": "这张多少钱"},
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.jpg"}},
    ]
    chat: Any = {"messages": [{"role": "user", "content": blocks}]}
    values: Any = await client.runs.wait(thread, GRAPH, input=chat)
    assert values["classification"]["images"] == ["http://127.0.0.1/a.jpg"]
    assert values["quote"]["service"] == "process"


async def test_the_work_on_an_order_is_a_graph_of_its_own(
    client: LangGraphClient, thread: str
) -> None:
    """Its picture is at an address that must not be fetched: it goes to a designer, who is told."""
    order: Any = {
        "workflow": "process",
        "service": "restore",
        "requirements": ["放大2倍"],
        "sources": ["http://127.0.0.1/a.jpg"],
    }
    ended: Any = await client.runs.wait(thread, "order_work", input=order)
    assert ended["outcome"] == "designer"
    assert ended["reason"]
    drawn: Any = await client.assistants.get_graph("order_work")
    names = {node["id"] for node in drawn["nodes"]}
    assert {"look", "find_image", "process_image", "deliver", "hand_over"} <= names


def _settings(folder: Path) -> Settings:
    return load_settings(env_files=None, data_dir=folder, chroma_url="", embedding_url="")


OWN_BASE = "# 花店\n\n## 花束\n\n### 满天星多少钱一束？\n\n满天星 39 元一束。\n"


@pytest.fixture
def own_knowledge(tmp_path: Path) -> Iterator[Service]:
    """A data folder whose service runs and writes its index."""
    document = tmp_path / "flowers.md"
    document.write_text(OWN_BASE, "utf-8")
    folder = tmp_path / "data"
    fill(settings_for(folder), load_paths([document]).entries)
    with running_service(folder) as running:
        yield running


async def test_studio_reads_the_knowledge_of_a_running_service_and_ends_without_a_trace(
    tmp_path: Path, own_knowledge: Service
) -> None:
    listed = {path.name for path in ROOT.iterdir()}
    with running_studio(tmp_path) as server:
        client = get_client(url=server.url)
        values: Any = await client.runs.wait(None, GRAPH, input=says("满天星多少钱一束"))
        await client.aclose()
        assert "39 元" in values["decision"]["content"]
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=15) == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(server.process.pid, 0)
        async with httpx.AsyncClient(trust_env=False) as probe:
            with pytest.raises(httpx.ConnectError):
                await probe.get(server.url)
    assert not re.search(r"BlockingError|Traceback", server.log())
    assert not (tmp_path / "data" / SAMPLE_FOLDER).exists()
    assert {path.name for path in ROOT.iterdir()} <= listed | {".pytest_cache", ".mypy_cache"}


@pytest.mark.parametrize("content", [None, b"", b"this is no database" * 100])
async def test_where_there_is_no_usable_knowledge_the_samples_stand_in(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "kefu.db").write_bytes(content)
    async with opened_knowledge(tmp_path) as knowledge:
        found = await knowledge.retriever.search("E03是什么故障")
    assert found.evidence[0].source == "charging_pile.md#故障处理"


async def test_two_studios_may_read_the_samples_of_one_folder(tmp_path: Path) -> None:
    async with opened_knowledge(tmp_path) as first, opened_knowledge(tmp_path) as second:
        for knowledge in (first, second):
            found = await knowledge.retriever.search("E03是什么故障")
            assert found.evidence[0].source == "charging_pile.md#故障处理"
        assert first.follower.corpus.size == second.follower.corpus.size > 100


async def test_a_base_without_entries_counts_as_no_knowledge(tmp_path: Path) -> None:
    await asyncio.to_thread(fill, settings_for(tmp_path), [])
    async with opened_knowledge(tmp_path) as knowledge:
        assert sum((await knowledge.base.categories()).values()) > 100
    assert (tmp_path / SAMPLE_FOLDER / "kefu.db").exists()


@contextlib.asynccontextmanager
async def opened_knowledge(folder: Path) -> AsyncIterator[Knowledge]:
    knowledge = await asyncio.to_thread(studio_knowledge, _settings(folder))
    try:
        yield knowledge
    finally:
        await close_knowledge(knowledge)


async def stopped_for_approval(client: LangGraphClient, thread: str) -> dict[str, Any]:
    """What a person is asked: the quote, and why."""
    await client.runs.wait(thread, GRAPH, input=says("设计2个logo多少钱"))
    state: Any = await client.threads.get_state(thread)
    (stop,) = [one for task in state["tasks"] for one in task["interrupts"]]
    asked: dict[str, Any] = stop["value"]
    return asked


@pytest.mark.parametrize(
    ("word", "said", "action"),
    [
        ({"verdict": "approved"}, "600元", "reply"),
        ({"verdict": "edited", "total": 55_000}, "550元", "reply"),
        ({"verdict": "rejected"}, "", "escalate"),
        ({"verdict": "expired"}, "", "escalate"),
    ],
)
async def test_a_quote_that_waits_for_approval_goes_on_with_the_word_given(
    client: LangGraphClient, thread: str, word: dict[str, Any], said: str, action: str
) -> None:
    asked = await stopped_for_approval(client, thread)
    assert (asked["kind"], asked["quote"]["total"]) == ("quote_approval", 60_000)
    values: Any = await client.runs.wait(thread, GRAPH, command={"resume": word})
    assert values["decision"]["action"] == action
    assert said in values["decision"]["content"]


async def test_a_new_message_leaves_the_quote_that_waited_behind(
    client: LangGraphClient, thread: str
) -> None:
    await stopped_for_approval(client, thread)
    values = await run(client, thread, "充电桩质保几年")
    assert "3 年" in values["decision"]["content"]
    state: Any = await client.threads.get_state(thread)
    assert list(state["next"]) == []
