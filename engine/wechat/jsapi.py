"""What a page needs for wx.config (reference wechat_official.md, section 8)."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from tools.wx.api import TokenSource
from tools.wx.crypto import jsapi_signature

_NONCE_BYTES = 8


class JsSignatures:
    """``tickets``: cached, since few calls for one are allowed."""

    def __init__(
        self, app_id: str, tickets: TokenSource, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._app_id, self._tickets, self._clock = app_id, tickets, clock

    async def of(self, url: str) -> dict[str, Any]:
        """Seed 002's fields. ``url``: of the page as the browser shows it. Raises PeerError."""
        ticket, at, nonce = await self._tickets.token(), int(self._clock()), _nonce()
        page = url.partition("#")[0]
        return {
            "appId": self._app_id,
            "timestamp": str(at),
            "nonceStr": nonce,
            "signature": jsapi_signature(ticket, noncestr=nonce, timestamp=at, url=page),
            "url": page,
        }


def _nonce() -> str:
    return secrets.token_hex(_NONCE_BYTES)
