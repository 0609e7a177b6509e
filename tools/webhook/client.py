"""Posts answers to the shop's webhook."""

import time
from collections.abc import Callable

import httpx

from tools import http_errors
from tools.webhook.protocol import OutboundText, outbound_body, signed_headers


class WebhookClient:
    """``timeout``: seconds for one whole delivery. ``http`` belongs to the caller.

    Without ``secret`` messages go out unsigned, which only a sandbox should get.
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

    async def deliver(self, message: OutboundText) -> None:
        """Raises PeerUnavailable (deliver again: ``message_id`` stays) or PeerRejected."""
        body = outbound_body(message)
        headers = signed_headers(self._secret, body, now=self._clock()) if self._secret else {}
        await http_errors.post(
            self._http, self._url, body, peer="webhook", timeout=self._timeout, headers=headers
        )
