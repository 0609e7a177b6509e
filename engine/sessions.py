"""Sessions as people see them: how they live, how they ended, and what is still known of them."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection

from domain.sessions import Life
from graphs.facts import facts_of
from storage import sessions
from storage.checkpoints import latest_checkpoint
from storage.database import Database
from storage.serde import CheckpointSerializer
from storage.sessions import SessionRow, Wanted

LIVES = {
    Life.ACTIVE: "活跃",
    Life.IDLE: "空闲",
    Life.DORMANT: "休眠",
    Life.EXPIRED: "已过期",
}


@dataclass(frozen=True, slots=True)
class SessionLine:
    id: int
    session_key: str
    conversation_id: str
    contact_id: str
    customer_name: str
    life: str
    life_name: str
    conversation_outcome: str
    satisfaction_score: int | None
    turn_count: int
    total_tokens: int
    created_at: str
    last_active_at: str


@dataclass(frozen=True, slots=True)
class SessionPage:
    """``next_cursor``: where the next page begins, None: there is none."""

    items: list[SessionLine]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Message:
    id: int
    role: str
    content: str
    received_at: str


@dataclass(frozen=True, slots=True)
class Known:
    """``value`` as it was named; ``by``: customer or us; ``turn``: the last one that named it."""

    value: str
    by: str
    turn: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the graph keeps of the conversation. ``before``: the summary of the session before this
    one; ``topic_since``: the turn in which the topic began, and ``topic_sign``, what told that."""

    turn: int
    dialogue_type: str
    topic_since: int
    topic_sign: str
    entities: dict[str, list[str]]
    known: list[Known]
    summary: str
    before: str


@dataclass(frozen=True, slots=True)
class SessionView:
    """``messages``: the last ones; ``state``: of the conversation's latest session only."""

    session: SessionLine
    messages: list[Message]
    state: Standing | None


class SessionDesk:
    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self._serde = CheckpointSerializer()

    async def listed(self, wanted: Wanted) -> SessionPage:
        """The newest first."""
        asked, now = replace(wanted, limit=wanted.limit + 1), self._clock()
        found = await self._database.read(lambda c: sessions.listed(c, asked, now=now))
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return SessionPage([_line(row) for row in page], str(page[-1].id) if more else None)

    async def get(self, session: int) -> SessionView:
        """Raises NotFound."""
        now = self._clock()

        def read(connection: Connection) -> SessionView:
            row = sessions.find(connection, session, now=now)
            said = sessions.dialogue(connection, row.session_key)
            state = self._standing(connection, row) if row.latest else None
            return SessionView(_line(row), [Message(**one) for one in said], state)

        return await self._database.read(read)

    def _standing(self, connection: Connection, row: SessionRow) -> Standing | None:
        stored = latest_checkpoint(connection, row.conversation_id)
        if stored is None:
            return None
        values = self._serde.loads_typed((stored.kind, stored.body))["channel_values"]
        return _standing(values)


def _line(row: SessionRow) -> SessionLine:
    values = asdict(row)
    kept = {name: values[name] for name in SessionLine.__slots__ if name in values}
    return SessionLine(
        **kept
        | {
            "life": row.life.value,
            "life_name": LIVES[row.life],
            "conversation_outcome": row.outcome,
            "satisfaction_score": row.satisfaction,
            "turn_count": row.turns,
            "total_tokens": row.tokens,
        }
    )


def _standing(values: dict[str, Any]) -> Standing:
    topic, session = values.get("topic") or {}, values.get("session") or {}
    return Standing(
        turn=values.get("turn", 0),
        dialogue_type=(values.get("classification") or {}).get("dialogue_type", ""),
        topic_since=topic.get("turn", 0),
        topic_sign=topic.get("why", ""),
        entities=values.get("entities") or {},
        known=[
            Known(fact.value, "us" if fact.ours else "customer", fact.turn)
            for fact in facts_of(values.get("facts") or [])
        ],
        summary=values.get("summary") or "",
        before=session.get("before", ""),
    )
