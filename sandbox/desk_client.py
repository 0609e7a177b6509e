"""A client of the service's human desk, as a browser there is one: cookie, CSRF token, events."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

CSRF_HEADER = "X-CSRF-Token"
READ_S = 60.0
"""The desk says something at least every quarter of a minute."""


class Refused(Exception):
    """The desk said no: ``status``, and why."""

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"HTTP {status}: {reason}")


@dataclass(frozen=True, slots=True)
class Event:
    """``id`` is empty for what is no row: the stream itself says it."""

    kind: str
    id: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class DeskClient:
    """One agent at one desk. Its methods raise Refused, and httpx.HTTPError while it is away."""

    def __init__(self, target: str) -> None:
        timeout = httpx.Timeout(30.0, connect=5.0)
        self._http = httpx.AsyncClient(base_url=target, timeout=timeout, trust_env=False)
        self._csrf = ""

    async def sign_in(self, login: str, password: str) -> None:
        self._http.cookies.clear()
        signed = await self._call("POST", "/login", {"agent": login, "password": password})
        self._csrf = signed["csrf"]

    async def presence(self, status: str) -> None:
        await self._call("POST", "/presence", {"status": status})

    async def queue(self, view: str, *, limit: int = 100) -> list[dict[str, Any]]:
        page = await self._call("GET", f"/queue?view={view}&limit={limit}")
        items: list[dict[str, Any]] = page["items"]
        return items

    async def act(self, conversation: str, what: str, **body: Any) -> dict[str, Any]:
        """``what``: take, say, notes, transfer, resolve, reopen or mode."""
        return await self._call("POST", f"/conversations/{conversation}/{what}", body)

    async def events(self, after: str = "") -> AsyncGenerator[Event, None]:
        """Until the desk ends it; begins after event ``after``, else now."""
        headers = {"Last-Event-ID": after} if after else {}
        timeout = httpx.Timeout(READ_S, connect=5.0)
        async with self._http.stream(
            "GET", "/api/desk/events", headers=headers, timeout=timeout
        ) as response:
            if not response.is_success:
                await response.aread()
                raise Refused(response.status_code, _reason(response))
            async for event in _events(response.aiter_lines()):
                yield event

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        response = await self._http.request(
            method, f"/api/desk{path}", json=body, headers={CSRF_HEADER: self._csrf}
        )
        if not response.is_success:
            raise Refused(response.status_code, _reason(response))
        answered: dict[str, Any] = response.json()
        return answered


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    kind = ident = data = ""
    async for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "id":
            ident = value
        elif name == "data":
            data = value
        elif not line:
            if kind:
                yield Event(kind, ident, json.loads(data or "{}"))
            kind = data = ""


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
