"""Accounts of WeChat customer service: bells, cursors, and what is pulled under a lease."""

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, text

from domain.errors import StorageError
from domain.messages import InboundMessage
from storage.audit import record
from storage.clock import iso
from storage.outbox import Delivery
from storage.statements import Statement

CHANNEL = "wecom_kf"
Role = Literal["user", "staff"]
_SERVICE = ""
"""The row whose ``drained_ts`` is when this service was first started; it is no account."""


class KfTaken(StorageError):
    """Another process pulls this account now: nothing may be stored by us."""

    def __init__(self, open_kfid: str) -> None:
        self.open_kfid = open_kfid
        super().__init__(
            f"account {open_kfid!r} is pulled by another process; this page is dropped"
        )


@dataclass(frozen=True, slots=True)
class KfPull:
    """The right to pull an account from ``cursor`` on. ``since``: older messages are not answered;
    ``wanted``: when the bell rang that this answers; ``attempts``: failed ones in a row."""

    open_kfid: str
    cursor: str
    since: float
    wanted: float
    token: str
    token_at: float
    attempts: int


_FIRST_START = Statement(
    """
    INSERT INTO kf_accounts (open_kfid, cursor, drained_ts, token, token_ts, pulled_ts, attempts,
        lease_until)
    VALUES (:open_kfid, '', :now, '', 0, 0, 0, 0) ON CONFLICT (open_kfid) DO NOTHING
    """
)
_STARTED = Statement("SELECT drained_ts FROM kf_accounts WHERE open_kfid = :open_kfid")
_HEARD = Statement(
    """
    INSERT INTO kf_accounts (open_kfid, cursor, drained_ts, wanted_ts, token, token_ts, pulled_ts,
        attempts, lease_until)
    VALUES (:open_kfid, '', :since, :now, :token, :token_ts, 0, 0, 0)
    ON CONFLICT (open_kfid) DO UPDATE SET
        wanted_ts = excluded.wanted_ts,
        token = CASE WHEN excluded.token = '' THEN kf_accounts.token ELSE excluded.token END,
        token_ts = CASE WHEN excluded.token = '' THEN kf_accounts.token_ts
                        ELSE excluded.token_ts END
    """
)
_MOVE = Statement(
    """
    UPDATE kf_accounts SET cursor = :next, pulled_ts = :now, lease_until = :until, attempts = 0,
        last_error = NULL
    WHERE open_kfid = :open_kfid AND lease_owner = :owner AND cursor = :cursor
    """
)
_DONE = Statement(
    """
    UPDATE kf_accounts SET lease_owner = NULL, lease_until = 0,
        wanted_ts = CASE WHEN wanted_ts <= :wanted THEN NULL ELSE wanted_ts END
    WHERE open_kfid = :open_kfid AND lease_owner = :owner
    """
)
_FAILED = Statement(
    """
    UPDATE kf_accounts SET lease_owner = NULL, lease_until = 0, attempts = attempts + 1,
        last_error = :error,
        wanted_ts = CASE WHEN wanted_ts <= :wanted THEN :retry_at ELSE wanted_ts END
    WHERE open_kfid = :open_kfid AND lease_owner = :owner
    """
)
_FORGET_TOKEN = Statement(
    "UPDATE kf_accounts SET token = '' WHERE open_kfid = :open_kfid AND token = :token"
)
_LOST_CURSOR = Statement(
    "UPDATE kf_accounts SET cursor = '' WHERE open_kfid = :open_kfid AND lease_owner = :owner"
    " AND cursor = :cursor"
)
_KEEP = Statement(
    """
    INSERT INTO messages (contact_id, content, role, received_at, channel, account,
        channel_message_id, conversation_id, kind, event, attachments, sent_ts, received_ts, route,
        status)
    VALUES (:contact_id, :content, :role, :received_at, :channel, :account, :channel_message_id,
        :conversation_id, :kind, :event, NULL, :sent_ts, :received_ts, 'push', :status)
    ON CONFLICT (channel, account, channel_message_id) DO NOTHING RETURNING id
    """
)
_KNOW = Statement(
    """
    INSERT INTO conversations (id, channel, account, chat_id, sender_id, contact_id, customer_name,
        mode, session_no, session_last_ts, received, lease_until, fence, attempts, failures,
        created_at, last_active_at)
    VALUES (:id, :channel, :account, :chat_id, :sender_id, :contact_id, '', 'bot', 0, 0, 0, 0, 0, 0,
        0, :at, :at)
    ON CONFLICT (id) DO UPDATE SET last_active_at = excluded.last_active_at
    """
)


