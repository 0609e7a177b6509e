"""Who has a conversation: every change is a conditional update with its event and audit record, in
the caller's transaction. False or None: somebody else was first."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.desk import EventKind, Mode
from domain.errors import NotFound
from domain.figures import Sums
from domain.sessions import Outcome
from storage import customer_counts, desk_events, drafts, figures, sessions
from storage.audit import record
from storage.clock import iso
from storage.handoffs import DESK, HandoffRow, open_handoff
from storage.inbox_events import put_event
from storage.recipients import RecipientRow, recipient
from storage.statements import Statement

RETURNED = "desk_returned"
"""A person gave the conversation back: an event for its next turn, `returned_by` reads it."""
TAKEN_UNASKED = "staff_reply"
"""Reason of a hand-over that a person began."""

_LOCK = Statement("SELECT 1 FROM conversations WHERE id = :id FOR UPDATE")
_TALK = Statement(
    """
    SELECT c.id, c.channel, c.account, c.chat_id, c.sender_id, c.contact_id, c.customer_name,
        c.mode, h.id, h.status, h.agent, h.reason, h.skill, h.first_reply_ts, h.asked_ts, h.overdue
    FROM conversations c
    LEFT JOIN handoffs h ON h.conversation_id = c.id AND h.status <> 'closed'
    WHERE c.id = :id
    """
)
_MODE = Statement("UPDATE conversations SET mode = :mode WHERE id = :id AND mode <> :mode")
_TAKE = Statement(
    """
    UPDATE handoffs SET status = 'taken', agent = :agent, assigned_ts = :now, due_ts = :due,
        asked_ts = CASE WHEN first_reply_ts IS NULL THEN :now ELSE asked_ts END,
        overdue = 0, active_ts = :now, updated_at = :at
    WHERE id = :id AND status = 'open'
    """
)
_HAS_ROOM = Statement(
    """
    SELECT 1 FROM agents WHERE id = :agent AND enabled AND status = 'online'
        AND max_load > (SELECT COUNT(*) FROM handoffs WHERE status = 'taken' AND agent = :agent)
    """
)
_RELEASE = Statement(
    """
    UPDATE handoffs SET status = 'open', previous_agent = :agent, agent = NULL, assigned_ts = NULL,
        asked_ts = :now, due_ts = NULL, overdue = 0, moves = moves + 1, updated_at = :at,
        skill = COALESCE(NULLIF(:skill, ''), skill)
    WHERE id = :id AND status = 'taken' AND COALESCE(agent, '') = :holder
    """
)
_PASS_ON = Statement(
    """
    UPDATE handoffs SET agent = :to, previous_agent = :agent, assigned_ts = :now, due_ts = :due,
        overdue = 0, moves = moves + 1, updated_at = :at
    WHERE id = :id AND status = 'taken' AND COALESCE(agent, '') = :holder
    """
)
_SEND_ON = Statement(
    "UPDATE handoffs SET skill = :skill, updated_at = :at WHERE id = :id AND status = 'open'"
)
_REPLIED = Statement(
    """
    UPDATE handoffs SET first_reply_ts = COALESCE(first_reply_ts, :now), asked_ts = NULL,
        due_ts = NULL, overdue = 0, active_ts = :now
    WHERE id = :id AND status = 'taken'
    """
)
_FIRST_WORD = Statement(
    "SELECT conversation_id, waiting_since_ts FROM handoffs"
    " WHERE id = :id AND status = 'taken' AND first_reply_ts IS NULL"
)
_ASKED = Statement(
    "UPDATE handoffs SET asked_ts = COALESCE(asked_ts, :now), active_ts = :now"
    " WHERE conversation_id = :id AND status = 'taken'"
)
_CLOSE = Statement(
    """
    UPDATE handoffs SET status = 'closed', agent = COALESCE(:agent, agent), resolved_ts = :now,
        outcome = :outcome, due_ts = NULL, asked_ts = NULL, updated_at = :at
    WHERE id = :id AND status <> 'closed'
    """
)
_ROW = text("SELECT * FROM handoffs WHERE id = :id")
_LAST_CLOSED = Statement(
    "SELECT id FROM handoffs WHERE conversation_id = :id AND status = 'closed'"
    " ORDER BY id DESC LIMIT 1"
)
_REOPEN = Statement(
    """
    UPDATE handoffs SET status = 'taken', agent = :agent, assigned_ts = :now, resolved_ts = NULL,
        outcome = '', rating_asked_ts = NULL, asked_ts = NULL, due_ts = NULL, overdue = 0,
        active_ts = :now, updated_at = :at
    WHERE id = :id AND status = 'closed'
    """
)
_ASKED_FOR_RATING = Statement("UPDATE handoffs SET rating_asked_ts = :now WHERE id = :id")
_RATE = Statement(
    "UPDATE handoffs SET rating = :rating WHERE id = :id AND rating IS NULL"
    " RETURNING conversation_id, contact_id"
)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation and the hand-over of it that is not closed. ``agent``: who has it, "" while
    nobody does."""

    who: RecipientRow
    mode: str
    handoff: int | None
    status: str
    agent: str
    reason: str
    skill: str
    first_reply_ts: float | None
    asked_ts: float | None
    overdue: int

    @property
    def conversation(self) -> str:
        return self.who.conversation_id

    @property
    def taken(self) -> bool:
        return self.status == "taken"


