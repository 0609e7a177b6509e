"""Posts notices to the address that staff reads."""

import httpx

from tools import http_errors
from tools.notify.protocol import StaffNotice, notice_body


class StaffNotifier:
    """``timeout``: seconds for one whole call. ``http`` belongs to the caller."""

    def __init__(self, url: str, http: httpx.AsyncClient, timeout: float = 10.0) -> None:
        self._url, self._http, self._timeout = url, http, timeout

    async def notify(self, notice: StaffNotice) -> None:
        """Raises PeerUnavailable (try again) or PeerRejected."""
        body = notice_body(notice)
        await http_errors.post(self._http, self._url, body, peer="staff", timeout=self._timeout)