# Which accounts there are ---------------------------------------------------------------------


def first_start(connection: Connection, now: float) -> float:
    """When this service was started for the first time on this database."""
    _FIRST_START.run(connection, {"open_kfid": _SERVICE, "now": now})
    row = _STARTED.first(connection, {"open_kfid": _SERVICE})
    assert row is not None
    return float(row[0])


def know(connection: Connection, open_kfids: Collection[str], *, since: float) -> None:
    """Accounts that exist; of new ones nothing that was sent before ``since`` is answered."""
    for open_kfid in sorted(set(open_kfids) - {_SERVICE}):
        _FIRST_START.run(connection, {"open_kfid": open_kfid, "now": since})


def known(connection: Connection) -> list[str]:
    rows = connection.execute(text("SELECT open_kfid FROM kf_accounts WHERE open_kfid <> ''"))
    return sorted(row[0] for row in rows)


def heard(connection: Connection, open_kfid: str, *, token: str, now: float, since: float) -> None:
    """A bell: there is news. ``since``: as for `know`, if nobody has told of this account yet."""
    _HEARD.run(
        connection,
        {"open_kfid": open_kfid, "token": token, "token_ts": now, "now": now, "since": since},
    )


def want(
    connection: Connection, *, now: float, pulled_before: float, only: Sequence[str] = ()
) -> None:
    """Accounts that nobody pulled since ``pulled_before`` and no bell rang for are due too: bells
    get lost. ``only``: of these accounts."""
    chosen = set(only) or set(known(connection))
    if chosen:
        connection.execute(
            text(
                "UPDATE kf_accounts SET wanted_ts = :now WHERE wanted_ts IS NULL"
                " AND pulled_ts <= :before AND open_kfid IN :chosen AND open_kfid <> ''"
            ).bindparams(bindparam("chosen", expanding=True)),
            {"now": now, "before": pulled_before, "chosen": sorted(chosen)},
        )


def accounts(connection: Connection) -> list[dict[str, Any]]:
    """For health pages; tokens are not shown."""
    found = connection.execute(
        text(
            "SELECT open_kfid, drained_ts, wanted_ts, pulled_ts, attempts, last_error"
            " FROM kf_accounts WHERE open_kfid <> '' ORDER BY open_kfid"
        )
    )
    return [dict(row) for row in found.mappings()]


# Leases ---------------------------------------------------------------------------------------


class KfBook:
    """For `engine.leases.LeaseRunner`."""

    def next_due(self, connection: Connection, *, now: float) -> float | None:
        found: float | None = connection.execute(
            text("SELECT MIN(wanted_ts) FROM kf_accounts WHERE lease_until < :now"), {"now": now}
        ).scalar()
        return found

    def renew(
        self, connection: Connection, owner: str, keys: Sequence[str], *, until: float
    ) -> None:
        if keys:
            connection.execute(
                text(
                    "UPDATE kf_accounts SET lease_until = :until"
                    " WHERE open_kfid = :key AND lease_owner = :owner"
                ),
                [{"until": until, "key": key, "owner": owner} for key in sorted(keys)],
            )

    def release(self, connection: Connection, owner: str | None = None) -> None:
        whose = " WHERE lease_owner = :owner" if owner else ""
        connection.execute(
            text(f"UPDATE kf_accounts SET lease_owner = NULL, lease_until = 0{whose}"),  # noqa: S608
            {"owner": owner} if owner else {},
        )


def claim(
    connection: Connection,
    *,
    owner: str,
    now: float,
    lease_s: float,
    limit: int,
    besides: Collection[str] = (),
) -> list[KfPull]:
    """Accounts that are wanted and that nobody pulls, but ``besides``."""
    skip = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
    rows = connection.execute(
        text(
            # Not a plain sub-query: see `storage.leases`.
            "WITH due AS MATERIALIZED (SELECT open_kfid FROM kf_accounts"  # noqa: S608
            " WHERE wanted_ts <= :now AND lease_until < :now AND open_kfid NOT IN :besides"
            f" ORDER BY wanted_ts LIMIT :limit{skip})"
            " UPDATE kf_accounts SET lease_owner = :owner, lease_until = :until"
            " WHERE open_kfid IN (SELECT open_kfid FROM due)"
            " RETURNING open_kfid, cursor, drained_ts, wanted_ts, token, token_ts, attempts"
        ).bindparams(bindparam("besides", expanding=True)),
        {
            "owner": owner,
            "until": now + lease_s,
            "now": now,
            "limit": limit,
            "besides": [_SERVICE, *besides],
        },
    )
    return [KfPull(*row) for row in rows]


