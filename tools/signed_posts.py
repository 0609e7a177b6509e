"""A peer that gets signed posts at one address."""

import time
from collections.abc import Callable, Mapping

import httpx

from tools import http_errors


class SignedPosts:
    """``timeout``: seconds for one whole delivery. ``http`` belongs to the caller.

    Without ``secret`` they go out unsigned, which only a sandbox should get.
    """

    def __init__(
        self,
        url: str,
        secret: str | None,
        http: httpx.AsyncClient,
        timeout: float = 10.0,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url, self._secret, self._http = url, secret, http
        self._timeout, self._clock = timeout, clock

    async def _post(self, peer: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Raises PeerUnavailable or PeerRejected."""
        return await http_errors.post(
            self._http, self._url, body, peer=peer, timeout=self._timeout, headers=headers
        )
