"""Errors keep the envelope of the surface they happen on."""

from collections.abc import Sequence
from typing import Any

import orjson
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
STORAGE_AWAY = "存储暂时不可用,请重试"
SERVICE_AWAY = "服务暂时不可用,请重试"
FAILED = "内部错误"

_CAMPUS = (
    "/api/ai_chat",
    "/api/transfer_service",
    "/api/service_reply",
    "/api/chat_records",
    "/api/custom_qa",
    "/api/wechat",
)
_TIANWANG = ("/api/task",)
_BODY = "body"
_MESSAGES = {
    "missing": "缺少该字段",
    "string_too_short": "不能为空",
    "string_type": "应为字符串",
    "string_unicode": "含有无法编码的字符",
    "model_attributes_type": "应为 JSON 对象",
    "model_type": "应为 JSON 对象",
    "dict_type": "应为 JSON 对象",
    "list_type": "应为数组",
    "tuple_type": "应为数组",
    "too_short": "不能为空",
    "bool_type": "应为布尔值",
    "bool_parsing": "应为布尔值",
    "extra_forbidden": "不支持的字段",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "int_parsing_size": "超出允许的范围",
    "float_type": "应为数字",
    "float_parsing": "应为数字",
    "finite_number": "应为有限的数字",
    "greater_than": "超出允许的范围",
    "greater_than_equal": "超出允许的范围",
    "less_than": "超出允许的范围",
    "less_than_equal": "超出允许的范围",
}


class Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


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
    # What the caller sent may be quoted in it, lone surrogates and all.
    message, field = (text.encode("utf-8", "replace").decode() for text in (message, field))
    return Json(error_body(path, status, message, field), status_code=status, headers=headers)


def too_large(path: str, limit: int) -> Response:
    return error_response(path, 413, f"请求体超过 {limit} 字节", _BODY)


def describe(errors: Sequence[Any]) -> tuple[str, str]:
    """(field, message in Chinese) of the first validation error."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return _BODY, f"不是合法的 JSON(第 {first['loc'][-1] + 1} 个字符)"
    places = [str(part) for part in first["loc"][1:]]
    inner = (first.get("ctx") or {}).get("field")
    places += [inner] if inner else []
    return ".".join(places) or _BODY, _message(first)


def _message(error: Any) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "string_too_long":
        return f"超过 {context['max_length']} 个字符"
    if kind == "too_long":
        return f"超过 {context['max_length']} 项"
    if kind in ("enum", "literal_error"):
        return f"应为 {str(context['expected']).replace(' or ', '、').replace(', ', '、')} 之一"
    if kind.startswith(("datetime", "date_", "timezone")):
        return "不是合法的时间"
    if kind in ("value_error", "empty"):
        return str(error["msg"]).removeprefix("Value error, ")
    return _MESSAGES.get(kind, "取值不正确")
