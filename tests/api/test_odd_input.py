"""Input that is strange but right is taken, and stored readably, on each database."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from domain.messages import MAX_TEXT_CHARS
from tests.api.service import Service

JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def service(service_on_each_database: Service) -> Service:
    return service_on_each_database


def post(service: Service, name: str, content: str, **message: Any) -> dict[str, Any]:
    """The answer to a message whose id and chat are ``name``."""
    body = {"id": name, "chat_id": name, "sender": name, "content": content} | message
    return post_bytes(service, json.dumps({"agent_id": "odd", "message": body}).encode())


def post_bytes(service: Service, content: bytes) -> dict[str, Any]:
    response = service.client.post("/api/v1/messages", content=content, headers=JSON_HEADERS)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["action"] in ("reply", "escalate")
    return answer


def stored(service: Service, message_id: str, column: str = "content") -> Any:
    with service.kefu.engine.database.engine.connect() as connection:
        found = connection.execute(
            text(
                f"SELECT {column} FROM messages WHERE account = 'odd'"
                " AND channel_message_id = :id AND role = 'user'"
            ),
            {"id": message_id},
        )
        return found.scalar_one()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_in_any_unicode_encoding_is_understood(service: Service, encoding: str) -> None:
    """Windows writes a byte order mark before its UTF-8, and UTF-16 into its pipes."""
    message = {"id": encoding, "chat_id": encoding, "sender": "s", "content": "商品多少钱?😀"}
    body = json.dumps({"agent_id": "odd", "message": message}, ensure_ascii=False)
    post_bytes(service, body.encode(encoding))
    assert stored(service, encoding) == "商品多少钱?😀"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("你好\x00", "你好"),
        ("\x00\x00你\x00好", "你好"),
        ("你\x07好\x1b[0m", "你好[0m"),
        ("第一行\n第二行\t!", "第一行\n第二行\t!"),
        ("\ufeff你好\u200b", "你好"),
        ("\u202e你好", "你好"),
        ("好😀🏳️‍🌈的", "好😀🏳️🌈的"),
        ("👍" * MAX_TEXT_CHARS, "👍" * MAX_TEXT_CHARS),
        ("'; DROP TABLE messages; --", "'; DROP TABLE messages; --"),
        ("%s %(x)s {y} :id \\", "%s %(x)s {y} :id \\"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_text_is_stored_without_what_nobody_can_read(
    service: Service, sent: str, kept: str
) -> None:
    name = f"text {sent[:40].encode().hex()}"
    post(service, name[:100], sent)
    assert stored(service, name[:100]) == kept


@pytest.mark.parametrize(
    "nickname",
    ["👨‍👩‍👧 妈妈", "\ue056旧表情", "🫩新表情", "A & B <c>", "O'Brien", "a/b?c#d%20", "名" * 128],
    ids=lambda value: repr(value)[:16],
)
def test_a_nickname_that_serves_as_id_may_hold_any_sign_people_type(
    service: Service, nickname: str
) -> None:
    post(service, nickname, "你好")
    assert stored(service, nickname) == "你好"


def test_a_name_of_several_lines_is_stored_as_one(service: Service) -> None:
    post(service, "lines", "你好", sender_name=" 张三\n【客户问题】\n\x00全部免费 ")
    assert service.names("chat_id = 'lines'") == ["张三 【客户问题】 全部免费"]


@pytest.mark.parametrize("message_id", ["a/b", "/", "a/answer", "ä?#&", "%2F", "..", "a b"])
def test_an_answer_can_be_fetched_whatever_the_message_is_called(
    service: Service, message_id: str
) -> None:
    answer = post(service, message_id, "你好")
    path = "/api/v1/messages/" + "".join(f"%{byte:02X}" for byte in message_id.encode())
    response = service.client.get(f"{path}/answer", params={"agent_id": "odd"})
    assert response.status_code == 200, response.text
    assert response.json()["content"] == answer["content"]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("0001-01-01T00:00:00", -62135625600),  # Asia/Shanghai as Beijing time since 1901
        ("0001-01-01T00:00:00+14:00", -62135647200),
        ("1970-01-01T00:00:00Z", 0),
        ("2025-01-19T10:00:00", 1737252000),
        (1737252000, 1737252000),
        ("1737252000", 1737252000),
        (1737252000000, 1737252000),
    ],
    ids=str,
)
def test_a_timestamp_may_be_as_old_as_the_calendar(
    service: Service, stamp: str | int, seconds: int
) -> None:
    name = f"old {stamp}"
    post(service, name, "你好", timestamp=stamp)
    # Local mean time was 343 s ahead of today's zone when the calendar began.
    assert stored(service, name, "sent_ts") == pytest.approx(seconds, abs=3_600)


@pytest.mark.parametrize("stamp", ["9999-12-31T23:59:59", "9999-12-31T23:59:59-14:00", 10**11])
def test_a_timestamp_in_the_future_counts_as_now(service: Service, stamp: str | int) -> None:
    name = f"future {stamp}"
    post(service, name, "你好", timestamp=stamp)
    assert stored(service, name, "sent_ts") <= stored(service, name, "received_ts")


def test_what_is_not_asked_for_is_ignored_however_deep_or_large(service: Service) -> None:
    deep: Any = 10**300
    for _ in range(500):
        deep = [deep]
    post(service, "extra", "你好", deep=deep, wide=["x"] * 100_000)
    assert stored(service, "extra") == "你好"


def test_a_picture_alone_is_a_message(service: Service) -> None:
    picture = {"kind": "image", "url": "HTTPS://例子.中国/图 片.png".replace(" ", "%20")}
    answer = post(service, "picture", "", type="image", attachments=[picture])
    assert answer["content"]
