"""What tools bring about, as rows: each effect once under its key, on both databases."""

import json
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.decisions import Effect, EffectKind
from storage import history
from storage.database import Database
from storage.effects import Applied, Cause, apply
from storage.recipients import RecipientRow
from storage.tasks import TaskBook
from tools.registry import Recipient

BOOK = TaskBook(ZoneInfo("Asia/Shanghai"), callbacks=True)
NOW = 1_772_186_400.0  # 2026-02-27 18:00:00 in Shanghai
TO = asdict(Recipient("c_1", "webhook", "shop", "群", "甲", "webhook:shop:甲", "小明"))
CAUSE = Cause(actor="tianwang", conversation_id="c_1", contact_id="webhook:shop:甲")
PUSHING = frozenset({"webhook", "staff", "tuhui"})
NOTICE = {"title": "需要人工", "text": "请看", "priority": "high", "reason": "task"}
DISPATCH = {
    "title": "图片处理-1234",
    "description": "抠图",
    "task_type": "image_process",
    "priority": 2,
    "designer": "",
    "contact_id": "webhook:shop:甲",
}


async def write(
    database: Database,
    *effects: Effect,
    key: str = "task:T1:1",
    cause: Cause = CAUSE,
    channels: frozenset[str] = PUSHING,
    now: float = NOW,
) -> Applied:
    return await database.write(
        lambda c: apply(c, effects, key=key, cause=cause, now=now, book=BOOK, channels=channels)
    )


async def rows(database: Database, sql: str) -> list[dict[str, Any]]:
    return await database.read(lambda c: history.rows(c, sql))


def message(text: str = "您好", effect: str = "message", **fields: Any) -> Effect:
    return Effect(EffectKind.MESSAGE, effect, {"to": TO, "type": "text", "text": text} | fields)


async def test_a_message_is_a_line_of_the_history_and_a_delivery_in_its_conversations_queue(
    database: Database,
) -> None:
    applied = await write(database, message())
    assert applied == Applied(("c_1",), 1)
    (said,) = await rows(database, "SELECT * FROM messages")
    assert (said["role"], said["content"], said["conversation_id"]) == ("assistant", "您好", "c_1")
    (out,) = await rows(database, "SELECT * FROM outbox")
    assert (out["queue"], out["channel"], out["account"]) == ("c_1", "webhook", "shop")
    assert json.loads(out["payload"]) == {
        "chat_id": "群",
        "to": "甲",
        "text": "您好",
        "created_at": NOW,
    }


async def test_a_file_keeps_its_address_and_name_and_is_a_readable_line_of_the_history(
    database: Database,
) -> None:
    url = "https://files.example/a.pdf"
    await write(database, message("", "file", type="file", url=url, name="a.pdf"))
    (said,) = await rows(database, "SELECT content, kind, attachments FROM messages")
    assert (said["content"], said["kind"]) == (f"[文件] a.pdf {url}", "file")
    assert json.loads(said["attachments"]) == [{"kind": "file", "url": url}]
    (out,) = await rows(database, "SELECT payload FROM outbox")
    payload = json.loads(out["payload"])
    assert (payload["type"], payload["url"], payload["name"]) == ("file", url, "a.pdf")


async def test_a_message_that_the_caller_is_handed_is_history_and_not_delivered(
    database: Database,
) -> None:
    cause = Cause(actor="tianwang", conversation_id="c_1", shown_in="c_1")
    assert await write(database, message(), cause=cause) == Applied((), 0)
    assert await rows(database, "SELECT 1 AS n FROM messages") == [{"n": 1}]
    assert await rows(database, "SELECT 1 FROM outbox") == []


async def test_a_tasks_deliveries_carry_its_run_and_its_attempts(database: Database) -> None:
    cause = Cause("tianwang", conversation_id="c_1", task_id="T1", task_run=2, max_attempts=4)
    await write(database, message(), Effect(EffectKind.NOTICE, "notice", NOTICE), cause=cause)
    found = await rows(database, "SELECT task_id, task_run, max_attempts FROM outbox ORDER BY id")
    assert found == [{"task_id": "T1", "task_run": 2, "max_attempts": 4}] * 2


