"""Tasks as rows: fired once, ended once, with a callback and an audit record, on both databases."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import storage.knowledge_tables
import storage.learning_tables
import storage.order_tables
import storage.platform_tables
import storage.task_tables  # noqa: F401
from domain.errors import InvalidInput
from storage import history, outbox
from storage.database import Database
from storage.tables import Row
from storage.tasks import NewTask, TaskBook, TaskRow, watch_version

BOOK = TaskBook(ZoneInfo("Asia/Shanghai"), callbacks=True)
NOW = 1_772_186_400.0  # 2026-02-27 18:00:00 in Shanghai


def a_task(task_id: str = "T1", **changes: Any) -> NewTask:
    task = NewTask(
        task_id=task_id,
        type="send_file_after_reply",
        trigger_type="customer_reply",
        action_type="send_message",
        body={"action": {"tool": "send_message", "arguments": {}}},
        customer_id="customer_123",
        expires_at=NOW + 3_600,
    )
    return replace(task, **changes)


async def add(database: Database, task: NewTask) -> bool:
    return await database.write(lambda c: BOOK.add(c, task, actor="tianwang", now=NOW))


async def get(database: Database, task_id: str = "T1") -> TaskRow:
    row = await database.read(lambda c: BOOK.get(c, task_id))
    assert row is not None
    return row


async def fire(database: Database, task_id: str = "T1") -> TaskRow | None:
    return await database.write(
        lambda c: BOOK.fire(c, task_id, cause={"message_id": "m1"}, now=NOW, due_at=None)
    )


async def callbacks(database: Database) -> list[dict[str, Any]]:
    rows = await database.read(
        lambda c: history.rows(c, "SELECT payload FROM outbox WHERE kind = 'callback' ORDER BY id")
    )
    return [json.loads(row["payload"]) for row in rows]


async def test_the_tables_are_those_of_the_migrations(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, Row.metadata)
        names = {"tasks", "counters", "tool_calls", "customer_tags", "image_task"}
        names |= {"pictures", "picture_sources", "dispatches", "approvals"}
        return [one for one in found if any(name in str(one) for name in names)]

    assert await database.read(differences) == []


async def test_times_are_stored_as_the_seed_prints_them(database: Database) -> None:
    await add(database, a_task())
    assert (await get(database)).created_at == "2026-02-27T18:00:00"


async def test_a_second_task_of_the_same_id_changes_nothing(database: Database) -> None:
    await add(database, a_task())
    assert not await add(database, a_task(customer_id="somebody_else"))
    assert (await get(database)).customer_id == "customer_123"


async def test_one_of_many_firings_at_once_succeeds(database: Database) -> None:
    await add(database, a_task())
    fired = await asyncio.gather(*(fire(database) for _ in range(20)))
    assert sum(row is not None for row in fired) == 1


async def test_watched_tasks_are_numbered_in_the_order_in_which_they_became_visible(
    database: Database,
) -> None:
    await asyncio.gather(*(add(database, a_task(f"T{n}")) for n in range(30)))
    rows = await database.read(lambda c: BOOK.watched_after(c, 0, 100))
    assert [row.watch_no for row in rows] == list(range(1, 31))
    assert await database.read(watch_version) == 30


async def test_what_is_read_after_a_number_is_what_came_after_it(database: Database) -> None:
    for n in range(4):
        await add(database, a_task(f"T{n}"))
    rows = await database.read(lambda c: BOOK.watched_after(c, 2, 100))
    assert [row.task_id for row in rows] == ["T2", "T3"]


async def test_a_timed_task_is_not_watched_for(database: Database) -> None:
    await add(database, a_task(trigger_type="time_reach", fires_at=NOW + 60, expires_at=None))
    assert await database.read(watch_version) == 0
    assert await database.read(lambda c: BOOK.next_due(c, now=NOW)) == NOW + 60


async def test_a_completed_task_calls_back_once_with_its_facts(database: Database) -> None:
    await add(database, a_task(created_by="设计师 lz"))
    row = await fire(database)
    assert row is not None
    for _ in range(2):
        await database.write(lambda c: BOOK.complete(c, row, now=NOW + 1, result={"sent": True}))
    (told,) = await callbacks(database)
    assert told == {
        "event_id": "evt_T1_1",
        "sequence": 1,
        "event": "task.completed",
        "task_id": "T1",
        "type": "send_file_after_reply",
        "status": "completed",
        "customer_id": "customer_123",
        "created_by": "设计师 lz",
        "created_at": "2026-02-27T18:00:00",
        "triggered_at": "2026-02-27T18:00:00",
        "completed_at": "2026-02-27T18:00:01",
        "error_message": None,
        "retry_count": 0,
        "result": {"sent": True},
    }


async def test_a_task_of_a_tool_calls_nobody_back(database: Database) -> None:
    await add(database, a_task(source="tool"))
    row = await fire(database)
    assert row is not None
    await database.write(lambda c: BOOK.complete(c, row, now=NOW))
    assert await callbacks(database) == []


async def test_what_has_fired_is_neither_cancelled_nor_expired(database: Database) -> None:
    await add(database, a_task())
    pending = await get(database)
    await fire(database)
    cancelled = await database.write(
        lambda c: BOOK.cancel(c, pending, reason="客户取消订单", actor="tianwang", now=NOW)
    )
    expired = await database.write(lambda c: BOOK.expire(c, pending, error="迟", now=NOW))
    assert (cancelled, expired) == (None, None)
    assert (await get(database)).status == "triggered"


async def test_a_failed_task_acts_again_under_a_new_key_and_tells_a_second_end(
    database: Database,
) -> None:
    await add(database, a_task())
    first = await fire(database)
    assert first is not None
    await database.write(lambda c: BOOK.fail(c, first, error="坏了", now=NOW))
    second = await database.write(lambda c: BOOK.retry(c, "T1", actor="operator", now=NOW))
    assert second is not None
    assert second.key != first.key
    await database.write(lambda c: BOOK.complete(c, second, now=NOW))
    assert [one["event_id"] for one in await callbacks(database)] == ["evt_T1_1", "evt_T1_2"]


async def test_only_a_failed_task_is_tried_again(database: Database) -> None:
    await add(database, a_task())
    retried = await database.write(lambda c: BOOK.retry(c, "T1", actor="operator", now=NOW))
    assert retried is None


async def test_due_tasks_are_claimed_by_one_process(database: Database) -> None:
    for n in range(50):
        await add(database, a_task(f"T{n}", trigger_type="time_reach", fires_at=NOW - 1))

    async def claim(owner: str) -> list[TaskRow]:
        return await database.write(
            lambda c: BOOK.claim_due(c, owner=owner, now=NOW, lease_s=30, limit=40), key=owner
        )

    one, two = await asyncio.gather(claim("p1"), claim("p2"))
    ids = [row.task_id for row in one + two]
    assert len(ids) == len(set(ids)) == 50


async def delivered(
    database: Database, row: TaskRow, outcome: str, error: str | None = None
) -> None:
    item = outbox.NewDelivery(
        row.key, "q", "message", "webhook", "shop", "c", "", {}, row.task_id, row.run_no
    )

    def unit(connection: Connection) -> None:
        outbox.add(connection, [item], "2026-02-27T10:00:00.000+00:00")
        claimed = outbox.claim_head(connection, "q", owner="p", now=NOW, lease_s=30)
        assert claimed is not None
        BOOK.settled(connection, claimed, outcome=outcome, error=error, now=NOW)

    await database.write(unit)


async def waiting_task(database: Database) -> TaskRow:
    await add(database, a_task())
    row = await fire(database)
    assert row is not None
    await database.write(lambda c: BOOK.wait_for(c, row, deliveries=1, result={}))
    return row


async def test_the_last_delivery_of_an_action_completes_the_task(database: Database) -> None:
    await delivered(database, await waiting_task(database), "delivered")
    assert (await get(database)).status == "completed"


async def test_a_delivery_that_is_a_dead_letter_fails_the_task_with_its_reason(
    database: Database,
) -> None:
    await delivered(database, await waiting_task(database), "dead", "对方拒绝")
    row = await get(database)
    assert (row.status, row.error_message) == ("failed", "对方拒绝")


async def test_a_delivery_of_an_earlier_firing_does_not_end_a_later_one(
    database: Database,
) -> None:
    first = await waiting_task(database)
    await database.write(lambda c: BOOK.fail(c, first, error="坏了", now=NOW))
    await database.write(lambda c: BOOK.retry(c, "T1", actor="operator", now=NOW))
    await delivered(database, first, "delivered")
    assert (await get(database)).status == "triggered"


async def test_a_dead_delivery_of_a_task_is_not_resent_by_itself(database: Database) -> None:
    row = await waiting_task(database)
    await delivered(database, row, "dead", "对方拒绝")
    await database.write(lambda c: outbox.dead(c, 1, owner="p", error="对方拒绝", now=NOW))
    with pytest.raises(InvalidInput, match="重试任务"):
        await database.write(lambda c: outbox.resend(c, 1, now=NOW, actor="operator"))


async def test_a_task_set_to_pending_by_hand_is_watched_for_again(database: Database) -> None:
    await add(database, a_task())
    row = await fire(database)
    assert row is not None
    await database.write(lambda c: BOOK.complete(c, row, now=NOW))
    by_hand = "UPDATE tasks SET status='pending' WHERE task_id='T1'"
    await database.write(lambda c: c.exec_driver_sql(by_hand).rowcount)
    assert await database.write(lambda c: BOOK.moor(c, now=NOW)) == 1
    again = await get(database)
    assert again.watch_no == await database.read(watch_version) == 2
    assert again.due_at == NOW + 24 * 3_600


async def test_every_change_is_in_the_audit_log_with_its_cause(database: Database) -> None:
    await add(database, a_task())
    row = await fire(database)
    assert row is not None
    await database.write(lambda c: BOOK.fail(c, row, error="坏了", now=NOW))
    found = await database.read(
        lambda c: history.rows(
            c, "SELECT action, detail FROM audit WHERE subject = 'T1' ORDER BY id"
        )
    )
    assert [one["action"] for one in found] == ["task.receive", "task.fire", "task.failed"]
    assert json.loads(found[1]["detail"]) == {"message_id": "m1"}


async def test_lists_are_paged_newest_first_with_the_true_total(database: Database) -> None:
    for n in range(7):
        await add(database, a_task(f"T{n}", customer_id="a" if n % 2 else "b"))
    rows, total = await database.read(
        lambda c: BOOK.listed(c, customer_id="b", status="pending", limit=2, offset=2)
    )
    assert ([row.task_id for row in rows], total) == (["T2", "T0"], 4)
