"""How often a platform lets us write to a customer after each message of theirs.

What is sent is reserved here before: a platform that counts also what it answers late would refuse
the rest, and the customer would not learn it.
"""

import json

from sqlalchemy import Connection

from storage.statements import Statement

_TRIES = 20

_OPEN = Statement(
    """
    INSERT INTO reply_windows (channel, account, sender_id, opened_ts, expires_ts, allowed, spent,
        state)
    VALUES (:channel, :account, :sender, :now, :expires, :allowed, '[]', '')
    ON CONFLICT (channel, account, sender_id) DO UPDATE SET opened_ts = excluded.opened_ts,
        expires_ts = excluded.expires_ts, allowed = excluded.allowed, spent = '[]'
    """
)
_FIND = Statement(
    "SELECT expires_ts, allowed, spent FROM reply_windows"
    " WHERE channel = :channel AND account = :account AND sender_id = :sender"
)
_SPEND = Statement(
    "UPDATE reply_windows SET spent = :after WHERE channel = :channel AND account = :account"
    " AND sender_id = :sender AND spent = :before AND expires_ts = :expires"
)
_CLOSE = Statement(
    "UPDATE reply_windows SET expires_ts = :now"
    " WHERE channel = :channel AND account = :account AND sender_id = :sender"
)


def open_window(
    connection: Connection,
    channel: str,
    account: str,
    sender: str,
    *,
    now: float,
    lasts_s: float,
    allowed: int,
) -> None:
    """The customer has done something that lets us write ``allowed`` messages. An open window that
    lasts longer and has something left stays."""
    key = {"channel": channel, "account": account, "sender": sender}
    expires = now + lasts_s
    row = _FIND.first(connection, key)
    if row is not None and row[0] > expires and len(json.loads(row[2])) < row[1]:
        return
    _OPEN.run(connection, key | {"now": now, "expires": expires, "allowed": allowed})


def spend(
    connection: Connection, channel: str, account: str, sender: str, message_id: str, *, now: float
) -> bool:
    """Whether ``message_id`` may be sent: it is among the window's messages now. A message that was
    in it before spends nothing."""
    key = {"channel": channel, "account": account, "sender": sender}
    for _ in range(_TRIES):
        row = _FIND.first(connection, key)
        if row is None or row[0] <= now:
            return False
        expires, allowed, before = row
        spent = json.loads(before)
        if message_id in spent:
            return True
        if len(spent) >= allowed:
            return False
        after = json.dumps([*spent, message_id], ensure_ascii=False)
        if _SPEND.run(connection, key | {"after": after, "before": before, "expires": expires}):
            return True
    return False


def left(connection: Connection, channel: str, account: str, sender: str, *, now: float) -> int:
    """How many more messages may be sent now."""
    row = _FIND.first(connection, {"channel": channel, "account": account, "sender": sender})
    if row is None or row[0] <= now:
        return 0
    return max(0, int(row[1]) - len(json.loads(row[2])))


def close_window(
    connection: Connection, channel: str, account: str, sender: str, *, now: float
) -> None:
    """The customer is gone, or the platform says that nothing may be sent any more."""
    key = {"channel": channel, "account": account, "sender": sender}
    _CLOSE.run(connection, key | {"now": now})
