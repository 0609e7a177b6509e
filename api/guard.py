"""What every request passes first: its key, and its size. Pure ASGI, so streaming stays cheap."""

import hmac

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelopes import error_response, too_large

_PUBLIC = frozenset(
    {"/", "/health", "/api/health", "/docs", "/openapi.json", "/docs/oauth2-redirect"}
)
_SIGNED = "/api/channels/webhook/"
_ASSETS = "/assets/"


class Guard:
    """``api_key`` None: no key is asked (the settings allow that on loopback only).

    ``signed``: channel callbacks carry a signature, which stands for the key.
    """

    def __init__(
        self, app: ASGIApp, *, api_key: str | None, signed: bool, max_body_bytes: int
    ) -> None:
        self._app = app
        self._key = api_key.encode() if api_key is not None else None
        self._open = (_ASSETS, _SIGNED) if signed else (_ASSETS,)
        self._max_body = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        if not self._may_enter(path, headers):
            refused = error_response(
                path, 401, "缺少或错误的 API key", headers={"WWW-Authenticate": "Bearer"}
            )
            await refused(scope, receive, send)
        elif _length(headers) > self._max_body:
            # The server reads and drops what still comes, so the caller gets to see this.
            await too_large(path, self._max_body)(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive), send)

    def _may_enter(self, path: str, headers: Headers) -> bool:
        if self._key is None or path in _PUBLIC or path.startswith(self._open):
            return True
        given = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
        # Header text is latin-1 of the bytes that were sent; the key may be any UTF-8.
        return hmac.compare_digest(given.encode("latin-1"), self._key)

    def _counting(self, receive: Receive) -> Receive:
        """A body without a length is counted as it comes."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise HTTPException(413)
            return message

        return counted


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _length(headers: Headers) -> int:
    """0 where none is given, and for what is no number: then it is counted."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
