"""What happens at the desk is counted too: how long customers wait for a person, how they rate."""

from functools import partial

from domain.figures import Sums
from storage import desk_talks, figures
from storage.database import Database
from tests.engine.desk.bench import Bench


async def test_the_first_word_of_a_person_counts_the_wait_and_the_first_mark_the_rating(
    database: Database,
) -> None:
    desk = Bench(database)
    ann, talk = await desk.agent("ann"), await desk.waits("a")
    desk.now += 40
    await desk.desk.take(ann, talk)
    desk.now += 5
    for word in ("您好", "请稍等"):
        await desk.desk.say(ann, talk, word, message_id=word)
    (row,) = await desk.rows("SELECT id FROM handoffs")
    for mark in (5, 1):
        rate = partial(desk_talks.rate, handoff=row["id"], rating=mark, now=desk.now)
        await database.write(rate)
    found = await database.read(lambda c: figures.total(c, since=0, until=2**40))
    assert found == Sums(waits=1, wait_ms=45_000, ratings=1, rating_sum=5)
