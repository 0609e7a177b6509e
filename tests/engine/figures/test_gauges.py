"""Gauges show what rows say, for the whole deployment, however often they are scraped."""

from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Connection

from domain.figures import Sums
from engine.figures.gauges import MIN_S, Gauges
from storage import figures, kf_windows, reply_windows
from storage.kf_windows import Whose
from tests.engine.figures.bench import NOON, Bench, provider
from tests.storage.test_figures import CALL
from tools.models.breaker import BreakerState


def gauges_of(bench: Bench) -> tuple[Gauges, CollectorRegistry]:
    registry = CollectorRegistry()
    rates = {"USD": 7.0}
    return (
        Gauges(
            registry,
            bench.database,
            bench.machine,
            bench.outside,
            rates,
            clock=lambda: bench.now,
        ),
        registry,
    )


def shown(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


async def test_customers_are_shown_by_what_they_may_still_be_sent(bench: Bench) -> None:
    def unit(connection: Connection) -> None:
        for sender, sent in (("new", 0), ("two", 2), ("spent", 5), ("unsure", 1)):
            whose = Whose("wecom_kf", "kf1", sender)
            kf_windows.open_window(connection, whose, at=NOON, lasts=1_000, allowed=5)
            window = kf_windows.locked(connection, whose)
            assert window is not None
            if sender == "new":
                continue  # as it was stored first
            window.sent = {f"m{n}": NOON for n in range(sent)}
            window.unsure = {"m9": NOON} if sender == "unsure" else {}
            kf_windows.save(connection, whose, window)
        place = ("wechat", "a", "follower")
        reply_windows.open_window(connection, *place, now=NOON, lasts_s=1_000, allowed=20)
        reply_windows.spend(connection, *place, "m1", now=NOON)
        gone = ("wechat", "a", "gone")
        reply_windows.open_window(connection, *gone, now=NOON - 5_000, lasts_s=1_000, allowed=20)

    await bench.database.write(unit)
    gauges, registry = gauges_of(bench)
    await gauges.refresh()
    found = {n: v for n, v in shown(registry).items() if n.startswith("kefu_reply_quota")}
    assert found == {
        'kefu_reply_quota_customers{channel="wecom_kf",left="5"}': 1,
        'kefu_reply_quota_customers{channel="wecom_kf",left="3"}': 2,
        'kefu_reply_quota_customers{channel="wecom_kf",left="0"}': 1,
        'kefu_reply_quota_customers{channel="wechat",left="19"}': 1,
    }


async def test_a_provider_shows_whether_it_is_asked_and_what_is_left(bench: Bench) -> None:
    bench.providers = [provider("openai", state=BreakerState.OPEN), provider("qwen", budget=100)]
    gauges, registry = gauges_of(bench)
    await gauges.refresh()
    found = shown(registry)
    assert found['kefu_provider_open{provider="openai"}'] == 1
    assert found['kefu_provider_open{provider="qwen"}'] == 0
    assert found['kefu_provider_tokens_left_ratio{provider="qwen"}'] == 1
    assert 'kefu_provider_tokens_left_ratio{provider="openai"}' not in found


async def test_rows_are_read_once_in_a_while_however_often_it_is_scraped(bench: Bench) -> None:
    async def count() -> None:
        await bench.database.write(
            lambda c: figures.add(c, Sums(messages=1), at=bench.now, channel="kf", tier="gray")
        )

    gauges, registry = gauges_of(bench)
    await count()
    await gauges.refresh()
    await count()
    await gauges.refresh()
    assert shown(registry)["kefu_messages_last_hour"] == 1
    bench.now += MIN_S
    await gauges.refresh()
    assert shown(registry)["kefu_messages_last_hour"] == 2


async def test_a_provider_that_was_not_called_for_a_day_is_gone(bench: Bench) -> None:
    await bench.database.write(lambda c: figures.add_call(c, CALL, at=NOON))
    gauges, registry = gauges_of(bench)
    await gauges.refresh()
    assert shown(registry)['kefu_tokens_last_day{provider="deepseek"}'] == 1_000
    assert shown(registry)["kefu_cost_last_day_yuan"] == 0.0032
    bench.now += 30 * 3_600
    await gauges.refresh()
    assert 'kefu_tokens_last_day{provider="deepseek"}' not in shown(registry)
    assert shown(registry)["kefu_cost_last_day_yuan"] == 0


async def test_alerts_and_processes_are_shown(bench: Bench) -> None:
    await bench.looks(1)
    gauges, registry = gauges_of(bench)
    await gauges.refresh()
    found = shown(registry)
    assert found['kefu_processes{state="alive"}'] == 1
    assert found['kefu_alert_firing{alert="cpu_high"}'] == 0
    assert found['kefu_machine_used_ratio{resource="disk"}'] == 0.3
    bench.now += 100
    await gauges.refresh()
    assert shown(registry)['kefu_processes{state="lost"}'] == 1
