"""Customers of the campus surface wait for a person in one queue, each once."""

import asyncio
import json
import time
from typing import Any

import httpx

from tests.api.campus.conftest import WEBHOOK_SECRET
from tests.api.envelope import refusal
from tests.api.service import Service
from tests.sandbox_server import SandboxServer
from tools.webhook.protocol import signed_headers


def transfer(campus: Service, user: str) -> httpx.Response:
    return campus.client.post("/api/transfer_service", json={"user_id": user})


def number(campus: Service, user: str) -> int:
    response = transfer(campus, user)
    assert response.status_code == 200, response.text
    return int(response.json()["queue_num"])


def chat(campus: Service, user: str, text: str) -> dict[str, Any]:
    response = campus.client.post("/api/ai_chat", json={"user_id": user, "msg": text})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def reply(campus: Service, user: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"user_id": user, "service_msg": text} | more
    response = campus.client.post("/api/service_reply", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_who_asks_again_keeps_the_place(campus: Service) -> None:
    before = campus.rows("handoffs")
    assert [number(campus, user) for user in ("q-a", "q-b", "q-a", "q-b")] == [1, 2, 1, 2]
    assert campus.rows("handoffs") == before + 2


def test_asking_in_the_chat_and_by_the_call_is_one_queue(campus: Service) -> None:
    assert number(campus, "q-first") == 1
    answer = chat(campus, "q-second", "转人工")
    assert answer["need_transfer"] is True
    assert answer["queue_num"] == 2
    assert number(campus, "q-second") == 2
    assert number(campus, "q-third") == 3


def test_a_full_queue_says_so_and_keeps_those_who_wait(campus: Service) -> None:
    assert [number(campus, f"full-{n}") for n in (1, 2, 3)] == [1, 2, 3]
    refused = transfer(campus, "full-4")
    field, message = refusal(refused, 429)
    assert field is None
    assert "排队人数已满（3 人）" in message
    assert number(campus, "full-3") == 3


def test_a_full_queue_turns_no_complaint_away(campus: Service) -> None:
    assert [number(campus, f"complaint-{n}") for n in (1, 2, 3)] == [1, 2, 3]
    answer = chat(campus, "complaint-4", "我要投诉你们")
    assert (answer["need_transfer"], answer["queue_num"]) == (True, 4)


async def test_no_more_get_in_at_once_than_may_wait(campus: Service) -> None:
    async with httpx.AsyncClient(base_url=campus.url, trust_env=False, timeout=30) as client:
        answers = await asyncio.gather(
            *(
                client.post("/api/transfer_service", json={"user_id": f"rush-{n}"})
                for n in range(20)
            )
        )
    let_in = [answer.json()["queue_num"] for answer in answers if answer.status_code == 200]
    assert sorted(let_in) == [1, 2, 3]
    assert {answer.status_code for answer in answers} == {200, 429}


def test_a_reply_moves_the_others_up(campus: Service) -> None:
    assert [number(campus, user) for user in ("up-1", "up-2")] == [1, 2]
    reply(campus, "up-1", "您好，请讲")
    taken = transfer(campus, "up-1").json()
    assert (taken["queue_num"], taken["msg"]) == (0, "人工客服正在为你服务")
    assert number(campus, "up-2") == 1
    state = campus.client.get("/api/transfer_service", params={"user_id": "up-2"}).json()
    assert state == {
        "code": 200,
        "msg": "已转接人工客服，你当前排队序号：1",
        "queue_num": 1,
        "service_status": "online",
        "queue_length": 1,
        "max_queue_length": 3,
    }


def test_the_bot_keeps_quiet_until_the_person_ends(campus: Service) -> None:
    chat(campus, "quiet", "转人工")
    reply(campus, "quiet", "您好，我来处理")
    silent = chat(campus, "quiet", "商品多少钱？")
    assert (silent["ai_reply"], silent["mode"]) == ("", "human")
    ended = reply(campus, "quiet", "已处理好，再见", end=True)
    assert [record["role"] for record in ended["chat_records"]] == [
        "user",
        "ai",
        "service",
        "user",
        "service",
    ]
    again = chat(campus, "quiet", "商品多少钱？")
    assert "99" in again["ai_reply"]
    assert (again["mode"], again["queue_num"]) == ("bot", None)


def test_a_person_may_write_first(campus: Service) -> None:
    chat(campus, "unasked", "你好")
    reply(campus, "unasked", "您的快递到了")
    assert chat(campus, "unasked", "商品多少钱？")["mode"] == "human"


def test_the_same_reply_twice_is_said_once(campus: Service) -> None:
    chat(campus, "once", "转人工")
    first = reply(campus, "once", "在的", msg_id="r-1")
    again = reply(campus, "once", "在的", msg_id="r-1")
    assert [record["content"] for record in again["chat_records"]].count("在的") == 1
    assert again["chat_records"] == first["chat_records"]


def test_nobody_is_answered_who_is_not_known(campus: Service) -> None:
    body = {"user_id": "nobody-of-this-name", "service_msg": "您好"}
    field, _ = refusal(campus.client.post("/api/service_reply", json=body), 404)
    assert field == "user_id"


def test_staff_hears_of_who_asks_by_the_call(
    campus: Service, shared_sandbox: SandboxServer
) -> None:
    user = f"noticed-{campus.url[-5:]}"
    chat(campus, user, "商品多少钱？")
    number(campus, user)
    number(campus, user)
    about: list[dict[str, Any]] = []
    while not about:  # those of earlier tests may still come
        seen = len(shared_sandbox.notices())
        about = [notice for notice in shared_sandbox.notices() if user in str(notice)]
        assert about or len(shared_sandbox.notices(at_least=seen + 1, wait=10.0)) > seen
    assert len(about) == 1
    assert "商品多少钱" in str(about[0])


def test_a_reply_is_pushed_where_the_channel_pushes(
    campus: Service, shared_sandbox: SandboxServer
) -> None:
    room = f"room-{campus.url[-5:]}"
    message = {"message_id": room, "chat_id": room, "sender_id": room, "text": "转人工"}
    raw = json.dumps(message).encode()
    headers = signed_headers(WEBHOOK_SECRET, raw, now=time.time())
    taken = campus.client.post(
        "/api/channels/webhook/shop/messages",
        content=raw,
        headers=headers | {"Content-Type": "application/json"},
    )
    assert taken.status_code == 200, taken.text
    shared_sandbox.chat(room, at_least=1, wait=10.0)
    answer = reply(campus, f"webhook:shop:{room}", "人工客服来了")
    assert answer["delivery"] == "push"
    delivered = shared_sandbox.chat(room, at_least=2, wait=10.0)
    assert [message["text"] for message in delivered][1:] == ["人工客服来了"]


def test_records_are_paged_and_found_by_time(campus: Service) -> None:
    chat(campus, "records", "你好")
    chat(campus, "records", "商品多少钱？")
    chosen: dict[str, str | int] = {"user_id": "records", "limit": 3}
    first = campus.client.get("/api/chat_records", params=chosen).json()
    assert (first["code"], first["total"], first["page"], first["limit"]) == (200, 4, 1, 3)
    assert [record["role"] for record in first["chat_records"]] == ["ai", "user", "ai"]
    second = campus.client.get("/api/chat_records", params=chosen | {"page": 2}).json()
    assert [record["content"] for record in second["chat_records"]] == ["你好"]
    later = campus.client.get("/api/chat_records", params=chosen | {"since": "2999-01-01 00:00:00"})
    assert (later.json()["total"], later.json()["chat_records"]) == (0, [])
    earlier = campus.client.get("/api/chat_records", params=chosen | {"until": "1971-01-01"})
    assert earlier.json()["total"] == 0