async def test_tags_are_added_and_removed(database: Database) -> None:
    contact = {"contact_id": "webhook:shop:甲"}
    await write(database, Effect(EffectKind.TAG, "tag", contact | {"add": ["老客", "急"]}))
    change = contact | {"add": ["老客"], "remove": ["急", "没有的"]}
    await write(database, Effect(EffectKind.TAG, "tag", change), key="task:T2:1")
    found = await rows(database, "SELECT tag, added_by FROM customer_tags")
    assert found == [{"tag": "老客", "added_by": "tianwang"}]


async def test_a_customer_is_changed_also_one_that_has_not_written_yet(
    database: Database,
) -> None:
    contact = {"contact_id": "webhook:shop:甲"}
    first = contact | {"changes": {"name": "小明", "state": "deal"}}
    second = contact | {"changes": {"remark": "送货上门"}}
    await write(database, Effect(EffectKind.CUSTOMER, "customer", first))
    await write(database, Effect(EffectKind.CUSTOMER, "customer", second), key="task:T2:1")
    (found,) = await rows(database, "SELECT name, state, remark, total_messages FROM customers")
    wanted = {"name": "小明", "state": "deal", "remark": "送货上门", "total_messages": 0}
    assert found == wanted


@pytest.mark.parametrize("column", ["score", "contact_id", "name = '' --"])
async def test_no_other_column_of_a_customer_can_be_changed(
    database: Database, column: str
) -> None:
    payload = {"contact_id": "webhook:shop:甲", "changes": {column: "1"}}
    with pytest.raises(ValueError, match="a customer has no"):
        await write(database, Effect(EffectKind.CUSTOMER, "customer", payload))
    assert await rows(database, "SELECT 1 FROM customers UNION ALL SELECT 1 FROM effects") == []


HANDOFF = {"reason": "task", "priority": "normal", "target": "desk", "question": "好的"}


async def test_a_handoff_is_opened_once_a_conversation_and_grows_more_urgent(
    database: Database,
) -> None:
    await write(database, Effect(EffectKind.HANDOFF, "handoff", HANDOFF))
    urgent = HANDOFF | {"priority": "high", "conversation_id": "c_1"}
    await write(database, Effect(EffectKind.HANDOFF, "handoff", urgent), key="task:T2:1")
    found = await rows(
        database, "SELECT conversation_id, contact_id, priority, status FROM handoffs"
    )
    assert found == [
        {
            "conversation_id": "c_1",
            "contact_id": "webhook:shop:甲",
            "priority": "high",
            "status": "open",
        }
    ]
    audit = await rows(database, "SELECT actor, action, subject FROM audit")
    assert audit == [{"actor": "tianwang", "action": "handoff.open", "subject": "c_1"}] * 2


async def test_picture_work_is_a_row_with_its_pictures(database: Database) -> None:
    payload = {
        "contact_id": "webhook:shop:甲",
        "conversation_id": "c_1",
        "title": "图片处理-1234",
        "requirement": "去水印",
        "images": ["https://files.example/a.png"],
    }
    await write(database, Effect(EffectKind.IMAGE_TASK, "image_task", payload))
    (found,) = await rows(database, "SELECT requirement, images FROM image_tasks")
    assert found["requirement"] == "去水印"
    assert json.loads(found["images"]) == ["https://files.example/a.png"]


async def test_a_scheduled_message_is_a_task_of_ours_that_calls_nobody_back(
    database: Database,
) -> None:
    payload = {
        "due_at": NOW + 60,
        "to": TO,
        "action": "send_message",
        "arguments": {"message": "早上好"},
    }
    await write(database, Effect(EffectKind.SCHEDULE, "schedule", payload))
    listed, total = await database.read(
        lambda c: BOOK.listed(c, customer_id="甲", status="pending", limit=10, offset=0)
    )
    (task,) = listed
    assert (total, task.source, task.trigger_type) == (1, "tool", "time_reach")
    assert (task.due_at, task.action_type, task.customer_name) == (
        NOW + 60,
        "send_message",
        "小明",
    )
    assert task.body["to"] == TO


