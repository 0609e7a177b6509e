"""Whatever is sent, the answer is a 4xx that names the field, and nothing is stored."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from domain.messages import MAX_ID_CHARS, MAX_TEXT_CHARS
from tests.api.envelope import refusal
from tests.api.service import Service

JsonObject = dict[str, Any]
JSON_HEADERS = {"Content-Type": "application/json"}
MEGABYTES = 10 * 1024 * 1024


class Surface(NamedTuple):
    """``body``: accepted as it is. The rest: where its fields are."""

    path: str
    body: JsonObject
    text: str
    ids: tuple[str, ...]
    required: tuple[str, ...]


def _seed_003(path: str) -> Surface:
    message = {
        "id": "bad-1",
        "chat_id": "bad",
        "sender": "用户A",
        "content": "充电桩怎么安装？",
        "type": "text",
        "timestamp": "2025-01-19T10:00:00",
        "attachments": [{"kind": "image", "url": "https://example.com/a.png"}],
    }
    return Surface(
        path,
        {"agent_id": "agent_001", "message": message},
        "message.content",
        ("agent_id", "message.id", "message.chat_id", "message.sender", "message.sender_id"),
        ("agent_id", "message", "message.id", "message.chat_id", "message.sender"),
    )


MESSAGES = _seed_003("/api/v1/messages")
STREAM = _seed_003("/api/v1/messages/stream")
CAMPUS = Surface(
    "/api/ai_chat",
    {"user_id": "user_1", "msg": "商品多少钱？", "msg_id": "bad-2"},
    "msg",
    ("user_id", "msg_id"),
    ("user_id", "msg"),
)
WEBHOOK = Surface(
    "/api/channels/webhook/shop/messages",
    {
        "message_id": "bad-3",
        "chat_id": "bad",
        "sender_id": "bad",
        "text": "充电桩怎么安装？",
        "timestamp": 1_737_252_000,
    },
    "text",
    ("message_id", "sender_id"),
    ("message_id", "sender_id"),
)
HANDOFF = Surface(
    "/api/ops/handoffs/1", {"status": "taken", "agent": "小李"}, "", ("agent",), ("status",)
)
SURFACES = (MESSAGES, STREAM, CAMPUS, WEBHOOK, HANDOFF)
TALKING = (MESSAGES, STREAM, CAMPUS, WEBHOOK)


def _named(surface: object) -> str:
    return surface.path if isinstance(surface, Surface) else ""


every_surface = pytest.mark.parametrize("surface", SURFACES, ids=_named)
every_talking_surface = pytest.mark.parametrize("surface", TALKING, ids=_named)
seed_003 = pytest.mark.parametrize("surface", [MESSAGES, STREAM], ids=_named)


def changed(body: JsonObject, place: str, value: Any) -> JsonObject:
    """``body`` with ``value`` at the dotted ``place``; `...` removes it."""
    copied: JsonObject = copy.deepcopy(body)
    *parents, last = place.split(".")
    target = copied
    for parent in parents:
        target = target[parent]
    if value is ...:
        target.pop(last, None)
    else:
        target[last] = value
    return copied


Refused = Callable[..., tuple[str | None, str]]


@pytest.fixture
def refused(service: Service) -> Refused:
    """Posts ``content`` (or ``body`` as JSON) and checks the refusal: envelope, and no row."""

    def post(
        surface: Surface,
        status: int | None = None,
        *,
        content: bytes | Iterator[bytes] | None = None,
        body: Any = None,
        headers: dict[str, str] | dict[bytes, bytes] = JSON_HEADERS,
    ) -> tuple[str | None, str]:
        sent = json.dumps(body).encode() if content is None else content
        before = service.all_rows()
        response = service.client.post(surface.path, content=sent, headers=headers)
        found = refusal(response, status)
        assert service.all_rows() == before
        return found

    return post


@every_surface
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"hello",
        b"{'user_id': 1}",
        b'{"user_id": "a",}',
        b'{"user_id": "a"} {"user_id": "b"}',
        b"\x00",
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b'{"user_id": ' + b"9" * 5_000 + b"}",
        b"null",
        b"[]",
        b'"text"',
        b"true",
        b"NaN",
        b"1e999",
    ],
    ids=lambda content: repr(content[:16]),
)
def test_a_body_that_is_no_json_object_is_refused(
    refused: Refused, surface: Surface, content: bytes
) -> None:
    field, _ = refused(surface, content=content)
    assert field in ("body", "user_id")


@every_surface
@pytest.mark.parametrize("encoding", ["latin-1", "gb18030", "utf-16-be-broken"])
def test_text_in_another_encoding_is_refused_rather_than_stored_garbled(
    refused: Refused, surface: Surface, encoding: str
) -> None:
    text = json.dumps(surface.body, ensure_ascii=False).replace("taken", "taken é 价")
    if encoding == "latin-1":
        content = text.encode("ascii", "replace").replace(b"?", b"\xe9")
    elif encoding == "gb18030":
        content = text.encode(encoding)
    else:
        content = text.encode("utf-16-be")[:-1]
    field, _ = refused(surface, 400, content=content)
    assert field == "body"


@pytest.mark.parametrize("surface", [MESSAGES, STREAM, CAMPUS, HANDOFF], ids=_named)
@pytest.mark.parametrize(
    "content_type",
    [b"text/plain", b"application/x-www-form-urlencoded", b"text/html; charset=\xff", b"", b"json"],
)
def test_a_body_that_does_not_say_it_is_json_is_refused_naming_the_header(
    refused: Refused, surface: Surface, content_type: bytes
) -> None:
    """A page of another site can send these without asking; it cannot send JSON."""
    content = json.dumps(surface.body).encode()
    headers = {b"Content-Type": content_type}
    field, _ = refused(surface, 415, content=content, headers=headers)
    assert field == "Content-Type"


@pytest.mark.parametrize(
    ("surface", "place"),
    [(surface, place) for surface in SURFACES for place in surface.required],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_field_is_named(refused: Refused, surface: Surface, place: str) -> None:
    field, message = refused(surface, 422, body=changed(surface.body, place, ...))
    assert field == place
    assert "缺少" in message


@pytest.mark.parametrize(
    ("surface", "place"),
    [(surface, place) for surface in SURFACES for place in surface.ids],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "x" * (MAX_ID_CHARS + 1),
        "a\x00b",
        "a\nb",
        "a\x1b[31mb",
        "a\u2028b",
        "a\x85b",
        "\ud800",
        ["a"],
        {"a": 1},
        True,
    ],
    ids=lambda value: repr(value)[:16],
)
def test_an_id_that_is_empty_too_long_or_holds_control_characters_is_refused(
    refused: Refused, surface: Surface, place: str, value: Any
) -> None:
    if surface is WEBHOOK and value == "\ud800":
        # Its parser reads bytes, and finds no JSON where others find a strange string.
        refused(surface, 400, body=changed(surface.body, place, value))
        return
    field, _ = refused(surface, 422, body=changed(surface.body, place, value))
    assert field == place


@every_talking_surface
@pytest.mark.parametrize(
    "value",
    [
        "x" * (MAX_TEXT_CHARS + 1),
        "价" * 34_000,  # 100 kB
        "\ud83d",
        ["a"],
        {"text": "a"},
        True,
    ],
    ids=lambda value: repr(value)[:16],
)
def test_a_text_that_is_too_long_or_no_text_is_refused(
    refused: Refused, surface: Surface, value: Any
) -> None:
    body = changed(surface.body, surface.text, value)
    if surface is WEBHOOK and value == "\ud83d":
        refused(surface, 400, body=body)
        return
    field, _ = refused(surface, 422, body=body)
    assert field == surface.text


@pytest.mark.parametrize("surface", [CAMPUS, WEBHOOK, MESSAGES, STREAM], ids=_named)
@pytest.mark.parametrize("value", ["", " \n ", "\x00\x01", "\u200b\ufeff", None])
def test_a_message_that_says_nothing_is_refused(
    refused: Refused, surface: Surface, value: str | None
) -> None:
    body = changed(surface.body, surface.text, ... if value is None else value)
    if surface in (MESSAGES, STREAM):
        body = changed(body, "message.attachments", [])
    field, _ = refused(surface, 422, body=body)
    assert field in (surface.text, "body")


@seed_003
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("message.type", "telepathy"),
        ("message.type", 1),
        ("message.timestamp", "yesterday"),
        ("message.timestamp", "2025-13-45T99:00:00"),
        ("message.timestamp", 1e300),
        ("message.timestamp", 10**30),
        ("message.timestamp", -(10**30)),
        ("message.timestamp", "9" * 400),
        ("message.timestamp", []),
        ("message.attachments", [{"kind": "image", "url": "https://e.com/a"}] * 10),
        ("message.attachments", {"kind": "image"}),
        ("message.sender_name", "名" * 129),
        ("message.sender_name", None),
        ("message", []),
        ("message", "text"),
        ("deadline_s", 0),
        ("deadline_s", -1),
        ("deadline_s", 1e9),
        ("deadline_s", 10**400),
        ("deadline_s", "soon"),
        ("deadline_s", float("nan")),
        ("deadline_s", float("inf")),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_unusable_value_is_refused_naming_its_field(
    refused: Refused, surface: Surface, place: str, value: Any
) -> None:
    field, _ = refused(surface, 422, body=changed(surface.body, place, value))
    assert field == place


@seed_003
@pytest.mark.parametrize(
    ("attachment", "wrong"),
    [
        ({"kind": "soul", "url": "https://e.com/a"}, "kind"),
        ({"kind": "image"}, "url"),
        ({"kind": "image", "url": "file:///etc/passwd"}, "url"),
        ({"kind": "image", "url": "javascript:alert(1)"}, "url"),
        ({"kind": "image", "url": "http://"}, "url"),
        ({"kind": "image", "url": "http:// e.com"}, "url"),
        ({"kind": "image", "url": "https://e.com/\x00"}, "url"),
        ({"kind": "image", "url": "https://e.com/a\nb"}, "url"),
        ({"kind": "image", "url": "https://e.com/" + "a" * 2_048}, "url"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_attachment_elsewhere_than_on_the_web_is_refused(
    refused: Refused, surface: Surface, attachment: JsonObject, wrong: str
) -> None:
    body = changed(surface.body, "message.attachments", [attachment])
    field, _ = refused(surface, 422, body=body)
    assert field == f"message.attachments.0.{wrong}"


@pytest.mark.parametrize("value", ["open", "", "TAKEN", 1, None])
def test_a_handoff_takes_only_the_statuses_it_knows(refused: Refused, value: Any) -> None:
    field, message = refused(HANDOFF, 422, body=changed(HANDOFF.body, "status", value))
    assert field == "status"
    assert "taken" in message


def _pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // 65_536):
        yield b" " * 65_536


@every_surface
@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
def test_ten_megabytes_are_refused_as_too_large(
    refused: Refused, surface: Surface, chunked: bool
) -> None:
    content = _pieces(MEGABYTES) if chunked else b" " * MEGABYTES
    field, message = refused(surface, 413, content=content)
    assert field == "body"
    assert "1048576" in message


def test_the_connection_serves_on_after_a_body_that_was_too_large(service: Service) -> None:
    client = service.client
    refusal(client.post("/api/ai_chat", content=_pieces(MEGABYTES), headers=JSON_HEADERS), 413)
    assert client.get("/api/health").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/ops/handoffs/{}",
        "/api/ops/dead-letters/{}/replay",
        "/api/ops/deliveries/{}/resend",
    ],
)
@pytest.mark.parametrize(
    ("row", "status"),
    [
        ("999999", 404),
        (str(2**62), 404),
        (str(2**63), 422),
        ("9" * 5_000, 422),
        ("0", 422),
        ("-1", 422),
        ("1.5", 422),
        ("abc", 422),
        ("%00", 422),
        ("%FF", 422),
        ("１２", 422),
    ],
)
def test_an_unknown_or_impossible_row_id_is_named(
    service: Service, path: str, row: str, status: int
) -> None:
    before = service.all_rows()
    response = service.client.post(path.format(row), json={"status": "taken"})
    field, _ = refusal(response, status)
    assert field in ("handoff_id", "dead_letter_id", "delivery_id")
    assert service.all_rows() == before


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "9" * 30}, "limit"),
        ({"limit": "1e3"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1000001"}, "offset"),
        ({"offset": ""}, "offset"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["handoffs", "dead-letters", "deliveries", "model-calls"])
def test_a_page_of_rows_has_bounds(
    service: Service, kind: str, query: dict[str, str], wrong: str
) -> None:
    field, _ = refusal(service.client.get(f"/api/ops/{kind}", params=query), 422)
    assert field == wrong


@pytest.mark.parametrize("kind", ["handoffs", "dead-letters", "deliveries"])
@pytest.mark.parametrize("status", ["lost", "", "OPEN", "\x00"])
def test_rows_are_asked_for_by_a_known_status_only(
    service: Service, kind: str, status: str
) -> None:
    field, _ = refusal(service.client.get(f"/api/ops/{kind}", params={"status": status}), 422)
    assert field == "status"


@pytest.mark.parametrize("turn", ["", "\x00", "a\nb", "x" * 129])
def test_model_calls_are_asked_for_by_a_possible_turn_only(service: Service, turn: str) -> None:
    response = service.client.get("/api/ops/model-calls", params={"turn_id": turn})
    field, _ = refusal(response, 422)
    assert field == "turn_id"


@pytest.mark.parametrize(
    ("message", "agent", "status", "wrong"),
    [
        ("never-sent", "agent_001", 404, "message_id"),
        ("x" * 129, "agent_001", 422, "message_id"),
        ("%00", "agent_001", 422, "message_id"),
        ("%FF%FE", "agent_001", 404, "message_id"),
        ("never-sent", None, 422, "agent_id"),
        ("never-sent", "", 422, "agent_id"),
        ("never-sent", "\x00", 422, "agent_id"),
    ],
)
def test_an_answer_is_fetched_by_possible_ids_only(
    service: Service, message: str, agent: str | None, status: int, wrong: str
) -> None:
    query = {} if agent is None else {"agent_id": agent}
    response = service.client.get(f"/api/v1/messages/{message}/answer", params=query)
    field, _ = refusal(response, status)
    assert field == wrong


def test_a_webhook_delivery_for_another_account_is_not_found(service: Service) -> None:
    before = service.all_rows()
    response = service.client.post("/api/channels/webhook/nobody/messages", json=WEBHOOK.body)
    field, _ = refusal(response, 404)
    assert field == "account"
    assert service.all_rows() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[(method, surface.path) for surface in SURFACES for method in ("GET", "PUT", "DELETE")],
        *[(method, "/api/health") for method in ("POST", "DELETE", "PATCH")],
        ("POST", "/metrics"),
        ("POST", "/"),
        ("POST", "/api/ops/handoffs"),
        ("DELETE", "/api/ops/model-calls"),
    ],
)
def test_a_wrong_method_is_told_which_one_is_right(
    service: Service, method: str, path: str
) -> None:
    response = service.client.request(method, path)
    refusal(response, 405)
    assert response.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1", "/api/v1/messages/x", "/api/ai_chat/x", "/api/ops/%00"]
)
def test_an_unknown_address_is_refused_in_the_envelope(service: Service, path: str) -> None:
    refusal(service.client.get(path), 404)


def test_nothing_of_the_inside_shows_in_a_refusal(service: Service) -> None:
    response = service.client.post("/api/v1/messages", content=b"[" * 100_000, headers=JSON_HEADERS)
    assert "python" not in response.text.lower()
    assert "server" not in response.headers


def test_the_path_of_a_surface_keeps_its_envelope_for_clients_that_send_no_body(
    service: Service,
) -> None:
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        field, message = refusal(client.post("/api/ai_chat"), 422)
    assert field == "body"
    assert message == "body: 缺少该字段"
