"""The 300 messages through a running service: what the model, the re-ranking server, logs and
traces are told of them."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.privacy.messages import Personal, found_in, personal_messages
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.service import Service, running_service

MESSAGES = personal_messages()
MODEL = "model/deepseek"
SECRET_PEERS = (MODEL, "rerank")
LEAST_ASKED = 200
"""Of the 300 the model is asked about, in the tests' sample knowledge; the others go to people."""


@dataclass(frozen=True, slots=True)
class Ran:
    answers: dict[str, dict[str, Any]]
    told: str
    prompts: list[str]
    log: str
    spans: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    with running_sandbox() as sandbox:
        env = {
            "KEFU_DEEPSEEK_API_KEY": "sk-of-the-test",
            "KEFU_RERANK_URL": sandbox.rerank_url,
            "KEFU_RERANK_MODEL": "sandbox-rerank",
            "KEFU_ANSWER_THRESHOLD": "0.02",
            "KEFU_CLARIFY_THRESHOLD": "0.01",
            "KEFU_LOG_LEVEL": "DEBUG",
            "KEFU_TRACE_TEXT": "hidden",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{sandbox.url}/otlp",
        }
        folder = tmp_path_factory.mktemp("privacy") / "data"
        with running_service(folder, sandbox_url=sandbox.url, env=env) as service:
            answers = _say_all(service)
            log = service.log()
        entries = [entry for peer in SECRET_PEERS for entry in _journal(sandbox, peer)]
        told = json.dumps(entries, ensure_ascii=False)
        spans = [json.dumps(one, ensure_ascii=False) for one in _spans(sandbox)]
        prompts = [json.dumps(one, ensure_ascii=False) for one in _journal(sandbox, MODEL)]
    return Ran(answers, told, prompts, log, spans)


def _say_all(service: Service) -> dict[str, dict[str, Any]]:
    with (
        httpx.Client(base_url=service.url, timeout=60.0, trust_env=False) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        said = threads.map(lambda one: (one.id, _say(client, one)), MESSAGES)
        return dict(said)


def _say(client: httpx.Client, one: Personal) -> dict[str, Any]:
    message = {"id": one.id, "chat_id": one.id, "sender": one.id, "content": one.text}
    message |= {"sender_name": one.called} if one.called else {}
    response = client.post("/api/v1/messages", json={"agent_id": "tests", "message": message})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _journal(sandbox: SandboxServer, peer: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    while page := sandbox.journal(peer, since=entries[-1]["seq"] if entries else 0):
        entries += page
    return entries


def _spans(sandbox: SandboxServer) -> list[dict[str, Any]]:
    return list(sandbox.get("/_sandbox/otlp/spans")["spans"])


def test_the_model_is_asked_about_most_of_them(ran: Ran) -> None:
    assert len(ran.prompts) >= LEAST_ASKED


def test_no_marked_value_reaches_a_model_or_the_reranking_server(ran: Ran) -> None:
    assert found_in(ran.told, MESSAGES) == set()


def test_no_marked_value_is_in_the_logs(ran: Ran) -> None:
    assert found_in(ran.log, MESSAGES) == set()
    assert len(ran.log) > 1_000


def test_no_marked_value_is_in_the_traces_that_hold_what_was_said(ran: Ran) -> None:
    assert found_in("\n".join(ran.spans), MESSAGES) == set()
    assert sum("〔" in span for span in ran.spans) >= LEAST_ASKED


def test_order_numbers_and_amounts_reach_the_model(ran: Ran) -> None:
    told = "\n".join(ran.prompts)
    asked = [one for one in MESSAGES if ran.answers[one.id].get("source") == "model"]
    kept = [value for one in asked for value in one.kept]
    assert kept
    assert [value for value in kept if value not in told] == []


def test_no_answer_shows_a_placeholder(ran: Ran) -> None:
    shown = [answer["content"] for answer in ran.answers.values() if "〔" in answer["content"]]
    assert shown == []
