"""What every request passes first: who calls, and its size. Pure ASGI, so streaming stays cheap."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelopes import STORAGE_AWAY, error_response, too_large
from api.identity import ClientCaller, TokenRefused, Tokens
from api.permissions import (
    CLIENT_GRANTS,
    STAFF_GRANTS,
    Permission,
    Permissions,
    open_paths,
    open_roots,
)
from domain.errors import StorageError
from tools.registry import Caller, NotAllowed, Role

log = logging.getLogger(__name__)
LOCAL = Caller(Role.ADMIN, "local")
KEY_HOLDER = Caller(Role.ADMIN, "api-key")
NOBODY = Caller(Role.CUSTOMER, "")
"""At the desk, whose own sessions say who it is (`api.desk.session`)."""
LIMIT_HEADER = "X-Kefu-Body-Limit"
_SIGNED = "/api/channels/webhook/"
DESK_API, CONSOLE, REVIEWS = "/api/desk", "/desk", "/api/reviews"
_NO_KEY = "缺少或错误的 API key"
_NO_TOKENS = "未配置 SECRET_KEY，不接受令牌"
_ENDED = "令牌已失效：客户端被停用，或它的密钥已更换、吊销"
Standing = Callable[[ClientCaller], Awaitable[ClientCaller | None]]
Recorder = Callable[[Caller, str, str, int], Awaitable[None]]


async def _nobody_stands(_caller: ClientCaller) -> ClientCaller | None:
    return None


async def _not_recorded(_caller: Caller, _method: str, _path: str, _status: int) -> None:
    return None


class Guard:
    """``api_key`` None: no key is asked (the settings allow that on loopback only).

    ``tokens`` None: none is accepted. ``signed``: channel callbacks carry a signature, which stands
    for the key, as that of a picture's address always does. ``keyed``: addresses that ask for a
    key of their own. ``uploads``: the limits of addresses whose bodies may be larger. Endpoints
    find who calls in the request's state: ``caller``, and ``actor``, its name. At the human desk
    whoever shows neither key nor token is NOBODY. Whom a token names is let in as the table of
    `api.permissions` says. ``standing``: a client as it is now, None where its token is over.
    ``strict``: without a key, whatever is said to be a token has to be one. ``record``: writes down
    what was done (caller, method, path, status), where the table asks for it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_key: str | None,
        signed: bool,
        keyed: tuple[str, ...] = (),
        max_body_bytes: int,
        uploads: Mapping[str, int] | None = None,
        tokens: Tokens | None = None,
        strict: bool = True,
        standing: Standing = _nobody_stands,
        record: Recorder = _not_recorded,
    ) -> None:
        self._app = app
        self._permissions = Permissions()
        self._strict, self._standing, self._record = strict, standing, record
        self._key = api_key.encode() if api_key is not None else None
        self._tokens = tokens
        self._public = open_paths().union(keyed)
        self._open = (*open_roots(), *((_SIGNED,) if signed else ()))
        self._max_body, self._uploads = max_body_bytes, uploads or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        try:
            caller = await self._caller(scope["method"], path, headers)
        except (TokenRefused, NotAllowed) as error:
            await _refusal(path, error)(scope, receive, send)
            return
        except StorageError as error:
            log.error("%s %s: %s", scope["method"], path, error)
            wait = {"Retry-After": "1"}
            await error_response(path, 503, STORAGE_AWAY, headers=wait)(scope, receive, send)
            return
        limit = self._limit(scope["method"], path)
        if _length(headers) > limit:
            # The server reads and drops what still comes, so the caller gets to see this.
            await too_large(path, limit)(scope, receive, send)
            return
        scope.setdefault("state", {}).update(caller=caller, actor=actor_of(caller))
        if self._permissions.is_recorded(scope["method"], path):
            send = self._recording(caller, scope["method"], path, send)
        await self._app(scope, _counting(receive, limit), send)

    def _recording(self, caller: Caller, method: str, path: str, send: Send) -> Send:
        """Written before whoever did it hears that it is done."""

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                try:
                    await self._record(caller, method, path, message["status"])
                except StorageError as error:
                    log.error(
                        "%s %s by %s is not in the audit log: %s", method, path, caller, error
                    )
            await send(message)

        return recorded

    def _limit(self, method: str, path: str) -> int:
        larger = self._uploads.get(path, 0) if method == "POST" else 0
        return max(self._max_body, larger)

    async def _caller(self, method: str, path: str, headers: Headers) -> Caller:
        """Raises TokenRefused or NotAllowed."""
        nobody = LOCAL if self._key is None else KEY_HOLDER
        if path in self._public or path.startswith(self._open):
            return nobody
        bearer = _bearer(headers.get("authorization", ""))
        if _is_desk(path) and not bearer and "x-api-key" not in headers:
            return NOBODY
        if self._key is not None:
            # Header text is latin-1 of the bytes that were sent; the key may be any UTF-8.
            given = (headers.get("x-api-key") or bearer).encode("latin-1")
            if hmac.compare_digest(given, self._key):
                return KEY_HOLDER
            if headers.get("x-api-key") or not self._is_token(bearer):
                raise TokenRefused(_NO_KEY, field="")
        elif not self._is_token(bearer):
            return LOCAL
        caller = await self._standing_of(await self._identified(bearer))
        needed = self._permissions.needed(method, path)
        if needed not in _grants(caller):
            raise NotAllowed("", f"{caller.role} 的令牌不能使用这个地址，需要 {needed} 权限")
        return caller

    async def _standing_of(self, caller: Caller) -> Caller:
        if not isinstance(caller, ClientCaller):
            return caller
        found = await self._standing(caller)
        if found is None:
            raise TokenRefused(_ENDED)
        return found

    def _is_token(self, bearer: str) -> bool:
        """A damaged token must not pass for none at all, which may do everything on loopback."""
        said = bearer and self._strict and self._tokens and self._key is None
        return bearer.count(".") >= 2 or bool(said)

    async def _identified(self, token: str) -> Caller:
        tokens = self._tokens
        if tokens is None:
            raise TokenRefused(_NO_TOKENS)
        # The first one imports PyJWT, which would hold up the event loop for 0.1 s.
        return tokens.read(token) if tokens.loaded else await asyncio.to_thread(tokens.read, token)


def actor_of(caller: Caller) -> str:
    """As the audit log has it: a client is never taken for a person of the same name."""
    return f"client:{caller.name}" if isinstance(caller, ClientCaller) else caller.name


def _grants(caller: Caller) -> frozenset[Permission]:
    grants = CLIENT_GRANTS if isinstance(caller, ClientCaller) else STAFF_GRANTS
    return grants.get(caller.role, frozenset())


def _is_desk(path: str) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in (DESK_API, CONSOLE, REVIEWS))


def _refusal(path: str, error: TokenRefused | NotAllowed) -> ASGIApp:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return error_response(path, error.status, error.reason, error.field, headers)


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
