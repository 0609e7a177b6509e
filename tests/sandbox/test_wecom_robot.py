"""The simulated group robot answers as WeCom does."""

import pytest

from tests.sandbox_server import JsonObject, SandboxServer

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"


def send(sandbox: SandboxServer, body: object, key: str = KEY) -> int:
    url = f"{sandbox.url}/wecom/webhook/send"
    answer = sandbox.client.post(url, params={"key": key}, json=body)
    assert answer.status_code == 200, "WeCom says what is wrong in the body"
    return int(answer.json()["errcode"])


def markdown(content: str) -> JsonObject:
    return {"msgtype": "markdown", "markdown": {"content": content}}


def shown(sandbox: SandboxServer) -> list[str]:
    found = sandbox.get("/_sandbox/wecom/notices")["notices"]
    return [notice["content"] for notice in found]


def test_a_message_is_shown_as_often_as_it_is_sent(sandbox_server: SandboxServer) -> None:
    assert [send(sandbox_server, markdown("**新任务**")) for _ in range(2)] == [0, 0]
    assert shown(sandbox_server) == ["**新任务**", "**新任务**"]


def test_only_the_key_that_was_set_is_believed(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/wecom/key", {"key": KEY})
    codes = [send(sandbox_server, markdown("x"), key) for key in ("", "wrong", "错", KEY)]
    assert codes == [93000, 93000, 93000, 0]
    assert [entry["accepted"] for entry in sandbox_server.journal("wecom")] == [False] * 3 + [True]


def test_the_journal_does_not_keep_the_key(sandbox_server: SandboxServer) -> None:
    send(sandbox_server, markdown("x"))
    (entry,) = sandbox_server.journal("wecom")
    assert (entry["kind"], entry["query"]) == ("send", "key=***")
    assert KEY not in str(entry)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"msgtype": "text", "text": {"content": "字" * 682}}, 0),  # 2046 of 2048 bytes
        ({"msgtype": "text", "text": {"content": "字" * 683}}, 40058),
        (markdown("字" * 1365), 0),  # 4095 of 4096 bytes
        (markdown("字" * 1366), 40058),
        ({"msgtype": "markdown_v2", "markdown_v2": {"content": "# 标题"}}, 0),
        (markdown(""), 44004),
        ({"msgtype": "markdown", "text": {"content": "x"}}, 40058),
        ({"msgtype": "poem", "poem": {"content": "x"}}, 40008),
        ({}, 40058),
        ([], 40058),
    ],
)
def test_what_a_robot_takes(sandbox_server: SandboxServer, body: object, code: int) -> None:
    assert send(sandbox_server, body) == code
    assert len(shown(sandbox_server)) == (code == 0)


def test_the_21st_message_of_a_minute_is_one_too_many_for_this_robot_alone(
    sandbox_server: SandboxServer,
) -> None:
    codes = [send(sandbox_server, markdown(str(number))) for number in range(21)]
    assert codes == [0] * 20 + [45009]
    assert send(sandbox_server, markdown("x"), key="another") == 0


def test_the_limit_can_be_changed_and_ends_with_its_window(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/wecom/limit", {"per_minute": 1, "window_s": 60})
    assert [send(sandbox_server, markdown("x")) for _ in range(2)] == [0, 45009]
    sandbox_server.put("/_sandbox/wecom/limit", {"per_minute": 1, "window_s": 0.000_001})
    assert [send(sandbox_server, markdown("x")) for _ in range(2)] == [0, 0]
    sandbox_server.put("/_sandbox/wecom/limit", {"per_minute": 0})
    assert send(sandbox_server, markdown("x")) == 0


def test_an_injected_error_looks_like_one_of_wecom(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("wecom", "status", status=500, count=1)
    answer = sandbox_server.client.post(f"{sandbox_server.url}/wecom/webhook/send", json={})
    assert (answer.status_code, answer.json()["errcode"]) == (500, -1)
