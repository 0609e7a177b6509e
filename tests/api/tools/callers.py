"""Bearers for the tests of the tool surface."""

import time

from api.identity import Tokens
from tools.registry import Caller, Role

SECRET = "a secret of the tests, long enough for HS256"
MING = Caller(Role.CUSTOMER, "小明", "api:tests:ming")
HONG = Caller(Role.CUSTOMER, "小红", "api:tests:hong")
AGENT = Caller(Role.AGENT, "小李")
TIANWANG = Caller(Role.TIANWANG, "tianwang-1")


def token(caller: Caller, *, hours: float = 1, now: float | None = None) -> str:
    return Tokens(SECRET).issue(caller, now=time.time() if now is None else now, hours=hours)


def bearer(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(caller)}"}
