"""`kefu client`, and what `kefu token` leaves in the audit log."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from api.cli.main import cli
from domain.errors import ConfigurationError
from engine.bootstrap import open_database
from engine.clients.build import client_records
from engine.clients.secret import FILE, kept_secret
from engine.desk.people import SignInRefused
from engine.settings import load_settings
from tests.api.cli.conftest import Command


def signs_in(kefu: Command, agent_id: str, key: str) -> bool:
    settings = load_settings(env_files=None, data_dir=kefu.data_dir)
    database = open_database(settings)

    async def run() -> bool:
        try:
            await client_records(settings, database).sign_in(agent_id, key, "")
        except SignInRefused:
            return False
        return True

    try:
        return asyncio.run(run())
    finally:
        database.close()


def rows(kefu: Command, sql: str) -> list[tuple[Any, ...]]:
    database = open_database(load_settings(env_files=None, data_dir=kefu.data_dir))
    try:
        with database.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        database.close()


def test_a_client_that_is_added_signs_in_with_the_key_that_is_printed(kefu: Command) -> None:
    key = kefu.done("client", "add", "agent_001", "--name", "一号店").strip()
    assert signs_in(kefu, "agent_001", key)
    (item,) = kefu.json("client", "list")["items"]
    assert (item["agent_id"], item["name"], item["role"]) == ("agent_001", "一号店", "agent")
    assert item["state"] == "never"
    listed = kefu.done("client", "list")
    assert item["keys"][0]["prefix"] in listed
    assert key not in listed


def test_a_rotated_key_goes_on_for_the_overlap_that_was_asked_for(kefu: Command) -> None:
    old = kefu.json("client", "add", "agent_001")["api_key"]
    new = kefu.json("client", "rotate", "agent_001")["api_key"]
    assert signs_in(kefu, "agent_001", old)
    last = kefu.json("client", "rotate", "agent_001", "--overlap-hours", "0")["api_key"]
    assert [signs_in(kefu, "agent_001", key) for key in (old, new, last)] == [False, False, True]


def test_revoked_and_disabled_clients_do_not_sign_in(kefu: Command) -> None:
    first = kefu.json("client", "add", "agent_001")
    second = kefu.json("client", "rotate", "agent_001")["api_key"]
    assert "1 个" in kefu.done("client", "revoke", "agent_001", "--key", str(first["key_id"]))
    assert not signs_in(kefu, "agent_001", first["api_key"])
    kefu.done("client", "disable", "agent_001")
    assert not signs_in(kefu, "agent_001", second)
    assert "disabled" in kefu.done("client", "list")
    kefu.done("client", "enable", "agent_001")
    assert signs_in(kefu, "agent_001", second)
    acts = rows(kefu, "SELECT DISTINCT action FROM audit WHERE actor = 'kefu client'")
    assert {act for (act,) in acts} == {
        "client.add",
        "client.key",
        "client.revoke",
        "client.change",
    }


@pytest.mark.parametrize("act", ["rotate", "revoke", "disable", "enable"])
def test_a_client_that_does_not_exist_is_said(kefu: Command, act: str) -> None:
    result = kefu("client", act, "nobody")
    assert result.exit_code == 2
    assert "nobody" in result.output


def test_a_client_is_added_once_and_under_a_usable_id(kefu: Command) -> None:
    kefu.done("client", "add", "agent_001")
    for agent_id in ("agent_001", "a\nb", " "):
        assert kefu("client", "add", agent_id).exit_code == 2


def test_a_token_is_signed_with_the_kept_secret_and_is_in_the_audit_log(kefu: Command) -> None:
    arguments = ["token", "--role", "viewer", "--subject", "小看"]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, ConfigurationError)
    kefu.done("client", "add", "agent_001")
    kept_secret(kefu.data_dir / FILE)
    made = CliRunner().invoke(cli, arguments)
    assert made.exit_code == 0, made.output
    written = rows(kefu, "SELECT actor, subject FROM audit WHERE action = 'token.issue'")
    assert written == [("kefu token", "小看")]
