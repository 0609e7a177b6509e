"""What every request passes first: its key, and its size. Pure ASGI, so streaming stays cheap."""

import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelopes import error_response, too_large

_PUBLIC = frozenset(
    {"/", "/health", "/api/health", "/docs", "/openapi.json", "/docs/oauth2-redirect"}
)
LOCAL = "local"
KEY_HOLDER = "api-key"
LIMIT_HEADER = "X-Kefu-Body-Limit"
_SIGNED = "/api/channels/webhook/"
_ASSETS = "/assets/"


class Guard:
    """``api_key`` None: no key is asked (the settings allow that on loopback only).

    ``signed``: channel callbacks carry a signature, which stands for the key. ``uploads``: the
    limits of addresses whose bodies may be larger. Endpoints find who acts in the request's state.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_key: str | None,
        signed: bool,
        max_body_bytes: int,
        uploads: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._key = api_key.encode() if api_key is not None else None
        self._open = (_ASSETS, _SIGNED) if signed else (_ASSETS,)
        self._actor = LOCAL if api_key is None else KEY_HOLDER
        self._max_body, self._uploads = max_body_bytes, uploads or {}

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
            return
        limit = self._limit(scope["method"], path)
        if _length(headers) > limit:
            # The server reads and drops what still comes, so the caller gets to see this.
            await too_large(path, limit)(scope, receive, send)
            return
        scope.setdefault("state", {})["actor"] = self._actor
        await self._app(scope, _counting(receive, limit), send)

    def _limit(self, method: str, path: str) -> int:
        larger = self._uploads.get(path, 0) if method == "POST" else 0
        return max(self._max_body, larger)

    def _may_enter(self, path: str, headers: Headers) -> bool:
        if self._key is None or path in _PUBLIC or path.startswith(self._open):
            return True
        given = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
        # Header text is latin-1 of the bytes that were sent; the key may be any UTF-8.
        return hmac.compare_digest(given.encode("latin-1"), self._key)


def _counting(receive: Receive, limit: int) -> Receive:
    """A body without a length is counted as it comes."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, headers={LIMIT_HEADER: str(limit)})
        return message

    return counted


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _length(headers: Headers) -> int:
    """0 where none is given, and for what is no number: then it is counted."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
