"""Alerts in the service: told once, by one process, and with what they tell of."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from domain.alerts import NEVER, AlertName
from domain.figures import Sums
from engine.figures.alerts import FORGET_S, FRESH_S
from storage import figures
from storage.clock import iso
from storage.database import Database
from tests.engine.figures.bench import NOON, THRESHOLDS, Bench, SetMachine, provider
from tests.storage.test_figures import CALL
from tools.models.breaker import BreakerState


async def test_a_busy_processor_is_told_of_once_and_so_is_its_end(bench: Bench) -> None:
    bench.machine.readings = replace(bench.machine.readings, cpu_percent=93.0)
    await bench.looks(15)
    (notice,) = await bench.notices()
    assert notice["title"] == "告警：CPU 使用率过高"
    assert notice["text"].startswith("当前 93%，超过阈值 80%。主机 ")
    assert (notice["priority"], notice["reason"]) == ("high", "alert_cpu_high")
    bench.machine.readings = replace(bench.machine.readings, cpu_percent=20.0)
    await bench.looks(9)
    _, over = await bench.notices()
    assert over["title"] == "恢复：CPU 使用率过高"
    # From the 75th second (high since the 15th) to the 360th (low since the 240th).
    assert over["text"] == "当前 20%（阈值 80%），告警持续了 5 分钟。"
    assert over["priority"] == "normal"
    assert len(bench.queues) == 2
    events = await bench.alerts.events(limit=10)
    assert [(one["name"], one["event"]) for one in events] == [
        ("cpu_high", "resolved"),
        ("cpu_high", "firing"),
    ]


async def test_of_two_processes_one_tells_and_the_busier_machine_counts(
    bench: Bench, second: Database
) -> None:
    busy = SetMachine()
    busy.readings = replace(busy.readings, memory_percent=97.0)
    other = bench.process("p2", second, bench.judging(second), busy)
    await bench.looks(20, bench.watch, other)
    assert [one["reason"] for one in await bench.notices()] == ["alert_memory_high"]


async def test_who_judges_at_the_same_moment_tells_once(bench: Bench, second: Database) -> None:
    other = bench.judging(second)
    await bench.watch.look()
    await bench.database.write(_a_dead_letter)
    moments = itertools.count()
    bench.clock = lambda: bench.now + 1 + next(moments) / 1_000
    await asyncio.gather(*(one.check() for one in (bench.alerts, other) * 5))
    assert [one["reason"] for one in await bench.notices()] == ["alert_dead_letters"]


def _a_dead_letter(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO dead_letters (conversation_id, message_ids, error, attempts, status,"
            " created_at) VALUES ('c', '[]', 'e', 3, 'parked', 'now')"
        )
    )


async def test_another_process_judges_when_the_first_is_gone(
    bench: Bench, second: Database
) -> None:
    other = bench.process("p2", second, bench.judging(second), SetMachine())
    await bench.looks(2, bench.watch, other)
    await bench.database.write(_a_dead_letter)
    await bench.looks(1, other)
    assert await bench.notices() == []  # the first has the lease still
    await bench.looks(3, other)
    assert [one["reason"] for one in await bench.notices()] == ["alert_dead_letters"]


async def test_a_process_that_ends_without_a_word_is_missed_and_one_that_stops_is_not(
    bench: Bench, second: Database
) -> None:
    lost = bench.process("lost", second, None, SetMachine())
    polite = bench.process("polite", second, None, SetMachine())
    await bench.looks(1, bench.watch, lost, polite)
    await polite.start()
    await polite.stop()
    await bench.looks(round(FRESH_S / 15) + 1)
    (notice,) = await bench.notices()
    assert notice["reason"] == "alert_process_lost"
    assert notice["text"].startswith("当前 1 个，超过阈值 0 个。进程 ")
    await bench.looks(round(FORGET_S / 15) + 10)
    assert await bench.state(AlertName.PROCESS_LOST) == "ok"


async def test_the_only_process_of_a_database_misses_nobody_after_a_crash(bench: Bench) -> None:
    await bench.looks(1)
    again = bench.process("again", bench.database, bench.alerts, bench.machine)
    again._alone = True
    await again.start()
    await again.stop()
    await bench.looks(10, again)
    assert await bench.notices() == []


async def test_slow_answers_and_late_ones_are_measured_over_ten_minutes(bench: Bench) -> None:
    slow = Sums(answers=6, response_ms=36_000, slow=2)
    await bench.database.write(
        lambda c: figures.add(c, slow, at=bench.now, channel="kf", tier="gray")
    )
    await bench.looks(10)
    reasons = {one["reason"]: one["text"] for one in await bench.notices()}
    assert reasons == {
        "alert_response_slow": "当前 6,000 毫秒，超过阈值 5,000 毫秒。最近 10 分钟答复 6 次。",
        "alert_answers_late": "当前 33.3%，超过阈值 10%。最近 10 分钟答复 6 次。",
    }
    await bench.looks(60)
    assert await bench.state(AlertName.RESPONSE_SLOW) == "ok"


async def test_a_few_late_answers_are_no_alert(bench: Bench) -> None:
    few = Sums(answers=4, response_ms=4_000, slow=3)
    await bench.database.write(
        lambda c: figures.add(c, few, at=bench.now, channel="kf", tier="gray")
    )
    await bench.looks(10)
    assert await bench.notices() == []


async def test_tokens_of_a_day_are_counted_over_all_providers(bench: Bench) -> None:
    call = CALL | {"tokens_in": 500_000, "tokens_out": 100_000}

    def unit(connection: Connection) -> None:
        figures.add_call(connection, call, at=NOON - 3_600)
        figures.add_call(connection, call | {"provider": "qwen"}, at=NOON)
        figures.add_call(connection, call, at=NOON - 30 * 3_600)

    await bench.database.write(unit)
    await bench.looks(1)
    (notice,) = await bench.notices()
    assert notice["text"] == "当前 1,200,000 Token，超过阈值 1,000,000 Token。"


async def test_a_provider_that_is_not_asked_and_one_whose_tokens_run_out_are_told_of(
    bench: Bench,
) -> None:
    bench.providers = [
        provider("openai", state=BreakerState.OPEN),
        provider("deepseek", budget=1_000),
        provider("qwen", budget=10_000),
    ]
    call = CALL | {"tokens_in": 900, "tokens_out": 50}
    await bench.database.write(lambda c: figures.add_call(c, call, at=NOON - 60))
    await bench.looks(10)
    reasons = {one["reason"]: one["text"] for one in await bench.notices()}
    assert reasons == {
        "alert_provider_open": "当前 1 个，超过阈值 0 个。服务商 openai。",
        "alert_quota_low": "当前 95%，超过阈值 90%。服务商 deepseek。",
    }


@pytest.mark.parametrize(
    ("table", "name"),
    [("conversations", AlertName.QUEUE_AGE), ("outbox", AlertName.OUTBOX_AGE)],
)
async def test_what_waits_too_long_is_told_of(bench: Bench, table: str, name: AlertName) -> None:
    since = NOON - THRESHOLDS[name]

    def unit(connection: Connection) -> None:
        if table == "conversations":
            connection.execute(
                text(
                    "INSERT INTO conversations (id, channel, account, chat_id, sender_id,"
                    " contact_id, customer_name, mode, session_no, session_last_ts, due_at,"
                    " first_unread_ts, received, lease_until, fence, attempts, failures,"
                    " created_at, last_active_at) VALUES ('c', 'api', 'a', 'c', 's', 'p', '',"
                    " 'bot', 0, 0, :at, :at, 1, 0, 0, 0, 0, 'now', 'now')"
                ),
                {"at": since},
            )
            return
        connection.execute(
            text(
                "INSERT INTO outbox (message_id, queue, kind, channel, account, conversation_id,"
                " turn_id, payload, status, attempts, next_attempt_at, lease_until, created_at,"
                " task_run) VALUES ('m', 'q', 'message', 'kf', '', 'c', 't', '{}', 'pending', 1,"
                " 0, 0, :at, 0)"
            ),
            {"at": iso(since)},
        )

    await bench.database.write(unit)
    await bench.alerts.check()
    assert await bench.state(name) == "ok"
    bench.now += 1
    await bench.alerts.check()
    assert await bench.state(name) == "firing"


async def test_what_waits_for_the_customers_next_word_does_not_wait_too_long(
    bench: Bench,
) -> None:
    """WeChat takes no more before it; what stands behind it in its queue waits with it."""

    def unit(connection: Connection) -> None:
        for message, later in (("m1", 48 * 3_600.0), ("m2", 0.0)):
            connection.execute(
                text(
                    "INSERT INTO outbox (message_id, queue, kind, channel, account,"
                    " conversation_id, turn_id, payload, status, attempts, next_attempt_at,"
                    " lease_until, created_at, task_run) VALUES (:message, 'q', 'message',"
                    " 'wechat', '', 'c', 't', '{}', 'pending', 1, :later, 0, :at, 0)"
                ),
                {"message": message, "later": NOON + later, "at": iso(NOON - 4_000)},
            )

    await bench.database.write(unit)
    await bench.alerts.check()
    assert await bench.state(AlertName.OUTBOX_AGE) == "ok"


async def test_a_silent_client_is_told_of_by_who_misses_it_and_stands_here_all_the_same(
    bench: Bench,
) -> None:
    def unit(connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO clients (agent_id, name, role, enabled, generation, address,"
                " created_at) VALUES ('a1', 'A', 'agent', :yes, 1, '', 'now')"
            ),
            {"yes": True},
        )
        connection.execute(
            text(
                "INSERT INTO heartbeats (agent_id, status, seen_ts, offline_ts)"
                " VALUES ('a1', '{}', 1, 2)"
            )
        )

    await bench.database.write(unit)
    await bench.looks(1)
    assert await bench.state(AlertName.CLIENT_OFFLINE) == "firing"
    assert await bench.notices() == []


async def test_an_alert_that_is_switched_off_is_forgotten(bench: Bench) -> None:
    await bench.database.write(_a_dead_letter)
    await bench.looks(1)
    off = bench.judging(bench.database, THRESHOLDS | {AlertName.DEAD_LETTERS: NEVER})
    bench.now += 1
    await off.check()
    names = await bench.database.read(lambda c: c.execute(text("SELECT name FROM alerts")).all())
    assert "dead_letters" not in {row[0] for row in names}
