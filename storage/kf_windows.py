"""How often customer service still lets us write to a customer: what it would refuse is not sent,
and what is sent again after a lost answer spends nothing twice.

Unlike `storage.reply_windows` it reserves several parts at once, keeps some of the quota back, and
knows that a customer's message may be older than what we sent since.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from storage.statements import Statement

CARRIED_S = 2.0
"""What was sent so shortly before a customer's message may count as sent after it: their clock
gives whole seconds, and is not ours."""
_KEPT = 50


@dataclass(frozen=True, slots=True)
class Whose:
    channel: str
    account: str
    sender_id: str

    def key(self) -> dict[str, str]:
        return {"channel": self.channel, "account": self.account, "sender_id": self.sender_id}


@dataclass(frozen=True, slots=True)
class Spent:
    """``sure``: sent after the message that opened the window; else perhaps before it."""

    id: str
    at: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """``ids`` may be sent; ``fresh`` ones of them are reserved by this call. ``is_open``: the
    window is; ``left`` in it now; ``state``: of the session, as last told."""

    ids: tuple[str, ...]
    fresh: tuple[str, ...]
    is_open: bool
    left: int
    state: str


_OPEN = Statement(
    """
    INSERT INTO reply_windows (channel, account, sender_id, opened_ts, expires_ts, allowed, spent,
        state)
    VALUES (:channel, :account, :sender_id, :opened, :expires, :allowed, '[]', '')
    ON CONFLICT (channel, account, sender_id) DO NOTHING RETURNING opened_ts
    """
)
# An UPDATE that changes nothing: it locks the row on PostgreSQL, and SQLite has one writer.
_LOCK = Statement(
    """
    UPDATE reply_windows SET allowed = allowed
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    RETURNING opened_ts, expires_ts, allowed, spent, state
    """
)
_WRITE = Statement(
    """
    UPDATE reply_windows SET opened_ts = :opened, expires_ts = :expires, allowed = :allowed,
        spent = :spent
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    """
)
_SPEND = Statement(
    """
    UPDATE reply_windows SET spent = :spent
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    """
)
_STATE = Statement(
    """
    UPDATE reply_windows SET state = :state
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
    """
)
_CLOSE = Statement(
    """
    UPDATE reply_windows SET expires_ts = :now
    WHERE channel = :channel AND account = :account AND sender_id = :sender_id
        AND expires_ts > :now
    """
)


def open_window(
    connection: Connection, whose: Whose, *, at: float, lasts: float, allowed: int
) -> None:
    """The customer has written at ``at``: the count begins anew."""
    values = {"opened": at, "expires": at + lasts, "allowed": allowed} | whose.key()
    if _OPEN.first(connection, values) is not None:
        return
    row = _LOCK.first(connection, whose.key())
    assert row is not None
    if at < row[0]:
        return
    carried = [Spent(one.id, one.at, False) for one in _spent(row[3]) if one.at >= at - CARRIED_S]
    _WRITE.run(connection, values | {"spent": _dumped(carried)})


def reserve(
    connection: Connection, whose: Whose, ids: Sequence[str], *, now: float, spare: int
) -> Grant:
    """As many of ``ids``, in order, as may be sent while ``spare`` are left over. One that was
    reserved before spends nothing again."""
    row = _LOCK.first(connection, whose.key())
    if row is None:
        return Grant((), (), False, 0, "")
    _, expires, allowed, stored, state = row
    spent, known = _spent(stored), {one.id for one in _spent(stored)}
    if now >= expires:
        return Grant((), (), False, 0, state)
    granted, fresh = [], []
    for one in ids:
        if one not in known:
            # What was perhaps sent before the customer's message stands in nobody's way for good:
            # the platform knows better than we do.
            if sum(was.sure for was in spent) >= allowed - spare:
                break
            spent.append(Spent(one, now, True))
            fresh.append(one)
        granted.append(one)
    if fresh:
        _SPEND.run(connection, whose.key() | {"spent": _dumped(spent)})
    return Grant(tuple(granted), tuple(fresh), True, max(0, allowed - len(spent)), state)


def release(connection: Connection, whose: Whose, ids: Collection[str]) -> None:
    """``ids`` were not sent, nor will be."""
    row = _LOCK.first(connection, whose.key())
    if row is not None and ids:
        left = [one for one in _spent(row[3]) if one.id not in ids]
        _SPEND.run(connection, whose.key() | {"spent": _dumped(left)})


def exhaust(connection: Connection, whose: Whose) -> None:
    """The platform says that nothing more may be sent before the customer writes again."""
    row = _LOCK.first(connection, whose.key())
    if row is None:
        return
    opened, _, allowed, stored, _ = row
    spent = _spent(stored)
    missing = allowed - sum(one.sure for one in spent)
    spent += [Spent(f"unknown-{number}", opened, True) for number in range(missing)]
    _SPEND.run(connection, whose.key() | {"spent": _dumped(spent)})


def close(connection: Connection, whose: Whose, *, now: float) -> None:
    _CLOSE.run(connection, whose.key() | {"now": now})


def set_state(connection: Connection, whose: Whose, state: str) -> None:
    _STATE.run(connection, whose.key() | {"state": state})


def state_of(connection: Connection, whose: Whose) -> str:
    row = _LOCK.first(connection, whose.key())
    return str(row[4]) if row else ""


def _spent(stored: str) -> list[Spent]:
    return [Spent(str(one[0]), float(one[1]), bool(one[2])) for one in json.loads(stored)]


def _dumped(spent: Sequence[Spent]) -> str:
    return json.dumps([[one.id, one.at, one.sure] for one in spent[-_KEPT:]])
