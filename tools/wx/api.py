"""Calls to WeCom and to WeChat official accounts: JSON over HTTPS, the token in the query.

Both answer HTTP 200 also where they refuse; ``errcode`` says what happened.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar
from urllib.parse import quote_plus

import httpx

from domain.errors import PeerRejected, PeerUnavailable
from domain.text import one_line
from tools import http_errors
from tools.wx.errors import ErrorTable, WxRejected, WxUnavailable, masked

JsonObject = dict[str, Any]
Param = str | int | bool
T = TypeVar("T")

MAX_ANSWER_BYTES = 16 << 20
MAX_DOWNLOAD_BYTES = 20 << 20
"""No larger file comes through one call at either platform."""
TRANSFER_TIMEOUT_S = 60.0
TOKEN_PAUSE_S = 5.0
"""A new token that is refused too: the platform needs a moment."""
_MAX_NAME_CHARS = 255
_MAX_REFUSAL_BYTES = 65_536


class TokenSource(Protocol):
    """An access token, the same for all callers until it has to be another."""

    async def token(self) -> str: ...

    async def renew(self, bad: str) -> str:
        """Another one than ``bad``, which the platform has refused. Raises PeerError."""
        ...


@dataclass(frozen=True, slots=True)
class Issued:
    """A token or a ticket as the platform gives it out; good for ``lifetime_s``."""

    token: str
    lifetime_s: float

    def __repr__(self) -> str:
        return f"Issued(lifetime_s={self.lifetime_s!r})"


@dataclass(frozen=True, slots=True)
class Download:
    """``filename``: without folders; empty where the platform names none."""

    data: bytes
    content_type: str
    filename: str


class WxCalls:
    """Calls that carry no token of ours. ``timeout``: seconds for a whole call; ``http`` belongs
    to the caller. ``hidden`` (what the query or the body holds of secrets) is in no error."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        *,
        peer: str,
        errors: ErrorTable,
        timeout: float = 10.0,
    ) -> None:
        self._http, self._base = http, base_url.rstrip("/")
        self._timeout = timeout
        self.peer, self.errors = peer, errors

    async def json(
        self,
        method: str,
        path: str,
        params: Mapping[str, Param],
        *,
        hidden: tuple[str, ...] = (),
        body: Mapping[str, Any] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        """Raises WxUnavailable or WxRejected for an errcode; else PeerUnavailable, PeerRejected."""
        sent: dict[str, Any] = {"files": files} if files else {}
        if body is not None:
            sent = {"content": raw_json(body), "headers": http_errors.JSON_HEADERS}
        _, answer = await self._send(
            method, path, params, hidden, timeout or self._timeout, MAX_ANSWER_BYTES, sent
        )
        found = self._object(answer)
        self._check(found, hidden)
        return found

    async def file(
        self,
        path: str,
        params: Mapping[str, Param],
        *,
        hidden: tuple[str, ...] = (),
        timeout: float | None = None,
    ) -> Download:
        """A file; refusals come as JSON in its place."""
        response, data = await self._send(
            "GET", path, params, hidden, timeout or self._timeout, MAX_DOWNLOAD_BYTES, {}
        )
        if "Content-Disposition" not in response.headers and len(data) < _MAX_REFUSAL_BYTES:
            self._check(_refusal(data), hidden)
        return Download(data, response.headers.get("Content-Type", ""), _filename(response))

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Param],
        hidden: tuple[str, ...],
        timeout: float,
        max_bytes: int,
        sent: Mapping[str, Any],
    ) -> tuple[httpx.Response, bytes]:
        try:
            async with (
                asyncio.timeout(timeout),
                self._http.stream(
                    method,
                    f"{self._base}/{path.lstrip('/')}",
                    params={name: str(value) for name, value in params.items()},
                    timeout=timeout,
                    follow_redirects=False,
                    **sent,
                ) as response,
            ):
                answer = await self._whole(response, max_bytes)
        except (httpx.HTTPError, TimeoutError) as error:
            # Not its cause: that knows the address, and the address holds the token.
            raise http_errors.error_of_transport(self.peer, error) from None
        except httpx.InvalidURL:
            raise PeerRejected(self.peer, "its address is not usable") from None
        problem = http_errors.error_of_response(
            self.peer, response, reason=masked(answer.decode("utf-8", "replace"), _forms(hidden))
        )
        if problem is not None:
            raise problem
        return response, answer

    async def _whole(self, response: httpx.Response, max_bytes: int) -> bytes:
        """Half a file is none: too long an answer is refused."""
        content = bytearray()
        async for part in response.aiter_bytes(65_536):
            content += part
            if len(content) > max_bytes:
                raise PeerRejected(self.peer, f"its answer is longer than {max_bytes} bytes")
        return bytes(content)

    def _object(self, answer: bytes) -> JsonObject:
        try:
            # Not strict: names of customers come with control characters in them.
            found = json.loads(answer.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or (self.errors.says_ok and "errcode" not in found):
            # Not rejected: a proxy's page says nothing about the next attempt.
            raise PeerUnavailable(self.peer, "its answer is not what the platform answers")
        return found

    def _check(self, found: JsonObject, hidden: tuple[str, ...]) -> None:
        try:
            errcode = int(found.get("errcode", 0))
        except (ValueError, TypeError, OverflowError):
            raise PeerUnavailable(self.peer, "its answer holds no readable errcode") from None
        if errcode:
            errmsg = str(found.get("errmsg", ""))
            raise self.errors.error(self.peer, errcode, errmsg, hidden=_forms(hidden))


class WxApi:
    """The platform's calls, each with a token; one that is refused for its token is made once more
    with another.

    Every method raises WxUnavailable (``errcode``; try again, after ``retry_after``) or WxRejected
    (``errcode``, ``advice``; never again), or their bases PeerUnavailable and PeerRejected where
    no errcode was answered.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        tokens: TokenSource,
        *,
        peer: str,
        errors: ErrorTable,
        timeout: float = 10.0,
        transfer_timeout: float = TRANSFER_TIMEOUT_S,
    ) -> None:
        """``base_url``: paths of calls are appended to it. ``timeout``: seconds for one call,
        ``transfer_timeout`` where a file goes over the wire."""
        self._calls = WxCalls(http, base_url, peer=peer, errors=errors, timeout=timeout)
        self._tokens, self._transfer_timeout = tokens, transfer_timeout

    async def get(self, path: str, /, **params: Param) -> JsonObject:
        return await self._with_token(
            lambda token: self._calls.json("GET", path, _query(params, token), hidden=(token,))
        )

    async def post(self, path: str, body: Mapping[str, Any], /, **params: Param) -> JsonObject:
        return await self._with_token(
            lambda token: self._calls.json(
                "POST", path, _query(params, token), hidden=(token,), body=body
            )
        )

    async def upload(
        self, path: str, field: str, filename: str, data: bytes, /, **params: Param
    ) -> JsonObject:
        """``filename`` is what the receiver of a file is shown."""
        return await self._with_token(
            lambda token: self._calls.json(
                "POST",
                path,
                _query(params, token),
                hidden=(token,),
                files={field: (filename, data)},
                timeout=self._transfer_timeout,
            )
        )

    async def download(self, path: str, /, **params: Param) -> Download:
        """At most MAX_DOWNLOAD_BYTES. What is no refusal and no file, such as the address of a
        video, is handed over as it came."""
        return await self._with_token(
            lambda token: self._calls.file(
                path,
                _query(params, token),
                hidden=(token,),
                timeout=self._transfer_timeout,
            )
        )

    async def _with_token(self, call: Callable[[str], Awaitable[T]]) -> T:
        token = await self._tokens.token()
        try:
            return await call(token)
        except (WxRejected, WxUnavailable) as error:
            if error.errcode not in self._calls.errors.refresh:
                raise
        other = await self._tokens.renew(token)
        try:
            return await call(other)
        except (WxRejected, WxUnavailable) as error:
            if error.errcode not in self._calls.errors.refresh:
                raise
            raise _refused_again(error) from None


def _refused_again(error: WxRejected | WxUnavailable) -> WxUnavailable:
    """The secret is good, else there would be no other token: what was to be sent is kept."""
    return WxUnavailable(
        error.peer,
        error.reason,
        errcode=error.errcode,
        advice=error.advice,
        retry_after=TOKEN_PAUSE_S,
    )


def raw_json(body: Mapping[str, Any]) -> bytes:
    r"""UTF-8 as it is: WeChat shows ``\u`` escapes to customers, or refuses them (40033)."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # "replace": a lone surrogate in a customer's words must not stop the answer.
    return text.encode("utf-8", "replace")


def issued(peer: str, answer: JsonObject, field: str) -> Issued:
    """A token or ticket out of ``answer``. Raises PeerUnavailable where it holds none."""
    token, lifetime = answer.get(field), answer.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(lifetime, int | float):
        raise PeerUnavailable(peer, f"its answer holds no {field}")
    return Issued(token, float(lifetime))


def _query(params: Mapping[str, Param], token: str) -> dict[str, Param]:
    return {"access_token": token, **params}


def _forms(hidden: tuple[str, ...]) -> tuple[str, ...]:
    """As it is, and as it stands in an address."""
    return (*hidden, *map(quote_plus, hidden))


def _refusal(data: bytes) -> JsonObject:
    """What may be a refusal in place of a file; empty where it is none."""
    if not data.lstrip().startswith(b"{"):
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _filename(response: httpx.Response) -> str:
    header = Message()
    header["Content-Disposition"] = one_line(response.headers.get("Content-Disposition", ""))
    found: list[Any] = header.get_params([], "Content-Disposition")
    names = [value for key, value in found if key == "filename"]
    # RFC 6266: the encoded form (a tuple here) is the true one, the other is for old clients.
    encoded = [value for value in names if isinstance(value, tuple)]
    named = collapse_rfc2231_value([*encoded, *names, ""][0])
    return one_line(PurePosixPath(named.replace("\\", "/")).name)[:_MAX_NAME_CHARS]
