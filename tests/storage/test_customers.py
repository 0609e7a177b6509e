"""Counters of customers, and what follows from them, on SQLite and PostgreSQL."""

import asyncio
import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from domain.customers import DAY_S, State
from domain.decisions import Quote
from domain.errors import InvalidInput, NotFound
from domain.orders import OrderStatus
from domain.tiers import BLACK_MESSAGES_PER_HOUR
from storage import customer_counts, customers
from storage.customer_merges import merge, unmerge
from storage.customer_sweep import age
from storage.customers import Wanted, edit, facts, listed, tag
from storage.database import Database
from storage.history import rows
from storage.orders import NewOrder, OrderBook, record_of
from tests.storage.test_inbox_and_turns import a_message, a_turn, claim, commit, receive

NOW = time.time()
ONE, OTHER = "web:shop:one", "wecom:corp:other"


async def wrote(
    database: Database, contact: str = ONE, *, n: int = 1, intent: str = "greeting", at: float = NOW
) -> None:
    await database.write(
        lambda c: customer_counts.wrote(c, contact, name="", messages=n, intent=intent, now=at)
    )


async def stands(database: Database, contact: str = ONE) -> dict[str, Any]:
    found = await database.read(
        lambda c: rows(c, "SELECT * FROM customers WHERE contact_id = :id", id=contact)
    )
    return found[0]


async def aged(database: Database, now: float, *, limit: int = 100) -> int:
    return await database.write(lambda c: age(c, now=now, churn_days=90, limit=limit))


async def test_a_turn_counts_the_customers_messages(database: Database) -> None:
    receipt = await receive(database, a_message(1, route="push"))
    await receive(database, a_message(2, route="push"))
    await commit(database, a_turn(await claim(database, receipt.conversation_id), intent="price"))
    found = await stands(database, "api:agent_001:用户A")
    assert (found["total_messages"], found["recent_messages"]) == (2, 2)
    assert (found["score"], found["level"], found["state"]) == (72, "gray", "potential")


async def test_messages_stop_being_recent_after_thirty_days(database: Database) -> None:
    await wrote(database, n=3)
    await wrote(database, n=1, at=NOW + 20 * DAY_S)
    await aged(database, NOW + 31 * DAY_S)
    found = await stands(database)
    assert (found["total_messages"], found["recent_messages"]) == (4, 1)
    # 40 * 0.6 + 30 * 1/4 + 30 * 0.6 = 49.5
    assert found["score"] == 50
    days = await database.read(lambda c: rows(c, "SELECT day FROM customer_days"))
    assert len(days) == 1


