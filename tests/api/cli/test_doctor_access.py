"""`kefu doctor` on what signs tokens, and on clients."""

import json

import pytest

from api.cli.findings import State
from engine.clients.secret import FILE, kept_secret
from tests.api.cli.conftest import Command


def access(kefu: Command) -> list[tuple[str, str]]:
    result = kefu("doctor", "--json")
    said = json.loads(result.stdout)
    return [(one["state"], one["detail"]) for one in said["findings"] if one["part"] == "access"]


def test_on_one_machine_it_says_which_file_signs_and_makes_none(kefu: Command) -> None:
    assert access(kefu) == [(State.OK, f"首次启动时生成 {FILE}")]
    assert not kefu.data_dir.exists()
    kept_secret(kefu.data_dir / FILE)
    assert access(kefu) == [(State.OK, f"令牌用数据目录中的 {FILE} 签名")]


def test_clients_are_counted(kefu: Command) -> None:
    for agent_id in ("one", "two"):
        kefu.done("client", "add", agent_id)
    kefu.done("client", "disable", "two")
    assert access(kefu)[1:] == [(State.OK, "2 个客户端,1 个可以登录")]


def test_a_secret_that_can_be_tried_out_is_a_fault(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")
    assert access(kefu) == [(State.FAULT, "SECRET_KEY 只有 5 字节,令牌不可用")]


def test_on_other_addresses_a_missing_secret_is_said(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_HOST", "192.0.2.1")
    monkeypatch.setenv("KEFU_API_KEY", "the key")
    assert access(kefu) == [(State.NOTE, "没有 SECRET_KEY:客户端不能登录,不接受令牌")]
