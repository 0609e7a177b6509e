"""What every request passes first: its size, and its key. Pure ASGI, so streaming stays cheap."""

import hmac
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelopes import error_response

log = logging.getLogger(__name__)
_PUBLIC = frozenset(
    {"/", "/health", "/api/health", "/docs", "/openapi.json", "/docs/oauth2-redirect"}
)
_SIGNED = ("/api/channels/webhook/",)
_ASSETS = ("/assets/",)


class _TooLarge(Exception):
    pass


class Guard:
    """``api_key`` None: no key is asked (the settings allow that on loopback only)."""

    def __init__(self, app: ASGIApp, *, api_key: str | None, max_body_bytes: int) -> None:
        self._app = app
        self._key = api_key.encode() if api_key is not None else None
        self._max_body = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"]
        if not self._may_enter(path, headers):
            refused = error_response(
                path, 401, "缺少或错误的 API key", headers={"WWW-Authenticate": "Bearer"}
            )
            await refused(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_body:
            await self._refuse_size(scope, receive, send)
            return
        if "transfer-encoding" in headers:
            await self._counted(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_enter(self, path: str, headers: Headers) -> bool:
        if self._key is None or path in _PUBLIC or path.startswith(_SIGNED + _ASSETS):
            return True
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._key)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A body without a length is counted as it comes."""
        taken, started = 0, False

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise _TooLarge
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counting, noting)
        except _TooLarge:
            if not started:
                await self._refuse_size(scope, receive, send)

    async def _refuse_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = error_response(
            scope["path"],
            413,
            f"请求体超过 {self._max_body} 字节",
            headers={"Connection": "close"},
        )
        await response(scope, receive, send)
