"""What is old goes, what is not stays; keys come from the setting or from the data folder."""

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from domain.errors import ConfigurationError
from domain.messages import InboundMessage
from engine.protection.keys import FILE, adopt, field_keys
from engine.protection.sweep import Protection, retention_days
from storage import inbox, watches
from storage.clock import iso
from storage.database import Database
from storage.retention import KINDS, RULES
from storage.sealed import parse_keys
from tests.api.service import settings_for

DAY_S = 86_400.0
NOW = 2_000 * DAY_S
DAYS = dict.fromkeys(KINDS, 100.0)
KEY = f"k1:{base64.b64encode(b'1' * 32).decode()}"
TURN = (
    "INSERT INTO turns (turn_id, conversation_id, status, action, intent, message_ids, result,"
    " started_ts, ended_ts) VALUES (:key, 'c', 'ok', 'reply', '', '[]', '{}', :ts, :ts)"
)
CALL = (
    "INSERT INTO model_calls (turn_id, provider, model, purpose, outcome, attempt, tokens_in,"
    " tokens_out, tokens_estimated, latency_ms, currency, created_at)"
    " VALUES (:key, 'p', 'm', 'reply', 'ok', 1, 0, 0, :no, 0, '', :at)"
)
SENT = (
    "INSERT INTO outbox (message_id, queue, kind, channel, account, conversation_id, turn_id,"
    " payload, status, attempts, next_attempt_at, lease_until, created_at, task_run)"
    " VALUES (:key, 'q', 'reply', 'web', 'a', 'c', 't', '{}', :status, 1, 0, 0, :at, 0)"
)
EFFECT = (
    "INSERT INTO effects (key, turn_id, conversation_id, kind, payload, created_at)"
    " VALUES (:key, :turn, 'c', 'message', '{}', :at)"
)
AUDIT = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (:at, 'a', 'b', :key, '{}')"
ASKED = (
    "INSERT INTO unknown_questions (content, contact_id, conversation_id, confidence, created_at)"
    " VALUES (:key, 'c', 'c', 0.1, :at)"
)
SESSION = (
    "INSERT INTO sessions (session_key, contact_id, customer_name, conversation_thread,"
    " conversation_outcome, turn_count, total_tokens, created_at, last_active_at, conversation_id)"
    " VALUES (:key, 'c', '', :thread, 'solved', 1, 0, :at, :at, 'c')"
)


def filled(connection: Connection, at: float) -> None:
    """One row of each kind that is over, and one that still runs."""
    values: dict[str, Any] = {"at": iso(at), "ts": at, "key": f"k{at:.0f}", "no": False}
    for sql in (TURN, CALL, AUDIT, ASKED):
        connection.execute(text(sql), values)
    for status in ("delivered", "pending"):
        connection.execute(
            text(SENT), values | {"status": status, "key": f"{values['key']}{status}"}
        )
    for turn in ("t", ""):
        connection.execute(text(EFFECT), values | {"turn": turn, "key": f"{values['key']}{turn}"})
    for thread in ("[]", None):
        connection.execute(
            text(SESSION), values | {"thread": thread, "key": f"{values['key']}{thread}"}
        )
    for status in ("handled", "unread"):
        message = InboundMessage(
            "web", "a", f"m{at:.0f}{status}", status, "s", "你好", received_at=at
        )
        inbox.receive(connection, message)
        connection.execute(
            text("UPDATE messages SET status = :status WHERE channel_message_id = :key"),
            {"status": status, "key": message.channel_message_id},
        )


async def counted(database: Database, table: str) -> int:
    sql = text(f"SELECT COUNT(*) FROM {table}")
    return await database.read(lambda c: int(c.execute(sql).scalar_one()))


async def test_what_is_old_and_over_goes_and_all_else_stays(database: Database) -> None:
    for at in (NOW - 101 * DAY_S, NOW - 99 * DAY_S):
        await database.write(lambda c, at=at: filled(c, at))  # type: ignore[misc]
    sweep = Protection(database, DAYS, owner="one", batch=1, clock=lambda: NOW)
    expected = {
        **{"messages": 1, "sessions": 1, "effects": 1, "turns": 1, "unknown_questions": 1},
        **{"model_calls": 1, "outbox": 1, "audit": 1},
    }
    assert {one.table: one.rows for one in await sweep.old() if one.rows} == expected
    assert await sweep.sweep() == expected
    assert await sweep.sweep() == {}
    left = {table: await counted(database, table) for table in expected}
    assert left == {
        **{"messages": 3, "sessions": 3, "effects": 3, "turns": 1, "unknown_questions": 1},
        **{"model_calls": 1, "outbox": 3, "audit": 1},
    }


async def test_nothing_goes_where_it_is_kept_for_ever(database: Database) -> None:
    await database.write(lambda c: filled(c, NOW - 1_000 * DAY_S))
    sweep = Protection(database, dict.fromkeys(KINDS, 0.0), owner="one", clock=lambda: NOW)
    assert await sweep.sweep() == {}
    assert await sweep.old() == []


async def test_every_rule_can_be_asked_of_both_databases(database: Database) -> None:
    sweep = Protection(database, DAYS, owner="one", clock=lambda: NOW)
    assert [(one.kind, one.table) for one in await sweep.old()] == [
        (rule.kind, rule.table) for rule in RULES
    ]
    assert await sweep.sweep() == {}


async def test_one_process_at_a_time_deletes(database: Database) -> None:
    await database.write(lambda c: filled(c, NOW - 101 * DAY_S))
    await database.write(lambda c: watches.hold(c, "protection", "another", now=NOW, lease_s=60.0))
    sweep = Protection(database, DAYS, owner="one", clock=lambda: NOW)
    assert await sweep.sweep() == {}
    later = Protection(database, DAYS, owner="one", clock=lambda: NOW + 61)
    assert await later.sweep() != {}


def test_a_setting_for_each_kind_of_row(tmp_path: Path) -> None:
    days = retention_days(settings_for(tmp_path, retention_outbox_days=7))
    assert days["outbox"] == 7
    assert set(days) == set(KINDS)
    assert all(kept >= 90 for kind, kept in days.items() if kind != "outbox")


def test_on_one_machine_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    assert field_keys(settings, make=False).ids == ()
    first = field_keys(settings)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert first.ids == ("local",)
    assert field_keys(settings).unseal(first.seal("张若澜")) == "张若澜"


def test_the_made_key_still_reads_when_the_operator_sets_one(tmp_path: Path) -> None:
    sealed = field_keys(settings_for(tmp_path)).seal("张若澜")
    keys = field_keys(settings_for(tmp_path, field_keys=KEY))
    assert keys.ids == ("k1", "local")
    assert keys.unseal(sealed) == "张若澜"


def test_several_machines_make_no_key_of_their_own(tmp_path: Path) -> None:
    told = settings_for(tmp_path, database_url="postgresql://kefu@localhost/kefu")
    assert field_keys(told).ids == ()
    assert not (tmp_path / FILE).exists()


def test_sealing_can_be_switched_off(tmp_path: Path) -> None:
    assert field_keys(settings_for(tmp_path, field_keys="off")).ids == ()


def test_a_damaged_key_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no key")
    with pytest.raises(ConfigurationError, match=FILE):
        field_keys(settings_for(tmp_path))


def test_a_service_without_the_key_of_its_rows_does_not_start(database: Database) -> None:
    adopt(database.engine, parse_keys(KEY))
    with pytest.raises(ConfigurationError, match="'k1'"):
        adopt(database.engine, parse_keys(""))
