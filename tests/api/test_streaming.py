"""Seed 003's surface as a stream, and answers that come after the caller stopped waiting."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.envelope import refusal
from tests.api.events import Event, events, said
from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer

STREAM = "/api/v1/messages/stream"
QUESTION = "帆布包有没有拉链"
"""Known, but worded otherwise: a model answers it."""


@pytest.fixture(scope="module")
def modelled(
    tmp_path_factory: pytest.TempPathFactory,
    knowledge_folder: Path,
    shared_sandbox: SandboxServer,
) -> Iterator[Service]:
    with running_service(
        tmp_path_factory.mktemp("modelled"),
        knowledge=knowledge_folder,
        sandbox_url=shared_sandbox.url,
        deepseek_api_key="sk-test",
    ) as running:
        yield running


def message(name: str, content: str, **more: Any) -> dict[str, Any]:
    """A request of which ``name`` is the message's and the chat's id."""
    sent = {"id": name, "chat_id": name, "sender": name, "content": content}
    return {"agent_id": "stream", "message": sent} | more


def streamed(service: Service, name: str, content: str, **more: Any) -> list[Event]:
    with service.client.stream("POST", STREAM, json=message(name, content, **more)) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        return list(events(response))


def fetched(service: Service, name: str, *, within: float = 60.0) -> dict[str, Any]:
    """The answer to message ``name`` once it is there."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        path = f"/api/v1/messages/{name}/answer"
        answer: dict[str, Any] = service.client.get(path, params={"agent_id": "stream"}).json()
        if answer.get("action") not in (None, "wait"):
            return answer
        time.sleep(0.05)
    raise AssertionError(f"no answer to {name!r} within {within} s")


def nodes_of(happened: list[Event]) -> list[tuple[str, str]]:
    return [(e.data["name"], e.data["status"]) for e in happened if e.name == "node"]


def test_nodes_start_and_end_then_tokens_then_one_result(service: Service) -> None:
    happened = streamed(service, "order", "充电桩怎么安装？")
    passed = ("classify", "retrieve", "risk_check", "reply")
    assert nodes_of(happened) == [(n, s) for n in passed for s in ("start", "end")]
    assert [e.name for e in happened].count("result") == 1
    assert happened[-1].name == "result"
    names = [e.name for e in happened]
    assert names.index("token") > names.index("node")
    result = happened[-1].data
    assert result["action"] == "reply"
    assert result["nodes"] == list(passed)
    assert said(happened) == result["content"]
    assert all(e.data["ms"] >= 0 for e in happened if e.data.get("status") == "end")


def test_the_stream_says_what_the_plain_answer_says(service: Service) -> None:
    result = streamed(service, "same", "商品多少钱？")[-1].data
    plain = service.client.post("/api/v1/messages", json=message("same", "商品多少钱？")).json()
    assert plain.pop("duplicate") is True
    assert result.pop("duplicate") is False
    assert plain == result


def test_a_message_that_was_answered_before_streams_its_result_at_once(service: Service) -> None:
    first = streamed(service, "again", "你好")[-1].data
    happened = streamed(service, "again", "你好")
    assert [e.name for e in happened] == ["result"]
    assert happened[0].data == first | {"duplicate": True}


def test_an_escalation_streams_its_node_and_its_word_to_the_customer(service: Service) -> None:
    happened = streamed(service, "person", "我要投诉,太差了,叫你们经理来")
    assert nodes_of(happened)[-1] == ("escalate", "end")
    result = happened[-1].data
    assert result["action"] == "escalate"
    assert result["content"]
    assert said(happened) == result["content"]