@dataclass(frozen=True, slots=True)
class Returned:
    """``asks``: the customer is to be asked for a rating."""

    handoff: int
    asks: bool


def returned_by(event: str) -> Returned | None:
    """What an inbox event tells of a conversation that was given back; None: something else."""
    kind, _, rest = event.partition(":")
    number, _, asks = rest.partition(":")
    return Returned(int(number), asks == "ask") if kind == RETURNED and number.isdigit() else None


def talk_of(connection: Connection, conversation: str) -> Talk | None:
    row = _TALK.first(connection, {"id": conversation})
    if row is None:
        return None
    handoff, status, agent, reason, skill, first, asked, overdue = row[8:]
    return Talk(
        recipient(connection, row[:7]),
        row[7],
        handoff,
        status or "",
        agent or "",
        reason or "",
        skill or "",
        first,
        asked,
        overdue or 0,
    )


def hold(connection: Connection, conversation: str) -> Talk | None:
    """The same, and nobody else changes who has it until the end of this unit."""
    if connection.dialect.name == "postgresql":
        _LOCK.first(connection, {"id": conversation})
    return talk_of(connection, conversation)


# From the queue, or the bot, to an agent ------------------------------------------------------


def take(connection: Connection, talk: Talk, agent: str, *, now: float, due: float | None) -> bool:
    """By the agent's own act; a conversation that waits for nobody is handed over first."""
    if talk.handoff is None:
        open_handoff(
            connection,
            HandoffRow(TAKEN_UNASKED, "normal", DESK, ""),
            conversation_id=talk.conversation,
            contact_id=talk.who.contact_id,
            turn_id="",
            at=iso(now),
        )
        talk = talk_of(connection, talk.conversation) or talk
    values = {"id": talk.handoff, "agent": agent or None, "now": now, "due": due, "at": iso(now)}
    if _TAKE.run(connection, values) != 1:
        return False
    _turn_to(connection, talk.conversation, Mode.HUMAN, now=now, agent=agent)
    _tell(connection, EventKind.TAKEN, talk, agent, now, {"from": ""})
    return True


def assign(
    connection: Connection, talk: Talk, agent: str, *, sticky: bool, now: float, due: float | None
) -> bool:
    """By the clock. False also where the agent has no room any more, or has gone."""
    values = {"id": talk.handoff, "agent": agent, "now": now, "due": due, "at": iso(now)}
    if _HAS_ROOM.first(connection, {"agent": agent}) is None:
        return False
    if _TAKE.run(connection, values) != 1:
        return False
    _turn_to(connection, talk.conversation, Mode.HUMAN, now=now)
    data = {"agent": agent, "sticky": sticky}
    _tell(connection, EventKind.ASSIGNED, talk, "", now, data)
    return True


# From an agent to the queue, or to another one ------------------------------------------------


def release(
    connection: Connection,
    talk: Talk,
    *,
    by: str,
    why: str,
    now: float,
    skill: str = "",
    note: str = "",
) -> bool:
    """Back to the front of the queue. ``why``: transfer, offline, gone, overdue, mode. ``by``: ""
    is the clock."""
    of = {"id": talk.handoff, "agent": talk.agent, "holder": talk.agent}
    if _RELEASE.run(connection, of | {"now": now, "at": iso(now), "skill": skill}) != 1:
        return False
    _turn_to(connection, talk.conversation, Mode.QUEUED, now=now, agent=by)
    data = {"from": talk.agent, "to": "", "skill": skill or talk.skill, "why": why, "note": note}
    _tell(connection, EventKind.TRANSFERRED, talk, by, now, data)
    return True


