"""What a callback says, and how its receiver knows that it is ours."""

import hashlib
import hmac
import json

import pytest

from domain.errors import InvalidInput
from tools.tianwang.protocol import (
    EVENT_ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    CallbackEvent,
    callback_body,
    callback_headers,
    verify,
)

SECRET = "callback-secret"
NOW = 1_772_240_400.9
EVENT = CallbackEvent(
    event_id="evt_TASK_001_1",
    sequence=1,
    event="task.completed",
    task_id="TASK_001",
    type="send_file_after_reply",
    status="completed",
    customer_id="customer_123",
    created_by="设计师 lz",
    created_at="2026-02-28T09:00:00",
    triggered_at="2026-02-28T09:10:00",
    completed_at="2026-02-28T09:10:01",
    result={"messages": 1},
)
BODY = callback_body(EVENT)
HEADERS = callback_headers(SECRET, EVENT.event_id, BODY, now=NOW)


def test_the_body_says_all_that_is_known_of_the_task_in_a_fixed_order() -> None:
    told = json.loads(BODY)
    assert list(told) == list(EVENT.__slots__)
    assert told["created_by"] == "设计师 lz"
    assert told["error_message"] is None
    assert told["result"] == {"messages": 1}


def test_the_signature_is_hmac_sha256_over_timestamp_dot_body() -> None:
    digest = hmac.new(SECRET.encode(), b"1772240400." + BODY, hashlib.sha256).hexdigest()
    assert {
        EVENT_ID_HEADER: "evt_TASK_001_1",
        TIMESTAMP_HEADER: "1772240400",
        SIGNATURE_HEADER: f"sha256={digest}",
    } == HEADERS
    verify(SECRET, HEADERS[TIMESTAMP_HEADER], HEADERS[SIGNATURE_HEADER], BODY, now=NOW)


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "now"),
    [
        ("other", HEADERS[TIMESTAMP_HEADER], BODY, NOW),
        (SECRET, "1772240401", BODY, NOW),
        (SECRET, HEADERS[TIMESTAMP_HEADER], BODY + b" ", NOW),
        (SECRET, HEADERS[TIMESTAMP_HEADER], BODY, NOW + 301),
        (SECRET, HEADERS[TIMESTAMP_HEADER], BODY, NOW - 302),
        (SECRET, None, BODY, NOW),
        (SECRET, "١٧٧٢", BODY, NOW),
    ],
)
def test_what_was_changed_or_kept_too_long_is_not_believed(
    secret: str, timestamp: str | None, body: bytes, now: float
) -> None:
    with pytest.raises(InvalidInput) as caught:
        verify(secret, timestamp, HEADERS[SIGNATURE_HEADER], body, now=now)
    assert caught.value.status == 401


def test_without_a_secret_there_is_only_the_events_id() -> None:
    assert callback_headers(None, "evt_1", BODY, now=NOW) == {EVENT_ID_HEADER: "evt_1"}


def test_an_event_id_that_is_no_ascii_is_percent_encoded_in_its_header() -> None:
    sent = callback_headers(None, "evt_任务_1", BODY, now=NOW)[EVENT_ID_HEADER]
    assert sent == "evt_%E4%BB%BB%E5%8A%A1_1"