def move(
    connection: Connection,
    pull: KfPull,
    cursor: str,
    *,
    owner: str,
    now: float,
    lease_s: float,
) -> None:
    """What comes before ``cursor`` is stored with this transaction. Raises KfTaken."""
    values = {"open_kfid": pull.open_kfid, "cursor": pull.cursor, "next": cursor, "owner": owner}
    if _MOVE.run(connection, values | {"now": now, "until": now + lease_s}) != 1:
        raise KfTaken(pull.open_kfid)


def done(connection: Connection, pull: KfPull, *, owner: str) -> None:
    """Pulled to the end. A bell that rang meanwhile stays wanted."""
    values = {"open_kfid": pull.open_kfid, "wanted": pull.wanted, "owner": owner}
    _DONE.run(connection, values)


def failed(
    connection: Connection, pull: KfPull, *, owner: str, error: str, retry_at: float
) -> None:
    values = {"open_kfid": pull.open_kfid, "wanted": pull.wanted, "owner": owner}
    _FAILED.run(connection, values | {"error": error, "retry_at": retry_at})


def forget_token(connection: Connection, pull: KfPull) -> None:
    _FORGET_TOKEN.run(connection, {"open_kfid": pull.open_kfid, "token": pull.token})


def forget_cursor(connection: Connection, pull: KfPull, *, owner: str) -> None:
    """Three days are read again; what is stored already is recognised by its msgid."""
    values = {"open_kfid": pull.open_kfid, "cursor": pull.cursor, "owner": owner}
    _LOST_CURSOR.run(connection, values)


# History --------------------------------------------------------------------------------------


def keep(connection: Connection, message: InboundMessage, role: Role) -> bool:
    """Store ``message`` once as history that nobody answers; whether it is new."""
    row = _KEEP.first(
        connection,
        {
            "contact_id": message.contact,
            "content": message.text,
            "role": role,
            "received_at": iso(message.received_at),
            "channel": message.channel,
            "account": message.account,
            "channel_message_id": message.channel_message_id,
            "conversation_id": message.conversation,
            "kind": message.kind.value,
            "event": message.event,
            "sent_ts": message.sent_at,
            "received_ts": message.received_at,
            "status": "sent" if role == "staff" else "handled",
        },
    )
    if row is None:
        return False
    _KNOW.run(
        connection,
        {
            "id": message.conversation,
            "channel": message.channel,
            "account": message.account,
            "chat_id": message.chat_id,
            "sender_id": message.sender_id,
            "contact_id": message.contact,
            "at": iso(message.received_at),
        },
    )
    return True


_CALLED_BACK = Statement(
    """
    UPDATE conversations SET received = received + 1 WHERE id = :id AND EXISTS (SELECT 1
        FROM messages WHERE channel = :channel AND account = :account
        AND channel_message_id = :msgid AND conversation_id = :id AND status = 'unread')
    """
)
_RECALLED = Statement(
    """
    UPDATE messages SET status = 'recalled' WHERE channel = :channel AND account = :account
        AND channel_message_id = :msgid AND conversation_id = :id AND status = 'unread'
    """
)


def recall(connection: Connection, conversation: str, account: str, msgid: str) -> bool:
    """The customer takes a message back that no turn has handled: it stays history and is not
    answered. A turn that has begun with it is stale from now on."""
    values = {"id": conversation, "channel": CHANNEL, "account": account, "msgid": msgid}
    # The conversation first, as where a turn commits: two who lock must not wait for each other.
    if _CALLED_BACK.run(connection, values) != 1:
        return False
    return _RECALLED.run(connection, values) == 1


# Deliveries -----------------------------------------------------------------------------------


