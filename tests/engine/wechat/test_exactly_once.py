"""Each message of a customer's gets one answer: in a response, or as a customer-service message."""

import asyncio
import random

from engine.wechat.replies import Timing
from tests.engine.wechat.account import Account, ask, serving, show

HASTY = Timing(reply=0.15, platform=10.0, grace=0.05)
"""Waits shortly, while the platform would wait for long."""


async def test_an_answer_in_time_leaves_in_the_response_and_nowhere_else(account: Account) -> None:
    message = ask("早")
    phone = await account.send(message)
    await account.quiet()
    assert phone.passive == [f"答:{message['Content']}"]
    assert phone.pushed == []


async def test_a_late_answer_leaves_as_a_message_and_the_response_says_nothing(
    database_url: str,
) -> None:
    async with serving(database_url, timing=HASTY) as account:
        hold = account.knowledge.hold("晚")
        message = ask("晚")
        phone = await account.send(message)
        assert phone.seen == []
        hold.let_go.set()
        assert await account.pushed("o1") == [f"答:{message['Content']}"]
        assert phone.passive == []


async def test_a_retry_waits_for_the_same_turn_and_carries_the_answer(account: Account) -> None:
    hold, message, gone = account.knowledge.hold("再"), ask("再"), asyncio.Event()
    first = asyncio.create_task(account.deliver(message, gone=gone))
    await hold.reached.wait()
    gone.set()
    assert (await first).body == b"success"
    again = asyncio.create_task(account.deliver(message))
    hold.let_go.set()
    phone = account.platform.phone("o1")
    show(phone, await again)
    await account.quiet()
    assert phone.seen == [f"答:{message['Content']}"]
    assert account.knowledge.searched == [message["Content"]], "one turn"


async def test_an_answer_whose_response_was_lost_is_given_to_the_retry(database_url: str) -> None:
    timing = Timing(reply=0.4, platform=0.5, margin=0.05)
    async with serving(database_url, timing=timing) as account:
        message = ask("丢")
        phone = await account.send(message, lost=2)
        await account.quiet()
        assert phone.seen == [f"答:{message['Content']}"]
        assert len(account.knowledge.searched) == 1


async def test_a_callback_that_comes_twice_at_once_is_answered_once(account: Account) -> None:
    hold, message = account.knowledge.hold("双"), ask("双")
    both = [asyncio.create_task(account.deliver(message)) for _ in range(2)]
    await hold.reached.wait()
    hold.let_go.set()
    phone = account.platform.phone("o1")
    for answer in await asyncio.gather(*both):
        show(phone, answer)
    show(phone, await account.deliver(message))
    await account.quiet()
    assert phone.seen == [f"答:{message['Content']}"]


async def test_a_platform_that_has_hung_up_gets_nothing_and_the_answer_is_sent(
    database_url: str,
) -> None:
    async with serving(database_url, timing=HASTY) as account:
        hold, message, gone = account.knowledge.hold("断"), ask("断"), asyncio.Event()
        asked = asyncio.create_task(account.deliver(message, gone=gone))
        await hold.reached.wait()
        gone.set()
        hold.let_go.set()
        assert (await asked).body == b"success"
        assert await account.pushed("o1") == [f"答:{message['Content']}"]


async def test_a_process_that_dies_before_its_response_is_written_has_answered_nothing(
    database_url: str,
) -> None:
    timing = Timing(reply=1.0, platform=0.2, margin=-10.0, grace=0.1)
    async with serving(database_url, timing=timing) as account:
        message = ask("死")
        lost = await account.deliver(message, written=False)
        assert b"<Content>" in lost.body
        assert await account.pushed("o1") == [f"答:{message['Content']}"]
        await account.intake.written(lost)
        assert (await account.deliver(message)).body == b"success"
        await account.quiet()
        assert account.platform.phone("o1").seen == [f"答:{message['Content']}"]


async def test_a_response_that_a_frozen_process_wrote_too_late_is_not_repeated(
    database_url: str,
) -> None:
    timing = Timing(reply=1.0, platform=0.2, margin=-10.0, grace=0.1)
    async with serving(database_url, timing=timing) as account:
        message = ask("冻")
        lost = await account.deliver(message, written=False)
        await account.pushed("o1")
        await account.intake.written(lost)
        account.clock.ahead += 60.0
        assert (await account.deliver(message)).body == b"success"
        assert account.platform.phone("o1").seen == [f"答:{message['Content']}"]


async def test_an_answer_that_became_ready_at_the_last_moment_is_sent_instead(
    database_url: str,
) -> None:
    timing = Timing(reply=0.5, platform=0.1, margin=0.1)
    async with serving(database_url, timing=timing) as account:
        message = ask("迟")
        assert (await account.deliver(message)).body == b"success"
        assert await account.pushed("o1") == [f"答:{message['Content']}"]


async def test_answers_keep_their_order_whatever_way_they_take(database_url: str) -> None:
    async with serving(database_url, timing=HASTY) as account:
        hold, first, second = account.knowledge.hold("一"), ask("一"), ask("二")
        assert (await account.deliver(first)).body == b"success"
        account.platform.codes = [-1, -1, -1]
        asked = asyncio.create_task(account.deliver(second))
        hold.let_go.set()
        phone = account.platform.phone("o1")
        show(phone, await asked)
        await account.quiet()
        assert phone.seen[-1].endswith(second["Content"])
        assert len(phone.seen) == len(set(phone.seen))


async def test_another_process_gives_the_answer_of_a_turn_that_it_does_not_run(
    database_url: str,
) -> None:
    async with serving(database_url) as one:
        hold, message, gone = one.knowledge.hold("二"), ask("二"), asyncio.Event()
        first = asyncio.create_task(one.deliver(message, gone=gone))
        await hold.reached.wait()
        gone.set()
        await first
        async with serving(database_url, owner="p2", played=one.platform) as other:
            again = asyncio.create_task(other.deliver(message))
            hold.let_go.set()
            phone = one.platform.phone("o1")
            show(phone, await again)
            await one.quiet()
            assert phone.seen == [f"答:{message['Content']}"]
            assert other.knowledge.searched == []


async def test_customers_whose_answers_take_any_time_get_one_each(database_url: str) -> None:
    """Times around every limit, and responses that are lost; which way each takes is chance."""
    chance, timing = random.Random(6), Timing(reply=0.4, platform=0.6, margin=0.1, grace=0.2)
    async with serving(database_url, timing=timing) as account:

        async def one(number: int) -> None:
            message = ask(f"第{number}号", f"o{number}")
            hold = account.knowledge.hold(f"第{number}号")
            after, lost = chance.uniform(0.0, 1.5), chance.choice([0, 0, 0, 1])
            asyncio.get_running_loop().call_later(after, hold.let_go.set)
            await account.send(message, lost=lost)

        await asyncio.gather(*(one(number) for number in range(40)))
        await account.quiet()
        for number in range(40):
            phone = account.platform.phone(f"o{number}")
            assert len(phone.seen) == 1, (number, phone)
            assert phone.errors == []
