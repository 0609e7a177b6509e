"""Errors keep the envelope of the surface they happen on."""

from collections.abc import Sequence
from typing import Any

from fastapi.responses import ORJSONResponse
from starlette.responses import Response

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
_CAMPUS = ("/api/ai_chat", "/api/transfer_service", "/api/service_reply", "/api/wechat")
_TIANWANG = ("/api/task",)
_MESSAGES = {
    "missing": "缺少该字段",
    "json_invalid": "不是合法的 JSON",
    "string_too_short": "不能为空",
    "string_type": "应为字符串",
    "string_unicode": "含有无法编码的字符",
    "model_attributes_type": "应为 JSON 对象",
    "dict_type": "应为 JSON 对象",
    "extra_forbidden": "不支持的字段",
    "int_parsing": "应为整数",
    "float_parsing": "应为数字",
}


def error_body(path: str, status: int, message: str, field: str = "") -> dict[str, Any]:
    """``message``: one line, safe to show. ``field``: dotted path of what is wrong, if known."""
    line = f"{field}: {message}" if field else message
    if path.startswith(_CAMPUS):
        return {"code": status, "msg": line, "field": field or None}
    if path.startswith(_TIANWANG):
        return {"code": status, "message": line, "data": None}
    code = CODES.get(status, "error")
    return {"error": {"code": code, "message": line, "field": field or None}}


def error_response(
    path: str, status: int, message: str, field: str = "", headers: dict[str, str] | None = None
) -> Response:
    body = error_body(path, status, message, field)
    return ORJSONResponse(body, status_code=status, headers=headers)


def describe(errors: Sequence[Any]) -> tuple[str, str]:
    """(field, message in Chinese) of the first validation error."""
    first = errors[0]
    places = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    if first["type"] == "json_invalid":
        places = []
    return ".".join(places), _message(first)


def _message(error: Any) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "string_too_long":
        return f"超过 {context['max_length']} 个字符"
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        return "超出允许的范围"
    if kind in ("enum", "literal_error"):
        return f"应为 {context.get('expected', '允许的取值之一')}"
    if kind.startswith(("datetime", "date_")):
        return "不是合法的时间"
    return _MESSAGES.get(kind) or str(error["msg"]).removeprefix("Value error, ")