_LATEST = 20_000
"""Rows of the outbox that are looked through: a failure follows within minutes."""
_MOST_WAITING = 50
_ACTION = Statement("SELECT action FROM turns WHERE turn_id = :turn_id")
_BUSY = Statement(
    """
    SELECT 1 FROM conversations WHERE id = :id AND due_at IS NOT NULL
    UNION ALL SELECT 1 FROM kf_accounts WHERE open_kfid = :account
        AND (lease_until >= :now OR wanted_ts IS NOT NULL)
    """
)
_STATUS = Statement("SELECT status FROM outbox WHERE message_id = :message_id")
_WAITING = Statement(
    """
    SELECT message_id, payload FROM outbox
    WHERE queue = :queue AND status = 'pending' AND id > :id AND channel = :channel
        AND account = :account ORDER BY id LIMIT :most
    """
)


@dataclass(frozen=True, slots=True)
class Named:
    """A delivery to the same customer as another one."""

    message_id: str
    payload: dict[str, Any]


def action_of(connection: Connection, turn_id: str) -> str:
    """What a committed turn did; empty for none."""
    row = _ACTION.first(connection, {"turn_id": turn_id})
    return str(row[0]) if row else ""


def is_busy(connection: Connection, conversation: str, account: str, *, now: float) -> bool:
    """The customer has written something that is being answered, or will be; or it may be among
    what is being read, or is still to be read where that has failed."""
    values = {"id": conversation, "account": account, "now": now}
    return _BUSY.first(connection, values) is not None


def was_delivered(connection: Connection, message_id: str) -> bool:
    row = _STATUS.first(connection, {"message_id": message_id})
    return row is not None and row[0] == "delivered"


def waiting_behind(connection: Connection, delivery: Delivery) -> list[Named]:
    """Words for the same customer that are to be sent after ``delivery``, in order."""
    values = {"queue": delivery.queue, "id": delivery.id, "channel": delivery.channel}
    rows = _WAITING.all(connection, values | {"account": delivery.account, "most": _MOST_WAITING})
    found = [Named(row[0], json.loads(row[1])) for row in rows]
    to = delivery.payload["to"]
    return list(itertools.takewhile(lambda one: one.payload.get("to") == to, found))


def deliveries_named(connection: Connection, message_ids: Sequence[str]) -> list[Named]:
    if not message_ids:
        return []
    rows = connection.execute(
        text(
            "SELECT message_id, payload FROM outbox WHERE message_id IN :ids ORDER BY id"
        ).bindparams(bindparam("ids", expanding=True)),
        {"ids": list(message_ids)},
    )
    return [Named(row[0], json.loads(row[1])) for row in rows]


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that the platform may have taken: a pending one whose answer was lost too."""

    id: int
    message_id: str
    created_at: str
    status: str


def sent_to(connection: Connection, conversation: str) -> list[Sent]:
    """What was sent there lately, newest first."""
    rows = connection.execute(
        text(
            "SELECT id, message_id, created_at, status FROM outbox"
            " WHERE status IN ('delivered', 'pending') AND conversation_id = :id"
            " AND id > (SELECT COALESCE(MAX(id), 0) FROM outbox) - :most"
            " ORDER BY id DESC LIMIT 100"
        ),
        {"id": conversation, "most": _LATEST},
    )
    return [Sent(*row) for row in rows]


def forget_welcome(connection: Connection, message_id: str, *, before: float) -> None:
    """Who was not welcomed, or long ago, may be welcomed again."""
    connection.execute(
        text(
            "DELETE FROM outbox WHERE message_id = :id AND (status = 'dead'"
            " OR (status = 'delivered' AND created_at < :before))"
        ),
        {"id": message_id, "before": iso(before)},
    )


def mark_failed(connection: Connection, delivery: int, *, error: str, now: float) -> bool:
    """A delivery that was accepted has failed: a dead letter, which an operator can send again.
    Who is still sending it learns that it is settled."""
    changed = connection.execute(
        text(
            "UPDATE outbox SET status = 'dead', last_error = :error, delivered_at = NULL,"
            " lease_owner = NULL, lease_until = 0"
            " WHERE id = :id AND status IN ('delivered', 'pending')"
        ),
        {"id": delivery, "error": error},
    )
    if changed.rowcount != 1:
        return False
    record(
        connection,
        at=iso(now),
        actor=CHANNEL,
        action="delivery.dead",
        subject=str(delivery),
        detail={"error": error},
    )
    return True
