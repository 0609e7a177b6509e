"""From the bell to the stored message: each once, in order, none from before the first start."""

import asyncio
from typing import Any

import pytest

from tests.engine.processes import Clock
from tests.engine.wecom.acting import question
from tests.engine.wecom.desk import Desk, serving
from tests.sandbox.wecom import Wecom
from tests.sandbox_server import SandboxServer


async def stored(desk: Desk, customer: str) -> list[str]:
    rows = await desk.process.rows(
        "SELECT content FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        " WHERE c.sender_id = :who AND role = 'user' ORDER BY m.id",
        who=customer,
    )
    return [row["content"] for row in rows]


async def test_a_burst_is_stored_whole_and_in_order_though_pages_are_empty_short_and_repeated(
    desk: Desk,
) -> None:
    desk.wecom.set("kf/settings", page=7, empty_rate=0.2, short_rate=0.3, repeat_rate=0.3)
    burst = {"customers": 5, "messages": 60, "text": question("{number}")}
    desk.wecom.play("burst", burst)
    await asyncio.gather(*(desk.ring() for _ in range(10)))
    await desk.quiet()
    for number in range(5):
        assert await stored(desk, f"wmBurst{number}") == [question(n) for n in range(1, 13)]
    turns = await desk.process.rows("SELECT message_ids FROM turns")
    ids = [one for row in turns for one in row["message_ids"].strip("[]").split(", ")]
    assert len(ids) == len(set(ids)) == 60
    assert await desk.refused("quota", "msgid", "token") == 0
    assert await desk.process.rows("SELECT 1 FROM outbox WHERE status <> 'delivered'") == []
    for number in range(5):
        seen = "\n".join(await desk.answers(f"wmBurst{number}"))
        assert [seen.count(question(n)) for n in range(1, 13)] == [1] * 12


