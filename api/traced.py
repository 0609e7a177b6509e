"""Requests as spans, in the caller's trace where one is told (``traceparent``). Pure ASGI."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.spans import Span
from engine.tracing import Tracing

_QUIET = ("/health", "/livez", "/metrics", "/api/health", "/assets", "/static")


class Traced:
    """In front of everything else, where requests are traced. An address is told as its route: what
    stands in its place may be a customer's."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        method = str(scope["method"])
        headers = dict(Headers(scope=scope))
        with self._tracing.request(method, {"http.request.method": method}, headers) as seen:
            await self._app(scope, receive, _watching(scope, send, seen))


def _watching(scope: Scope, send: Send, seen: Span) -> Send:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = int(message["status"])
            route = getattr(scope.get("route"), "path", "")
            seen.note({"http.response.status_code": status, "http.route": route})
            if status >= 500:
                seen.failed(str(status))
        await send(message)

    return watched