async def test_the_sweep_looks_at_a_customer_once_a_day_at_most(database: Database) -> None:
    await wrote(database)
    midnight = (NOW // DAY_S + 1) * DAY_S
    assert await aged(database, midnight - 1) == 0
    assert await aged(database, midnight) == 1
    assert await aged(database, midnight + 1) == 0


async def test_the_sweep_goes_through_all_in_batches_that_processes_share(
    database: Database,
) -> None:
    for number in range(25):
        await wrote(database, f"web:shop:{number}")
    later = NOW + 2 * DAY_S
    done = await asyncio.gather(*(aged(database, later, limit=10) for _ in range(4)))
    assert sum(done) == 25


async def test_who_is_silent_is_gone_and_comes_back_to_where_they_were(
    database: Database,
) -> None:
    await wrote(database, intent="price")
    await aged(database, NOW + 91 * DAY_S)
    gone = await stands(database)
    assert (gone["state"], gone["state_before"]) == ("churn", "potential")
    assert gone["due_at"] is None
    await wrote(database, at=NOW + 92 * DAY_S)
    assert (await stands(database))["state"] == "potential"


async def test_a_delivered_order_is_a_deal_until_it_is_called_off(database: Database) -> None:
    await wrote(database)
    book = OrderBook()
    quote = Quote("cutout", "抠图", (), 3_000, 0, 24, "v1")

    def made(connection: Connection) -> Any:
        new = NewOrder("k", ONE, "c", "抠图", quote=quote, status=OrderStatus.QUOTED)
        quoted, _ = book.create(connection, new, actor="a", now=NOW)
        taken = book.confirm(connection, quoted, actor="a", now=NOW)
        assert taken is not None
        begun = book.set_status(connection, taken, OrderStatus.WORKING, actor="a", now=NOW)
        assert begun is not None
        return book.deliver(connection, begun, ["x"], actor="a", now=NOW)

    delivered = await database.write(made)
    found = await stands(database)
    assert (found["deals"], found["paid"], found["state"]) == (1, 3_000, "deal")
    reworked = await database.write(
        lambda c: book.rework(c, delivered, "再亮一点", actor="a", now=NOW)
    )
    assert reworked is not None
    assert (await stands(database))["deals"] == 1
    await database.write(lambda c: book.cancel(c, reworked, "不要了", actor="a", now=NOW))
    found = await stands(database)
    assert (found["deals"], found["paid"], found["state"]) == (0, 0, "potential")
    assert await database.read(customer_counts.average_deal) == 0


async def test_a_deal_counts_once_however_often_it_is_told(database: Database) -> None:
    await asyncio.gather(
        *(
            database.write(lambda c: customer_counts.bought(c, "k", ONE, 500, now=NOW))
            for _ in range(5)
        )
    )
    found = await stands(database)
    assert (found["deals"], found["paid"]) == (1, 500)
    assert await database.write(lambda c: customer_counts.bought(c, "k", ONE, 700, now=NOW))
    assert (await stands(database))["paid"] == 700
    assert await database.write(lambda c: customer_counts.called_off(c, "k", now=NOW))
    assert not await database.write(lambda c: customer_counts.called_off(c, "k", now=NOW))
    assert await database.write(lambda c: customer_counts.bought(c, "k", ONE, 700, now=NOW))
    found = await stands(database)
    assert (found["deals"], found["paid"], found["state"]) == (1, 700, "deal")


async def test_a_verdict_that_is_changed_counts_as_it_is_now(database: Database) -> None:
    async def say(rating: int | None, outcome: str | None) -> tuple[int, int, int]:
        await database.write(
            lambda c: customer_counts.judged(c, "h:1", ONE, rating=rating, outcome=outcome, now=NOW)
        )
        found = await stands(database)
        return found["positive"], found["judged"], found["rated"]

    await wrote(database)
    assert await say(None, "solved") == (1, 1, 0)
    assert await say(None, "") == (0, 0, 0)
    assert await say(None, "unsolved") == (0, 1, 0)
    assert await say(5, None) == (1, 1, 1)
    assert (await stands(database))["satisfaction_avg"] == 5.0


async def test_a_talk_that_is_reopened_before_anybody_judged_it_is_no_verdict(
    database: Database,
) -> None:
    await wrote(database)
    await database.write(lambda c: customer_counts.judged(c, "h:1", ONE, outcome="", now=NOW))
    assert await database.read(lambda c: rows(c, "SELECT 1 FROM customer_verdicts")) == []


async def test_facts_of_a_merged_person_are_the_whole_persons(database: Database) -> None:
    await wrote(database, n=2)
    await wrote(database, OTHER, n=3, intent="price")
    await database.write(lambda c: tag(c, OTHER, add=["大客户"], actor="a", now=NOW))
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    for contact in (ONE, OTHER):
        known = await database.read(
            partial(facts, contact_id=contact, name="", conversation_id="c", now=NOW)
        )
        assert (known.total_messages, known.state, known.tags) == (5, "potential", ("大客户",))


async def test_a_tag_is_taken_from_every_contact_of_the_person(database: Database) -> None:
    for contact in (ONE, OTHER):
        await wrote(database, contact)
        await database.write(partial(tag, contact_id=contact, add=["x"], actor="a", now=NOW))
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    assert await database.write(lambda c: tag(c, ONE, remove=["x"], actor="a", now=NOW)) == ()
    assert await database.read(lambda c: rows(c, "SELECT 1 FROM customer_tags")) == []


async def test_merges_are_undone_last_in_first_out_where_they_build_on_each_other(
    database: Database,
) -> None:
    third = "web:shop:third"
    for contact in (ONE, OTHER, third):
        await wrote(database, contact)
    first = await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    second = await database.write(lambda c: merge(c, third, ONE, actor="a", now=NOW))
    assert set(second.moved) == {ONE, OTHER}
    with pytest.raises(InvalidInput):
        await database.write(lambda c: unmerge(c, first.id, actor="a", now=NOW))
    await database.write(lambda c: unmerge(c, second.id, actor="a", now=NOW))
    found = await stands(database)
    assert (found["aliases"], found["person_id"]) == (1, "")
    assert (await stands(database, OTHER))["person_id"] == ONE
    await database.write(lambda c: unmerge(c, first.id, actor="a", now=NOW))
    assert [(await stands(database, one))["person_id"] for one in (ONE, OTHER, third)] == [""] * 3
    assert [(await stands(database, one))["aliases"] for one in (ONE, OTHER, third)] == [0] * 3


async def test_what_is_bought_while_merged_stays_with_whose_contact_it_was(
    database: Database,
) -> None:
    await wrote(database)
    await wrote(database, OTHER)
    made = await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    await database.write(lambda c: customer_counts.bought(c, "k", OTHER, 900, now=NOW))
    assert (await stands(database))["state"] == "deal"
    await database.write(lambda c: unmerge(c, made.id, actor="a", now=NOW))
    one, other = await stands(database), await stands(database, OTHER)
    assert (one["state"], one["paid"]) == ("new", 0)
    assert (other["state"], other["paid"]) == ("deal", 900)


async def test_two_merges_at_once_leave_one_person_or_two_and_never_a_circle(
    database: Database,
) -> None:
    await wrote(database)
    await wrote(database, OTHER)
    done = await asyncio.gather(
        database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW), key="1"),
        database.write(lambda c: merge(c, OTHER, ONE, actor="a", now=NOW), key="2"),
        return_exceptions=True,
    )
    assert sum(isinstance(one, InvalidInput) for one in done) == 1
    speakers = [(await stands(database, one))["person_id"] for one in (ONE, OTHER)]
    assert speakers in ([ONE, ""], ["", ONE], [OTHER, ""], ["", OTHER])
    assert sorted(map(bool, speakers)) == [False, True]


