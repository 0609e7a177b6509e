"""/api/v1/campaigns and what customers say to it, over the real service."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.service import Service

PATH = "/api/v1/campaigns"
BODY = {"name": "活动", "text": "{name},八折", "segment": {"channels": ["nowhere"]}}


@pytest.fixture
def made(service: Service) -> Iterator[dict[str, Any]]:
    answer = service.client.post(PATH, json=BODY)
    assert answer.status_code == 201, answer.text
    yield answer.json()
    service.client.post(f"{PATH}/{answer.json()['id']}/cancel")


def test_a_campaign_is_a_draft_that_is_listed_shown_and_edited(
    service: Service, made: dict[str, Any]
) -> None:
    path = f"{PATH}/{made['id']}"
    assert made["status"] == "draft"
    newest = service.client.get(PATH, params={"limit": 1}).json()
    assert [one["id"] for one in newest["items"]] == [made["id"]]
    edited = service.client.put(path, json=BODY | {"name": "改名", "version": made["version"]})
    assert edited.json()["name"] == "改名"
    late = service.client.put(path, json=BODY | {"version": made["version"]})
    assert late.status_code == 409
    shown = service.client.get(path).json()
    assert (shown["name"], shown["people"], shown["deliveries"]) == ("改名", {}, {})


def test_a_campaign_that_was_started_is_edited_no_more_and_stops_for_good(
    service: Service, made: dict[str, Any]
) -> None:
    path = f"{PATH}/{made['id']}"
    later = {"starts_at": "2999-01-01T00:00:00+08:00"}
    started = service.client.post(f"{path}/start", json=later).json()
    assert (started["status"], started["starts_at"]) == ("scheduled", "2998-12-31T16:00:00+00:00")
    assert service.client.put(path, json=BODY).status_code == 409
    assert service.client.post(f"{path}/pause").json()["status"] == "paused"
    assert service.client.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert service.client.post(f"{path}/start").status_code == 409


def rows_besides_the_audit_log(service: Service) -> dict[str, int]:
    """What an administrator asks for is audited."""
    return {table: count for table, count in service.all_rows().items() if table != "audit"}


def test_a_dry_run_writes_nothing_and_names_the_reasons(service: Service) -> None:
    service.ask("你好", message_id="campaign-1", chat_id="活动客户")
    before = rows_besides_the_audit_log(service)
    found = service.client.post(f"{PATH}/dry-run", json=BODY | {"segment": {}}).json()
    assert found["matched"] >= 1
    assert found["skipped"]["no_channel"] >= 1
    assert rows_besides_the_audit_log(service) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**BODY, "text": ""}, "text"),
        ({**BODY, "text": "长" * 501}, "text"),
        ({**BODY, "per_minute": 0}, "per_minute"),
        ({**BODY, "per_minute": 6_000}, "per_minute"),
        ({**BODY, "ends_at": "2026-12-12T20:00:00"}, "ends_at"),
        ({**BODY, "segment": {"levels": ["gold"]}}, "segment.levels.0"),
        ({**BODY, "segment": {"colour": "red"}}, "segment.colour"),
    ],
)
def test_what_cannot_be_used_is_named(service: Service, body: dict[str, Any], field: str) -> None:
    answer = service.client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert field in (error["field"], error["message"].split(" ")[0])


def test_an_unknown_campaign_is_not_found(service: Service) -> None:
    assert service.client.get(f"{PATH}/999999").status_code == 404
    assert service.client.get(f"{PATH}/999999/people").status_code == 404
    assert service.client.post(f"{PATH}/999999/start").status_code == 404


def tags(service: Service, chat_id: str) -> list[str]:
    with service.kefu.engine.database.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT tag FROM customer_tags WHERE contact_id LIKE :contact"),
            {"contact": f"%:{chat_id}"},
        )
        return [row[0] for row in rows]


def test_who_says_that_they_want_no_more_is_tagged_answered_and_taken_back(
    service: Service,
) -> None:
    said = service.ask("TD", message_id="opt-1", chat_id="退订客户")
    assert "退订" in said["content"]
    assert tags(service, "退订客户") == ["退订"]
    back = service.ask("恢复订阅", message_id="opt-2", chat_id="退订客户")
    assert "恢复" in back["content"]
    assert tags(service, "退订客户") == []


def test_the_audit_log_knows_who_did_what_to_a_campaign(
    service: Service, made: dict[str, Any]
) -> None:
    with service.kefu.engine.database.engine.connect() as connection:
        (row,) = connection.execute(
            text("SELECT action, detail FROM audit WHERE subject = :subject"),
            {"subject": f"campaign:{made['id']}"},
        ).all()
    assert row[0] == "campaign.created"
    assert json.loads(row[1]) == {"name": "活动"}
