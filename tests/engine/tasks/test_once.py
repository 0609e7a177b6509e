"""A task fires at most once: many messages, two processes, a crash, a cancellation at once."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from engine.delivery import Channel
from engine.tasks.desk import TaskConflict
from tests.databases import fresh_postgres_database
from tests.engine.processes import Clock, Process, Tasks, a_message, running_process
from tests.engine.tasks.orders import PATIENT, audit, becomes, on_keyword, receive, status

FILE = "文件在这里"
MANY = 50


async def start(
    stack: AsyncExitStack, url: str, channels: dict[str, Channel], owner: str
) -> Process:
    running = running_process(url, channels=channels, policy=PATIENT, owner=owner, tasks=Tasks())
    return await stack.enter_async_context(running)


async def say_to(processes: list[Process], text: str) -> list[dict[str, Any]]:
    """The answers to one message in each of many conversations, all at once."""
    return await asyncio.gather(
        *(
            processes[n % len(processes)].engine.ask(a_message("", whole=text, chat=f"客户{n}"))
            for n in range(MANY)
        )
    )


async def fires_once(processes: list[Process]) -> None:
    task = await receive(processes[0], trigger=on_keyword("好的"))
    answers = await say_to(processes, "好的")
    told = Counter(answer["decision"] for answer in answers)
    assert told == {"task": 1, "chat": MANY - 1}
    assert [a["content"] for a in answers if a["decision"] == "task"] == [FILE]
    assert all(FILE not in a["content"] for a in answers if a["decision"] == "chat")
    process = processes[0]
    fired = [action for action, _ in await audit(process, task) if action == "task.fire"]
    assert (len(fired), await status(process, task)) == (1, "completed")
    assert await process.count("turns") == MANY
    assert await process.rows("SELECT 1 FROM dead_letters") == []
    said = await process.rows("SELECT 1 FROM messages WHERE content = :file", file=FILE)
    assert len(said) == 1


async def test_of_fifty_matching_messages_at_once_one_fires_and_the_others_are_answered(
    process: Process,
) -> None:
    await fires_once([process])


async def test_of_fifty_matching_messages_on_two_processes_one_fires(
    postgres_url: str, channels: dict[str, Channel]
) -> None:
    with fresh_postgres_database(postgres_url) as url:
        async with AsyncExitStack() as stack:
            await fires_once([await start(stack, url, channels, owner) for owner in ("p1", "p2")])


async def test_a_turn_that_lost_its_task_to_another_message_is_run_again_and_answered(
    process: Process,
) -> None:
    task = await receive(process, trigger=on_keyword("好的"))
    hold = process.knowledge.hold("慢")
    losing = asyncio.create_task(
        process.engine.ask(a_message("", whole="好的,充电桩慢怎么安装", chat="乙"))
    )
    await hold.reached.wait()
    assert (await process.engine.ask(a_message("", whole="好的")))["content"] == FILE
    hold.let_go.set()
    answer = await losing
    # The whole message is what was asked: of its trigger nothing came.
    assert answer["content"] == "答:好的,充电桩慢怎么安装"
    assert (answer["tasks"], await status(process, task)) == ([], "completed")


async def test_a_task_that_one_process_receives_is_watched_for_by_the_other_at_once(
    database_url: str, channels: dict[str, Channel]
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await start(stack, database_url, channels, owner) for owner in ("p1", "p2")]
        for n in range(5):
            task = await receive(one, trigger=on_keyword(f"暗号{n}"))
            answer = await two.engine.ask(a_message("", whole=f"暗号{n}", chat=f"客户{n}"))
            assert answer["content"] == FILE
            assert await status(one, task) == "completed"


async def test_what_ended_elsewhere_costs_a_message_nothing(
    database_url: str, channels: dict[str, Channel]
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await start(stack, database_url, channels, owner) for owner in ("p1", "p2")]
        ids = [await receive(one, trigger=on_keyword("好的")) for _ in range(40)]
        await two.engine.ask(a_message("零号"))  # knows them all now
        for task in ids[:-1]:
            await one.tasks.cancel(task, "不要了", actor="tianwang")
        answer = await two.engine.ask(a_message("", whole="好的"))
        assert [acted["task_id"] for acted in answer["tasks"]] == ids[-1:]
        claims = await two.rows("SELECT fence FROM conversations WHERE chat_id = '甲'")
        assert claims == [{"fence": 2}]


async def test_of_a_cancellation_and_a_firing_at_once_exactly_one_wins(
    database_url: str, channels: dict[str, Channel]
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await start(stack, database_url, channels, owner) for owner in ("p1", "p2")]
        for n in range(12):
            chat = f"客户{n}"
            task = await receive(one, customer={"id": chat})
            asking = asyncio.create_task(two.engine.ask(a_message("", whole="好的", chat=chat)))
            await asyncio.sleep(0.001 * (n % 6))
            wanted = "cancelled"
            try:
                await one.tasks.cancel(task, "客户取消订单", actor="tianwang")
            except TaskConflict:
                wanted = "completed"
            answer = await asking
            assert (FILE in answer["content"]) is (wanted == "completed")
            await becomes(one, task, wanted)
            ends = [action for action, _ in await audit(one, task)][1:]
            fired = ["task.fire", "task.completed"]
            assert ends == (fired if wanted == "completed" else ["task.cancelled"])


async def test_a_process_forgets_tasks_whose_time_is_over(process: Process, clock: Clock) -> None:
    assert process.work is not None
    for n in range(5):
        await receive(process, trigger=on_keyword(f"暗号{n}"), timeout_hours=1)
    last = await receive(process, trigger=on_keyword("暗号"))
    await process.engine.ask(a_message("零号"))
    assert len(process.work.watch) == 6
    clock.ahead = 3_601
    await process.engine.ask(a_message("一号"))
    assert (len(process.work.watch), await status(process, last)) == (1, "pending")


async def test_a_process_knows_what_waits_before_its_first_message(database_url: str) -> None:
    async with running_process(database_url, tasks=Tasks()) as process:
        for n in range(7):
            await receive(process, trigger=on_keyword(f"暗号{n}"))
    async with running_process(database_url, owner="p2", tasks=Tasks()) as process:
        work = process.work
        assert work is not None

        async def warm() -> bool:
            return len(work.watch) == 7

        await process.until(warm)
