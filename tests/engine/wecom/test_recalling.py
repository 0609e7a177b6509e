"""What a customer takes back before it is answered is not answered, and stays in the history."""

import asyncio

from tests.engine.wecom.acting import question
from tests.engine.wecom.desk import Desk


async def recall(desk: Desk, customer: str, msgid: str) -> None:
    body = {"customer": customer, "msgid": msgid}
    await asyncio.to_thread(desk.wecom.play, "recall", body)


async def stored(desk: Desk) -> list[tuple[str, str]]:
    rows = await desk.process.rows(
        "SELECT content, status FROM messages WHERE role = 'user' AND kind = 'text' ORDER BY id"
    )
    return [(row["content"], row["status"]) for row in rows]


async def test_a_message_that_is_taken_back_in_the_same_page_is_not_answered(desk: Desk) -> None:
    await desk.pulled()  # what is looked for at the start may not see half of it
    taken_back = await asyncio.to_thread(desk.wecom.say, "wmOne", question("甲"))
    await recall(desk, "wmOne", taken_back)
    await desk.ring()
    await desk.quiet()
    assert await desk.answers("wmOne") == []
    assert await stored(desk) == [(question("甲"), "recalled")]
    await desk.say("wmOne", question("乙"))
    assert await desk.answered("wmOne", 1) == [f"答:{question('乙')}"]


async def test_of_several_messages_those_that_are_left_are_answered(desk: Desk) -> None:
    await desk.pulled()
    ids = [await asyncio.to_thread(desk.wecom.say, "wmOne", question(one)) for one in "甲乙丙"]
    await recall(desk, "wmOne", ids[1])
    await desk.ring()
    await desk.answered("wmOne", 1)
    seen = "\n".join(await desk.answers("wmOne"))
    assert [one in seen for one in "甲乙丙"] == [True, False, True]
    assert [status for _, status in await stored(desk)] == ["handled", "recalled", "handled"]


async def test_a_message_that_is_taken_back_while_its_answer_is_composed_is_not_answered(
    desk: Desk,
) -> None:
    hold = desk.process.knowledge.hold("甲")
    taken_back = await desk.say("wmOne", question("甲"))
    await hold.reached.wait()
    await recall(desk, "wmOne", taken_back)
    await desk.ring()
    await desk.pulled()
    hold.let_go.set()
    await desk.quiet()
    assert await desk.answers("wmOne") == []
    assert await stored(desk) == [(question("甲"), "recalled")]
    assert await desk.process.rows("SELECT 1 FROM turns") == []


async def test_what_is_taken_back_after_its_answer_stays_answered(desk: Desk) -> None:
    msgid = await desk.say("wmOne", question("甲"))
    await desk.answered("wmOne", 1)
    await recall(desk, "wmOne", msgid)
    await desk.ring()
    await desk.quiet()
    assert await stored(desk) == [(question("甲"), "handled")]
    assert len(await desk.answers("wmOne")) == 1


async def test_nobody_takes_back_what_another_customer_wrote(desk: Desk) -> None:
    msgid = await asyncio.to_thread(desk.wecom.say, "wmOne", question("甲"))
    await recall(desk, "wmTwo", msgid)
    await desk.ring()
    assert await desk.answered("wmOne", 1) == [f"答:{question('甲')}"]


async def test_a_page_that_is_read_again_brings_back_nothing(desk: Desk) -> None:
    await desk.pulled()
    msgid = await asyncio.to_thread(desk.wecom.say, "wmOne", question("甲"))
    await recall(desk, "wmOne", msgid)
    await desk.ring()
    await desk.quiet()
    await desk.process.write(
        lambda c: c.exec_driver_sql("UPDATE kf_accounts SET cursor = ''").close()
    )
    await desk.ring()
    await desk.quiet()
    assert await desk.answers("wmOne") == []
    assert await stored(desk) == [(question("甲"), "recalled")]
