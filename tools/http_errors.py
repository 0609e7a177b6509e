"""One post to a peer, and what its failures mean to the outbox."""

import asyncio
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from domain.errors import PeerError, PeerRejected, PeerUnavailable

MAX_RETRY_AFTER_S = 3_600.0
MAX_ANSWER_BYTES = 65_536
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
    """Post JSON and return the answer's first MAX_ANSWER_BYTES; ``timeout`` bounds the whole call.

    Raises PeerUnavailable or PeerRejected.
    """
    sent = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    try:
        async with (
            asyncio.timeout(timeout),
            http.stream(
                "POST", url, content=body, headers=sent, timeout=timeout, follow_redirects=False
            ) as response,
        ):
            answer = await _bounded(response)
    except (httpx.HTTPError, TimeoutError) as error:
        raise error_of_transport(peer, error) from error
    now = datetime.now(UTC).timestamp()
    problem = error_of_status(
        peer,
        response.status_code,
        reason=answer.decode("utf-8", "replace"),
        retry_after=retry_after_seconds(response.headers.get("Retry-After"), now=now),
    )
    if problem is not None:
        raise problem
    return answer


async def _bounded(response: httpx.Response) -> bytes:
    # A peer that sends without end must not fill our memory; what follows is not read.
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes(16_384):
        parts.append(part)
        size += len(part)
        if size >= MAX_ANSWER_BYTES:
            break
    return b"".join(parts)[:MAX_ANSWER_BYTES]
