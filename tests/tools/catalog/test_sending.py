"""Messages, files, pictures, and what is to be sent later."""

from typing import Any

import pytest

from domain.errors import InvalidInput
from tests.tools.catalog.calls import NOW, TIANWANG, XIAOMING, Desk, kinds, only


async def test_the_seeds_action_is_a_message_to_the_tasks_customer(desk: Desk) -> None:
    # Seed 000: "action": {"type": "send_message", "message": "这是您要的文件"}
    arguments = {"message": "这是您要的文件"}
    outcome = await desk.call("send_message", arguments, caller=TIANWANG, about=XIAOMING)
    (effect,) = outcome.effects
    assert (effect.kind, effect.name) == ("message", "message")
    assert effect.payload == {
        "to": {
            "conversation_id": outcome.output["conversation_id"],
            "channel": "webhook",
            "account": "shop",
            "chat_id": "customer_123",
            "sender_id": "customer_123",
            "contact_id": XIAOMING,
            "name": "小明",
            "pushes": True,
        },
        "type": "text",
        "text": "这是您要的文件",
        "url": "",
        "name": "",
    }
    assert outcome.output["messages"] == 1


@pytest.mark.parametrize(
    ("tool", "field", "kind"),
    [("send_file", "file_url", "file"), ("send_image", "image_url", "image")],
)
async def test_words_go_before_a_file_as_a_message_of_their_own(
    desk: Desk, tool: str, field: str, kind: str
) -> None:
    arguments = {field: "https://cdn.example/x/报价单.pdf?v=2", "message": "请查收"}
    outcome = await desk.call(tool, arguments, about=XIAOMING)
    assert kinds(outcome) == ["message:message", f"message:{kind}"]
    words, sent = (effect.payload for effect in outcome.effects)
    assert (words["type"], words["text"]) == ("text", "请查收")
    assert (sent["type"], sent["text"], sent["url"]) == (kind, "", arguments[field])
    assert sent["name"] == "报价单.pdf"
    assert outcome.output["messages"] == 2


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://cdn.example/%E6%8A%A5%E4%BB%B7.pdf", "报价.pdf"),
        ("https://cdn.example/a%2F..%2Fb.pdf", "b.pdf"),
        ("https://cdn.example/a%5Cb.pdf", "b.pdf"),
        ("https://cdn.example/a%0d%0ab.pdf", "a b.pdf"),
        ("https://cdn.example", "文件"),
        ("https://cdn.example/?id=3", "文件"),
        ("https://cdn.example/" + "长" * 300 + ".pdf", "长" * 124 + ".pdf"),
    ],
)
async def test_a_file_without_a_name_has_the_one_of_its_address(
    desk: Desk, url: str, name: str
) -> None:
    outcome = await desk.call("send_file", {"file_url": url}, about=XIAOMING)
    assert kinds(outcome) == ["message:file"]
    assert outcome.effects[0].payload["name"] == name


async def test_a_files_name_can_be_given(desk: Desk) -> None:
    arguments = {"file_url": "https://cdn.example/1", "file_name": "教程.pdf"}
    outcome = await desk.call("send_file", arguments, about=XIAOMING)
    assert outcome.effects[0].payload["name"] == "教程.pdf"


@pytest.mark.parametrize(
    ("arguments", "due_in", "shown"),
    [
        ({"time": "2026-02-28 09:00:00"}, 15 * 3600, "2026-02-28T09:00:00+08:00"),
        ({"time": "2026-02-28T09:00"}, 15 * 3600, "2026-02-28T09:00:00+08:00"),
        ({"time": "2026-02-28T01:00:00Z"}, 15 * 3600, "2026-02-28T09:00:00+08:00"),
        ({"time": "2026-02-27 18:00:01"}, 1, "2026-02-27T18:00:01+08:00"),
        ({"delay_minutes": 90}, 5400, "2026-02-27T19:30:00+08:00"),
    ],
)
async def test_naive_times_are_read_in_the_calls_zone(
    desk: Desk, arguments: dict[str, Any], due_in: float, shown: str
) -> None:
    outcome = await desk.call("schedule_message", arguments | {"message": "早"}, about=XIAOMING)
    payload = outcome.effects[0].payload
    assert kinds(outcome) == ["schedule:schedule"]
    assert payload["due_at"] == NOW + due_in
    assert (payload["action"], payload["arguments"]) == ("send_message", {"message": "早"})
    assert payload["to"]["contact_id"] == XIAOMING
    assert outcome.output["due_at"] == shown


@pytest.mark.parametrize(
    ("time", "hint"),
    [
        ("2026-02-27 18:00:00", "已经过去"),
        ("2026-02-27 17:59:59", "已经过去"),
        ("2026-02-27T09:59:59Z", "已经过去"),
        ("0001-01-01 00:00:00", "已经过去"),
        ("2027-03-01 00:00:00", "最多提前 366 天"),
        ("9999-12-31 23:59:59", "最多提前"),
        ("2026-02-28", "不是有效的时间"),
        ("2026-02-30 09:00:00", "不是有效的时间"),
        ("明天 9:00", "不是有效的时间"),
        ("{{trigger.time}}", "不是有效的时间"),
        ("25:61", "不是有效的时间"),
    ],
)
async def test_a_time_that_cannot_be_kept_is_refused(desk: Desk, time: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=hint) as caught:
        await desk.call("schedule_message", {"time": time, "message": "早"}, about=XIAOMING)
    assert caught.value.field == "time"


async def test_a_file_can_be_sent_later_with_or_without_words(desk: Desk) -> None:
    url = "https://cdn.example/a.pdf"
    for message in ({}, {"message": "请查收"}):
        arguments = {"delay_minutes": 1, "file_url": url} | message
        outcome = await desk.call("schedule_message", arguments, about=XIAOMING)
        payload = outcome.effects[0].payload
        assert payload["action"] == "send_file"
        assert payload["arguments"] == {"file_url": url} | message


async def test_what_is_scheduled_is_a_call_that_its_tool_takes(desk: Desk) -> None:
    arguments = {"delay_minutes": 1, "file_url": "https://cdn.example/a.pdf", "message": "请查收"}
    later = (await desk.call("schedule_message", arguments, about=XIAOMING)).effects[0].payload
    outcome = await desk.call(later["action"], later["arguments"], about=XIAOMING)
    assert kinds(outcome) == ["message:message", "message:file"]


async def test_messages_are_delivered_in_their_order(writing_desk: Desk) -> None:
    arguments = {"file_url": "https://cdn.example/a.pdf", "message": "请查收"}
    await writing_desk.apply(await writing_desk.call("send_file", arguments, about=XIAOMING))
    sent = await writing_desk.rows("SELECT message_id, queue, channel FROM outbox ORDER BY id")
    assert [row["message_id"] for row in sent] == ["call-1:message", "call-1:file"]
    assert len({row["queue"] for row in sent}) == 1


async def test_a_scheduled_message_waits_as_a_task(writing_desk: Desk) -> None:
    arguments = {"time": "2026-02-28 09:00:00", "message": "早上好!"}
    outcome = await writing_desk.call("schedule_message", arguments, about=XIAOMING)
    assert only(outcome, outcome.effects[0].kind).name == "schedule"
    await writing_desk.apply(outcome)
    (task,) = await writing_desk.rows("SELECT * FROM tasks")
    assert (task["customer_id"], task["action_message"]) == ("customer_123", "早上好!")
    assert task["due_at"] == NOW + 15 * 3600
