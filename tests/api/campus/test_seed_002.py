"""Every request that seed 002 prints gets what it prints: these fields, of these types."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.api.service import Service

PRINTED_TIME = "%Y-%m-%d %H:%M:%S"
SERVICE_MSG = "您好，我是人工客服，请问有什么可以帮助您的吗？"


def _post(campus: Service, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = campus.client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


def _is_record(record: dict[str, Any]) -> bool:
    said = datetime.strptime(record["time"], PRINTED_TIME).replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    assert abs(datetime.now(ZoneInfo("Asia/Shanghai")) - said).total_seconds() < 120
    return record.keys() == {"role", "content", "time"} and isinstance(record["content"], str)


def test_ai_chat_answers_as_printed(campus: Service) -> None:
    answer = _post(campus, "/api/ai_chat", {"user_id": "printed-1", "msg": "商品多少钱？"})
    assert answer["code"] == 200
    assert isinstance(answer["ai_reply"], str)
    assert "99" in answer["ai_reply"]
    assert answer["need_transfer"] is False
    records = answer["chat_records"]
    assert all(map(_is_record, records))
    assert [(record["role"], record["content"]) for record in records] == [
        ("user", "商品多少钱？"),
        ("ai", answer["ai_reply"]),
    ]


def test_transfer_service_answers_as_printed(campus: Service) -> None:
    assert _post(campus, "/api/transfer_service", {"user_id": "printed-2"}) == {
        "code": 200,
        "msg": "已转接人工客服，你当前排队序号：1",
        "queue_num": 1,
        "service_status": "online",
    }


def test_service_reply_answers_as_printed(campus: Service) -> None:
    asked = _post(campus, "/api/ai_chat", {"user_id": "printed-3", "msg": "转人工"})
    answer = _post(
        campus, "/api/service_reply", {"user_id": "printed-3", "service_msg": SERVICE_MSG}
    )
    assert answer["code"] == 200
    assert answer["service_msg"] == SERVICE_MSG
    records = answer["chat_records"]
    assert all(map(_is_record, records))
    assert [(record["role"], record["content"]) for record in records] == [
        ("user", "转人工"),
        ("ai", asked["ai_reply"]),
        ("service", SERVICE_MSG),
    ]


def test_health_answers_as_printed(campus: Service) -> None:
    response = campus.client.get("/api/health")
    assert response.status_code == 200
    health = response.json()
    assert health["status"] == "ok"
    assert health["service"] == "wechat_support"
    assert type(health["timestamp"]) is int
    assert abs(health["timestamp"] - datetime.now().timestamp()) < 5


def test_the_documented_examples_are_accepted(campus: Service) -> None:
    """/docs offers them to be tried out."""
    described = campus.client.get("/openapi.json").json()["components"]["schemas"]
    for path, schema in (
        ("/api/ai_chat", "ChatRequest"),
        ("/api/transfer_service", "TransferRequest"),
        ("/api/service_reply", "ServiceReply"),
        ("/api/custom_qa", "CustomPairs"),
    ):
        for example in described[schema]["examples"]:
            _post(campus, path, example)
