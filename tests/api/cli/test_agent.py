"""`kefu agent`."""

import asyncio

import pytest

from engine.bootstrap import open_database
from engine.desk.build import staff_records
from engine.desk.people import SignInRefused
from engine.settings import load_settings
from tests.api.cli.conftest import Command

PASSWORD = "correct horse"


def signs_in(kefu: Command, login: str, password: str) -> bool:
    settings = load_settings(env_files=None, data_dir=kefu.data_dir)
    database = open_database(settings)

    async def run() -> bool:
        try:
            await staff_records(settings, database).sign_in(login, password)
        except SignInRefused:
            return False
        return True

    try:
        return asyncio.run(run())
    finally:
        database.close()


def add(kefu: Command, login: str, *more: str) -> str:
    return kefu.done("agent", "add", login, "--password-stdin", *more, said=f"{PASSWORD}\n")


def test_an_agent_who_is_added_can_sign_in_and_is_listed(kefu: Command) -> None:
    said = add(kefu, "ann", "--name", "小安", "--skill", "退款", "--scope", "webhook:shop")
    assert "已添加 ann(小安)" in said
    assert signs_in(kefu, "ann", PASSWORD)
    (item,) = kefu.json("agent", "list")["items"]
    assert (item["id"], item["role"], item["max_load"]) == ("ann", "agent", 8)
    assert (item["skills"], item["scopes"]) == (["退款"], ["webhook:shop"])
    assert "ann  小安  agent offline 0/8 webhook:shop [退款]" in kefu.done("agent", "list")


def test_the_password_is_asked_for_twice_and_shown_never(kefu: Command) -> None:
    said = kefu.done("agent", "add", "ann", said=f"{PASSWORD}\n{PASSWORD}\n")
    assert PASSWORD not in said
    assert signs_in(kefu, "ann", PASSWORD)


def test_a_disabled_agent_cannot_sign_in_until_enabled(kefu: Command) -> None:
    add(kefu, "ann")
    kefu.done("agent", "disable", "ann")
    assert not signs_in(kefu, "ann", PASSWORD)
    assert "disabled" in kefu.done("agent", "list")
    kefu.done("agent", "enable", "ann")
    assert signs_in(kefu, "ann", PASSWORD)


def test_a_new_password_replaces_the_old_one(kefu: Command) -> None:
    add(kefu, "ann", "--role", "admin")
    kefu.done("agent", "password", "ann", "--password-stdin", said="another password\n")
    assert not signs_in(kefu, "ann", PASSWORD)
    assert signs_in(kefu, "ann", "another password")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "Ann", "--password-stdin"], "小写字母"),
        (["add", "ann", "--password-stdin", "--scope", "a b"], "范围"),
        (["disable", "nobody"], "没有坐席"),
        (["password", "nobody", "--password-stdin"], "没有坐席"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    kefu: Command, arguments: list[str], said: str
) -> None:
    result = kefu("agent", *arguments, said=f"{PASSWORD}\n")
    assert result.exit_code == 2
    assert said in result.output
    assert kefu.json("agent", "list") == {"items": []}


def test_the_same_agent_is_not_added_twice_nor_with_a_short_password(kefu: Command) -> None:
    add(kefu, "ann")
    again = kefu("agent", "add", "ann", "--password-stdin", said="another password\n")
    assert (again.exit_code, "已存在" in again.output) == (2, True)
    short = kefu("agent", "add", "ben", "--password-stdin", said="short\n")
    assert (short.exit_code, "密码长度" in short.output) == (2, True)
    assert signs_in(kefu, "ann", PASSWORD)


def test_without_agents_the_list_says_how_to_add_one(kefu: Command) -> None:
    assert "kefu agent add" in kefu.done("agent", "list")
