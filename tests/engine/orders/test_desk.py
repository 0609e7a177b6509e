"""The order desk: what is changed, and that everyone concerned is told in the same commit."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from domain.errors import InvalidInput, NotFound
from domain.orders import Amendment, ChangeKind, OrderStatus, Workflow
from engine.orders.desk import DeskPolicy
from storage.database import Database
from storage.dispatches import DispatchRow, Step
from tests.engine.orders.desk import CHANNELS, CUSTOMER, NOW, Bench
from tools.tuhui.protocol import DesignTask

BLUE = Amendment(ChangeKind.CHANGE, "背景改成蓝色")
RUSH = Amendment(ChangeKind.ADD, "加急")
S = OrderStatus


@pytest.fixture
async def bench(database: Database) -> Bench:
    bench = Bench(database)
    await bench.customer_writes()
    return bench


async def dispatches(bench: Bench, order: dict[str, Any]) -> list[DispatchRow]:
    return await bench.database.read(lambda c: bench.dispatches.of_order(c, order["id"]))


async def at_work(bench: Bench) -> dict[str, Any]:
    order = await bench.order()
    await bench.desk.confirm(order["id"], actor="staff", tell=False)
    (row,) = await dispatches(bench, order)
    await step(bench, row, "assign", designer="橘子")
    return await bench.desk.get(order["id"])


async def step(bench: Bench, row: DispatchRow, what: str, **changes: Any) -> None:
    moved = replace(row, **changes)
    await bench.database.write(lambda c: bench.desk.deeds.on_step(c, moved, what, NOW))


async def test_a_requirement_is_kept_as_lines(bench: Bench) -> None:
    order = await bench.order("帮我抠图,换成白底；要png")
    assert order["requirements"] == ["帮我抠图", "换成白底", "要png"]
    with pytest.raises(InvalidInput, match="不能为空"):
        await bench.order(" 。")


async def test_an_amendment_changes_price_and_tells_the_customer_both(bench: Bench) -> None:
    order = await bench.order()
    await bench.desk.amend(order["id"], [BLUE], actor="staff")
    after = await bench.desk.amend(order["id"], [RUSH], actor="staff")
    assert after["requirements"] == ["抠图", "背景改成蓝色", "加急"]
    assert after["quote"]["total"] == 12.0  # 8 yuan and half of it for the rush
    first, second = await bench.told()
    assert (
        first == f"好的，订单 {order['id']}（抠图去背景）已更新：修改「背景改成蓝色」。价格为8元。"
    )
    assert (
        second
        == f"好的，订单 {order['id']}（抠图去背景）已更新：增加「加急」。价格由 8元 调整为 12元。"
    )
    assert await bench.told("notice") == []  # nobody works on it yet
    assert set(bench.woken) == {CUSTOMER.conversation}


async def test_withdrawing_the_rush_takes_its_price_away(bench: Bench) -> None:
    order = await bench.order("抠图,加急")
    await bench.desk.amend(order["id"], [BLUE], actor="staff")
    withdrawn = Amendment(ChangeKind.WITHDRAW, "不加急了")
    after = await bench.desk.amend(order["id"], [withdrawn], actor="staff")
    assert after["requirements"] == ["抠图", "背景改成蓝色"]
    assert after["quote"]["total"] == 8.0


async def test_the_new_price_is_that_of_the_customer_and_of_the_picture(bench: Bench) -> None:
    facts = {"width": 4_000, "height": 3_000, "text_chars": 100, "text_read": True}
    sha256 = "ab" * 32

    def known(connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO pictures (sha256, size_bytes, format, facts, created_at, last_used_at)"
                " VALUES (:sha256, 1, 'png', :facts, '', '')"
            ),
            {"sha256": sha256, "facts": json.dumps(facts)},
        )
        connection.execute(
            text(
                "INSERT INTO customers (contact_id, name, level, score, state, total_messages,"
                " last_active_at, remark) VALUES (:contact, '', 'white', 60, 'new', 0, '', '')"
            ),
            {"contact": CUSTOMER.contact},
        )

    await bench.database.write(known)
    order = await bench.order("高清修复", service="restore", pictures=(sha256,))
    after = await bench.desk.amend(order["id"], [RUSH], actor="staff")
    # 25 and 10 for the size and 18 for the text are 53, half of it for the rush, 5 % off the work.
    assert after["quote"]["total"] == 53 + 26.5 - 2.65
    assert (await bench.desk.get(order["id"]))["facts"] == [facts]


async def test_who_works_on_it_is_told_of_an_amendment(bench: Bench) -> None:
    order = await at_work(bench)
    await bench.desk.amend(order["id"], [BLUE], actor="turn", tell=False)
    assert await bench.told() == []  # the turn's own reply tells the customer
    (notice,) = await bench.told("notice")
    assert "设计师:橘子" in notice
    assert "修改:背景改成蓝色" in notice
    assert "- 抠图\n- 背景改成蓝色" in notice


async def test_an_order_for_designers_is_dispatched_when_it_is_confirmed(bench: Bench) -> None:
    order = await bench.order()
    after = await bench.desk.confirm(order["id"], actor="staff")
    assert after["status"] == S.CONFIRMED
    (row,) = await dispatches(bench, order)
    assert (row.step, row.title, row.order_id) == (Step.WANTED, "图片处理-_123", order["id"])
    assert "- 换成白底" in row.description
    assert "https://shop.example/a.png" in row.description
    assert bench.due == 1
    with pytest.raises(InvalidInput) as refusal:
        await bench.desk.confirm(order["id"], actor="staff")
    assert refusal.value.status == 409
    assert len(await dispatches(bench, order)) == 1


async def test_an_order_for_a_runner_is_due_when_it_is_confirmed(bench: Bench) -> None:
    order = await bench.order(workflow=Workflow.PROCESS)
    await bench.desk.confirm(order["id"], actor="staff")
    assert await dispatches(bench, order) == []
    row = await bench.database.read(lambda c: bench.desk.book.get(c, order["id"]))
    assert row is not None
    assert row.due_at == NOW


async def test_without_tuhui_staff_is_told_of_a_confirmed_order(database: Database) -> None:
    bench = Bench(database, DeskPolicy(channels=CHANNELS, dispatching=False))
    await bench.customer_writes()
    order = await bench.order()
    await bench.desk.confirm(order["id"], actor="staff")
    assert await dispatches(bench, order) == []
    (notice,) = await bench.told("notice")
    assert "- 换成白底" in notice
    with pytest.raises(InvalidInput, match="未配置图绘"):
        await bench.desk.assign_designer(order["id"], "橘子", actor="staff")


async def test_the_order_goes_where_its_dispatch_goes(bench: Bench) -> None:
    order = await bench.order()
    await bench.desk.confirm(order["id"], actor="staff")
    (row,) = await dispatches(bench, order)
    seen = []
    for what, designer in (
        ("create", None), ("wait", None), ("assign", "橘子"), ("notify", "橘子"),
        ("hand_on", "婷婷"), ("return", None), ("assign", "橘子"),
    ):  # fmt: skip
        await step(bench, row, what, designer=designer)
        now = await bench.desk.get(order["id"])
        seen.append((now["status"], now["designer"]))
    assert seen == [
        (S.CONFIRMED, None),
        (S.WAITING, None),
        (S.DISPATCHED, "橘子"),
        (S.DISPATCHED, "橘子"),
        (S.DISPATCHED, "婷婷"),
        (S.WAITING, "婷婷"),
        (S.DISPATCHED, "橘子"),
    ]


async def test_what_the_designer_made_goes_to_the_customer(bench: Bench) -> None:
    order = await at_work(bench)
    (row,) = await dispatches(bench, order)
    files = ("https://tuhui.example/1.png", "https://tuhui.example/1.psd", "ftp://x/y")
    done = DesignTask("t1", "completed", "橘子", files=files)
    for _ in range(2):
        await bench.database.write(lambda c: bench.desk.deeds.on_done(c, row, done, NOW))
    after = await bench.desk.get(order["id"])
    assert (after["status"], after["deliverables"]) == (S.DELIVERED, list(files[:2]))
    said, *sent = await bench.told()
    assert "已处理完成" in said
    assert sent == list(files[:2])
    kinds = await bench.rows("SELECT kind FROM messages WHERE role = 'assistant' ORDER BY id")
    assert [one["kind"] for one in kinds] == ["text", "image", "file"]


async def test_a_designer_who_hands_over_nothing_is_no_delivery(bench: Bench) -> None:
    order = await at_work(bench)
    (row,) = await dispatches(bench, order)
    done = DesignTask("t1", "completed", "橘子")
    await bench.database.write(lambda c: bench.desk.deeds.on_done(c, row, done, NOW))
    assert (await bench.desk.get(order["id"]))["status"] == S.DISPATCHED
    (notice,) = await bench.told("notice")
    assert "请把成品交付给客户" in notice
    assert await bench.told() == []


async def test_a_person_delivers_what_no_runner_has_begun(bench: Bench) -> None:
    order = await bench.order()
    await bench.desk.confirm(order["id"], actor="staff", tell=False)
    file = "https://shop.example/done.jpg?v=1"
    after = await bench.desk.deliver(order["id"], [file], actor="staff", note="已按要求抠好")
    assert after["status"] == S.DELIVERED
    said, sent = await bench.told()
    assert said.endswith("已按要求抠好")
    assert sent == file
    (row,) = await dispatches(bench, order)
    assert row.step is Step.CANCELLED
    done = await bench.desk.accept(order["id"], actor="staff")
    assert done["status"] == S.ACCEPTED


@pytest.mark.parametrize("deliverable", ["", "a.png", "ftp://a/b.png", "AB" * 32, "javascript:1"])
async def test_only_addresses_and_stored_pictures_are_delivered(
    bench: Bench, deliverable: str
) -> None:
    order = await at_work(bench)
    with pytest.raises(InvalidInput):
        await bench.desk.deliver(order["id"], [deliverable], actor="staff")
    assert await bench.told() == []


async def test_a_stored_picture_is_sent_by_its_address(database: Database) -> None:
    stored = "ab" * 32
    policy = DeskPolicy(
        channels=CHANNELS,
        picture_url=lambda sha256: f"https://kefu.example/pictures/{sha256}?sign=x",
        known_pictures=lambda sha256: sha256 == stored,
    )
    bench = Bench(database, policy)
    await bench.customer_writes()
    order = await bench.order(status=S.WORKING)
    with pytest.raises(NotFound):
        await bench.desk.deliver(order["id"], ["cd" * 32], actor="staff")
    await bench.desk.deliver(order["id"], [stored], actor="staff")
    assert (await bench.told())[1] == f"https://kefu.example/pictures/{stored}?sign=x"


async def test_rework_goes_to_the_designer_who_made_it(bench: Bench) -> None:
    order = await at_work(bench)
    await bench.desk.deliver(order["id"], ["https://shop.example/1.png"], actor="staff")
    after = await bench.desk.rework(order["id"], "边缘再干净一点", actor="staff")
    assert after["status"] == S.REWORK
    first, second = await dispatches(bench, order)
    assert first.step is Step.CANCELLED
    assert (second.wanted_designer, second.priority) == ("橘子", 3)
    assert "返工:边缘再干净一点" in second.description


async def test_cancelling_calls_off_the_dispatch_and_tells_everyone(bench: Bench) -> None:
    order = await at_work(bench)
    after = await bench.desk.cancel(order["id"], "不想要了", actor="staff")
    assert after["status"] == S.CANCELLED
    (row,) = await dispatches(bench, order)
    assert row.step is Step.CANCELLED
    assert await bench.told() == [f"好的，订单 {order['id']}（图片处理）已为您取消。"]
    assert "不想要了" in (await bench.told("notice"))[0]
    told = [one for one in (await bench.desk.get(order["id"]))["events"] if one["kind"] == "told"]
    assert told[-1]["detail"] == {"customer": 1, "staff": 1}


async def test_an_amendment_that_cancels_is_a_cancellation(bench: Bench) -> None:
    order = await bench.order()
    cancel = Amendment(ChangeKind.CANCEL, "算了不做了")
    after = await bench.desk.amend(order["id"], [cancel], actor="turn", tell=False)
    assert after["status"] == S.CANCELLED
    assert await bench.told() == []


async def test_withdrawing_all_there_was_is_no_amendment(bench: Bench) -> None:
    order = await bench.order("加水印")
    withdrawn = Amendment(ChangeKind.WITHDRAW, "不要加水印了")
    with pytest.raises(InvalidInput, match="请直接取消"):
        await bench.desk.amend(order["id"], [withdrawn], actor="staff")
    long = Amendment(ChangeKind.ADD, "加一行" + "字" * 4_000)
    with pytest.raises(InvalidInput, match="4000"):
        await bench.desk.amend(order["id"], [long], actor="staff")
    assert (await bench.desk.get(order["id"]))["version"] == 1


async def test_another_designer_gets_it_instead(bench: Bench) -> None:
    order = await at_work(bench)
    after = await bench.desk.assign_designer(order["id"], "婷婷", actor="staff")
    assert after["designer"] == "婷婷"
    first, second = await dispatches(bench, order)
    assert (first.step, second.wanted_designer) == (Step.CANCELLED, "婷婷")


async def test_two_amendments_at_once_are_both_kept(bench: Bench) -> None:
    order = await bench.order()
    amendments = [Amendment(ChangeKind.ADD, f"加一行“第{n}行”") for n in range(6)]
    await asyncio.gather(
        *(bench.desk.amend(order["id"], [one], actor="staff") for one in amendments)
    )
    after = await bench.desk.get(order["id"])
    assert sorted(after["requirements"][2:]) == sorted(one.requirement for one in amendments)
    assert len(await bench.told()) == 6


async def test_who_read_an_older_version_changes_nothing(bench: Bench) -> None:
    order = await bench.order()
    await bench.desk.amend(order["id"], [BLUE], actor="staff", version=1)
    with pytest.raises(InvalidInput, match="已被改动") as refusal:
        await bench.desk.cancel(order["id"], actor="staff", version=1)
    assert refusal.value.status == 409


@pytest.mark.parametrize("n", range(4))
async def test_cancelling_against_delivering_tells_one_story(bench: Bench, n: int) -> None:
    order = await at_work(bench)
    files = ["https://shop.example/1.png"]
    cancel = bench.desk.cancel(order["id"], "不要了", actor="customer")
    deliver = bench.desk.deliver(order["id"], files, actor="designer")
    pair = (cancel, deliver) if n % 2 else (deliver, cancel)
    ended = await asyncio.gather(*pair, return_exceptions=True)
    (won,) = [one for one in ended if isinstance(one, dict)]
    (lost,) = [one for one in ended if isinstance(one, InvalidInput)]
    assert lost.status == 409
    expected = 1 if won["status"] == S.CANCELLED else 2
    assert len(await bench.told()) == expected


async def test_a_channel_that_cannot_push_keeps_the_word_for_fetching(database: Database) -> None:
    bench = Bench(database, DeskPolicy(channels=frozenset({"staff"})))
    await bench.customer_writes()
    order = await bench.order()
    await bench.desk.cancel(order["id"], actor="staff")
    assert await bench.told() == []
    (said,) = await bench.rows("SELECT content FROM messages WHERE role = 'assistant'")
    assert "已为您取消" in said["content"]


async def test_open_orders_are_handed_to_reading_with_what_their_pictures_show(
    bench: Bench,
) -> None:
    first = await bench.order()
    await bench.order("做logo", service="logo")
    await bench.desk.amend(first["id"], [BLUE], actor="staff", tell=False)
    rows, read = await bench.desk.open_orders(CUSTOMER.conversation)
    assert [one.id for one in read] == [row.id for row in rows] == [first["id"], first["id"] + 1]
    assert read[0].service == "抠图去背景"


async def test_an_unknown_order_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.desk.get(404)
    with pytest.raises(NotFound):
        await bench.desk.cancel(404, actor="staff")