async def test_what_was_written_before_the_first_start_is_history_and_not_answered(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    wecom = Wecom(sandbox_server)
    for number in range(3):
        wecom.say("wmOld", question(number), sent_ago_s=60.0 - number)
    async with serving(database_url, sandbox_server) as desk:
        await desk.pulled()
        assert len(await stored(desk, "wmOld")) == 3
        await desk.say("wmOld", question("新"))
        assert await desk.answered("wmOld", 1) == [f"答:{question('新')}"]
    wecom.say("wmOld", question("停"))
    async with serving(database_url, sandbox_server) as desk:
        # Nobody rang for it: the process looks when it starts.
        answers = await desk.answered("wmOld", 2)
    assert answers == [f"答:{question('新')}", f"答:{question('停')}"]


async def test_a_cursor_that_is_refused_reads_three_days_again_and_answers_nothing_twice(
    desk: Desk,
) -> None:
    await desk.say("wmOne", question("甲"))
    await desk.answered("wmOne", 1)
    await desk.process.write(
        lambda c: c.exec_driver_sql("UPDATE kf_accounts SET cursor = 'bm9uZQ=='").close()
    )
    await desk.say("wmOne", question("乙"))
    assert await desk.answered("wmOne", 2) == [f"答:{question(n)}" for n in "甲乙"]
    assert await stored(desk, "wmOne") == [question("甲"), question("乙")]


async def test_a_token_that_is_too_old_is_done_without(desk: Desk) -> None:
    desk.wecom.say("wmOne", question("甲"))
    await desk.ring("ENCnobody")
    assert await desk.answered("wmOne", 1) == [f"答:{question('甲')}"]


async def test_two_processes_never_pull_one_account_at_once(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    async with (
        serving(database_url, sandbox_server, owner="p1") as one,
        serving(database_url, sandbox_server, owner="p2") as two,
    ):
        one.wecom.set("kf/settings", page=5, empty_rate=0.1)
        for number in range(40):
            desk = (one, two)[number % 2]
            await desk.say(f"wm{number % 4}", question(number))
        await one.quiet()
        await two.quiet()
        for customer in range(4):
            wanted = [question(n) for n in range(40) if n % 4 == customer]
            assert await stored(one, f"wm{customer}") == wanted
        turns = await one.process.rows("SELECT message_ids FROM turns")
        ids = [i for row in turns for i in row["message_ids"].strip("[]").split(", ")]
        assert len(ids) == len(set(ids)) == 40


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("location", {"latitude": 1.5, "longitude": 2, "name": "店", "address": "街"}),
    ("link", {"title": "题", "desc": "述", "url": "https://x.example/"}),
    ("business_card", {"userid": "zhangsan"}),
    ("miniprogram", {"title": "小", "appid": "wx1", "pagepath": "p"}),
    ("channels_shop_order", {"order_id": "o1", "product_titles": "鞋"}),
    ("merged_msg", {"title": "记录", "item": [{"sender_name": "甲", "msg_content": "话"}, 3]}),
    ("meeting", {}),
    ("from_the_future", {"a": [1, {"b": "\0"}]}),
    ("text", {"content": 5}),
]


async def test_every_type_is_stored_and_an_unknown_one_stops_nothing(desk: Desk) -> None:
    for msgtype, content in KINDS:
        desk.wecom.say("wmAll", msgtype=msgtype, content=content)
    desk.wecom.play("event", {"event_type": "of_tomorrow", "fields": {"external_userid": "wmAll"}})
    await desk.say("wmAll", "[图]", msgtype="image")
    await desk.say("wmAll", question("甲"))
    await desk.quiet()
    rows = await desk.process.rows(
        "SELECT kind, content, status, attachments FROM messages WHERE role = 'user'"
    )
    assert len(rows) == len(KINDS) + 3
    assert {row["status"] for row in rows} == {"handled"}
    (picture,) = [row for row in rows if row["kind"] == "image"]
    assert '"wecom:' in picture["attachments"]
    assert [row["content"] for row in rows if row["kind"] == "location"] == ["[位置]店 街 1.5 2"]
    assert any("from_the_future" in row["content"] for row in rows)


async def test_pulls_go_on_when_the_platform_comes_back(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await desk.pulled()
    sandbox_server.fault("wecom", "status", count=4, request_kind="kf/sync_msg", status=503)
    await desk.say("wmOne", question("甲"))
    assert await desk.answered("wmOne", 1) == [f"答:{question('甲')}"]


@pytest.mark.parametrize("change", ["servicer", "taken"])
async def test_a_servicer_who_takes_part_keeps_us_quiet_until_the_session_ends(
    desk: Desk, change: str
) -> None:
    await desk.say("wmOne", question("甲"))
    await desk.answered("wmOne", 1)
    if change == "servicer":
        await desk.say("wmOne", "我来处理", servicer="zhangsan")
    else:
        desk.wecom.play("session", {"customer": "wmOne", "change_type": 1})
        await desk.ring()
    await desk.pulled()
    await desk.say("wmOne", question("乙"))
    await desk.quiet()
    assert len(await desk.answers("wmOne")) == 1
    desk.wecom.play("session", {"customer": "wmOne", "change_type": 3})
    await desk.say("wmOne", question("丙"))
    assert (await desk.answered("wmOne", 2))[1:] == [f"答:{question('丙')}"]
    staff = await desk.process.rows("SELECT content FROM messages WHERE role = 'staff'")
    assert staff == ([{"content": "我来处理"}] if change == "servicer" else [])


async def test_a_session_that_timed_out_with_a_person_is_ours_again(desk: Desk) -> None:
    await desk.say("wmOne", question("甲"))
    await desk.answered("wmOne", 1)
    await asyncio.to_thread(desk.wecom.play, "session", {"customer": "wmOne", "change_type": 1})
    await desk.ring()
    await desk.pulled()
    assert await desk.process.rows("SELECT mode FROM conversations") == [{"mode": "human"}]
    # Two days without a word end it, and no event says so.
    await asyncio.to_thread(desk.wecom.pass_time, 48 * 3_600.0)
    await desk.say("wmOne", question("乙"))
    assert (await desk.answered("wmOne", 2))[1:] == [f"答:{question('乙')}"]


async def test_an_account_is_left_alone_for_a_minute_and_then_looked_at_without_a_bell(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    clock = Clock()
    async with serving(database_url, sandbox_server, clock=clock) as desk:
        await desk.pulled()
        desk.wecom.say("wmOne", question("甲"))
        clock.ahead = 61.0
        assert await desk.answered("wmOne", 1) == [f"答:{question('甲')}"]
