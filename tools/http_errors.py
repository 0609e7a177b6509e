"""One call to a peer, and what its failures mean to the outbox."""

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from domain.errors import PeerError, PeerRejected, PeerUnavailable

MAX_RETRY_AFTER_S = 3_600.0
MAX_ANSWER_BYTES = 65_536
JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
_SHOWN_CHARS = 200
_TRY_AGAIN = frozenset({408, 429})


def retry_after_seconds(value: str | None, *, now: float) -> float | None:
    """``Retry-After`` as seconds from ``now``: RFC 9110 allows a number or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: float) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now


def error_of_status(
    peer: str, status: int, *, reason: str = "", retry_after: float | None = None
) -> PeerError | None:
    """None for 2xx. 408, 429 and 5xx may succeed later; all else, redirects too, will not."""
    if 200 <= status < 300:
        return None
    shown = " ".join(reason.split())[:_SHOWN_CHARS] or "refused the request"
    if status in _TRY_AGAIN or status >= 500:
        return PeerUnavailable(peer, shown, status=status, retry_after=retry_after)
    return PeerRejected(peer, shown, status=status)


def error_of_response(peer: str, response: httpx.Response, *, reason: str) -> PeerError | None:
    """As `error_of_status`, with when to come back where the peer says it."""
    wait = response.headers.get("Retry-After")
    now = datetime.now(UTC).timestamp()
    return error_of_status(
        peer,
        response.status_code,
        reason=reason,
        retry_after=retry_after_seconds(wait, now=now),
    )


def error_of_transport(peer: str, error: httpx.HTTPError | TimeoutError) -> PeerError:
    """Never with the address: it may carry a key."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return PeerUnavailable(peer, "gave no answer in time")
    if isinstance(error, httpx.UnsupportedProtocol):
        return PeerRejected(peer, "its address is not an http:// or https:// URL")
    return PeerUnavailable(peer, f"connection failed ({type(error).__name__})")


async def post(
    http: httpx.AsyncClient,
    url: str,
    body: bytes,
    *,
    peer: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """`request` that posts JSON."""
    sent = JSON_HEADERS | dict(headers or {})
    return await request(http, "POST", url, peer=peer, timeout=timeout, headers=sent, content=body)


def _text(answer: bytes) -> str:
    return answer.decode("utf-8", "replace")


async def request(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    peer: str,
    timeout: float,
    headers: Mapping[str, str],
    max_bytes: int = MAX_ANSWER_BYTES,
    reason_of: Callable[[bytes], str] = _text,
    secret: str | None = None,
    **sent: Any,
) -> bytes:
    """The first ``max_bytes`` of the answer; ``timeout`` bounds the whole call.

    ``sent``: the body as httpx takes it: content, json, data, files. ``reason_of``: what an answer
    says of why it refuses; ``secret`` is not shown in it. Raises PeerUnavailable or PeerRejected.
    """
    response, answer = await exchange(
        http, method, url, peer=peer, timeout=timeout, headers=headers, max_bytes=max_bytes, **sent
    )
    reason = reason_of(answer)
    shown = reason.replace(secret, "***") if secret else reason
    problem = error_of_response(peer, response, reason=shown)
    if problem is not None:
        raise problem
    return answer


async def exchange(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    peer: str,
    timeout: float,
    headers: Mapping[str, str],
    max_bytes: int = MAX_ANSWER_BYTES,
    **sent: Any,
) -> tuple[httpx.Response, bytes]:
    """`request` for who judges the answer, whatever its status. Raises PeerUnavailable, or
    PeerRejected for an address that cannot be called."""
    try:
        async with (
            asyncio.timeout(timeout),
            http.stream(
                method, url, headers=headers, timeout=timeout, follow_redirects=False, **sent
            ) as response,
        ):
            return response, await _bounded(response, max_bytes)
    except (httpx.HTTPError, TimeoutError) as error:
        raise error_of_transport(peer, error) from error


async def _bounded(response: httpx.Response, max_bytes: int) -> bytes:
    # A peer that sends without end must not fill our memory; what follows is not read.
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes(65_536):
        parts.append(part)
        size += len(part)
        if size >= max_bytes:
            break
    return b"".join(parts)[:max_bytes]
