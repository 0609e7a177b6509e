"""What the seeds print is what the service does."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics import Metrics
from tests.api.service import Service

SEED_003 = {
    "agent_id": "agent_001",
    "message": {
        "id": "msg_123",
        "chat_id": "group_456",
        "sender": "用户A",
        "content": "充电桩怎么安装？",
        "type": "text",
        "timestamp": "2025-01-19T10:00:00",
    },
}


def test_seed_003_gets_action_content_and_confidence(service: Service) -> None:
    response = service.client.post("/api/v1/messages", json=SEED_003)
    assert response.status_code == 200
    answer = response.json()
    assert answer["action"] == "reply"
    assert "安装" in answer["evidence"][0]["question"]
    assert "勘测" in answer["content"]
    assert 0.75 <= answer["confidence"] <= 1
    assert answer["nodes"] == ["classify", "retrieve", "risk_check", "reply"]


def test_seed_003_reported_again_gets_the_same_answer_and_does_nothing(service: Service) -> None:
    first = service.client.post("/api/v1/messages", json=SEED_003).json()
    before = service.all_rows()
    again = service.client.post("/api/v1/messages", json=SEED_003).json()
    assert again.pop("duplicate") is True
    first.pop("duplicate")
    assert again == first
    assert service.all_rows() == before


def test_seed_002_gets_reply_transfer_flag_and_records(service: Service) -> None:
    response = service.client.post(
        "/api/ai_chat", json={"user_id": "seed-002", "msg": "商品多少钱？"}
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer["code"] == 200
    assert "99" in answer["ai_reply"]
    assert answer["need_transfer"] is False
    records = answer["chat_records"]
    assert [record["role"] for record in records] == ["user", "ai"]
    assert [record["content"] for record in records] == ["商品多少钱？", answer["ai_reply"]]
    for record in records:
        assert record.keys() == {"role", "content", "time"}
        said = datetime.strptime(record["time"], "%Y-%m-%d %H:%M:%S")
        now = datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
        assert abs((now - said).total_seconds()) < 60


def test_seed_002_hears_of_a_transfer(service: Service) -> None:
    body = {"user_id": "seed-002-person", "msg": "我要找人工客服"}
    answer = service.client.post("/api/ai_chat", json=body).json()
    assert answer["need_transfer"] is True
    assert answer["ai_reply"]


def test_health_satisfies_both_seeds(service: Service) -> None:
    response = service.client.get("/api/health")
    assert response.status_code == 200
    health: dict[str, Any] = response.json()
    assert health["code"] == 200
    assert health["message"] == "OK"
    assert health["data"]["service"] == "ai-cs-tianwang-bridge"
    told = datetime.strptime(health["data"]["timestamp"], "%Y-%m-%dT%H:%M:%S")
    assert health["status"] == "ok"
    assert health["service"] == "wechat_support"
    assert isinstance(health["timestamp"], int)
    same = told.replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
    assert abs(same - health["timestamp"]) <= 1


def test_readiness_tells_the_state_of_each_part(service: Service) -> None:
    response = service.client.get("/health")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ok"
    assert body["parts"] == {"database": "ok", "knowledge": "ok", "models": []}


def _sample(scraped: dict[str, Any], name: str, **labels: str) -> float:
    family = scraped[name.removesuffix("_total").removesuffix("_count")]
    return float(
        sum(
            s.value for s in family.samples if s.name == name and labels.items() <= s.labels.items()
        )
    )


def _scrape(service: Service) -> dict[str, Any]:
    response = service.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(response.text)}


def test_metrics_can_be_scraped_and_hold_all_that_the_engine_defines(service: Service) -> None:
    defined = {family.name for family in Metrics().registry.collect()}
    assert defined
    assert _scrape(service).keys() >= defined


def test_a_message_moves_the_metrics(service: Service) -> None:
    before = _scrape(service)
    service.ask("商品多少钱？", message_id="metrics-1", chat_id="metrics")
    service.ask("商品多少钱？", message_id="metrics-1", chat_id="metrics")
    after = _scrape(service)

    def grown(name: str, **labels: str) -> float:
        return _sample(after, name, **labels) - _sample(before, name, **labels)

    assert grown("kefu_messages_total", channel="api", duplicate="false") == 1
    assert grown("kefu_messages_total", channel="api", duplicate="true") == 1
    assert grown("kefu_turns_total", action="reply") == 1
    assert grown("kefu_turn_seconds_count") == 1
    assert grown("kefu_node_seconds_count", node="retrieve") == 1
    assert grown("kefu_answer_confidence_count") == 1


def test_the_documented_examples_are_accepted(service: Service) -> None:
    """/docs offers them to be tried out."""
    described = service.client.get("/openapi.json").json()
    for path, schema in (("/api/v1/messages", "MessageRequest"), ("/api/ai_chat", "ChatRequest")):
        for example in described["components"]["schemas"][schema]["examples"]:
            assert service.client.post(path, json=example).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_page_forbids_what_it_does_not_need(service: Service, method: str) -> None:
    response = service.client.request(method, "/")
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