async def test_whom_nobody_knows_cannot_be_merged(database: Database) -> None:
    await wrote(database)
    with pytest.raises(NotFound):
        await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))


async def test_a_level_by_hand_is_the_whole_persons(database: Database) -> None:
    for contact in (ONE, OTHER):
        await wrote(database, contact)
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    await database.write(lambda c: edit(c, OTHER, {"pinned": "black"}, now=NOW))
    assert [(await stands(database, one))["level"] for one in (ONE, OTHER)] == ["black", "black"]


async def test_who_is_called_gone_by_hand_comes_back_to_where_they_were(
    database: Database,
) -> None:
    await wrote(database, intent="price")
    await database.write(lambda c: edit(c, ONE, {"state": State.CHURN.value}, now=NOW))
    await wrote(database, at=NOW + 5)
    assert (await stands(database))["state"] == "potential"


async def test_a_state_that_only_a_channel_knows_stays_until_the_channel_changes_it(
    database: Database,
) -> None:
    await wrote(database)
    unsubscribed = text("UPDATE customers SET state = 'unsubscribed'")
    await database.write(lambda c: c.execute(unsubscribed).rowcount)
    await database.write(lambda c: customer_counts.bought(c, "k", ONE, 900, now=NOW))
    found = await stands(database)
    assert (found["state"], found["state_before"]) == ("unsubscribed", "deal")


async def test_messages_of_the_last_hour_are_counted_where_there_is_a_limit(
    database: Database,
) -> None:
    conversation = ""
    for number in range(BLACK_MESSAGES_PER_HOUR + 3):
        conversation = (await receive(database, a_message(number))).conversation_id
    contact = "api:agent_001:用户A"
    await wrote(database, contact)

    async def counted() -> int:
        now = time.time()
        known = await database.read(
            lambda c: facts(c, contact, "", conversation_id=conversation, now=now)
        )
        return known.last_hour

    assert await counted() == 0
    await database.write(lambda c: edit(c, contact, {"pinned": "black"}, now=NOW))
    assert await counted() == BLACK_MESSAGES_PER_HOUR + 3
    old = text("UPDATE messages SET received_ts = received_ts - 3601 WHERE id <= 10")
    await database.write(lambda c: c.execute(old).rowcount)
    assert await counted() == BLACK_MESSAGES_PER_HOUR + 3 - 10


async def test_a_search_finds_a_person_by_any_of_their_contacts(database: Database) -> None:
    for contact, name in ((ONE, "张三丰"), (OTHER, "李四")):
        await wrote(database, contact)
        await database.write(partial(edit, contact_id=contact, changes={"name": name}, now=NOW))
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    for search in ("三丰", "李四", "corp:other", "shop:one"):
        found = await database.read(partial(listed, wanted=Wanted(search=search)))
        assert [row.contact_id for row in found] == [ONE]
    assert await database.read(lambda c: listed(c, Wanted(search="王五"))) == []
    assert await database.read(lambda c: listed(c, Wanted(search="%"))) == []


async def test_the_whole_person_is_shown_under_any_of_their_numbers(database: Database) -> None:
    for contact in (ONE, OTHER):
        await wrote(database, contact)
    number = (await stands(database, OTHER))["id"]
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    assert await database.read(lambda c: customers.contact_of(c, number)) == ONE
    found = await database.read(lambda c: customers.contacts(c, ONE))
    assert [row.contact_id for row in found] == [ONE, OTHER]


async def test_what_is_read_of_one_contact_is_the_whole_persons(database: Database) -> None:
    third = "web:shop:third"
    for contact in (ONE, OTHER, third):
        await wrote(database, contact)
        await database.write(partial(tag, contact_id=contact, add=[contact], actor="a", now=NOW))
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    for contact in (ONE, OTHER):
        found = await database.read(partial(customers.tags_of, contact_id=contact))
        assert found == sorted([ONE, OTHER])
    assert await database.read(lambda c: customers.tags_of(c, third)) == [third]
    add = text("INSERT INTO customer_tags VALUES ('web:shop:unknown', 'x', 'a', '')")
    await database.write(lambda c: c.execute(add).rowcount)
    assert await database.read(lambda c: customers.tags_of(c, "web:shop:unknown")) == ["x"]


async def test_orders_of_every_contact_are_the_persons_record(database: Database) -> None:
    for contact in (ONE, OTHER):
        await wrote(database, contact)
    book = OrderBook()

    def order(connection: Connection) -> None:
        new = NewOrder("k", OTHER, "c", "抠图", status=OrderStatus.DELIVERED)
        book.create(connection, new, actor="a", now=NOW)

    await database.write(order)
    recorded = partial(record_of, contact_id=ONE, since="")
    assert await database.read(recorded) == (0, 0)
    await database.write(lambda c: merge(c, ONE, OTHER, actor="a", now=NOW))
    assert await database.read(recorded) == (1, 0)
