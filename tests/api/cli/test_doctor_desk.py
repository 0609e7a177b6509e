"""`kefu doctor` on the human desk."""

import pytest

from api.cli.findings import State
from tests.api.cli.conftest import Command


def desk(kefu: Command) -> list[tuple[str, str]]:
    said = kefu.json("doctor")
    return [(one["state"], one["detail"]) for one in said["findings"] if one["part"] == "desk"]


def test_without_agents_it_says_that_nobody_would_come_and_how_to_add_one(kefu: Command) -> None:
    assert desk(kefu) == [(State.OK, "全天有人值守")]
    kefu.done("agent", "list")
    assert desk(kefu)[1] == (State.NOTE, "还没有坐席,转人工的会话没有人接待")
    assert "kefu agent add" in kefu.done("doctor")


def test_with_agents_it_counts_them_and_misses_an_admin(kefu: Command) -> None:
    kefu.done("agent", "add", "ann", "--password-stdin", said="correct horse\n")
    assert desk(kefu)[1:] == [
        (State.OK, "1 位坐席,0 位在线"),
        (State.NOTE, "没有管理员,坐席和快捷回复只能用命令管理"),
    ]
    kefu.done("agent", "add", "boss", "--role", "admin", "--password-stdin", said="correct horse\n")
    assert desk(kefu)[1:] == [(State.OK, "2 位坐席,0 位在线")]


def test_a_desk_that_is_switched_off_is_told(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_STATUS", "offline")
    assert desk(kefu)[0][0] == State.NOTE


def test_hours_that_cannot_be_read_name_the_setting(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_HOURS", "Mon-Fri 9-18")
    result = kefu("doctor", "--json")
    assert "DESK_HOURS" in result.output
    assert "1-5" in result.output
