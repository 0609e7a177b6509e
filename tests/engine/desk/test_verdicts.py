"""What comes of a talk at the desk counts for the customer's standing."""

from functools import partial
from typing import Any

from storage import desk_talks
from tests.engine.desk.bench import Bench


async def counted(bench: Bench) -> tuple[int, int, int]:
    """Positive, judged and rated talks."""
    (row,) = await bench.rows("SELECT positive, judged, rated FROM customers")
    return row["positive"], row["judged"], row["rated"]


async def handoff(bench: Bench) -> Any:
    (row,) = await bench.rows("SELECT id FROM handoffs")
    return row["id"]


async def test_what_the_agent_says_came_of_a_talk_is_its_verdict(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.resolve(ann, talk, outcome="unsolved")
    assert await counted(bench) == (0, 1, 0)


async def test_a_talk_that_is_opened_again_is_judged_anew(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.resolve(ann, talk, outcome="unsolved")
    await bench.desk.reopen(ann, talk)
    assert await counted(bench) == (0, 0, 0)
    await bench.desk.resolve(ann, talk, outcome="solved")
    assert await counted(bench) == (1, 1, 0)


async def test_the_customers_own_mark_goes_before_the_agents_word(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    await bench.desk.resolve(ann, talk, outcome="solved")
    rate = partial(desk_talks.rate, handoff=await handoff(bench), now=bench.now)
    await bench.database.write(partial(rate, rating=2))
    assert await counted(bench) == (0, 1, 1)
    await bench.database.write(partial(rate, rating=5))
    assert await counted(bench) == (0, 1, 1), "the first mark counts"


async def test_who_leaves_the_queue_has_judged_nothing(bench: Bench) -> None:
    talk = await bench.waits("a")
    await bench.database.write(partial(desk_talks.leave, conversation=talk, now=bench.now))
    assert await bench.rows("SELECT 1 FROM customer_verdicts") == []
