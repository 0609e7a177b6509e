"""Figures as people get them: the arithmetic stands beside each number."""

from datetime import date

from sqlalchemy import Connection, text

from domain.figures import Sums
from engine.figures.stats import cost_of
from storage import figures
from storage.clock import iso
from storage.database import Database
from tests.engine.figures.bench import NOON, Bench, provider
from tests.storage.test_figures import CALL
from tools.models.breaker import BreakerState

DAY_S = 86_400.0
FRIDAY, WEDNESDAY = date(2026, 5, 29), date(2026, 5, 27)


def _sessions(connection: Connection, *ages: float) -> None:
    for number, age in enumerate(ages):
        connection.execute(
            text(
                "INSERT INTO sessions (session_key, contact_id, customer_name,"
                " conversation_outcome, turn_count, total_tokens, created_at, last_active_at,"
                " conversation_id) VALUES (:key, 'p', '', 'unsolved', 1, 0, :at, :at, 'c')"
            ),
            {"key": f"s{number}", "at": iso(NOON - age)},
        )


async def test_the_seeds_indicators_are_what_rows_say(bench: Bench) -> None:
    def unit(connection: Connection) -> None:
        _sessions(connection, 10, 299, 301, 2_000)
        for ago, sums in (
            (60, Sums(messages=3, turns=2, answers=2, response_ms=1_000)),
            (3_000, Sums(messages=1, turns=1, answers=1, response_ms=2_000)),
            (4_000, Sums(messages=9, turns=9, answers=9, response_ms=90_000)),
        ):
            figures.add(connection, sums, at=NOON - ago, channel="kf", tier="gray")
        figures.add_call(connection, CALL, at=NOON - 60)
        figures.add_call(
            connection, CALL | {"cost": 0.001, "currency": "USD"}, at=NOON - 23 * 3_600
        )
        figures.add_call(connection, CALL, at=NOON - 26 * 3_600)

    await bench.database.write(unit)
    bench.providers = [provider("deepseek")]
    assert await bench.stats.now() == {
        "system": {"cpu_percent": 10.0, "memory_percent": 20.0, "disk_percent": 30.0},
        "business": {
            "active_sessions": 2,  # 10 s and 299 s ago; 5 minutes are the limit
            "messages_per_hour": 4,  # 3 + 1; the nine are older than an hour
            "avg_response_time_ms": 1_000.0,  # (1,000 + 2,000) / (2 + 1)
            "tokens_used_24h": 2_000,  # 2 × (800 + 200)
            "estimated_cost_24h": 0.0102,  # 0.0032 CNY + 0.001 USD × 7
        },
        "services": {
            "database_connected": True,
            "ai_gateway_available": True,
            "kb_service_available": True,
        },
    }


async def test_without_any_traffic_there_is_no_average(bench: Bench) -> None:
    business = (await bench.stats.now())["business"]
    assert business["messages_per_hour"] == 0
    assert business["avg_response_time_ms"] is None


async def test_a_database_that_is_away_is_said_and_the_machine_is_shown_all_the_same(
    bench: Bench, second: Database
) -> None:
    await bench.machine.read()
    bench.database.close()
    found = await bench.stats.now()
    assert found["services"]["database_connected"] is False
    assert set(found["business"].values()) == {None}
    assert found["system"]["cpu_percent"] == 10.0
    bench.database.start()


async def test_models_are_away_when_none_is_configured_or_all_keep_failing(bench: Bench) -> None:
    assert (await bench.stats.now())["services"]["ai_gateway_available"] is False
    bench.providers = [provider("a", state=BreakerState.OPEN)]
    assert (await bench.stats.now())["services"]["ai_gateway_available"] is False
    bench.providers.append(provider("b", state=BreakerState.HALF_OPEN))
    assert (await bench.stats.now())["services"]["ai_gateway_available"] is True


async def test_a_period_by_day_has_every_day(bench: Bench) -> None:
    def unit(connection: Connection) -> None:
        one = Sums(messages=4, turns=4, answers=4, solved=3, handoffs=1, slow=1, response_ms=8_000)
        for at in (NOON, NOON - 2 * DAY_S, NOON - 3 * DAY_S):
            figures.add(connection, one, at=at, channel="kf", tier="gray", intent="price")

    await bench.database.write(unit)
    found = await bench.stats.period(WEDNESDAY, FRIDAY, "day")
    assert [(one["key"], one["messages"]) for one in found["items"]] == [
        ("2026-05-27", 4),
        ("2026-05-28", 0),
        ("2026-05-29", 4),
    ]
    day = found["items"][0]
    assert day["resolution_rate"] == 0.75  # 3 of 4 answers
    assert day["handoff_rate"] == 0.25  # 1 of 4 turns
    assert day["slow_rate"] == 0.25
    assert day["avg_response_time_ms"] == 2_000.0
    assert found["items"][1]["resolution_rate"] is None
    assert found["totals"]["messages"] == 8
    assert (found["from"], found["to"], found["by"]) == ("2026-05-27", "2026-05-29", "day")


async def test_a_period_by_tier_adds_up_to_its_total(bench: Bench) -> None:
    def unit(connection: Connection) -> None:
        for tier, n in (("white", 1), ("gray", 5), ("black", 2)):
            sums = Sums(messages=n, turns=n, ratings=n, rating_sum=4 * n, waits=n, wait_ms=n * 500)
            figures.add(connection, sums, at=NOON, channel="kf", tier=tier)

    await bench.database.write(unit)
    found = await bench.stats.period(FRIDAY, FRIDAY, "tier")
    assert {one["key"]: one["messages"] for one in found["items"]} == {
        "white": 1,
        "gray": 5,
        "black": 2,
    }
    assert found["totals"]["messages"] == 8
    assert found["totals"]["avg_rating"] == 4.0
    assert found["totals"]["avg_wait_s"] == 0.5


async def test_what_models_cost_is_told_by_provider_and_currency(bench: Bench) -> None:
    def unit(connection: Connection) -> None:
        figures.add_call(connection, CALL, at=NOON)
        figures.add_call(connection, CALL | {"currency": "EUR", "provider": "x"}, at=NOON)
        figures.add_call(connection, CALL | {"cost": None, "outcome": "timeout"}, at=NOON)
        figures.add_call(connection, CALL | {"cost": None}, at=NOON)

    await bench.database.write(unit)
    found = await bench.stats.period(FRIDAY, FRIDAY)
    assert found["items"] == []
    assert [(one["provider"], one["currency"], one["calls"]) for one in found["models"]] == [
        ("deepseek", None, 2),
        ("deepseek", "CNY", 1),
        ("x", "EUR", 1),
    ]
    # No rate for EUR, and one call whose price is not known; the time-out cost nothing.
    assert found["cost"] == {
        "total": 0.0032,
        "currency": "CNY",
        "by_currency": {"CNY": 0.0032, "EUR": 0.0032},
        "unpriced_calls": 2,
    }


def test_nothing_called_costs_nothing() -> None:
    assert cost_of({}, {"USD": 7.0}).shown() == {
        "total": 0.0,
        "currency": "CNY",
        "by_currency": {},
        "unpriced_calls": 0,
    }
