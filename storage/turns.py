"""Committing a turn: all that it did becomes visible at once, or not at all."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import NotFound, StaleTurn
from domain.messages import MessageKind
from storage import customer_counts, figures, outbox, reviews
from storage.audit import record
from storage.checkpoints import StagedRun, save_run
from storage.clock import iso
from storage.handoffs import HandoffRow as HandoffRow
from storage.handoffs import open_handoff
from storage.inbox import Claim
from storage.sealed import seal
from storage.statements import Statement

SESSION_PAUSE_S = 1800.0
"""Seed 003: a session expires 30 minutes after its last message."""


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """Our answer as history. ``message_id`` is stable for the turn."""

    message_id: str
    content: str
    confidence: float
    evidence_ids: tuple[str, ...]
    tokens_total: int
    latency_ms: int


@dataclass(frozen=True, slots=True)
class EffectRecord:
    key: str
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnCommit:
    """Everything one turn leaves behind. ``result`` is the answer as JSON text; ``record``: what
    `storage.reviews.keep_record` keeps of it. ``settles``: ``outcome`` is how the
    session stands now, else it stands as before."""

    claim: Claim
    turn_id: str
    status: str
    action: str
    intent: str
    result: str
    started: float
    ended: float
    outcome: str
    reply: ReplyRow | None = None
    error: str | None = None
    effects: tuple[EffectRecord, ...] = ()
    handoff: HandoffRow | None = None
    unknown_question: tuple[str, float] | None = None
    deliveries: tuple[outbox.NewDelivery, ...] = ()
    model_calls: tuple[dict[str, Any], ...] = ()
    run: StagedRun = field(default_factory=StagedRun)
    keep_checkpoints: int = 2
    record: Mapping[str, Any] | None = None
    sentiment: str = ""
    settles: bool = True


@dataclass(frozen=True, slots=True)
class Committed:
    """``due_at``: when the conversation wants its next turn, None if nothing is unread."""

    due_at: float | None
    outbox_ids: tuple[int, ...] = ()


_FINISH = Statement(
    """
    UPDATE conversations SET lease_owner = NULL, lease_until = 0, attempts = 0, failures = 0,
        last_error = NULL, session_no = :session_no, session_last_ts = :now,
        due_at = CASE WHEN :more OR received <> :received THEN :now ELSE NULL END,
        first_unread_ts = CASE WHEN :more OR received <> :received THEN :now ELSE NULL END
    WHERE id = :id AND fence = :fence AND lease_owner = :owner AND mode = :mode
    RETURNING due_at
    """
)
_HANDLED = Statement(
    "UPDATE messages SET status = :status, turn_id = :turn_id, session_key = :session_key"
    " WHERE id = :id"
)
_REPLY = Statement(
    """
    INSERT INTO messages (session_key, contact_id, content, role, confidence, tokens_total,
        latency_ms, rag_evidence_ids, received_at, channel, account, channel_message_id,
        conversation_id, kind, event, sent_ts, received_ts, route, status, turn_id)
    VALUES (:session_key, :contact_id, :content, 'assistant', :confidence, :tokens_total,
        :latency_ms, :evidence, :at, :channel, :account, :message_id, :conversation_id, 'text',
        '', :now, :now, :route, 'sent', :turn_id)
    """
)
_TURN = Statement(
    """
    INSERT INTO turns (turn_id, conversation_id, status, action, intent, message_ids, result, error,
        started_ts, ended_ts)
    VALUES (:turn_id, :conversation_id, :status, :action, :intent, :message_ids, :result, :error,
        :started, :ended)
    """
)
_SESSION = Statement(
    """
    INSERT INTO sessions (session_key, contact_id, customer_name, conversation_outcome, turn_count,
        total_tokens, created_at, last_active_at, conversation_id)
    VALUES (:session_key, :contact_id, :name, :outcome, 1, :tokens, :at, :at, :conversation_id)
    ON CONFLICT (session_key) DO UPDATE SET
        turn_count = sessions.turn_count + 1,
        total_tokens = sessions.total_tokens + excluded.total_tokens,
        conversation_outcome = CASE WHEN :settles THEN excluded.conversation_outcome
                                    ELSE sessions.conversation_outcome END,
        last_active_at = excluded.last_active_at
    """
)
_EFFECT = Statement(
    "INSERT INTO effects (key, turn_id, conversation_id, kind, payload, created_at)"
    " VALUES (:key, :turn_id, :conversation_id, :kind, :payload, :at)"
)
_UNKNOWN = Statement(
    "INSERT INTO unknown_questions (content, contact_id, conversation_id, confidence, created_at)"
    " VALUES (:content, :contact_id, :conversation_id, :confidence, :at)"
)
_MODEL_CALL = Statement(
    """
    INSERT INTO model_calls (turn_id, provider, model, purpose, outcome, status, attempt, tokens_in,
        tokens_out, tokens_estimated, latency_ms, cost, currency, error, created_at)
    VALUES (:turn_id, :provider, :model, :purpose, :outcome, :status, :attempt, :tokens_in,
        :tokens_out, :tokens_estimated, :latency_ms, :cost, :currency, :error, :at)
    """
)


def record_model_call(
    connection: Connection, call: dict[str, Any], *, turn_id: str, at: str
) -> None:
    """``turn_id``: of the turn that made it, else what it was about."""
    _MODEL_CALL.run(connection, call | {"turn_id": turn_id, "at": at})
    figures.add_call(connection, call, at=datetime.fromisoformat(at).timestamp())


def session_of(claim: Claim, now: float) -> tuple[int, str]:
    """Number and key of the session that a turn at ``now`` belongs to."""
    expired = now - claim.session_last_ts > SESSION_PAUSE_S
    number = claim.session_no + 1 if expired else claim.session_no
    return number, f"{claim.conversation_id}:{number}"


def commit(
    connection: Connection,
    turn: TurnCommit,
    *,
    first: Callable[[Connection], None] | None = None,
) -> Committed:
    """Write the turn. Raises StaleTurn, and writes nothing, if the lease is no longer ours or a
    person has taken the conversation since the claim (or given it back).

    ``first``: written before what the turn says, once the turn may be; it may hand over itself.
    """
    claim, now, at = turn.claim, turn.ended, iso(turn.ended)
    number, session_key = session_of(claim, now)
    finished = _FINISH.first(
        connection,
        {
            "mode": claim.mode,
            "session_no": number,
            "now": now,
            "more": claim.more,
            "received": claim.received,
            "id": claim.conversation_id,
            "fence": claim.fence,
            "owner": claim.owner,
        },
    )
    if finished is None:
        raise StaleTurn(claim.conversation_id, claim.fence)
    if first is not None:
        first(connection)
    _mark(connection, turn, session_key)
    if turn.reply is not None:
        _insert_reply(connection, turn, turn.reply, session_key, at)
    _insert_turn(connection, turn)
    _touch_people(connection, turn, session_key, at)
    _count(connection, turn)
    _insert_effects(connection, turn, at)
    save_run(connection, turn.run, keep=turn.keep_checkpoints)
    if turn.record is not None:
        reviews.keep_record(connection, turn.record)
    ids = outbox.add(connection, turn.deliveries, at)
    return Committed(finished[0], ids)


def _mark(connection: Connection, turn: TurnCommit, session_key: str) -> None:
    status = "handled" if turn.status == "done" else "dead"
    rows = [
        {"status": status, "turn_id": turn.turn_id, "session_key": session_key, "id": m.row_id}
        for m in turn.claim.messages
    ]
    _HANDLED.run_many(connection, rows)


def _insert_reply(
    connection: Connection, turn: TurnCommit, reply: ReplyRow, session_key: str, at: str
) -> None:
    claim = turn.claim
    _REPLY.run(
        connection,
        {
            "session_key": session_key,
            "contact_id": claim.contact_id,
            "content": reply.content,
            "confidence": reply.confidence,
            "tokens_total": reply.tokens_total,
            "latency_ms": reply.latency_ms,
            "evidence": json.dumps(reply.evidence_ids, ensure_ascii=False),
            "at": at,
            "channel": claim.channel,
            "account": claim.account,
            "message_id": reply.message_id,
            "conversation_id": claim.conversation_id,
            "now": turn.ended,
            "route": claim.messages[-1].route,
            "turn_id": turn.turn_id,
        },
    )


def _insert_turn(connection: Connection, turn: TurnCommit) -> None:
    _TURN.run(
        connection,
        {
            "turn_id": turn.turn_id,
            "conversation_id": turn.claim.conversation_id,
            "status": turn.status,
            "action": turn.action,
            "intent": turn.intent,
            "message_ids": json.dumps([m.row_id for m in turn.claim.messages]),
            "result": turn.result,
            "error": turn.error,
            "started": turn.started,
            "ended": turn.ended,
        },
    )


def _touch_people(connection: Connection, turn: TurnCommit, session_key: str, at: str) -> None:
    claim = turn.claim
    _SESSION.run(
        connection,
        {
            "session_key": session_key,
            "contact_id": claim.contact_id,
            "name": seal(connection, claim.customer.name),
            "outcome": turn.outcome,
            "settles": turn.settles,
            "tokens": turn.reply.tokens_total if turn.reply else 0,
            "at": at,
            "conversation_id": claim.conversation_id,
        },
    )
    customer_counts.wrote(
        connection,
        claim.contact_id,
        name=claim.customer.name,
        messages=sum(message.kind != MessageKind.EVENT for message in claim.messages),
        intent=turn.intent,
        now=turn.ended,
    )


def _count(connection: Connection, turn: TurnCommit) -> None:
    claim, used = turn.claim, turn.model_calls
    sums = figures.of_turn(
        claim,
        ended=turn.ended,
        status=turn.status,
        outcome=turn.outcome,
        sentiment=turn.sentiment,
        confidence=turn.reply.confidence if turn.reply is not None else None,
        handed=turn.handoff is not None,
        tokens=(sum(c["tokens_in"] for c in used), sum(c["tokens_out"] for c in used)),
    )
    figures.add(
        connection,
        sums,
        at=turn.ended,
        channel=claim.channel,
        tier=claim.customer.level,
        intent=turn.intent,
    )


def _insert_effects(connection: Connection, turn: TurnCommit, at: str) -> None:
    ids = {"turn_id": turn.turn_id, "conversation_id": turn.claim.conversation_id, "at": at}
    for effect in turn.effects:
        payload = json.dumps(effect.payload, ensure_ascii=False)
        _EFFECT.run(connection, ids | {"key": effect.key, "kind": effect.kind, "payload": payload})
    people = ids | {"contact_id": turn.claim.contact_id}
    if turn.handoff is not None:
        _insert_handoff(connection, turn.handoff, people)
    if turn.unknown_question is not None:
        content, confidence = turn.unknown_question
        _UNKNOWN.run(connection, people | {"content": content, "confidence": confidence})
    for call in turn.model_calls:
        record_model_call(connection, call, turn_id=turn.turn_id, at=at)
    if turn.status != "done":
        _park(connection, turn, at)


def _insert_handoff(connection: Connection, handoff: HandoffRow, ids: dict[str, str]) -> None:
    open_handoff(connection, handoff, **ids)
    record(
        connection,
        at=ids["at"],
        actor=f"turn:{ids['turn_id']}",
        action="handoff.open",
        subject=ids["conversation_id"],
        detail=asdict(handoff),
    )


def _park(connection: Connection, turn: TurnCommit, at: str) -> None:
    claim = turn.claim
    connection.execute(
        text(
            "INSERT INTO dead_letters (conversation_id, message_ids, error, attempts, status,"
            " created_at) VALUES (:conversation, :ids, :error, :attempts, 'parked', :at)"
        ),
        {
            "conversation": claim.conversation_id,
            "ids": json.dumps([m.row_id for m in claim.messages]),
            "error": turn.error or "",
            "attempts": claim.attempts,
            "at": at,
        },
    )
    record(
        connection,
        at=at,
        actor=f"turn:{turn.turn_id}",
        action="message.park",
        subject=claim.conversation_id,
        detail={"error": turn.error, "attempts": claim.attempts},
    )


def release(
    connection: Connection, claim: Claim, *, retry_at: float, error: str | None = None
) -> bool:
    """Give the conversation back, due again at ``retry_at``; with ``error`` it counts as failed."""
    result = connection.execute(
        text(
            "UPDATE conversations SET lease_owner = NULL, lease_until = 0, due_at = :retry_at,"
            " failures = failures + :failed, attempts = attempts - :undo,"
            " last_error = COALESCE(:error, last_error)"
            " WHERE id = :id AND fence = :fence AND lease_owner = :owner"
        ),
        {
            "retry_at": retry_at,
            "failed": 0 if error is None else 1,
            "undo": 1 if error is None else 0,
            "error": error,
            "id": claim.conversation_id,
            "fence": claim.fence,
            "owner": claim.owner,
        },
    )
    return result.rowcount == 1


def is_stale(connection: Connection, claim: Claim) -> bool:
    """Whether, since the claim, the customer has written or a person has taken over."""
    row = connection.execute(
        text("SELECT received, mode FROM conversations WHERE id = :id"),
        {"id": claim.conversation_id},
    ).one()
    return bool(row.received != claim.received or row.mode != claim.mode)


def replay_dead_letter(connection: Connection, dead_letter: int, *, now: float, actor: str) -> str:
    """Put parked messages back; returns their conversation. Raises NotFound."""
    row = connection.execute(
        text(
            "UPDATE dead_letters SET status = 'replayed', replayed_at = :at"
            " WHERE id = :id AND status = 'parked' RETURNING conversation_id, message_ids"
        ),
        {"id": dead_letter, "at": iso(now)},
    ).first()
    if row is None:
        raise NotFound("dead_letter_id", str(dead_letter))
    ids: Sequence[int] = json.loads(row[1])
    connection.execute(
        text(
            "UPDATE messages SET status = 'unread', turn_id = NULL"
            " WHERE id = :id AND status = 'dead'"
        ),
        [{"id": at} for at in ids],
    )
    connection.execute(
        text(
            "UPDATE conversations SET due_at = :now, first_unread_ts = :now, attempts = 0,"
            " failures = 0, received = received + 1 WHERE id = :id"
        ),
        {"now": now, "id": row[0]},
    )
    record(
        connection,
        at=iso(now),
        actor=actor,
        action="message.replay",
        subject=row[0],
        detail={"dead_letter": dead_letter},
    )
    return str(row[0])


def close_expired_sessions(connection: Connection, *, now: float, limit: int = 50) -> int:
    """Write the dialogue of ended sessions into ``conversation_thread``; returns how many."""
    rows = connection.execute(
        text(
            "SELECT session_key FROM sessions WHERE conversation_thread IS NULL"
            " AND last_active_at < :before ORDER BY last_active_at LIMIT :limit"
        ),
        {"before": iso(now - SESSION_PAUSE_S), "limit": limit},
    ).all()
    for (key,) in rows:
        history = connection.execute(
            text(
                "SELECT role, content, received_at FROM messages"
                " WHERE session_key = :key ORDER BY id"
            ),
            {"key": key},
        )
        thread = [{"role": r[0], "content": r[1], "time": r[2]} for r in history]
        connection.execute(
            text("UPDATE sessions SET conversation_thread = :thread WHERE session_key = :key"),
            {"thread": json.dumps(thread, ensure_ascii=False), "key": key},
        )
    return len(rows)
