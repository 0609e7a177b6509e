"""Reading WeCom's answers: what is missing or of another kind is empty."""

from tools.wecom.kf_messages import plain
from tools.wx.api import JsonObject


def text(answer: JsonObject, name: str) -> str:
    value = answer.get(name)
    return plain(value) if isinstance(value, str) else ""


def number(answer: JsonObject, name: str) -> int:
    value = answer.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def objects(answer: JsonObject, name: str) -> list[JsonObject]:
    value = answer.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(answer: JsonObject, name: str) -> tuple[str, ...]:
    value = answer.get(name)
    if not isinstance(value, list):
        return ()
    return tuple(plain(one) for one in value if isinstance(one, str))
