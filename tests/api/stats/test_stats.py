"""/api/v1/stats, /api/v1/alerts and /metrics over HTTP, against a service that talks."""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from engine.figures.words import TITLES
from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tests.databases import fresh_postgres_database

STATS, ALERTS = "/api/v1/stats", "/api/v1/alerts"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def talked(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    knowledge_folder: Path,
) -> Iterator[Service]:
    """A service of its own that has answered three messages of two customers."""
    folder = tmp_path_factory.mktemp("talked")
    if request.param == "sqlite":
        with running_service(
            folder, knowledge=knowledge_folder, alerts=True, alert_check_s=0.2
        ) as running:
            yield _talk(running)
        return
    with (
        fresh_postgres_database(request.getfixturevalue("postgres_url")) as url,
        running_service(folder, database_url=url, alerts=True, alert_check_s=0.2) as running,
    ):
        yield _talk(running)


def _talk(service: Service) -> Service:
    service.ask("你好", message_id="1", chat_id="ann")
    service.ask("谢谢，太满意了", message_id="2", chat_id="ann")
    service.ask("我要投诉，找人工", message_id="3", chat_id="ben")
    return service


def get(service: Service, **params: str) -> dict[str, Any]:
    response = service.client.get(STATS, params=params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_indicators_have_the_seeds_names(talked: Service) -> None:
    found = get(talked)
    assert set(found["system"]) == {"cpu_percent", "memory_percent", "disk_percent"}
    assert all(0 <= value <= 100 for value in found["system"].values())
    assert found["business"] | {"avg_response_time_ms": 0} == {
        "active_sessions": 2,
        "messages_per_hour": 3,
        "avg_response_time_ms": 0,
        "tokens_used_24h": 0,
        "estimated_cost_24h": 0.0,
    }
    assert 0 <= found["business"]["avg_response_time_ms"] < 30_000
    assert found["services"] == {
        "database_connected": True,
        "ai_gateway_available": False,
        "kb_service_available": True,
    }


@pytest.mark.parametrize("by", ["day", "channel", "tier", "intent"])
def test_each_breakdown_adds_up_to_the_total(talked: Service, by: str) -> None:
    period = get(talked, by=by)["period"]
    for name in ("messages", "turns", "answers", "handoffs", "positive", "negative"):
        assert sum(item[name] for item in period["items"]) == period["totals"][name]
    assert period["totals"]["messages"] == 3
    assert period["totals"]["handoffs"] == 1
    assert period["totals"]["positive"] == 1
    keys = [item["key"] for item in period["items"]]
    if by == "day":
        assert len(keys) == 7
    elif by == "channel":
        assert keys == ["api"]
    elif by == "tier":
        assert keys == ["gray"]


def test_figures_are_those_of_the_rows_that_they_count(talked: Service) -> None:
    totals = get(talked)["period"]["totals"]
    with talked.kefu.engine.database.engine.connect() as connection:
        turns = connection.execute(text("SELECT COUNT(*) FROM turns")).scalar_one()
        said = connection.execute(
            text("SELECT COUNT(*) FROM messages WHERE role = 'user'")
        ).scalar_one()
    assert (totals["turns"], totals["messages"]) == (turns, said)


def test_a_period_of_the_past_is_empty(talked: Service) -> None:
    found = get(talked, **{"from": "2020-01-01", "to": "2020-01-02", "by": "day"})["period"]
    assert [item["key"] for item in found["items"]] == ["2020-01-01", "2020-01-02"]
    assert found["totals"]["messages"] == 0
    assert found["totals"]["resolution_rate"] is None


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"by": "weather"}, "by"),
        ({"to": "9999-12-31"}, "to"),
    ],
)
def test_a_period_that_cannot_be_is_refused(
    talked: Service, params: dict[str, str], field: str
) -> None:
    assert refusal(talked.client.get(STATS, params=params), 422)[0] == field


def test_alerts_are_listed_with_their_thresholds(talked: Service) -> None:
    found = talked.client.get(ALERTS).json()
    assert found["enabled"] is True
    items = {one["name"]: one for one in found["items"]}
    assert items.keys() == {str(name) for name in TITLES}
    assert (items["cpu_high"]["threshold"], items["memory_high"]["threshold"]) == (80, 85)
    assert items["response_slow"]["threshold"] == 5_000
    assert items["token_high"]["threshold"] == 1_000_000
    assert found["next"] is None


def test_an_alert_that_fires_is_listed_first_and_its_history_is_paged(
    talked: Service,
) -> None:
    engine = talked.kefu.engine.database.engine
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO dead_letters (conversation_id, message_ids, error, attempts, status,"
                " created_at) VALUES ('c', '[]', 'e', 3, 'parked', 'now')"
            )
        )
    _check(talked)
    first = talked.client.get(ALERTS).json()["items"][0]
    assert (first["name"], first["state"], first["value"]) == ("dead_letters", "firing", 1)
    assert first["title"] == "有处理或投递失败的消息"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM dead_letters"))
    page = talked.client.get(ALERTS, params={"limit": 1}).json()
    assert page["events"][0]["name"] == "dead_letters"
    whole = talked.client.get(ALERTS).json()["events"]
    rest: list[dict[str, Any]] = []
    while page["next"] is not None:
        page = talked.client.get(ALERTS, params={"limit": 1, "before": page["next"]}).json()
        rest += page["events"]
    assert rest == whole[1:]


def _check(service: Service) -> None:
    """The watch looks five times a second."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        found = {one["name"]: one for one in service.client.get(ALERTS).json()["items"]}
        if found["dead_letters"]["state"] == "firing":
            return
        time.sleep(0.05)
    raise AssertionError("the alert does not fire")


def test_without_alerts_none_is_listed(service: Service) -> None:
    found = service.client.get(ALERTS).json()
    assert (found["enabled"], found["items"]) == (False, [])


def test_today_is_the_default_end_of_a_period(talked: Service) -> None:
    period = get(talked)["period"]
    ends = date.fromisoformat(period["to"])
    assert date.fromisoformat(period["from"]) == ends - timedelta(days=6)


def test_metrics_tell_of_the_talk_and_of_the_whole_deployment(talked: Service) -> None:
    lines = talked.client.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    answered = {name: float(value) for name, value in values.items() if "_answers_total" in name}
    assert sum(answered.values()) == 3
    assert float(values['kefu_handoffs_total{channel="api",target="desk"}']) == 1
    assert float(values['kefu_sentiment_total{sentiment="positive"}']) == 1
    assert float(values['kefu_response_seconds_count{channel="api"}']) == 3
    assert float(values["kefu_messages_last_hour"]) == 3
    assert float(values['kefu_sessions{life="active"}']) == 2
    assert float(values['kefu_handoffs_open{status="waiting"}']) == 1
    assert float(values['kefu_processes{state="alive"}']) == 1
    assert 0 < float(values['kefu_machine_used_ratio{resource="memory"}']) <= 1
    assert any(
        line.startswith("# HELP kefu_queue_age_seconds") and "whole" in line for line in lines
    )
