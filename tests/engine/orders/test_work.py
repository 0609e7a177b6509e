"""Orders that need no person: found or processed and delivered once, else a designer's."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import Connection

from domain.orders import Amendment, ChangeKind, OrderStatus, Workflow
from engine.leases import POLL_S
from engine.orders.work import EXPIRED, MAX_INTERRUPTIONS, words_sought
from storage.database import Database
from storage.dispatches import Step
from tests.engine.orders.desk import CUSTOMER, NOW
from tests.engine.orders.working import LEASE_S, Works, working
from tests.sandbox_server import SandboxServer
from tests.tools.pictures.drawing import encoded, jpeg, landscape
from tools.pictures.library import PictureLibrary

S = OrderStatus
SCENE = encoded(landscape(400, 300, seed=4))
SMALL = jpeg(landscape(400, 300, seed=4).resize((200, 150)))
CANNOT = "抱歉，这个我做不了，帮您转接设计师"
TO_PNG = Amendment(ChangeKind.CHANGE, "转成png")
HAND_MADE = "去掉路人"


@pytest.fixture
async def works(database: Database, tmp_path: Path) -> AsyncIterator[Works]:
    async with working(database, tmp_path) as works:
        yield works


async def delivered(works: Works, order: dict[str, Any]) -> Image.Image:
    """The one picture that the customer got, once it is delivered."""
    row = await works.until(order, S.DELIVERED)
    (sha256,) = row.deliverables
    told = await works.bench.told()
    assert [one for one in told if one.endswith(sha256)] == [told[-1]]
    return Image.open(io.BytesIO(await works.store.read(sha256)))


async def deliveries(works: Works, order: dict[str, Any]) -> list[dict[str, Any]]:
    events = (await works.bench.desk.get(order["id"]))["events"]
    return [one for one in events if one["detail"].get("after") == S.DELIVERED]


async def test_what_can_be_done_here_is_done_kept_and_sent(works: Works) -> None:
    order = await works.order(SCENE, "放大2倍", "转成jpg")
    await works.started()
    made = await delivered(works, order)
    assert (made.format, made.size) == ("JPEG", (800, 600))
    row = await works.row(order)
    facts = await works.known(row.deliverables[0])
    assert facts is not None
    assert (facts.width, facts.format) == (800, "JPEG")
    said, _ = await works.bench.told()
    assert "已处理完成" in said
    assert "已放大 2 倍" in said
    assert (row.due_at, works.counted("delivered")) == (None, 1.0)
    assert set(works.bench.woken) == {CUSTOMER.conversation}


async def test_an_order_that_is_confirmed_is_begun_at_once(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg", status=S.QUOTED, due_at=NOW + 3_600)
    await works.started()
    await works.bench.desk.confirm(order["id"], actor="staff", tell=False)
    assert (await delivered(works, order)).format == "JPEG"


async def test_the_images_api_does_what_no_plan_can(
    database: Database, tmp_path: Path, sandbox_server: SandboxServer
) -> None:
    url = f"{sandbox_server.url}/images/v1"
    async with working(database, tmp_path, images_url=url) as works:
        order = await works.order(SCENE, HAND_MADE)
        await works.started()
        await delivered(works, order)
    assert len(sandbox_server.journal("images", kind="edits")) == 1


async def test_where_the_images_api_fails_a_designer_gets_it_with_what_was_tried(
    database: Database, tmp_path: Path, sandbox_server: SandboxServer
) -> None:
    sandbox_server.fault("images", "status", status=500)
    url = f"{sandbox_server.url}/images/v1"
    async with working(database, tmp_path, images_url=url) as works:
        order = await works.order(SCENE, HAND_MADE)
        await works.started()
        row = await works.until(order, S.WAITING)
        (dispatch,) = await database.read(lambda c: works.bench.dispatches.of_order(c, row.id))
        told = await works.bench.told()
    assert row.workflow is Workflow.DESIGN
    assert [one["by"] for one in row.tried] == ["图片模型", "自动处理"]
    assert (dispatch.step, dispatch.order_id) == (Step.WANTED, row.id)
    assert dispatch.description.startswith("要求里有需要设计师动手的内容\n")
    assert "已尝试:图片模型 失败" in dispatch.description
    assert f"- {HAND_MADE}" in dispatch.description
    (word,) = told
    assert word.startswith(CANNOT)
    assert (row.due_at, works.counted("designer")) == (None, 1.0)


async def test_without_tuhui_staff_gets_a_notice_and_the_desk_the_customer(
    database: Database, tmp_path: Path
) -> None:
    async with working(database, tmp_path, dispatching=False) as works:
        order = await works.order(SCENE, HAND_MADE)
        await works.started()
        row = await works.until(order, S.WAITING)
        (notice,) = await works.bench.told("notice")
        handed = await works.bench.rows("SELECT conversation_id, target, reason FROM handoffs")
        assert await works.bench.rows("SELECT 1 FROM dispatches") == []
        (word,) = await works.bench.told()
    assert f"- {HAND_MADE}" in notice
    reason = row.tried[-1]["reason"]
    expected = {"conversation_id": CUSTOMER.conversation, "target": "designer", "reason": reason}
    assert [dict(one) for one in handed] == [expected]
    assert word.startswith(CANNOT)


async def test_the_larger_original_of_the_library_is_delivered(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "雪山.png").write_bytes(SCENE)
    library = PictureLibrary(folder, tmp_path / "index.json")
    async with working(database, tmp_path, library=library) as works:
        by_looks = await works.order(SMALL, "找原图", workflow=Workflow.FIND)
        by_words = await works.order(None, "帮我找一张雪山的图片", workflow=Workflow.FIND)
        missing = await works.order(None, "帮我找一张沙漠的图片", workflow=Workflow.FIND)
        await works.started()
        for order in (by_looks, by_words):
            row = await works.until(order, S.DELIVERED)
            assert await works.store.read(row.deliverables[0]) == SCENE
        await works.until(missing, S.WAITING)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("帮我找一张雪山日出的图片", ("雪山日出",)),
        ("有没有这种国庆海报 要高清的", ("国庆海报",)),
        ("想要猫和狗的无水印素材", ("猫和狗",)),
        ("猫", ("猫",)),
        ("找原图", ()),
        ("", ()),
    ],
)
def test_what_is_sought_is_what_the_picture_shows(said: str, words: tuple[str, ...]) -> None:
    assert words_sought(said) == words


async def test_a_picture_that_is_gone_is_no_endless_work(works: Works) -> None:
    order = await works.order(None, "转成png", pictures=("ab" * 32,))
    await works.started()
    row = await works.until(order, S.WAITING)
    assert "取不到" in row.tried[-1]["reason"]


async def test_pictures_of_which_only_the_address_is_known_are_fetched(
    works: Works, sandbox_server: SandboxServer
) -> None:
    """An address that leads nowhere is the designer's, who can ask the customer."""
    order = await works.order(None, "转成png", images=(f"{sandbox_server.url}/nothing.png",))
    await works.started()
    assert "取不到" in (await works.until(order, S.WAITING)).tried[-1]["reason"]


