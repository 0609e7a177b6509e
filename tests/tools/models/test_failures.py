"""Bodies and codes as the vendors' documents print them (shared/reference/others.md, section 4)."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tools.models.calls import FailureKind
from tools.models.failures import (
    BadAnswer,
    ErrorInBody,
    classify_failure,
    error_in_body,
    redact,
)

REQUEST = httpx2.Request("POST", "https://host/v1/chat/completions")


def status_error(status: int, body: Any, headers: dict[str, str] | None = None) -> Exception:
    """What the openai SDK raises for that answer."""
    response = httpx2.Response(status, json=body, headers=headers, request=REQUEST)
    client = openai.OpenAI(api_key="k", base_url="https://host/v1")
    with client:
        return client._make_status_error_from_response(response)


def error(**fields: Any) -> dict[str, Any]:
    return {"error": fields}


GEMINI_DETAILS = [
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
]
GEMINI_PER_DAY = [
    {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]},
]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error(message="Incorrect API key", code="invalid_api_key"), "auth"),
        (403, error(message="Country not supported"), "auth"),
        (402, error(message="Insufficient Balance"), "quota"),
        (429, error(message="You exceeded your current quota", code="insufficient_quota"), "quota"),
        (429, error(message="Rate limit reached", type="requests"), "rate_limited"),
        (429, error(message="overloaded", type="engine_overloaded_error"), "rate_limited"),
        (429, error(message="exceeded", type="exceeded_current_quota_error"), "quota"),
        # Qwen's "quota" here is tokens per minute, not money.
        (
            429,
            error(message="Allocated quota exceeded", code="Throttling.AllocationQuota"),
            "rate_limited",
        ),
        (403, error(message="used up", code="AllocationQuota.FreeTierOnly"), "quota"),
        (400, error(message="Access denied, overdue", code="Arrearage"), "quota"),
        (400, error(message="blocked", code="data_inspection_failed"), "content_filter"),
        (400, error(message="Content Exists Risk"), "content_filter"),
        (400, error(message="high risk", type="content_filter"), "content_filter"),
        (400, error(message="too long", code="context_length_exceeded"), "bad_request"),
        (404, error(message="no such model", code="model_not_found"), "bad_request"),
        (422, error(message="bad parameter"), "bad_request"),
        (500, error(message="oops"), "server"),
        (503, "<html>Service unavailable</html>", "server"),
        (529, {"type": "error", **error(type="overloaded_error", message="busy")}, "server"),
        (504, {}, "timeout"),
        (408, {}, "timeout"),
        (403, error(message="Your account balance is too low"), "quota"),
        (429, {"type": "error", **error(type="billing_error", message="m")}, "quota"),
        (
            429,
            error(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            "quota",
        ),
        (429, [error(code=429, status="RESOURCE_EXHAUSTED", message="m")], "rate_limited"),
        (
            429,
            [error(code=429, status="RESOURCE_EXHAUSTED", details=GEMINI_PER_DAY)],
            "quota",
        ),
        (429, {"error": "slow down"}, "rate_limited"),
    ],
)
def test_a_status_is_read_with_its_body(status: int, body: Any, kind: FailureKind) -> None:
    failure = classify_failure(status_error(status, body))
    assert failure.kind == kind
    assert failure.status == status


def test_only_what_may_pass_is_worth_a_retry() -> None:
    retried = {429, 500, 503, 408, 529}
    for status in (400, 401, 402, 403, 404, 422, *retried):
        assert classify_failure(status_error(status, {})).retryable is (status in retried)


def test_spent_money_is_not_retried_though_it_says_429() -> None:
    spent = status_error(429, error(message="m", code="insufficient_quota"), {"retry-after": "1"})
    assert not classify_failure(spent).retryable


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, {}, 7),
        ({"retry-after": "0.5"}, {}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, {}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({}, [error(code=429, details=GEMINI_DETAILS)], 34),
        ({}, {}, None),
    ],
)
def test_what_the_provider_asks_us_to_wait_is_kept(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert classify_failure(status_error(429, body, headers)).retry_after == seconds


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (error(code="malformed_json", message="m", type="invalid_request_error"), "bad_request"),
        ({"code": "rpm_rate_limit_exceeded", "msg": "Rate limit reached"}, "rate_limited"),
        ({"code": "tpm_rate_limit_exceeded", "msg": "Rate limit reached"}, "rate_limited"),
        ({"code": "invalid_iam_token", "message": "m"}, "auth"),
        ({"error_code": 110, "error_msg": "Access token invalid"}, "bad_request"),
        ({"code": "internal_error", "message": "m"}, "server"),
    ],
)
def test_an_error_that_pretends_to_be_a_success_is_found(body: Any, kind: FailureKind) -> None:
    assert error_in_body(body)
    assert classify_failure(ErrorInBody(body, "d")).kind == kind


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": "ok"}}], "code": "0", "msg": "success"},
        {"content": [{"type": "text", "text": "ok"}]},
        {"id": "x", "object": "list"},
        [],
        None,
        "text",
    ],
)
def test_an_answer_is_not_taken_for_an_error(body: Any) -> None:
    assert not error_in_body(body)


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (
            caused(openai.APIConnectionError(request=REQUEST), httpx2.ConnectError("refused")),
            "refused",
        ),
        (
            caused(anthropic.APIConnectionError(request=REQUEST), httpx2.ReadError("reset")),
            "refused",
        ),
        (
            caused(
                openai.APIConnectionError(request=REQUEST),
                httpx2.RemoteProtocolError("Server disconnected without sending a response."),
            ),
            "refused",
        ),
        (
            caused(
                openai.APIConnectionError(request=REQUEST),
                httpx2.RemoteProtocolError("peer closed connection (incomplete chunked read)"),
            ),
            "cut_stream",
        ),
        (openai.APITimeoutError(REQUEST), "timeout"),
        (httpx2.ConnectTimeout("slow"), "timeout"),
        (TimeoutError(), "timeout"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "garbage"),
        (KeyError("Response missing 'choices' key"), "garbage"),
        (ValueError("Unexpected response type from OpenAI-compatible endpoint"), "garbage"),
        (ValueError("No generation chunks were returned"), "garbage"),
        (ValueError({"code": "rpm_rate_limit_exceeded", "message": "m"}), "rate_limited"),
        (
            openai.APIError("m", REQUEST, body={"type": "server_error", "message": "m"}),
            "server",
        ),
        (ErrorInBody(None, "a web page in place of an answer"), "garbage"),
        (BadAnswer("content_filter", "d"), "content_filter"),
    ],
)
def test_what_has_no_status_is_told_by_its_cause(raised: Exception, kind: FailureKind) -> None:
    assert classify_failure(raised).kind == kind


def test_a_connection_lost_while_answering_is_a_cut_stream() -> None:
    lost = caused(openai.APIConnectionError(request=REQUEST), httpx2.ReadError("reset"))
    assert classify_failure(lost, answering=True).kind == "cut_stream"


def test_what_the_caller_was_handling_is_not_taken_for_the_cause() -> None:
    garbage = KeyError("choices")
    garbage.__context__ = status_error(401, {})
    assert classify_failure(garbage).kind == "garbage"


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-SECRETSECRET.",
        "header Authorization: Bearer SECRETSECRET",
        "key bce-v3/ALTAK-SECRETSECRET/SECRETSECRET refused",
        'config {"api_key": "SECRETSECRET"}',
        "https://user:SECRETSECRET@host/v1 failed",
        "https://host/v1?key=SECRETSECRET failed",
    ],
)
def test_details_hold_no_secrets(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert "SECRET" not in classify_failure(BadAnswer("garbage", text)).detail


def test_details_are_one_short_line() -> None:
    detail = classify_failure(BadAnswer("garbage", "a\n b\n" * 500)).detail
    assert "\n" not in detail
    assert len(detail) <= 200
