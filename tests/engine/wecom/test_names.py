"""How customers are called is learnt beside the work, and nothing waits for it."""

import asyncio
import functools

from sqlalchemy import Connection

from storage import kf_names
from tests.engine.processes import Clock
from tests.engine.wecom.acting import question
from tests.engine.wecom.desk import Desk, serving
from tests.sandbox_server import SandboxServer

ASK = "kf/customer/batchget"


def run(sql: str, connection: Connection) -> None:
    connection.exec_driver_sql(sql).close()


async def name(desk: Desk, customer: str) -> str:
    rows = await desk.process.rows(
        "SELECT customer_name FROM conversations WHERE sender_id = :who", who=customer
    )
    return str(rows[0]["customer_name"]) if rows else ""


async def named(desk: Desk, customer: str, shown: str) -> None:
    async def is_named() -> bool:
        return await name(desk, customer) == shown

    await desk.process.until(is_named)


async def asked(sandbox: SandboxServer) -> int:
    return len(await asyncio.to_thread(lambda: sandbox.journal(kind=ASK)))


async def test_a_customer_is_called_as_they_call_themselves_in_one_line(desk: Desk) -> None:
    await desk.say("wmOne", question("甲"), name="小\n明 ")
    await desk.answered("wmOne", 1)
    await named(desk, "wmOne", "小 明")
    await desk.say("wmOne", question("乙"))
    await desk.answered("wmOne", 2)
    assert await desk.process.rows("SELECT name FROM customers") == [{"name": "小 明"}]


async def test_many_customers_are_asked_about_in_few_calls_and_each_once(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    burst = {"customers": 30, "messages": 90, "text": question("{number}")}
    await asyncio.to_thread(desk.wecom.play, "burst", burst)
    await desk.ring()
    await desk.quiet()
    await desk.say("wmOne", question("甲"), name="小明")
    await named(desk, "wmOne", "小明")
    customers = [
        one
        for call in await asyncio.to_thread(lambda: sandbox_server.journal(kind=ASK))
        for one in call["body"]["external_userid_list"]
    ]
    assert len(customers) == len(set(customers)) == 31


async def test_who_has_no_name_is_not_asked_about_with_each_message(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    for number in range(4):
        await desk.say("wmOne", question(number), name="\u200b")
        await desk.pulled()
    await desk.say("wmTwo", question("甲"), name="小红")
    await named(desk, "wmTwo", "小红")
    calls = await asyncio.to_thread(lambda: sandbox_server.journal(kind=ASK))
    asked_about = [one for call in calls for one in call["body"]["external_userid_list"]]
    assert asked_about.count("wmOne") == 1
    assert await name(desk, "wmOne") == ""


async def test_a_name_that_somebody_has_given_stays(desk: Desk) -> None:
    await desk.say("wmOne", question("甲"), name="小明")
    await named(desk, "wmOne", "小明")
    await desk.answered("wmOne", 1)
    for renamed in (
        "UPDATE conversations SET customer_name = '王总'",
        "UPDATE customers SET name = '王总'",
    ):
        await desk.process.write(functools.partial(run, renamed))
    assert await desk.process.database.read(lambda c: kf_names.unnamed(c, ["wmOne"])) == []
    await desk.process.write(lambda c: kf_names.name(c, "wmOne", "小明"))
    assert await name(desk, "wmOne") == "王总"
    assert await desk.process.rows("SELECT name FROM customers") == [{"name": "王总"}]


async def test_a_customer_is_answered_though_nobody_knows_their_name_and_named_later(
    database_url: str, sandbox_server: SandboxServer
) -> None:
    clock = Clock()
    async with serving(database_url, sandbox_server, clock=clock) as desk:
        sandbox_server.fault("wecom", "status", request_kind=ASK, status=503)
        for about in "甲乙":
            await desk.say("wmOne", question(about), name="小明")
        assert len(await desk.answered("wmOne", 1)) >= 1
        await asyncio.to_thread(lambda: sandbox_server.journal(kind=ASK, at_least=1, wait=10.0))
        sandbox_server.clear_faults()
        assert await name(desk, "wmOne") == ""
        clock.ahead = 61.0
        await desk.say("wmOne", question("丙"))
        await named(desk, "wmOne", "小明")
        assert await asked(sandbox_server) >= 2
