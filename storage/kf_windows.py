"""How often customer service still lets us write to a customer: what it would refuse is not sent,
and what is sent again after a lost answer spends nothing twice.

Unlike `storage.reply_windows` it knows that a customer's message is read later than it was written,
so that some of what we sent since counts against it, and which answers went out in one message.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from storage.statements import Statement

CARRIED_S = 3.0
"""What was sent no longer before a customer's message may have been sent after it: their clock
gives whole seconds, is not quite ours, and between reserving and sending some time passes."""
_KEPT = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Whose:
    channel: str
    account: str
    sender_id: str

    def key(self) -> dict[str, str]:
        return {"channel": self.channel, "account": self.account, "sender_id": self.sender_id}


@dataclass(slots=True)
class Window:
    """``sent``: ids of messages, and when each was reserved; ``unsure``: those that may have been
    sent before the customer's message; ``past``: those of earlier windows. ``joined``: deliveries
    that went out as a part of another one, by its message id. ``state``: of the session, as last
    told."""

    opened: float
    expires: float
    allowed: int
    state: str = ""
    sent: dict[str, float] = field(default_factory=dict)
    unsure: dict[str, float] = field(default_factory=dict)
    past: dict[str, float] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)


_OPEN = Statement(
    """
    INSERT INTO reply_windows (channel, account, sender_id, opened_ts, expires_ts, allowed, spent,
        state)
    VALUES (:channel, :account, :sender_id, :opened, :expires, :allowed, '{}', '')
    ON CONFLICT (channel, account, sender_id) DO NOTHING RETURNING opened_ts
    """
)
# An UPDATE that changes nothing: it locks the row on PostgreSQL, and SQLite has one writer.
_LOCK = Statement(
    """
    UPDATE reply_windows SET allowed = allowed
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    RETURNING opened_ts, expires_ts, allowed, state, spent
    """
)
_FIND_STATE = Statement(
    """
    SELECT state FROM reply_windows
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    """
)
_FIND = Statement(
    """
    SELECT opened_ts, expires_ts, allowed, state, spent FROM reply_windows
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    """
)
_SAVE = Statement(
    """
    UPDATE reply_windows SET opened_ts = :opened, expires_ts = :expires, allowed = :allowed,
        state = :state, spent = :spent
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    """
)


def locked(connection: Connection, whose: Whose) -> Window | None:
    """The window until the end of this unit; None where the customer never wrote."""
    row = _LOCK.first(connection, whose.key())
    return None if row is None else _window(row)


def room(connection: Connection, whose: Whose, *, now: float) -> int:
    """How many more messages may be sent now, as far as is known."""
    row = _FIND.first(connection, whose.key())
    if row is None or row[1] <= now:
        return 0
    window = _window(row)
    return max(0, window.allowed - len(window.sent) - len(window.unsure))


def _window(row: tuple[Any, ...]) -> Window:
    stored = json.loads(row[4]) or {}
    return Window(*row[:4], **stored)


def save(connection: Connection, whose: Whose, window: Window) -> None:
    spent = {
        "sent": _latest(window.sent),
        "unsure": _latest(window.unsure),
        "past": _latest(window.past),
        "joined": _latest(window.joined),
    }
    _SAVE.run(
        connection,
        {
            "opened": window.opened,
            "expires": window.expires,
            "allowed": window.allowed,
            "state": window.state,
            "spent": json.dumps(spent, ensure_ascii=False),
        }
        | whose.key(),
    )


def open_window(
    connection: Connection, whose: Whose, *, at: float, lasts: float, allowed: int
) -> None:
    """The customer has written at ``at``: the count begins anew, with what was sent since."""
    values = {"opened": at, "expires": at + lasts, "allowed": allowed}
    if _OPEN.first(connection, values | whose.key()) is not None:
        return
    window = locked(connection, whose)
    assert window is not None
    if at < window.opened:
        return
    before = window.sent | window.unsure
    window.past |= before
    window.sent = {one: sent for one, sent in before.items() if sent >= at + 1.0}
    window.unsure = {one: sent for one, sent in before.items() if at - CARRIED_S <= sent < at + 1.0}
    window.opened, window.expires, window.allowed = at, at + lasts, allowed
    save(connection, whose, window)


def with_person(connection: Connection, asked: Collection[Whose]) -> list[Whose]:
    """Those of ``asked`` whose sessions a person had, or was to get, when last told."""
    found = []
    for whose in sorted(asked, key=lambda one: one.sender_id):
        row = _FIND_STATE.first(connection, whose.key())
        if row is not None and row[0] in ("2", "3"):
            found.append(whose)
    return found


def set_state(connection: Connection, whose: Whose, state: str) -> None:
    window = locked(connection, whose)
    if window is not None and window.state != state:
        window.state = state
        save(connection, whose, window)


def _latest(entries: Mapping[str, T]) -> dict[str, T]:
    return dict(list(entries.items())[-_KEPT:])
