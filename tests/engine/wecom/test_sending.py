"""Answers through customer service: within the quota, once each, and never lost in silence."""

import asyncio
import time

import pytest

from domain.errors import PeerRejected
from storage.clock import iso
from tests.engine.wecom.acting import dead, due, met, notices, put, question
from tests.engine.wecom.desk import Desk
from tests.sandbox.wecom import KF
from tests.sandbox_server import SandboxServer
from tools.wecom.kf import MAX_TEXT_BYTES, SessionState


async def test_answers_that_wait_leave_together_when_the_quota_is_short(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    await put(desk, "wmOne", [f"第{number}条" for number in range(8)])
    await desk.quiet()
    seen = (await desk.answers("wmOne"))[1:]
    assert len(seen) <= 3
    assert "".join(seen).replace("\n", "") == "".join(f"第{number}条" for number in range(8))
    assert await dead(desk) == []
    assert await desk.refused() == 0


async def test_what_the_quota_does_not_allow_is_a_dead_letter_and_staff_hear_of_it(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    for number in range(5):
        await put(desk, "wmOne", [f"第{number}条"])
        await desk.quiet()
    assert (await desk.answers("wmOne"))[1:] == ["第0条", "第1条", "第2条"]
    errors = await dead(desk)
    assert len(errors) == 2
    assert all("5 条" in error for error in errors)
    told = await notices(sandbox_server, 2)
    assert len(told) == 2
    assert await desk.refused() == 0
    await desk.say("wmOne", question("乙"))
    await desk.answered("wmOne", 5)
    rows = await desk.process.rows("SELECT id FROM outbox WHERE status = 'dead' ORDER BY id")
    await desk.process.engine.resend(rows[0]["id"], actor="小王")
    assert (await desk.answered("wmOne", 6))[-1] == "第3条"


async def test_a_person_s_word_may_use_what_is_kept_in_reserve(desk: Desk) -> None:
    await met(desk)
    for number in range(3):
        await put(desk, "wmOne", [f"第{number}条"])
        await desk.quiet()
    await put(desk, "wmOne", ["我是小王"], turn="")
    assert (await desk.answered("wmOne", 5))[-1] == "我是小王"
    assert await dead(desk) == []


async def test_an_urgent_word_takes_no_place_from_what_is_still_being_composed(
    desk: Desk,
) -> None:
    await met(desk)
    for number in range(2):
        await put(desk, "wmOne", [f"第{number}条"])
        await desk.quiet()
    # As while the customer's next message is being answered.
    await due(desk, time.time() + 3_600)
    await put(desk, "wmOne", ["已为您转接"], turn="", at=iso(time.time()))

    async def held_back() -> bool:
        rows = await desk.process.rows("SELECT last_error FROM outbox WHERE status = 'pending'")
        return any(row["last_error"] for row in rows)

    await desk.process.until(held_back)
    await put(desk, "wmOne", ["还有一条"], at=iso(time.time()))
    await due(desk, None)
    assert (await desk.answered("wmOne", 4))[-1] == "已为您转接\n\n还有一条"
    assert await dead(desk) == []


async def test_a_place_is_left_for_the_answer_to_what_is_still_to_be_read(desk: Desk) -> None:
    await met(desk)
    # As after a pull that has failed: something is there, and nobody knows of whom.
    await desk.process.write(
        lambda c: c.exec_driver_sql(
            f"UPDATE kf_accounts SET wanted_ts = {time.time() + 3_600}"
        ).close()
    )
    await put(desk, "wmOne", [f"第{number}条" for number in range(3)])

    async def all_sent() -> bool:
        return not await desk.process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")

    await desk.process.until(all_sent)
    assert (await desk.answers("wmOne"))[1:] == ["第0条", "第1条\n\n第2条"]
    assert await dead(desk) == []


async def test_a_long_answer_is_cut_between_characters_and_what_does_not_fit_is_told(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    whole = "".join(f"{number}😀字" for number in range(900))
    await put(desk, "wmOne", [whole])
    await desk.quiet()
    seen = (await desk.answers("wmOne"))[1:]
    assert all(len(part.encode()) <= MAX_TEXT_BYTES for part in seen)
    parts = -(-len(whole.encode()) // MAX_TEXT_BYTES)
    assert parts > 3 == len(seen)
    assert whole.startswith("".join(seen))
    (error,) = await dead(desk)
    assert "额度只够前 3 段" in error
    assert len(await notices(sandbox_server, 1)) == 1


async def test_a_lost_answer_is_not_sent_twice_and_costs_once(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    for number in range(3):
        sandbox_server.fault("wecom", "lost_answer", count=1, request_kind="kf/send_msg")
        await put(desk, "wmOne", [f"第{number}条"])
        await desk.quiet()
    assert (await desk.answers("wmOne"))[1:] == ["第0条", "第1条", "第2条"]
    assert await dead(desk) == []
    assert await desk.refused("quota") == 0


async def test_nothing_is_sent_to_who_wrote_more_than_two_days_ago(desk: Desk) -> None:
    await met(desk)
    await desk.process.write(
        lambda c: c.exec_driver_sql(
            f"UPDATE reply_windows SET expires_ts = {time.time() - 1}"
        ).close()
    )
    await put(desk, "wmOne", ["晚了"])
    await desk.quiet()
    (error,) = await dead(desk)
    assert "48 小时" in error
    assert await desk.refused() == 0


async def test_the_platform_s_own_word_on_the_window_ends_in_a_dead_letter(desk: Desk) -> None:
    await met(desk)
    desk.wecom.set("kf/rules", messages=1)
    await put(desk, "wmOne", ["多了"])
    await desk.quiet()
    await put(desk, "wmOne", ["还是多了"])
    await desk.quiet()
    first, second = await dead(desk)
    assert "95001" in first
    assert "5 条" in second
    assert await desk.refused("quota") == 1


async def test_the_session_is_the_assistant_s_from_the_first_answer_on(desk: Desk) -> None:
    await met(desk)
    assert await asyncio.to_thread(desk.wecom.state, "wmOne") == SessionState.ASSISTANT
    sends = len(await asyncio.to_thread(desk.wecom.refused))
    assert sends == 0


async def test_what_was_to_be_sent_when_a_person_took_over_is_kept_from_the_customer(
    desk: Desk,
) -> None:
    await met(desk)
    change = {"customer": "wmOne", "change_type": 1}
    await asyncio.to_thread(desk.wecom.play, "session", change)
    await put(desk, "wmOne", ["晚了"])
    await desk.quiet()
    (error,) = await dead(desk)
    assert "人工" in error
    assert await desk.process.rows("SELECT mode FROM conversations") == [{"mode": "human"}]
    assert len(await desk.answers("wmOne")) == 1


async def test_an_ended_session_takes_nothing_before_the_customer_writes(desk: Desk) -> None:
    await met(desk)
    await asyncio.to_thread(desk.wecom.play, "session", {"customer": "wmOne", "change_type": 3})
    await put(desk, "wmOne", ["再见"])
    await desk.quiet()
    (error,) = await dead(desk)
    assert "95018" in error
    await desk.say("wmOne", question("乙"))
    assert len(await desk.answered("wmOne", 2)) == 2


async def test_who_enters_is_welcomed_once(desk: Desk) -> None:
    await desk.pulled()
    for _ in range(2):
        await asyncio.to_thread(desk.wecom.play, "enter", {"customer": "wmNew", "scene": "qr"})
        await desk.ring()
    await desk.ring()
    (welcome,) = await desk.answered("wmNew", 1)
    assert welcome == desk.process.templates.render("kf_welcome", seed="x")
    assert await dead(desk) == []


async def test_a_welcome_that_comes_too_late_is_left_out(desk: Desk) -> None:
    await desk.puller.stop()
    await asyncio.to_thread(desk.wecom.play, "enter", {"customer": "wmNew"})
    await asyncio.to_thread(desk.wecom.pass_time, 30.0)
    await desk.puller.start()
    await desk.quiet()
    assert await desk.answers("wmNew") == []
    (error,) = await dead(desk)
    assert "20 秒" in error
    await asyncio.to_thread(desk.wecom.play, "enter", {"customer": "wmNew"})
    await desk.ring()
    assert len(await desk.answered("wmNew", 1)) == 1


async def test_a_message_that_fails_later_becomes_a_dead_letter_after_all(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    desk.wecom.set("kf/settings", fail_rate=1.0, fail_type=10, fail_after_s=0.05)
    await put(desk, "wmOne", ["收不到"])

    async def failed() -> bool:
        await desk.ring()
        return bool(await dead(desk))

    await desk.process.until(failed)
    (error,) = await dead(desk)
    assert "客户拒收" in error
    assert len(await notices(sandbox_server, 1)) == 1
    desk.wecom.set("kf/settings", fail_rate=0.0)
    await desk.quiet()
    (row,) = await desk.process.rows("SELECT id FROM outbox WHERE status = 'dead'")
    await desk.process.engine.resend(row["id"], actor="小王")
    assert (await desk.answered("wmOne", 2))[-1] == "收不到"


async def test_answers_that_left_together_fail_together_and_can_each_be_sent_again(
    desk: Desk,
) -> None:
    await met(desk)
    desk.wecom.set("kf/settings", fail_rate=1.0, fail_type=10, fail_after_s=0.5)
    texts = [f"第{number}条" for number in range(8)]
    await put(desk, "wmOne", texts)

    async def all_failed() -> bool:
        await desk.ring()
        return len(await dead(desk)) == len(texts)

    await desk.process.until(all_failed)
    desk.wecom.set("kf/settings", fail_rate=0.0)
    await desk.say("wmOne", question("乙"))
    await desk.answered("wmOne", 2)
    rows = await desk.process.rows("SELECT id FROM outbox WHERE status = 'dead' ORDER BY id")
    for row in rows[:2]:
        await desk.process.engine.resend(row["id"], actor="小王")
        await desk.quiet()
    assert (await desk.answers("wmOne"))[2:] == texts[:2]


async def test_a_message_fails_later_though_nobody_knew_yet_that_it_was_taken(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    desk.wecom.set("kf/settings", fail_rate=1.0, fail_type=10, fail_after_s=0.0)
    sandbox_server.fault("wecom", "lost_answer", count=1, request_kind="kf/send_msg")
    sandbox_server.fault("wecom", "refuse", request_kind="kf/send_msg")
    await put(desk, "wmOne", ["收不到"])

    async def failed() -> bool:
        await desk.ring()
        return bool(await dead(desk))

    await desk.process.until(failed)
    sandbox_server.clear_faults()
    await desk.quiet()
    (error,) = await dead(desk)
    assert "客户拒收" in error
    assert len(await notices(sandbox_server, 1)) == 1


async def test_a_scene_that_cannot_be_is_refused_before_the_platform_does(desk: Desk) -> None:
    with pytest.raises(PeerRejected, match="scene"):
        await desk.client.contact_way(KF, "有中文")
    assert (await desk.client.contact_way(KF, "shop")).startswith("https://")
    assert [one.open_kfid for one in await desk.client.accounts()] == [KF]