# Changes while it is worked on --------------------------------------------------------------


@pytest.mark.parametrize("door", ["reading", "keeping"])
async def test_what_was_made_for_an_old_requirement_is_not_delivered(
    works: Works, door: str
) -> None:
    order = await works.order(SCENE, "转成jpg")
    shut = getattr(works, door)
    shut.shut()
    await works.started()
    await shut.reached.wait()
    await works.bench.desk.amend(order["id"], [TO_PNG], actor="customer", tell=False)
    shut.way.set()
    assert (await delivered(works, order)).format == "PNG"
    assert len(await deliveries(works, order)) == 1
    row = await works.row(order)
    assert (row.tried, works.counted("outdated")) == ((), 1.0)


async def test_a_change_stops_the_work_without_waiting_for_its_end(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.reading.shut()
    await works.started()
    await works.reading.reached.wait()
    works.reading.reached.clear()
    await works.bench.desk.amend(order["id"], [TO_PNG], actor="customer", tell=False)
    await works.reading.reached.wait()  # it is begun anew, while the first one waited for ever
    works.reading.way.set()
    assert (await delivered(works, order)).format == "PNG"


async def test_what_is_cancelled_while_it_is_worked_on_is_not_delivered(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.reading.shut()
    runner = await works.started()
    await works.reading.reached.wait()
    await works.bench.desk.cancel(order["id"], "不要了", actor="customer")
    works.reading.way.set()
    await works.quiet()
    await runner.stop()
    assert (await works.row(order)).status is S.CANCELLED
    (word,) = await works.bench.told()
    assert word.endswith("已为您取消。")


async def test_a_person_who_was_quicker_has_delivered(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.keeping.shut()
    runner = await works.started()
    await works.keeping.reached.wait()
    mine = "https://shop.example/mine.png"
    await works.bench.desk.deliver(order["id"], [mine], actor="staff")
    works.keeping.way.set()
    await works.quiet()
    await runner.stop()
    assert (await works.row(order)).deliverables == (mine,)
    assert len(await works.bench.told()) == 2


# Processes ----------------------------------------------------------------------------------


async def test_a_process_whose_lease_ran_out_delivers_nothing_any_more(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.keeping.shut()
    frozen = works.runner("frozen")
    await frozen.start()
    await works.keeping.reached.wait()
    works.keeping.reached.clear()
    # Its loop would renew the lease, as it does not where the whole process is stopped.
    later = NOW + LEASE_S + POLL_S
    other = works.runner("other", clock=lambda: later, alone=False)
    await other.start()
    await works.keeping.reached.wait()
    works.keeping.way.set()
    await delivered(works, order)
    await frozen.stop()
    await other.stop()
    assert len(await deliveries(works, order)) == 1
    row = await works.row(order)
    assert [one["result"] for one in row.tried] == ["interrupted"]


async def test_one_order_is_worked_on_at_a_time_and_quotes_expire_meanwhile(works: Works) -> None:
    first, second = [await works.order(SCENE, "转成jpg") for _ in range(2)]
    works.reading.shut()
    await works.started()
    await works.reading.reached.wait()
    quoted = await works.order(SCENE, "转成jpg", status=S.QUOTED, due_at=NOW - 1)
    works.bench.desk.on_due()
    await works.until(quoted, S.CANCELLED)
    assert (await works.row(second)).status is S.CONFIRMED
    works.reading.way.set()
    await works.until(first, S.DELIVERED)
    await works.until(second, S.DELIVERED)


async def test_a_graceful_stop_lets_the_work_end(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.reading.shut()
    runner = await works.started()
    await works.reading.reached.wait()
    stopping = asyncio.create_task(runner.stop())
    await asyncio.sleep(0)
    works.reading.way.set()
    await stopping
    assert (await works.row(order)).status is S.DELIVERED


async def test_work_that_a_stop_broke_off_is_done_by_the_next_start(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.reading.shut()
    runner = await works.started()
    await works.reading.reached.wait()
    await runner.stop(grace_s=0.0)
    assert (await works.row(order)).status is S.WORKING
    works.reading.way.set()
    await works.started()
    await delivered(works, order)
    assert len(await deliveries(works, order)) == 1


async def test_a_picture_that_kills_every_process_goes_to_a_designer(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    works.reading.shut()
    for _ in range(MAX_INTERRUPTIONS):
        runner = await works.started()
        await works.reading.reached.wait()
        works.reading.reached.clear()
        await runner.stop(grace_s=0.0)
    await works.started()
    row = await works.until(order, S.WAITING)
    assert [one["result"] for one in row.tried] == ["interrupted"] * 3 + ["given_up"]


async def test_the_same_result_again_is_not_delivered_again(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg")
    await works.started()
    row = await works.until(order, S.DELIVERED)

    def again(connection: Connection) -> None:
        works.bench.desk.book.rework(connection, row, "再做", actor="x", now=NOW, due_at=NOW)

    await works.database.write(again)
    works.bench.desk.on_due()
    after = await works.until(order, S.WAITING)
    assert "一样" in after.tried[-1]["reason"]


# What does not want work --------------------------------------------------------------------


async def test_a_quote_that_is_no_longer_valid_ends_without_a_word(works: Works) -> None:
    over = await works.order(SCENE, "转成jpg", status=S.QUOTED, due_at=NOW - 1)
    valid = await works.order(SCENE, "转成jpg", status=S.QUOTED, due_at=NOW + 3_600)
    await works.started()
    await works.until(over, S.CANCELLED)
    events = (await works.bench.desk.get(over["id"]))["events"]
    assert events[-1]["detail"]["reason"] == EXPIRED
    assert await works.bench.told() == await works.bench.told("notice") == []
    row = await works.row(valid)
    assert (row.status, row.due_at) == (S.QUOTED, NOW + 3_600)
    assert works.counted("expired") == 1.0


async def test_a_quote_that_is_made_anew_meanwhile_does_not_expire(works: Works) -> None:
    order = await works.order(SCENE, "转成jpg", status=S.QUOTED, due_at=NOW - 1)
    runner = works.runner()
    claimed = await works.database.write(
        lambda c: works.bench.desk.book.claim_due(c, owner="p1", now=NOW, lease_s=LEASE_S, limit=9)
    )
    await works.bench.desk.amend(order["id"], [TO_PNG], actor="customer", tell=False)
    await runner._rest(claimed[0])
    row = await works.row(order)
    assert row.status is S.QUOTED
    (lease,) = await works.bench.rows("SELECT lease_owner FROM image_tasks")
    assert lease["lease_owner"] is None


@pytest.mark.parametrize(
    ("status", "workflow"),
    [
        (S.DRAFT, Workflow.PROCESS),
        (S.CONFIRMED, Workflow.DESIGN),
        (S.DISPATCHED, Workflow.DESIGN),
        (S.FAILED, Workflow.PROCESS),
    ],
)
async def test_what_nobody_here_works_on_is_due_no_more(
    works: Works, status: OrderStatus, workflow: Workflow
) -> None:
    order = await works.order(SCENE, "转成jpg", status=status, workflow=workflow)
    await works.started()
    await works.quiet()
    row = await works.row(order)
    assert (row.status, row.version, row.due_at) == (status, 1, None)
