"""Customer-service messages: within the quota, in parts, pictures; and accounts that have none."""

import asyncio

from engine.wechat.channel import WechatChannel
from engine.wechat.replies import Timing
from storage import outbox
from storage.outbox import NewDelivery
from tests.engine.wechat.account import APP_ID, Account, ask, serving, show
from tests.engine.wechat.test_exactly_once import HASTY
from tools.wechat.messages import parts_of


async def owe(account: Account, key: str, text: str, /, **more: str) -> None:
    """Something to be sent that is no answer."""
    payload = {"chat_id": "o1", "to": "o1", "text": text, "created_at": 0.0} | more
    delivery = NewDelivery(key, f"q:{key}", "message", "wechat", APP_ID, "c", "t", payload)
    await account.database.write(lambda c: outbox.add(c, [delivery], "2026-01-01"))
    account.parts.wake_queues([f"q:{key}"])


async def status_of(account: Account, name: str) -> tuple[str, str]:
    async def settled() -> bool:
        return not await account.rows(
            "SELECT 1 FROM outbox WHERE message_id = :name AND status = 'pending'", name=name
        )

    await account.until(settled)
    (row,) = await account.rows(
        "SELECT status, last_error FROM outbox WHERE message_id = :name", name=name
    )
    return row["status"], row["last_error"] or ""


async def test_no_more_is_sent_than_the_platform_allows(account: Account) -> None:
    await account.send(ask("早"))
    for number in range(6):
        await owe(account, f"m{number}", f"第{number}条")
        await status_of(account, f"m{number}")
    status, error = await status_of(account, "m5")
    assert status == "dead"
    assert "条数已达上限" in error
    assert account.platform.phone("o1").pushed == [f"第{number}条" for number in range(5)]


async def test_a_new_message_of_the_customer_opens_the_window_again(account: Account) -> None:
    await account.send(ask("早"))
    for number in range(6):
        await owe(account, f"m{number}", "话")
        await status_of(account, f"m{number}")
    await account.send(ask("晚"))
    await owe(account, "again", "又一条")
    assert (await status_of(account, "again"))[0] == "delivered"


async def test_nothing_is_sent_to_who_has_not_written(account: Account) -> None:
    await owe(account, "m", "您好")
    assert (await status_of(account, "m"))[0] == "dead"
    assert account.platform.paths("/cgi-bin/message/custom/send") == []


async def test_a_long_text_is_sent_in_parts_and_a_retry_sends_the_rest(account: Account) -> None:
    await account.send(ask("早"))
    text = "。".join(f"第{number}句话说得很长很长" for number in range(200))
    parts = parts_of(text)
    assert len(parts) > 2
    assert all(len(part.encode()) <= 2_048 for part in parts)
    account.platform.codes = [0, -1]
    await owe(account, "long", text)

    async def postponed() -> bool:
        return bool(await account.rows("SELECT 1 FROM outbox WHERE last_error LIKE '%-1%'"))

    await account.until(postponed)
    account.clock.ahead += 120.0
    account.parts.wake_queues(["q:long"])
    assert (await status_of(account, "long"))[0] == "delivered"
    assert account.platform.phone("o1").pushed == parts


async def test_a_refusal_for_the_quota_closes_the_window(account: Account) -> None:
    await account.send(ask("早"))
    account.platform.codes = [45047]
    await owe(account, "first", "一")
    assert (await status_of(account, "first"))[0] == "dead"
    await owe(account, "second", "二")
    assert (await status_of(account, "second"))[0] == "dead"
    assert len(account.platform.paths("/cgi-bin/message/custom/send")) == 1


async def test_a_picture_is_uploaded_and_sent_as_such(account: Account) -> None:
    await account.send(ask("早"))
    await owe(account, "p", "", type="image", url="https://shop.example/p.png", name="p.png")
    assert (await status_of(account, "p"))[0] == "delivered"
    (shown,) = account.platform.phone("o1").pushed
    assert shown.startswith("media-")


