"""Intake, claims and turn commits, on SQLite and PostgreSQL."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Literal

import pytest
from sqlalchemy import Connection

from domain.errors import NotFound, StaleTurn
from domain.messages import InboundMessage
from storage import history, inbox, outbox, turns
from storage.database import Database
from storage.inbox import Claim, Receipt
from storage.turns import HandoffRow, ReplyRow, TurnCommit


def a_message(
    number: int = 1,
    *,
    chat: str = "chat",
    text: str = "你好",
    route: Literal["push", "poll"] = "poll",
) -> InboundMessage:
    return InboundMessage(
        channel="api",
        account="agent_001",
        channel_message_id=f"m{number}",
        chat_id=chat,
        sender_id="用户A",
        sender_name="用户A",
        text=text,
        received_at=time.time(),
        route=route,
    )


async def receive(database: Database, message: InboundMessage, owner: str | None = None) -> Receipt:
    return await database.write(
        lambda c: inbox.receive(c, message, claim_for=owner), key=message.conversation
    )


async def claim(database: Database, conversation: str, owner: str = "p1", at: float = 0) -> Claim:
    claimed = await maybe_claim(database, conversation, owner, at)
    assert claimed is not None
    return claimed


async def maybe_claim(
    database: Database, conversation: str, owner: str = "p1", at: float = 0, limit: int = 10
) -> Claim | None:
    now = at or time.time() + 0.01
    return await database.write(
        lambda c: inbox.claim(c, conversation, owner=owner, now=now, lease_s=30, merge_limit=limit),
        key=conversation,
    )


def a_turn(claim: Claim, **changes: object) -> TurnCommit:
    now = time.time()
    turn = TurnCommit(
        claim=claim,
        turn_id=f"t{claim.fence}",
        status="done",
        action="reply",
        intent="greeting",
        result=json.dumps({"content": "您好"}),
        started=now,
        ended=now,
        outcome="solved",
        reply=ReplyRow(f"r{claim.fence}", "您好", 0.9, ("e1",), 0, 3),
    )
    return replace(turn, **changes)  # type: ignore[arg-type]


async def commit(database: Database, turn: TurnCommit) -> turns.Committed:
    return await database.write(lambda c: turns.commit(c, turn), key=turn.claim.conversation_id)


async def test_a_message_is_stored_once_however_often_it_is_delivered(database: Database) -> None:
    receipts = await asyncio.gather(*(receive(database, a_message()) for _ in range(8)))
    assert sorted(r.duplicate for r in receipts) == [False] + [True] * 7
    assert len({r.row_id for r in receipts}) == 1


async def test_a_duplicate_of_an_answered_message_brings_the_first_answer(
    database: Database,
) -> None:
    first = await receive(database, a_message(), owner="p1")
    assert first.claim is not None
    await commit(database, a_turn(first.claim))
    again = await receive(database, a_message(), owner="p1")
    assert again.duplicate
    assert again.claim is None
    assert json.loads(again.result or "") == {"content": "您好"}


async def test_only_one_of_many_claims_gets_the_conversation(database: Database) -> None:
    receipt = await receive(database, a_message())
    claims = await asyncio.gather(
        *(maybe_claim(database, receipt.conversation_id, f"p{i}") for i in range(8))
    )
    assert sum(c is not None for c in claims) == 1


async def test_an_expired_lease_is_taken_over_and_the_old_holder_cannot_commit(
    database: Database,
) -> None:
    receipt = await receive(database, a_message())
    old = await claim(database, receipt.conversation_id, "slow")
    new = await claim(database, receipt.conversation_id, "fast", at=old.until + 1)
    with pytest.raises(StaleTurn):
        await commit(database, a_turn(old))
    committed = await commit(database, a_turn(new))
    assert committed.due_at is None
    found = await database.read(lambda c: history.recent_messages(c, old.conversation_id, limit=9))
    assert [m["role"] for m in found] == ["user", "assistant"]


async def test_a_stale_commit_leaves_others_of_its_group_untouched(database: Database) -> None:
    a = await receive(database, a_message(1, chat="a"), owner="p1")
    b = await receive(database, a_message(2, chat="b"), owner="p1")
    assert a.claim is not None
    assert b.claim is not None
    stale = replace(a.claim, fence=99)
    results = await asyncio.gather(
        commit(database, a_turn(stale, turn_id="ta")),
        commit(database, a_turn(b.claim, turn_id="tb", reply=None)),
        return_exceptions=True,
    )
    assert isinstance(results[0], StaleTurn)
    assert isinstance(results[1], turns.Committed)


async def test_a_message_that_arrives_during_a_turn_makes_the_conversation_due_again(
    database: Database,
) -> None:
    first = await receive(database, a_message(1), owner="p1")
    assert first.claim is not None
    await receive(database, a_message(2), owner="p1")
    committed = await commit(database, a_turn(first.claim))
    assert committed.due_at is not None
    second = await claim(database, first.conversation_id)
    assert [m.channel_message_id for m in second.messages] == ["m2"]


async def test_unread_messages_are_merged_in_order_up_to_the_limit(database: Database) -> None:
    for number in range(5):
        receipt = await receive(database, a_message(number, route="push"))
    first = await maybe_claim(database, receipt.conversation_id, limit=3)
    assert first is not None
    assert [m.channel_message_id for m in first.messages] == ["m0", "m1", "m2"]
    assert first.more
    committed = await commit(database, a_turn(first))
    assert committed.due_at is not None
    second = await claim(database, receipt.conversation_id)
    assert [m.channel_message_id for m in second.messages] == ["m3", "m4"]


async def test_messages_whose_callers_wait_each_get_a_turn_of_their_own(
    database: Database,
) -> None:
    for number in range(3):
        receipt = await receive(database, a_message(number))
    first = await claim(database, receipt.conversation_id)
    assert [m.channel_message_id for m in first.messages] == ["m0"]
    assert first.more


async def test_debounce_is_extended_by_each_message_but_bounded(database: Database) -> None:
    start = 1_000.0
    due = []
    for number, at in enumerate((0.0, 0.5, 1.0, 1.5)):
        message = replace(a_message(number), received_at=start + at)
        receipt = await database.write(
            lambda c, m=message: inbox.receive(c, m, debounce=0.8, max_debounce=2.0)  # type: ignore[misc]
        )
        due.append(round((receipt.due_at or 0) - start, 3))
    assert due == [0.8, 1.3, 1.8, 2.0]


async def test_a_failed_turn_is_due_again_and_counts_its_failures(database: Database) -> None:
    receipt = await receive(database, a_message(), owner="p1")
    assert receipt.claim is not None
    failed = receipt.claim
    await database.write(lambda c: turns.release(c, failed, retry_at=time.time(), error="boom"))
    again = await claim(database, receipt.conversation_id)
    assert (again.failures, again.attempts, again.last_error) == (1, 2, "boom")


async def test_a_turn_that_was_given_back_unharmed_counts_nothing(database: Database) -> None:
    receipt = await receive(database, a_message(), owner="p1")
    assert receipt.claim is not None
    unharmed = receipt.claim
    await database.write(lambda c: turns.release(c, unharmed, retry_at=time.time()))
    again = await claim(database, receipt.conversation_id)
    assert (again.failures, again.attempts) == (0, 1)


async def test_parked_messages_can_be_replayed_once(database: Database) -> None:
    receipt = await receive(database, a_message(), owner="p1")
    assert receipt.claim is not None
    await commit(database, a_turn(receipt.claim, status="failed", error="boom"))
    parked = await database.read(
        lambda c: history.dead_letters(c, status="parked", limit=5, offset=0)
    )
    assert [p["error"] for p in parked] == ["boom"]

    def replay(connection: Connection) -> str:
        return turns.replay_dead_letter(
            connection, parked[0]["id"], now=time.time(), actor="operator"
        )

    await database.write(replay)
    again = await claim(database, receipt.conversation_id)
    assert [m.channel_message_id for m in again.messages] == ["m1"]
    with pytest.raises(NotFound):
        await database.write(replay)


async def test_one_open_handoff_per_conversation(database: Database) -> None:
    for number, priority in ((1, "normal"), (2, "high")):
        receipt = await receive(database, a_message(number), owner="p1")
        assert receipt.claim is not None
        handoff = HandoffRow("complaint", priority, "desk", "我要投诉")
        await commit(database, a_turn(receipt.claim, handoff=handoff))
    found = await database.read(lambda c: history.handoffs(c, status=None, limit=5, offset=0))
    assert [h["priority"] for h in found] == ["high"]


async def test_an_ended_session_gets_its_dialogue_written_once(database: Database) -> None:
    receipt = await receive(database, a_message(), owner="p1")
    assert receipt.claim is not None
    await commit(database, a_turn(receipt.claim))
    later = time.time() + 3600
    assert await database.write(lambda c: turns.close_expired_sessions(c, now=later)) == 1
    assert await database.write(lambda c: turns.close_expired_sessions(c, now=later)) == 0
    stored = await database.read(lambda c: history.rows(c, "SELECT * FROM sessions"))
    thread = json.loads(stored[0]["conversation_thread"])
    assert [(m["role"], m["content"]) for m in thread] == [("user", "你好"), ("assistant", "您好")]


async def test_the_columns_of_seed_003_are_there_under_their_names(database: Database) -> None:
    wanted = {
        "messages": "id session_key contact_id content role confidence tokens_total latency_ms"
        " rag_evidence_ids received_at",
        "sessions": "id session_key contact_id customer_name conversation_thread"
        " conversation_outcome satisfaction_score turn_count total_tokens created_at"
        " last_active_at",
        "customers": "id contact_id name level score state total_messages satisfaction_avg"
        " last_active_at",
    }
    for table, columns in wanted.items():
        sql = f"SELECT {', '.join(columns.split())} FROM {table}"
        assert await database.read(lambda c, sql=sql: history.rows(c, sql)) == []  # type: ignore[misc]


def a_delivery(number: int, queue: str = "q") -> outbox.NewDelivery:
    return outbox.NewDelivery(
        f"d{number}", queue, "message", "webhook", "shop", "c1", "t1", {"text": f"第{number}条"}
    )


async def head(database: Database, queue: str, at: float, owner: str = "p1") -> str | None:
    found = await database.write(
        lambda c: outbox.claim_head(c, queue, owner=owner, now=at, lease_s=10)
    )
    return found.message_id if found else None


async def test_a_queue_hands_out_only_its_oldest_pending_delivery(database: Database) -> None:
    await database.write(lambda c: outbox.add(c, [a_delivery(1), a_delivery(2)], "now"))
    now = time.time()
    assert await head(database, "q", now) == "d1"
    assert await head(database, "q", now, owner="p2") is None
    await database.write(lambda c: outbox.delivered(c, 1, owner="p1", now=now))
    assert await head(database, "q", now, owner="p2") == "d2"


async def test_a_postponed_delivery_holds_its_queue_back_and_no_other(database: Database) -> None:
    new = [a_delivery(1), a_delivery(2), a_delivery(3, queue="other")]
    await database.write(lambda c: outbox.add(c, new, "now"))
    now = time.time()
    assert await head(database, "q", now) == "d1"
    await database.write(
        lambda c: outbox.postpone(c, 1, owner="p1", error="503", retry_at=now + 60)
    )
    assert await head(database, "q", now + 1) is None
    assert await head(database, "other", now + 1) == "d3"
    assert await head(database, "q", now + 61) == "d1"


async def test_a_dead_delivery_lets_the_next_pass_and_can_be_resent(database: Database) -> None:
    await database.write(lambda c: outbox.add(c, [a_delivery(1), a_delivery(2)], "now"))
    now = time.time()
    await head(database, "q", now)
    await database.write(lambda c: outbox.dead(c, 1, owner="p1", error="410", now=now))
    assert await head(database, "q", now) == "d2"
    await database.write(lambda c: outbox.delivered(c, 2, owner="p1", now=now))
    await database.write(lambda c: outbox.resend(c, 1, now=now, actor="operator"))
    assert await head(database, "q", now) == "d1"


async def test_the_same_delivery_is_added_once(database: Database) -> None:
    first = await database.write(lambda c: outbox.add(c, [a_delivery(1)], "now"))
    second = await database.write(lambda c: outbox.add(c, [a_delivery(1)], "now"))
    assert (len(first), second) == (1, ())


async def test_tokens_of_committed_model_calls_count_by_provider_from_an_instant_on(
    database: Database,
) -> None:
    call = {
        "provider": "deepseek",
        "model": "m",
        "purpose": "reply",
        "outcome": "ok",
        "status": 200,
        "attempt": 1,
        "tokens_in": 30,
        "tokens_out": 12,
        "tokens_estimated": False,
        "latency_ms": 5,
        "cost": None,
        "currency": "",
        "error": None,
    }
    receipt = await receive(database, a_message(), owner="p1")
    assert receipt.claim is not None
    await commit(database, a_turn(receipt.claim, model_calls=(call, call)))
    now = time.time()
    used = await database.read(lambda c: history.tokens_by_provider(c, since=now - 60))
    assert used == {"deepseek": 84}
    assert await database.read(lambda c: history.tokens_by_provider(c, since=now + 60)) == {}
