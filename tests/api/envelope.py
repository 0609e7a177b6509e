"""What a refusal must look like, whatever was wrong."""

from typing import Any

import httpx

CAMPUS_PATHS = (
    "/api/ai_chat",
    "/api/transfer_service",
    "/api/service_reply",
    "/api/chat_records",
    "/api/custom_qa",
    "/api/wechat",
)
TIANWANG_PATHS = ("/api/task",)


def refusal(response: httpx.Response, status: int | None = None) -> tuple[str | None, str]:
    """(field, message) of a 4xx answer, after a check that it has its surface's envelope.

    Tianwang's has no field of its own: the message begins with it.
    """
    if status is not None:
        assert response.status_code == status, f"{response.status_code}: {response.text[:500]}"
    assert 400 <= response.status_code < 500, f"{response.status_code}: {response.text[:500]}"
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    if response.request.url.path.startswith(CAMPUS_PATHS):
        assert body.keys() == {"code", "msg", "field"}
        assert body["code"] == response.status_code
        field, message = body["field"], body["msg"]
    elif response.request.url.path.startswith(TIANWANG_PATHS):
        assert body.keys() == {"code", "message", "data"}
        assert body["code"] == response.status_code
        field, message = None, body["message"]
    else:
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"code", "message", "field"}
        field, message = body["error"]["field"], body["error"]["message"]
    assert message
    assert "\n" not in message
    assert "Traceback" not in message
    return field, message