@pytest.mark.parametrize(
    ("body", "status", "wrong"),
    [
        (b"{", 400, "body"),
        (b"{}", 422, "agent_id"),
        (b'{"agent_id": "a", "message": {}}', 422, "message.id"),
        (b" " * 2_000_000, 413, "body"),
    ],
)
def test_a_bad_body_gets_a_plain_refusal_and_no_stream(
    service: Service, body: bytes, status: int, wrong: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = service.client.post(STREAM, content=body, headers=headers)
    field, _ = refusal(response, status)
    assert field == wrong


def test_a_model_s_answer_streams_piece_by_piece(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(QUESTION, "帆布包有拉链[1],还有内袋[1]。")
    happened = streamed(modelled, "pieces", QUESTION)
    tokens = [e for e in happened if e.name == "token"]
    assert len(tokens) > 1
    result = happened[-1].data
    assert result["source"] == "model"
    assert result["content"] == "帆布包有拉链,还有内袋。"
    assert nodes_of(happened)[-1] == ("reply", "end")


@pytest.mark.parametrize("dropped", ["有拉链,今天只要 3 元。", "NO_ANSWER"])
def test_tokens_of_an_answer_that_is_dropped_are_taken_back(
    modelled: Service, sandbox_server: SandboxServer, dropped: str
) -> None:
    sandbox_server.script(QUESTION, dropped)
    happened = streamed(modelled, f"dropped {dropped}", QUESTION)
    assert "restart" in [e.name for e in happened]
    result = happened[-1].data
    assert result["source"] == "knowledge"
    assert dropped not in result["content"]
    assert said(happened) == result["content"]


def test_two_readers_of_one_message_get_the_same_stream_end_and_one_turn_runs(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.model_latency(0.3)
    found: list[list[Event]] = []
    readers = [
        threading.Thread(target=lambda: found.append(_own_stream(modelled, "two", QUESTION)))
        for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=20)
    results = [happened[-1] for happened in found]
    assert [event.name for event in results] == ["result", "result"]
    assert results[0].data["turn_id"] == results[1].data["turn_id"]
    assert len(sandbox_server.journal("model/deepseek", kind="chat")) == 1


def _own_stream(service: Service, name: str, content: str) -> list[Event]:
    with (
        httpx.Client(base_url=service.url, timeout=20, trust_env=False) as client,
        client.stream("POST", STREAM, json=message(name, content)) as response,
    ):
        return list(events(response))


@pytest.mark.parametrize("seen", [1, 5])
def test_a_turn_completes_though_its_reader_went_away(
    modelled: Service, sandbox_server: SandboxServer, seen: int
) -> None:
    sandbox_server.model_latency(0.5)
    name = f"gone-{seen}"
    with (
        httpx.Client(base_url=modelled.url, timeout=20, trust_env=False) as client,
        client.stream("POST", STREAM, json=message(name, QUESTION)) as response,
    ):
        stream = events(response)
        for _ in range(seen):
            next(stream)
    answer = fetched(modelled, name)
    assert answer["action"] == "reply"
    assert answer["source"] == "model"
    assert modelled.client.post("/api/v1/messages", json=message(name, QUESTION)).json() == (
        answer | {"duplicate": True}
    )


def test_past_the_deadline_the_caller_is_told_to_wait_and_fetches_the_answer(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.model_latency(4.0)
    asked = message("late", QUESTION, deadline_s=0.05)
    started = time.monotonic()
    first = modelled.client.post("/api/v1/messages", json=asked).json()
    assert time.monotonic() - started < 3.5
    assert first["action"] == "wait"
    assert first["content"]
    assert first["message_id"] == "late"
    early = modelled.client.get("/api/v1/messages/late/answer", params={"agent_id": "stream"})
    assert early.status_code == 200
    assert early.json()["action"] == "wait"
    assert early.json()["conversation_id"] == first["conversation_id"]
    answer = fetched(modelled, "late")
    assert answer["action"] == "reply"
    assert answer["conversation_id"] == first["conversation_id"]
    assert len(sandbox_server.journal("model/deepseek", kind="chat")) == 1


def test_asking_again_with_the_same_message_waits_for_the_same_turn(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.model_latency(0.6)
    asked = message("patience", QUESTION)
    first = modelled.client.post("/api/v1/messages", json=asked | {"deadline_s": 0.05}).json()
    assert first["action"] == "wait"
    second = modelled.client.post("/api/v1/messages", json=asked).json()
    assert second["action"] == "reply"
    assert second["duplicate"] is True
    assert len(sandbox_server.journal("model/deepseek", kind="chat")) == 1


def test_a_stream_past_its_deadline_ends_with_action_wait(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.model_latency(0.6)
    happened = streamed(modelled, "late-stream", QUESTION, deadline_s=0.1)
    assert happened[-1].name == "result"
    assert happened[-1].data["action"] == "wait"
    assert fetched(modelled, "late-stream")["action"] == "reply"


def test_an_answer_belongs_to_the_agent_that_asked(service: Service) -> None:
    streamed(service, "mine", "你好")
    path = "/api/v1/messages/mine/answer"
    assert service.client.get(path, params={"agent_id": "stream"}).status_code == 200
    refusal(service.client.get(path, params={"agent_id": "another"}), 404)