def pass_on(
    connection: Connection,
    talk: Talk,
    to: str,
    *,
    by: str,
    why: str,
    now: float,
    due: float | None,
    note: str = "",
) -> bool:
    """``due``: when the new agent's word is due, None: it is the customer's turn."""
    of = {"id": talk.handoff, "agent": talk.agent, "holder": talk.agent, "to": to}
    if _PASS_ON.run(connection, of | {"now": now, "due": due, "at": iso(now)}) != 1:
        return False
    _turn_to(connection, talk.conversation, Mode.HUMAN, now=now, agent=by)
    data = {"from": talk.agent, "to": to, "skill": talk.skill, "why": why, "note": note}
    _tell(connection, EventKind.TRANSFERRED, talk, by, now, data)
    return True


def send_on(
    connection: Connection, talk: Talk, skill: str, *, by: str, now: float, note: str = ""
) -> bool:
    """What waits waits for other agents, in its place."""
    if _SEND_ON.run(connection, {"id": talk.handoff, "skill": skill, "at": iso(now)}) != 1:
        return False
    data = {"from": "", "to": "", "skill": skill, "why": "transfer", "note": note}
    _tell(connection, EventKind.TRANSFERRED, talk, by, now, data)
    return True


def set_handoff(
    connection: Connection,
    handoff: int,
    *,
    status: str,
    agent: str | None,
    now: float,
    by: str = "operator",
) -> dict[str, Any]:
    """The word of ``by``, an operator, instead of an agent's act: taken or closed. Raises
    NotFound."""
    found = connection.execute(_ROW, {"id": handoff}).mappings().first()
    if found is None or found["status"] == "closed":
        raise NotFound("handoff_id", str(handoff))
    talk = hold(connection, found["conversation_id"])
    if talk is None or talk.handoff != handoff:
        raise NotFound("handoff_id", str(handoff))
    record(
        connection,
        at=iso(now),
        actor=by,
        action="handoff.set",
        subject=talk.conversation,
        detail={"handoff": handoff, "status": status, "agent": agent or ""},
    )
    if status == "closed":
        close(connection, talk, by=agent or by, agent=agent, now=now)
    elif not talk.taken:
        take(connection, talk, agent or "", now=now, due=None)
    elif agent and agent != talk.agent:
        pass_on(connection, talk, agent, by=agent, why="transfer", now=now, due=None)
    return dict(connection.execute(_ROW, {"id": handoff}).mappings().one())


# While an agent has it ------------------------------------------------------------------------


def replied(connection: Connection, handoff: int, *, now: float) -> None:
    """An agent has spoken: it is the customer's turn."""
    first = _FIRST_WORD.first(connection, {"id": handoff})
    if first is not None:
        waited = Sums(waits=1, wait_ms=max(0, round((now - first[1]) * 1_000)))
        figures.add_of(connection, first[0], waited, at=now)
    _REPLIED.run(connection, {"id": handoff, "now": now})


def customer_wrote(
    connection: Connection, conversation: str, *, mode: str, text: str, message: int, now: float
) -> None:
    """To be called by the intake for every message that is stored, with the mode that the
    conversation was in; of a conversation that is plainly the bot's nothing is told."""
    if mode == Mode.BOT:
        return
    if mode != Mode.QUEUED:
        _ASKED.run(connection, {"id": conversation, "now": now})
    desk_events.tell_message(
        connection, conversation, now=now, role="user", text=text, message=message
    )


def change_mode(connection: Connection, talk: Talk, mode: Mode, *, agent: str, now: float) -> bool:
    return _turn_to(connection, talk.conversation, mode, now=now, agent=agent)


# Its end --------------------------------------------------------------------------------------


