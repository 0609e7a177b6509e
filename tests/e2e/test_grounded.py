"""Answers over real HTTP: what needs no model asks none, and every answer says where it stands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.service import sample_data

__all__ = ["sandbox_server", "shared_sandbox"]

MODEL = "model/deepseek"


@pytest.fixture(scope="module")
def modelled(
    tmp_path_factory: pytest.TempPathFactory, shared_sandbox: SandboxServer
) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("grounded")
    with running_service(
        folder / "service",
        knowledge=sample_data(),
        sandbox_url=shared_sandbox.url,
        deepseek_api_key="sk-test",
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("充电桩怎么安装？", "1. 准备固定车位证明"),
        ("安装充电桩的步骤", "1. 准备固定车位证明"),
        ("  帆布袋价格！ ", "帆布包 99 元"),
        ("e03 故障代码", "E03 是通信故障"),
    ],
)
def test_exact_questions_and_their_curated_wordings_cost_no_model_call(
    modelled: Service, sandbox_server: SandboxServer, question: str, begins: str
) -> None:
    answer = modelled.ask(question, message_id=f"m {question}", chat_id=f"c {question}")
    assert answer["source"] == "exact"
    assert answer["content"].startswith(begins)
    assert answer["model"] == []
    assert sandbox_server.journal(MODEL) == []


@pytest.mark.parametrize("question", ["充电桩怎么安装？", "帆布包有没有拉链"])
def test_an_answer_cites_document_position_and_score(
    modelled: Service, sandbox_server: SandboxServer, question: str
) -> None:
    answer = modelled.ask(question, message_id=f"p {question}", chat_id=f"p {question}")
    citation, evidence = answer["citations"][0], answer["evidence"][0]
    assert citation["id"] == evidence["id"]
    assert citation["source"].partition("#")[0] in {"charging_pile.md", "campus_store.md"}
    assert citation["position"] == evidence["position"]
    assert 0 < citation["score"] <= 1
    assert citation["quote"]


def test_the_first_surface_shows_the_same_evidence(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    body = {"user_id": "e", "msg": "充电桩怎么安装？"}
    (evidence,) = modelled.client.post("/api/ai_chat", json=body).json()["evidence"]
    assert {"id", "source", "position", "score"} <= evidence.keys()