async def test_a_file_is_sent_as_its_address(account: Account) -> None:
    await account.send(ask("早"))
    await owe(account, "f", "", type="file", url="https://shop.example/p.zip", name="成品")
    assert (await status_of(account, "f"))[0] == "delivered"
    assert account.platform.phone("o1").pushed == ["成品：https://shop.example/p.zip"]


async def test_a_template_message_spends_nothing_of_the_window(account: Account) -> None:
    payload = {"to": "o1", "template_id": "tpl", "data": {"keyword1": "订单 7"}}
    delivery = NewDelivery("t", "q:t", "template", "wechat", APP_ID, "c", "", payload)
    await account.database.write(lambda c: outbox.add(c, [delivery], "2026-01-01"))
    account.parts.wake_queues(["q:t"])
    assert (await status_of(account, "t"))[0] == "delivered"
    (body,) = account.platform.paths("/cgi-bin/message/template/send")
    assert '"data":{"keyword1":{"value":"订单 7"}}'.encode() in body
    assert isinstance(account.wechat.channels["wechat"], WechatChannel)


async def test_without_messages_a_late_answer_leaves_in_the_last_response_or_the_next(
    database_url: str,
) -> None:
    timing = Timing(reply=0.15, platform=0.3, deliveries=1)
    async with serving(database_url, timing=timing, appsecret=None) as account:
        hold, late = account.knowledge.hold("晚"), ask("晚")
        phone = account.platform.phone("o1")
        show(phone, await account.deliver(late))
        assert phone.seen == [account.services.templates.render("wechat_pending", seed="")]
        hold.let_go.set()

        async def handled() -> bool:
            return bool(await account.rows("SELECT 1 FROM turns"))

        await account.until(handled)
        soon = ask("早")
        show(phone, await account.deliver(soon | {"CreateTime": soon["CreateTime"] - 60}))
        assert phone.passive[1].startswith(f"答:{late['Content']}")
        await account.quiet()
        assert "\n".join(phone.passive[1:]).count("答:") == 2


async def test_without_messages_the_retry_that_is_in_time_carries_the_answer(
    database_url: str,
) -> None:
    timing = Timing(reply=0.4, platform=0.5, margin=0.05)
    async with serving(database_url, timing=timing, appsecret=None) as account:
        hold, message = account.knowledge.hold("再"), ask("再")
        asyncio.get_running_loop().call_later(0.7, hold.let_go.set)
        phone = await account.send(message | {"CreateTime": message["CreateTime"] + 60})
        assert phone.passive == [f"答:{message['Content']}"]
        assert phone.errors == []


async def test_without_messages_what_is_to_be_said_waits_for_the_next_response(
    database_url: str,
) -> None:
    async with serving(database_url, appsecret=None) as account:
        phone = await account.send(ask("早"))
        (row,) = await account.rows("SELECT id FROM conversations")
        payload = {"to": "o1", "text": "订单已确认", "created_at": account.clock()}
        told = NewDelivery("n", row["id"], "message", "wechat", APP_ID, row["id"], "t", payload)
        await account.database.write(lambda c: outbox.add(c, [told], "2026-01-01"))
        account.parts.wake_queues([row["id"]])

        async def tried() -> bool:
            return bool(await account.rows("SELECT 1 FROM outbox WHERE last_error IS NOT NULL"))

        await account.until(tried)
        await account.send(ask("晚"))
        assert phone.passive[1].startswith("订单已确认\n答:")


async def test_late_answers_do_not_spend_more_than_one_message_each(database_url: str) -> None:
    async with serving(database_url, timing=HASTY) as account:
        hold = account.knowledge.hold("晚")
        await account.send(ask("晚"))
        hold.let_go.set()
        await account.pushed("o1")
        (row,) = await account.rows("SELECT spent FROM reply_windows")
        assert row["spent"].count(":reply:0") == 1
