"""One notice becomes one for each place, once; no place waits for another."""

from functools import partial

from domain.errors import PeerRejected, PeerUnavailable
from engine.delivery import sweep_outbox
from engine.notices import PATIENCE_S
from storage import outbox
from storage.database import Database
from storage.paces import Pace
from tests.engine.notices.bench import PAYLOAD, Place, notices_to
from tests.engine.processes import StandingClock

THREE = "telegram:1,feishu,mail:desk@shop.example"
AWAY = PeerUnavailable("feishu", "away")


def read_by(place: Place, count: int) -> bool:
    return len(place.read) == count


async def test_a_notice_is_read_once_in_every_place_under_a_lasting_id(
    database: Database,
) -> None:
    async with notices_to(database, THREE) as bench:
        await bench.notify("t_1:notice")
        await bench.settled()
        rows = await bench.rows()
    assert sorted(row[0] for row in rows) == [
        "t_1:notice",
        "t_1:notice:feishu",
        "t_1:notice:mail:desk@shop.example",
        "t_1:notice:telegram:1",
    ]
    for name, place in bench.places.items():
        (read,) = place.read
        assert read.notice_id == f"t_1:notice:{name}"
        assert (read.title, read.text, read.priority, read.reason, read.conversation_id) == (
            *(PAYLOAD[one] for one in ("title", "text", "priority", "reason")),
            "c_1",
        )


async def test_a_hand_on_that_is_repeated_adds_nothing(database: Database) -> None:
    async with notices_to(database, THREE) as bench:
        await bench.notify("n1")
        await bench.settled()
        once = len(await bench.rows())
        # The process died after it had handed the notice on, and before it knew.
        delivery = outbox.Delivery(
            1, "n1", "notice:n1", "notice", "staff", "", "c_1", "t_1", PAYLOAD, 1
        )
        follow_ups = await bench.fan.deliver(delivery)
        queues = await database.write(
            lambda c: bench.settling.settled(
                c, delivery, outcome="delivered", error=None, now=1.0, follow_ups=follow_ups
            )
        )
        assert queues == ()
        assert len(await bench.rows()) == once
    assert [place.calls for place in bench.places.values()] == [1, 1, 1]


async def test_a_place_that_fails_keeps_its_order_and_holds_no_other_up(
    database: Database,
) -> None:
    async with notices_to(database, THREE) as bench:
        bench.places["feishu"].always = AWAY
        keys = [f"n{number}" for number in range(4)]
        for count, key in enumerate(keys, start=1):
            await bench.notify(key)
            await bench.until(partial(read_by, bench.places["telegram:1"], count))
        await bench.until(lambda: len(bench.places["mail:desk@shop.example"].read) == 4)
        assert bench.places["feishu"].read == []
        bench.places["feishu"].always = None
        await bench.settled()
    for name, place in bench.places.items():
        assert place.ids == [f"{key}:{name}" for key in keys]


async def test_a_notice_that_one_place_refuses_is_its_dead_letter_and_the_next_goes(
    database: Database,
) -> None:
    async with notices_to(database, THREE) as bench:
        bench.places["telegram:1"].fails = [PeerRejected("telegram", "屏蔽")]
        await bench.notify("n1")
        await bench.until(lambda: bench.places["telegram:1"].calls == 1)
        await bench.settled()
        await bench.notify("n2")
        await bench.settled()
        status = await bench.status()
        ((dead, _, _, error),) = await bench.rows("status = 'dead'")
        assert (dead, error) == ("n1:telegram:1", "telegram: 屏蔽")
        assert {one for key, one in status.items() if key != dead} == {"delivered"}
        # What was wrong is put right: it is sent again, there alone.
        queue = await database.write(
            lambda c: outbox.resend(
                c,
                c.exec_driver_sql("SELECT id FROM outbox WHERE status = 'dead'").scalar_one(),
                now=1_800_000_000.0,
                actor="operator",
            )
        )
        bench.deliverer.wake(queue)
        await bench.settled()
    assert bench.places["telegram:1"].ids == ["n2:telegram:1", "n1:telegram:1"]
    assert len(bench.places["feishu"].read) == 2


