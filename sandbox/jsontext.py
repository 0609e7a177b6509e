"""JSON text of whatever a user gave us."""

import json
from typing import Any

import orjson


def json_bytes(value: Any) -> bytes:
    """Compact JSON; also of integers that orjson refuses, beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def compact(text: bytes) -> bytes:
    """A copy as long as the text: orjson hands out its working buffer, kilobytes for any text."""
    return bytes(memoryview(text))
