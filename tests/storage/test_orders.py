"""Orders as rows: each change once, with its event and audit record, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from domain.decisions import Quote, QuoteItem
from domain.errors import InvalidInput
from domain.orders import OPEN, Amendment, ChangeKind, OrderStatus, Workflow, may_follow
from storage import history
from storage.database import Database
from storage.orders import NewOrder, OrderBook, OrderRow, quote_from, title_for

BOOK = OrderBook()
NOW = 1_772_186_400.0
S = OrderStatus
QUOTE = Quote(
    service="cutout",
    service_name="抠图去背景",
    items=(QuoteItem("抠图去背景", 800, "单价 8元/张 × 1"),),
    total=800,
    floor=500,
    valid_hours=24,
    book_version="2026.1",
)
RED = Amendment(ChangeKind.CHANGE, "把字改成红色")


def an_order(key: str = "turn:1:order", **changes: Any) -> NewOrder:
    order = NewOrder(
        key=key,
        contact_id="qingjian:shop:customer_123",
        conversation_id="c_1",
        requirement="抠图\n换成白底",
        pictures=("ab" * 32,),
        service="cutout",
        quote=QUOTE,
        status=S.QUOTED,
    )
    return replace(order, **changes)


async def create(database: Database, order: NewOrder | None = None) -> OrderRow:
    chosen = order or an_order()
    made, _ = await database.write(lambda c: BOOK.create(c, chosen, actor="turn", now=NOW))
    return made


async def amend(database: Database, order: OrderRow, **changes: Any) -> OrderRow | None:
    given: dict[str, Any] = {"requirement": "抠图\n把字改成红色", "quote": None} | changes
    return await database.write(
        lambda c: BOOK.amend(c, order, [RED], actor="turn", now=NOW, **given)
    )


async def move(database: Database, order: OrderRow, *statuses: OrderStatus) -> OrderRow:
    for status in statuses:
        after = await database.write(
            lambda c, o=order, s=status: BOOK.set_status(c, o, s, actor="test", now=NOW)  # type: ignore[misc]
        )
        assert after is not None
        order = after
    return order


async def get(database: Database, order_id: int) -> OrderRow:
    row = await database.read(lambda c: BOOK.get(c, order_id))
    assert row is not None
    return row


async def kinds(database: Database, order_id: int) -> list[str]:
    return [event.kind for event in await database.read(lambda c: BOOK.events(c, order_id))]


async def audited(database: Database, order_id: int) -> list[str]:
    rows = await database.read(
        lambda c: history.rows(
            c, "SELECT action, detail FROM audit WHERE subject = :s ORDER BY id", s=str(order_id)
        )
    )
    return [row["action"] for row in rows]


async def test_an_order_is_kept_as_it_was_given(database: Database) -> None:
    order = await create(database)
    kept = await get(database, order.id)
    assert kept == order
    assert (kept.title, kept.status, kept.version) == ("图片处理-_123", S.QUOTED, 1)
    assert kept.quote == QUOTE
    assert kept.pictures == ("ab" * 32,)
    assert await kinds(database, order.id) == ["created"]


@pytest.mark.parametrize(
    ("contact", "title"),
    [
        ("qingjian:shop:customer_1234", "图片处理-1234"),
        ("wecom:corp:ab", "图片处理-ab"),
        ("webhook:shop:a:b:9876", "图片处理-9876"),
    ],
)
def test_the_title_ends_with_the_last_four_of_the_customer(contact: str, title: str) -> None:
    assert title_for(contact) == title


async def test_the_same_key_again_is_the_same_order_and_leaves_it_alone(database: Database) -> None:
    first = await create(database)
    again, new = await database.write(
        lambda c: BOOK.create(c, an_order(requirement="别的"), actor="turn", now=NOW + 9)
    )
    assert (again, new) == (first, False)
    assert await kinds(database, first.id) == ["created"]


async def test_an_amendment_changes_requirement_and_quote_and_says_from_what(
    database: Database,
) -> None:
    order = await create(database)
    dearer = replace(QUOTE, total=1_200, items=(QuoteItem("抠图去背景", 1_200, "单价"),))
    after = await amend(database, order, quote=dearer, pictures=("cd" * 32,))
    assert after is not None
    assert (after.requirement, after.version, after.status) == (
        "抠图\n把字改成红色",
        2,
        S.QUOTED,
    )
    assert after.quote == dearer
    assert after.pictures == ("ab" * 32, "cd" * 32)
    event = (await database.read(lambda c: BOOK.events(c, order.id)))[-1]
    assert event.detail == {
        "kinds": ["change"],
        "service": "cutout",
        "total": 1_200,
        "said": ["把字改成红色"],
        "from": "抠图\n换成白底",
        "to": "抠图\n把字改成红色",
        "total_before": 800,
    }


async def test_the_audit_log_has_every_change_and_none_of_the_customers_words(
    database: Database,
) -> None:
    order = await create(database)
    after = await amend(database, order)
    assert after is not None
    await move(database, after, S.CONFIRMED)
    rows = await database.read(
        lambda c: history.rows(c, "SELECT action, detail FROM audit ORDER BY id")
    )
    assert [row["action"] for row in rows] == ["order.created", "order.amended", "order.confirmed"]
    assert not any("红色" in row["detail"] or "白底" in row["detail"] for row in rows)


async def test_of_two_amendments_at_once_one_wins_and_the_other_is_decided_anew(
    database: Database,
) -> None:
    order = await create(database)
    done = await asyncio.gather(*(amend(database, order, requirement=f"第{n}种") for n in range(8)))
    (won,) = [row for row in done if row is not None]
    assert await get(database, order.id) == won
    assert (await kinds(database, order.id)).count("amended") == 1
    again = await amend(database, won, requirement="再来")
    assert again is not None
    assert again.version == 3


@pytest.mark.parametrize("n", range(6))
async def test_cancelling_against_delivering_ends_in_one_of_the_two(
    database: Database, n: int
) -> None:
    order = await move(database, await create(database), S.CONFIRMED, S.DISPATCHED)
    cancel = database.write(
        lambda c: BOOK.cancel(c, order, "不要了", actor="customer", now=NOW), key="a"
    )
    deliver = database.write(
        lambda c: BOOK.deliver(c, order, ["ef" * 32], actor="designer", now=NOW), key="b"
    )
    pair = (cancel, deliver) if n % 2 else (deliver, cancel)
    ended = [row for row in await asyncio.gather(*pair) if row is not None]
    assert len(ended) == 1
    assert (await get(database, order.id)).status is ended[0].status
    assert (await kinds(database, order.id)).count("status") == 2  # dispatched, and one end


@pytest.mark.parametrize("before", list(OrderStatus))
async def test_only_what_may_follow_follows(database: Database, before: OrderStatus) -> None:
    for after in OrderStatus:
        order = await create(database, an_order(f"{before}:{after}", status=before))

        def unit(c: Any, o: OrderRow = order, s: OrderStatus = after) -> OrderRow | None:
            return BOOK.set_status(c, o, s, actor="test", now=NOW)

        if may_follow(before, after):
            changed = await database.write(unit)
            assert changed is not None
            assert changed.status is after
        else:
            with pytest.raises(InvalidInput) as refusal:
                await database.write(unit)
            assert refusal.value.status == 409
            assert await get(database, order.id) == order


async def test_amending_what_was_delivered_sends_it_back_to_work(database: Database) -> None:
    order = await move(database, await create(database), S.CONFIRMED, S.DISPATCHED)
    delivered = await database.write(
        lambda c: BOOK.deliver(c, order, ["ef" * 32], actor="designer", now=NOW)
    )
    assert delivered is not None
    after = await amend(database, delivered, due_at=NOW + 5)
    assert after is not None
    assert (after.status, after.due_at) == (S.REWORK, NOW + 5)
    assert after.deliverables == ("ef" * 32,)


@pytest.mark.parametrize("status", [S.ACCEPTED, S.CANCELLED, S.DECLINED])
async def test_a_closed_order_is_not_amended(database: Database, status: OrderStatus) -> None:
    order = await create(database, an_order(status=status))
    with pytest.raises(InvalidInput, match="不能再修改要求"):
        await amend(database, order)


async def test_open_orders_are_listed_as_a_customer_counts_them(database: Database) -> None:
    for n, status in enumerate(OrderStatus):
        await create(database, an_order(f"k{n}", status=status, requirement=status.value))
    await create(database, an_order("other", conversation_id="c_2"))
    rows = await database.read(lambda c: BOOK.open_of_conversation(c, "c_1"))
    assert [row.requirement for row in rows] == [one for one in OrderStatus if one in OPEN]
    of_contact = await database.read(
        lambda c: BOOK.open_of_contact(c, "qingjian:shop:customer_123")
    )
    assert len(of_contact) == len(rows) + 1


async def test_a_page_is_filtered_counted_and_newest_first(database: Database) -> None:
    for n in range(5):
        await create(
            database, an_order(f"k{n}", workflow=Workflow.FIND if n % 2 else Workflow.DESIGN)
        )
    await create(database, an_order("x", contact_id="wecom:corp:wx_9", status=S.DRAFT))

    async def found(**filters: Any) -> tuple[list[str], int]:
        page = {"limit": 2, "offset": 0} | filters
        rows, total = await database.read(lambda c: BOOK.listed(c, **page))
        return [row.key for row in rows], total

    assert await found() == (["x", "k4"], 6)
    assert await found(offset=4) == (["k1", "k0"], 6)
    assert await found(statuses=[S.QUOTED], workflow=Workflow.FIND) == (["k3", "k1"], 2)
    assert await found(statuses=[S.DRAFT, S.FAILED]) == (["x"], 1)
    assert await found(customer="wecom:corp:wx_9") == (["x"], 1)
    assert await found(customer="nobody") == ([], 0)
    assert await found(conversation_id="c_1", offset=99) == ([], 6)


async def test_what_was_tried_is_kept_for_the_designer(database: Database) -> None:
    order = await create(database)
    for n in range(2):
        tried = {"what": "去背景", "outcome": "bad_result", "reason": f"边缘 {n}"}
        after = await database.write(
            lambda c, o=order, t=tried: BOOK.note_tried(c, o, t, actor="runner", now=NOW)  # type: ignore[misc]
        )
        assert after is not None
        order = after
    assert [one["reason"] for one in order.tried] == ["边缘 0", "边缘 1"]
    assert order.attempts == 2
    assert await kinds(database, order.id) == ["created", "tried", "tried"]


async def test_due_orders_are_claimed_by_one_runner_each_and_come_back_when_it_dies(
    database: Database,
) -> None:
    for n in range(6):
        await create(database, an_order(f"k{n}", due_at=NOW - n))
    await create(database, an_order("later", due_at=NOW + 60))

    async def claim(owner: str, at: float) -> list[str]:
        rows = await database.write(
            lambda c: BOOK.claim_due(c, owner=owner, now=at, lease_s=30, limit=4), key=owner
        )
        return [row.key for row in rows]

    taken = await asyncio.gather(claim("a", NOW), claim("b", NOW), claim("c", NOW))
    assert sorted(key for part in taken for key in part) == [f"k{n}" for n in range(6)]
    assert await claim("d", NOW + 29) == []
    assert await database.read(lambda c: BOOK.next_due(c, now=NOW + 29)) == NOW + 60
    assert len(await claim("d", NOW + 31)) == 4
    await database.write(lambda c: BOOK.release(c, "d"))
    assert len(await claim("e", NOW + 31)) == 4


async def test_a_claim_takes_no_more_than_it_asked_for_however_the_database_plans(
    database: Database,
) -> None:
    """PostgreSQL may run a sub-query once per row that it compares: each run locked another one."""
    for n in range(6):
        await create(database, an_order(key=f"k{n}", due_at=NOW))

    def claim(connection: Connection) -> list[str]:
        if connection.dialect.name == "postgresql":
            for plan in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan"):
                connection.execute(text(f"SET LOCAL enable_{plan} = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        rows = BOOK.claim_due(connection, owner="a", now=NOW, lease_s=10, limit=1)
        return [row.key for row in rows]

    assert await database.write(claim) == ["k0"]


async def test_a_renewed_lease_holds_and_a_finished_one_does_not(database: Database) -> None:
    order = await create(database, an_order(due_at=NOW))
    claim = {"owner": "a", "now": NOW, "lease_s": 10, "limit": 1}
    await database.write(lambda c: BOOK.claim_due(c, **claim))  # type: ignore[arg-type]
    await database.write(lambda c: BOOK.renew(c, "a", [order.id], until=NOW + 100))
    other = claim | {"owner": "b", "now": NOW + 50}
    assert await database.write(lambda c: BOOK.claim_due(c, **other)) == []  # type: ignore[arg-type]
    assert not await database.write(lambda c: BOOK.look_again(c, order.id, "b", due_at=None))
    assert await database.write(lambda c: BOOK.look_again(c, order.id, "a", due_at=NOW + 60))
    later = other | {"now": NOW + 60}
    (again,) = await database.write(lambda c: BOOK.claim_due(c, **later))  # type: ignore[arg-type]
    assert again.version == order.version


async def test_work_that_was_overtaken_by_an_amendment_is_not_delivered(database: Database) -> None:
    order = await create(database, an_order(status=S.WORKING, due_at=NOW))
    (claimed,) = await database.write(
        lambda c: BOOK.claim_due(c, owner="a", now=NOW, lease_s=10, limit=1)
    )
    assert await amend(database, order) is not None
    late = await database.write(
        lambda c: BOOK.deliver(c, claimed, ["ef" * 32], actor="runner", now=NOW)
    )
    assert late is None
    assert (await get(database, order.id)).status is S.WORKING


async def test_each_change_has_its_event_and_its_audit_record(database: Database) -> None:
    order = await create(database, an_order(status=S.DRAFT))
    quoted = await database.write(lambda c: BOOK.requote(c, order, QUOTE, actor="a", now=NOW))
    assert quoted is not None
    assert quoted.status is S.QUOTED
    order = await move(database, quoted, S.CONFIRMED, S.WAITING)
    sent = await database.write(
        lambda c: BOOK.set_status(c, order, S.DISPATCHED, actor="a", now=NOW, designer="橘子")
    )
    assert sent is not None
    assert sent.designer == "橘子"
    done = await database.write(lambda c: BOOK.deliver(c, sent, ["x"], actor="a", now=NOW))
    assert done is not None
    redo = await database.write(lambda c: BOOK.rework(c, done, "再红一点", actor="a", now=NOW))
    assert redo is not None
    await database.write(lambda c: BOOK.cancel(c, redo, "不要了", actor="a", now=NOW))
    events = await kinds(database, order.id)
    assert events == ["created", "quoted", "confirmed", *["status"] * 5]
    assert await audited(database, order.id) == [f"order.{kind}" for kind in events]


def test_a_quote_of_another_version_of_us_is_read() -> None:
    values = {"service": "s", "service_name": "n", "items": [], "total": 1, "floor": 1}
    values |= {"valid_hours": 24, "book_version": "1", "forgotten": True}
    assert quote_from(values).items == ()