async def test_more_than_a_platform_takes_waits_for_the_next_minute(database: Database) -> None:
    clock, rates = StandingClock(), {"dingtalk": (Pace(20, 60.0),)}
    async with notices_to(database, "dingtalk,feishu", rates=rates, clock=clock) as bench:
        await bench.notify(*(f"n{number:02}" for number in range(25)))
        await bench.until(lambda: len(bench.places["feishu"].read) == 25)
        await bench.until(lambda: len(bench.places["dingtalk"].read) == 20)

        async def put_back() -> bool:
            waiting = "status = 'pending' AND attempts = 1 AND lease_until = 0"
            return len(await bench.rows(waiting)) == 1

        await bench.until(put_back)
        assert bench.places["dingtalk"].calls == 20
        clock.now += 59.0
        await sweep_outbox(database, bench.deliverer, now=clock.now)
        assert bench.places["dingtalk"].calls == 20
        clock.now += 1.5
        await sweep_outbox(database, bench.deliverer, now=clock.now)
        await bench.settled()
    assert len(set(bench.places["dingtalk"].ids)) == 25


async def test_two_processes_send_each_notice_once_and_keep_one_pace(database: Database) -> None:
    clock, rates = StandingClock(), {"dingtalk": (Pace(20, 60.0),)}
    async with (
        notices_to(database, "dingtalk", rates=rates, clock=clock, owner="p1") as one,
        notices_to(database, "dingtalk", rates=rates, clock=clock, owner="p2") as two,
    ):
        read = (one.places["dingtalk"].read, two.places["dingtalk"].read)

        async def both_have(count: int) -> bool:
            for bench in (one, two):
                await sweep_outbox(database, bench.deliverer, now=clock.now)
            return sum(map(len, read)) == count

        await one.notify(*(f"n{number:02}" for number in range(25)))
        await one.until(lambda: both_have(20))

        async def put_back() -> bool:
            waiting = "status = 'pending' AND attempts = 1 AND lease_until = 0"
            return len(await one.rows(waiting)) == 1

        await one.until(put_back)
        assert sum(map(len, read)) == 20
        clock.now += 61.0
        await one.until(lambda: both_have(25))
        await one.settled()
    assert len({notice.notice_id for notices in read for notice in notices}) == 25


async def test_a_place_is_given_up_when_nobody_would_act_on_it_any_more(
    database: Database,
) -> None:
    clock = StandingClock()
    async with notices_to(database, "feishu", clock=clock) as bench:
        bench.places["feishu"].always = AWAY
        await bench.notify("n1")
        await bench.until(lambda: bench.places["feishu"].calls >= 2)
        clock.now += PATIENCE_S - 60.0
        await sweep_outbox(database, bench.deliverer, now=clock.now)
        await bench.until(lambda: bench.places["feishu"].calls >= 4)

        async def put_back() -> bool:
            return bool(await bench.rows("status = 'pending' AND attempts = 2 AND lease_until = 0"))

        await bench.until(put_back)
        clock.now += 120.0
        await sweep_outbox(database, bench.deliverer, now=clock.now)
        await bench.settled()
        assert (await bench.status())["n1:feishu"] == "dead"


async def test_what_waits_for_a_place_that_is_no_more_is_a_dead_letter_that_names_it(
    database: Database,
) -> None:
    async with notices_to(database, "telegram:1,telegram:2") as before:
        before.places["telegram:2"].always = AWAY
        await before.notify("n1")
        await before.until(lambda: before.places["telegram:2"].calls >= 1)
    async with notices_to(database, "telegram:1", owner="p2") as bench:
        await database.write(
            lambda c: c.exec_driver_sql("UPDATE outbox SET lease_until = 0, next_attempt_at = 0")
        )
        bench.deliverer.wake("notices:telegram:2")
        await bench.settled()
        ((_, _, _, error),) = await bench.rows("status = 'dead'")
    assert "NOTIFICATION_CHANNEL no longer names 'telegram:2'" in error


async def test_a_payload_that_is_no_notice_is_refused(database: Database) -> None:
    async with notices_to(database, "feishu") as bench:
        await bench.notify("n1", priority="soon")
        await bench.settled()
        ((_, _, _, error),) = await bench.rows("status = 'dead'")
    assert "unknown priority 'soon'" in error
