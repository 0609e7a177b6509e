"""Lists of sessions and verdicts on them, on SQLite and PostgreSQL."""

import pytest
from sqlalchemy import Connection, text

from domain.errors import NotFound
from domain.sessions import Life, Outcome
from storage import sessions
from storage.clock import iso
from storage.database import Database
from storage.sessions import Wanted

NOW = 1_800_000_000.0
SILENT = {"fresh": 10.0, "five": 300.0, "fifteen": 900.0, "thirty": 1_800.0, "gone": 1_801.0}
"""Seconds since the last message, by conversation."""


def _fill(connection: Connection) -> None:
    for number, (name, silent) in enumerate(SILENT.items()):
        _session(connection, name, 1, NOW - 7_200, NOW - silent, tokens=number)
    _session(connection, "gone", 2, NOW - 1_000, NOW - 20, outcome="solved", mark=5)


def _session(
    connection: Connection,
    conversation: str,
    number: int,
    created: float,
    active: float,
    *,
    outcome: str = "unsolved",
    mark: int | None = None,
    tokens: int = 0,
) -> None:
    connection.execute(
        text(
            "INSERT INTO sessions (session_key, contact_id, customer_name, conversation_outcome,"
            " satisfaction_score, turn_count, total_tokens, created_at, last_active_at,"
            " conversation_id) VALUES (:key, :contact, '', :outcome, :mark, 3, :tokens, :created,"
            " :active, :conversation)"
        ),
        {
            "key": f"{conversation}:{number}",
            "contact": f"c-{conversation}",
            "outcome": outcome,
            "mark": mark,
            "tokens": tokens,
            "created": iso(created),
            "active": iso(active),
            "conversation": conversation,
        },
    )


@pytest.fixture
async def filled(database: Database) -> Database:
    await database.write(_fill)
    return database


async def keys(database: Database, wanted: Wanted) -> list[str]:
    found = await database.read(lambda c: sessions.listed(c, wanted, now=NOW))
    return [row.session_key for row in found]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(life=Life.ACTIVE), ["gone:2", "fresh:1"]),
        (Wanted(life=Life.IDLE), ["five:1"]),
        (Wanted(life=Life.DORMANT), ["thirty:1", "fifteen:1"]),
        (Wanted(life=Life.EXPIRED), ["gone:1"]),
        (Wanted(outcome=Outcome.SOLVED), ["gone:2"]),
        (Wanted(satisfaction=5), ["gone:2"]),
        (Wanted(satisfaction=1), []),
        (Wanted(conversation_id="gone"), ["gone:2", "gone:1"]),
        (Wanted(contact_id="c-five"), ["five:1"]),
        (Wanted(since=NOW - 15, limit=9), ["fresh:1"]),
        (Wanted(until=NOW - 1_800), ["gone:1"]),
        (Wanted(limit=2), ["gone:2", "gone:1"]),
    ],
)
async def test_a_list_holds_what_is_wanted_the_newest_first(
    filled: Database, wanted: Wanted, found: list[str]
) -> None:
    assert await keys(filled, wanted) == found


async def test_the_life_that_is_filtered_by_is_the_life_that_is_shown(filled: Database) -> None:
    for life in Life:
        wanted = Wanted(life=life)

        def read(connection: Connection, wanted: Wanted = wanted) -> list[sessions.SessionRow]:
            return sessions.listed(connection, wanted, now=NOW)

        assert {row.life for row in await filled.read(read)} == {life}


async def test_pages_go_on_below_the_last_id(filled: Database) -> None:
    first = await filled.read(lambda c: sessions.listed(c, Wanted(limit=4), now=NOW))
    rest = await keys(filled, Wanted(before=first[-1].id))
    assert len(rest) == 2
    assert not {row.session_key for row in first} & set(rest)


async def test_only_the_last_session_of_a_conversation_is_the_latest(filled: Database) -> None:
    found = await filled.read(lambda c: sessions.listed(c, Wanted(conversation_id="gone"), now=NOW))
    assert [row.latest for row in found] == [True, False]


async def test_a_session_that_is_not_there_is_not_found(filled: Database) -> None:
    with pytest.raises(NotFound):
        await filled.read(lambda c: sessions.find(c, 99_999, now=NOW))


async def test_a_verdict_is_for_the_session_that_had_begun_by_then(filled: Database) -> None:
    def verdict(connection: Connection) -> None:
        sessions.ended(connection, "gone", Outcome.TRANSFERRED, now=NOW - 3_600)

    await filled.write(verdict)
    found = await filled.read(lambda c: sessions.listed(c, Wanted(conversation_id="gone"), now=NOW))
    assert [row.outcome for row in found] == ["solved", "transferred"]


async def test_a_mark_given_in_the_next_session_is_for_the_talk_before(filled: Database) -> None:
    def mark(connection: Connection) -> None:
        handoff = connection.execute(
            text(
                "INSERT INTO handoffs (conversation_id, contact_id, turn_id, reason, priority,"
                " target, question, status, created_at, updated_at, skill, waiting_since_ts,"
                " overdue, active_ts, moves, previous_agent, outcome, resolved_ts)"
                " VALUES ('gone', 'c-gone', 't', 'complaint', 'normal', 'desk', '', 'closed', :at,"
                " :at, '', 0, 0, 0, 0, '', 'solved', :resolved) RETURNING id"
            ),
            {"at": iso(NOW - 7_000), "resolved": NOW - 6_000},
        ).scalar_one()
        sessions.rated(connection, handoff, 2, now=NOW)

    await filled.write(mark)
    found = await filled.read(lambda c: sessions.listed(c, Wanted(conversation_id="gone"), now=NOW))
    assert [row.satisfaction for row in found] == [5, 2]
