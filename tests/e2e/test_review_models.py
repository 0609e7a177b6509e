"""A turn that a model answered: its prompt is kept, what was refused is shown, a re-run asks
anew."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphs.prompts import RULES
from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.service import sample_data

__all__ = ["sandbox_server", "shared_sandbox"]

QUESTION = "帆布包有没有拉链"
MODEL = "model/deepseek"
_names = itertools.count(1)


@pytest.fixture(scope="module")
def modelled(
    tmp_path_factory: pytest.TempPathFactory, shared_sandbox: SandboxServer
) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("review-models")
    with running_service(
        folder / "data",
        knowledge=sample_data(),
        sandbox_url=shared_sandbox.url,
        deepseek_api_key="sk-secret-of-the-model",
    ) as running:
        yield running


def opened(service: Service) -> dict[str, Any]:
    name = f"rm{next(_names)}"
    answer = service.ask(QUESTION, message_id=name, chat_id=name)
    turn: dict[str, Any] = service.client.get(f"/api/reviews/turns/{answer['turn_id']}").json()
    return turn


def rerun(service: Service, turn: dict[str, Any], **how: Any) -> dict[str, Any]:
    path = f"/api/reviews/turns/{turn['turn_id']}/rerun"
    csrf = service.client.get("/api/desk/me").json()["csrf"]
    response = service.client.post(path, json=how, headers={"X-CSRF-Token": csrf})
    assert response.status_code == 200, response.text
    again: dict[str, Any] = response.json()
    return again


def test_the_prompt_that_the_model_got_is_shown_with_its_answer(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(QUESTION, "有拉链和内袋[1]。", peer=MODEL)
    turn = opened(modelled)
    (prompt,) = turn["prompts"]
    system, user = prompt["messages"]
    assert (system["role"], system["content"]) == ("system", RULES)
    assert f"【客户问题】\n{QUESTION}" in user["content"]
    assert (prompt["answer"], prompt["refused"]) == ("有拉链和内袋[1]。", [])
    assert turn["answer"]["content"] == "有拉链和内袋。"
    assert [call["outcome"] for call in turn["calls"]] == ["ok"]
    assert "sk-secret" not in str(turn)


def test_what_was_not_said_because_it_had_no_ground_is_shown_with_the_reason(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(QUESTION, "有拉链，现在只要 1 元[1]。", peer=MODEL)
    turn = opened(modelled)
    (prompt,) = turn["prompts"]
    assert prompt["answer"] == "有拉链，现在只要 1 元[1]。"
    assert prompt["refused"]
    assert "1 元[" not in turn["answer"]["content"]
    assert turn["answer"]["source"] == "knowledge"


def test_run_again_from_reply_the_model_is_asked_anew_and_the_call_is_recorded(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(QUESTION, "有拉链和内袋[1]。", peer=MODEL)
    turn = opened(modelled)
    sandbox_server.clear_scripts()
    sandbox_server.script(QUESTION, "帆布包有拉链[1]。", peer=MODEL)
    sandbox_server.clear_journal()
    again = rerun(modelled, turn, from_node="reply")
    assert again["answer"]["content"] == "帆布包有拉链。"
    assert again["prompts"][0]["answer"] == "帆布包有拉链[1]。"
    assert again["changes"] == ["content"]
    assert len(sandbox_server.journal(MODEL)) == 1
    about = {"turn_id": f"rerun:{turn['turn_id']}"}
    calls = modelled.client.get("/api/ops/model-calls", params=about).json()["items"]
    assert [call["outcome"] for call in calls] == ["ok"]
    before = modelled.client.get(f"/api/reviews/turns/{turn['turn_id']}").json()
    assert len(before["calls"]) == 1


def test_kept_conversations_ask_no_model_unless_they_are_to(
    modelled: Service, sandbox_server: SandboxServer
) -> None:
    csrf = modelled.client.get("/api/desk/me").json()["csrf"]
    headers = {"X-CSRF-Token": csrf}
    script = f"turns:\n  - say: {QUESTION}\n    expect: {{decision: answer}}\n"
    path = "/api/reviews/regressions"
    put = modelled.client.put(f"{path}/拉链", json={"text": script}, headers=headers)
    assert put.status_code == 200, put.text
    asked = []
    for models in (False, True):
        sandbox_server.clear_journal()
        body = {"names": ["拉链"], "models": models}
        report = modelled.client.post(path, json=body, headers=headers).json()
        assert report["passed"] == 1
        asked.append(len(sandbox_server.journal(MODEL)))
    assert asked == [0, 1]
