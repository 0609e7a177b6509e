"""Keeps secrets out of the journal. What is masked here is never held in memory either."""

import re
from collections.abc import Iterable

MASK = "***"

_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "x-auth-token",
        "x-access-token",
    }
)
_SENSITIVE_NAME = (
    r"(?:[a-z_]*(?:secret|passwd|password)[a-z_]*"
    r"|(?:access|refresh|tenant_access|app_access)_?token|api_?key|app_?key|sign_?key)"
)
# A plain ``key`` is a secret in an address (WeCom's robots), in a body it may be anything.
_QUERY = re.compile(rf"(?i)((?:^|&)(?:key|{_SENSITIVE_NAME})=)[^&]*")
# Robots whose key is part of the path: Telegram's, Feishu's.
_PATH = re.compile(r"(/telegram/bot|/bot/v2/hook/)[^/]+")
_JSON = re.compile(rf'(?i)("{_SENSITIVE_NAME}"\s*:\s*)"(?:[^"\\]|\\.)*"'.encode())


def masked_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Decoded headers; of a secret one only the scheme is left (``Bearer ***``)."""
    decoded = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    return {name: _masked_header(name, value) for name, value in decoded}


def _masked_header(name: str, value: str) -> str:
    if name not in _SECRET_HEADERS:
        return value
    scheme, separator, _ = value.partition(" ")
    return f"{scheme} {MASK}" if separator and "authorization" in name else MASK


def masked_path(path: str) -> str:
    return _PATH.sub(rf"\g<1>{MASK}", path)


def masked_query(query: bytes) -> str:
    return _QUERY.sub(rf"\g<1>{MASK}", query.decode("latin-1"))


def masked_body(body: bytes) -> bytes:
    """JSON string members with a secret's name lose their value."""
    return _JSON.sub(rb'\g<1>"' + MASK.encode() + b'"', body)