def close(
    connection: Connection,
    talk: Talk,
    *,
    by: str,
    now: float,
    agent: str | None = None,
    outcome: str = "",
    asks: bool = False,
    why: str = "resolved",
) -> bool:
    """The conversation is the bot's again, whose next turn learns of it (RETURNED). ``agent``: who
    has had it, where the row does not know."""
    values = {"id": talk.handoff, "agent": agent, "now": now, "outcome": outcome, "at": iso(now)}
    if _CLOSE.run(connection, values) != 1:
        return False
    _turn_to(connection, talk.conversation, Mode.BOT, now=now, agent=by)
    data = {"outcome": outcome, "why": why, "handoff": talk.handoff}
    _tell(connection, EventKind.RESOLVED, talk, by, now, data)
    _judged(connection, talk, talk.handoff, outcome, by=agent or by, now=now)
    if outcome:
        sessions.ended(connection, talk.conversation, Outcome(outcome), now=now)
    event = f"{RETURNED}:{talk.handoff}:{'ask' if asks else ''}"
    put_event(connection, talk.conversation, event, message_id=f"{event}:{iso(now)}", now=now)
    return True


def leave(connection: Connection, conversation: str, *, now: float) -> bool:
    """The customer waits no longer. False where an agent has taken them meanwhile."""
    talk = hold(connection, conversation)
    if talk is None or talk.status != "open":
        return False
    values = {"id": talk.handoff, "agent": None, "now": now, "outcome": "", "at": iso(now)}
    _CLOSE.run(connection, values)
    _turn_to(connection, conversation, Mode.BOT, now=now)
    data = {"outcome": "", "why": "left", "handoff": talk.handoff}
    _tell(connection, EventKind.RESOLVED, talk, "", now, data)
    return True


def reopen(connection: Connection, talk: Talk, *, agent: str, now: float) -> bool:
    """The last one goes on, with ``agent``. False where one is open, or there never was one."""
    last = _LAST_CLOSED.first(connection, {"id": talk.conversation})
    if talk.handoff is not None or last is None:
        return False
    values = {"id": last[0], "agent": agent, "now": now, "at": iso(now)}
    if _REOPEN.run(connection, values) != 1:
        return False
    _turn_to(connection, talk.conversation, Mode.HUMAN, now=now, agent=agent)
    _tell(connection, EventKind.REOPENED, talk, agent, now, {"handoff": last[0]})
    _judged(connection, talk, last[0], "", by=agent, now=now)
    sessions.ended(connection, talk.conversation, Outcome.TRANSFERRED, now=now)
    return True


def asked_for_rating(connection: Connection, handoff: int, *, now: float) -> None:
    _ASKED_FOR_RATING.run(connection, {"id": handoff, "now": now})


def rate(connection: Connection, handoff: int, rating: int, *, now: float) -> bool:
    """The customer's mark, 1 to 5; the first one counts."""
    row = _RATE.first(connection, {"id": handoff, "rating": rating})
    if row is None:
        return False
    figures.add_of(connection, row[0], Sums(ratings=1, rating_sum=rating), at=now)
    conversation, contact = row
    customer_counts.judged(
        connection,
        f"handoff:{handoff}",
        contact,
        conversation_id=conversation,
        rating=rating,
        now=now,
    )
    sessions.rated(connection, handoff, rating, now=now)
    data = {"rating": rating, "handoff": handoff}
    desk_events.tell(connection, EventKind.RATING, row[0], now=now, data=data)
    return True


def _judged(
    connection: Connection, talk: Talk, handoff: int | None, outcome: str, *, by: str, now: float
) -> None:
    customer_counts.judged(
        connection,
        f"handoff:{handoff}",
        talk.who.contact_id,
        conversation_id=talk.conversation,
        outcome=outcome,
        by=by,
        now=now,
    )


def _turn_to(
    connection: Connection, conversation: str, mode: Mode, *, now: float, agent: str = ""
) -> bool:
    """A draft of the bot's is nobody's any more once the mode has changed."""
    if _MODE.run(connection, {"id": conversation, "mode": mode.value}) != 1:
        return False
    drafts.supersede(connection, conversation, now=now)
    desk_events.tell(
        connection, EventKind.MODE, conversation, now=now, agent=agent, data={"mode": mode.value}
    )
    return True


def _tell(
    connection: Connection, kind: EventKind, talk: Talk, by: str, now: float, data: dict[str, Any]
) -> None:
    desk_events.tell(connection, kind, talk.conversation, now=now, agent=by, data=data)
    record(
        connection,
        at=iso(now),
        actor=by or "desk",
        action=f"handoff.{kind.value}",
        subject=talk.conversation,
        detail=data,
    )