async def test_a_notice_waits_in_a_queue_and_a_dispatch_for_its_first_step(
    database: Database,
) -> None:
    applied = await write(
        database,
        Effect(EffectKind.DISPATCH, "dispatch", DISPATCH),
        Effect(EffectKind.NOTICE, "notice", NOTICE | {"conversation_id": "c_9"}),
    )
    assert applied == Applied(("notice:task:T1:1:notice",), 2)
    found = await rows(database, "SELECT channel, kind, conversation_id FROM outbox ORDER BY id")
    assert found == [
        {"channel": "staff", "kind": "notice", "conversation_id": "c_9"},
    ]
    (wanted,) = await rows(
        database, "SELECT key, step, conversation_id, due_at, task_id, task_run FROM dispatches"
    )
    assert wanted == {
        "key": "task:T1:1:dispatch",
        "step": "wanted",
        "conversation_id": "c_1",
        "due_at": NOW,
        "task_id": None,
        "task_run": 0,
    }


async def test_a_notice_without_a_staff_channel_stays_a_row_for_the_console(
    database: Database,
) -> None:
    effect = Effect(EffectKind.NOTICE, "notice", NOTICE)
    assert await write(database, effect, channels=frozenset()) == Applied()
    (found,) = await rows(database, "SELECT kind, payload FROM effects")
    assert (found["kind"], json.loads(found["payload"])) == ("notice", NOTICE)


ONE_OF_EACH = (
    message(),
    message("二", "second"),
    Effect(EffectKind.TAG, "tag", {"contact_id": "x", "add": ["老客"]}),
    Effect(EffectKind.CUSTOMER, "customer", {"contact_id": "x", "changes": {"name": "小明"}}),
    Effect(EffectKind.HANDOFF, "handoff", HANDOFF),
    Effect(EffectKind.NOTICE, "notice", NOTICE),
    Effect(EffectKind.DISPATCH, "dispatch", DISPATCH),
    Effect(
        EffectKind.SCHEDULE,
        "schedule",
        {"due_at": NOW + 60, "to": TO, "action": "send_message", "arguments": {"message": "x"}},
    ),
    Effect(
        EffectKind.IMAGE_TASK,
        "image_task",
        {
            "contact_id": "x",
            "conversation_id": "c_1",
            "title": "t",
            "requirement": "r",
            "images": [],
        },
    ),
)
TABLES = (
    "messages",
    "outbox",
    "customer_tags",
    "customers",
    "handoffs",
    "tasks",
    "image_tasks",
    "audit",
    "effects",
)


async def counted(database: Database) -> dict[str, int]:
    found = {}
    for table in TABLES:
        (row,) = await rows(database, f"SELECT COUNT(*) AS n FROM {table}")
        found[table] = row["n"]
    return found


async def test_under_one_key_every_effect_is_written_once(database: Database) -> None:
    first = await write(database, *ONE_OF_EACH)
    written = await counted(database)
    assert (first.deliveries, written["effects"]) == (4, len(ONE_OF_EACH))
    await database.write(lambda c: c.exec_driver_sql("DELETE FROM customer_tags").rowcount)
    again = await write(database, *ONE_OF_EACH, now=NOW + 3_600)
    assert again == Applied()
    assert await counted(database) == written | {"customer_tags": 0}


async def test_under_another_key_the_same_effects_are_others(database: Database) -> None:
    for run in (1, 2):
        await write(database, *ONE_OF_EACH, key=f"task:T1:{run}")
    written = await counted(database)
    assert (written["messages"], written["outbox"], written["tasks"]) == (4, 6, 2)
    assert (written["handoffs"], written["customers"], written["customer_tags"]) == (1, 1, 1)


async def test_recipients_of_effects_have_the_shape_of_those_that_rows_know() -> None:
    assert set(RecipientRow.__dataclass_fields__) == set(TO) - {"pushes"}
