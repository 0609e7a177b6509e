"""`kefu keys`, `kefu retention`, and what `kefu doctor` says of both."""

from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from api.cli.doctor_protection import check_protection
from api.cli.findings import State
from api.cli.main import cli
from domain.messages import InboundMessage
from engine.bootstrap import open_database
from engine.protection.keys import FILE
from engine.settings import load_settings
from storage import inbox
from storage.sealed import new_key, parse_keys
from tests.api.cli.conftest import Command
from tests.api.service import settings_for

NAME = "张若澜"
OLD = InboundMessage("web", "a", "m1", "c1", "c1", "你好", sender_name=NAME, received_at=1_000.0)


def filled(kefu: Command) -> None:
    """One customer wrote in 1970, and was answered."""
    database = open_database(load_settings(env_files=None, data_dir=kefu.data_dir))
    try:
        with database.engine.begin() as connection:
            inbox.receive(connection, OLD)
            connection.execute(text("UPDATE messages SET status = 'handled'"))
    finally:
        database.close()


def stored_name(kefu: Command) -> str:
    database = open_database(load_settings(env_files=None, data_dir=kefu.data_dir))
    try:
        with database.engine.connect() as connection:
            return str(connection.execute(text("SELECT customer_name FROM conversations")).scalar())
    finally:
        database.close()


def test_an_entry_that_is_made_can_be_used_and_is_kept_nowhere(kefu: Command) -> None:
    made = [CliRunner().invoke(cli, ["keys", "new", key_id]) for key_id in ("k2", "k1")]
    first, second = (one.stdout.strip() for one in made)
    assert parse_keys(f"{first},{second}").ids == ("k2", "k1")
    assert not (kefu.data_dir / FILE).exists()


def test_a_name_is_sealed_with_the_key_of_the_data_folder(kefu: Command) -> None:
    filled(kefu)
    assert stored_name(kefu).startswith("sealed:local:")
    (key,) = kefu.json("keys", "show")["keys"]
    assert (key["id"], key["state"]) == ("local", "current")
    assert (kefu.data_dir / FILE).read_text().strip() not in kefu.done("keys", "show")


def test_rows_are_sealed_anew_once_and_the_old_key_is_let_go(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(kefu)
    monkeypatch.setenv("KEFU_FIELD_KEYS", new_key("k1"))
    assert kefu.json("keys", "rotate") == {"key": "k1", "rows": 2, "resealed": 1, "unreadable": 0}
    assert [one["id"] for one in kefu.json("keys", "show")["keys"]] == ["k1", "local"]
    assert "全部数据都用 k1 加密了" in kefu.done("keys", "rotate")


def test_without_keys_there_is_nothing_to_rotate(
    kefu: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_FIELD_KEYS", "off")
    filled(kefu)
    assert kefu.json("keys", "rotate")["key"] is None
    assert kefu.json("keys", "show") == {"keys": []}


def test_what_is_due_is_counted_and_deleted_only_when_asked(kefu: Command) -> None:
    filled(kefu)
    assert kefu.json("retention")["rows"] == {"messages": 1}
    assert kefu.json("retention") == kefu.json("retention")
    assert kefu.json("retention", "--apply")["rows"] == {"messages": 1}
    assert kefu.json("retention")["rows"] == {}


def test_the_doctor_makes_no_key_and_says_which_one_seals(tmp_path: Path) -> None:
    keys, retention = check_protection(settings_for(tmp_path))
    assert (keys.state, retention.state) == (State.OK, State.OK)
    assert not (tmp_path / FILE).exists()
    told, _ = check_protection(
        settings_for(tmp_path, field_keys=f"{new_key('k2')},{new_key('k1')}")
    )
    assert (told.state, "k2" in told.detail) == (State.OK, True)


def test_the_doctor_notes_names_that_are_stored_as_they_are(tmp_path: Path) -> None:
    off, _ = check_protection(settings_for(tmp_path, field_keys="off"))
    several, _ = check_protection(settings_for(tmp_path, database_url="postgresql://kefu@h/kefu"))
    wrong, _ = check_protection(settings_for(tmp_path, field_keys="k1:AAAA"))
    assert [one.state for one in (off, several, wrong)] == [State.NOTE, State.NOTE, State.FAULT]
