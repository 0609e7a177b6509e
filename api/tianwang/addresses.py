"""Where the settings put this surface. Inside the service its addresses are always the seed's, so
that guard, error envelopes and documentation know one name for each."""

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:  # the command line needs the addresses alone
    from engine.settings import TaskSettings

RECEIVE, STATUS = "/api/task/receive", "/api/task/status"
CANCEL, LIST, RETRY = "/api/task/cancel", "/api/task/list", "/api/task/retry"
HEALTH = "/api/health"


class Addresses:
    """Brings requests for the configured addresses to the seed's, which stay in use as well."""

    def __init__(self, app: ASGIApp, settings: "TaskSettings") -> None:
        self._app = app
        named = (
            (settings.task_receive, RECEIVE),
            (settings.task_cancel, CANCEL),
            (settings.task_list, LIST),
            (settings.health, HEALTH),
        )
        self._exact = {given: ours for given, ours in named if given != ours}
        self._status = settings.task_status + "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (path := self._ours(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)

    def _ours(self, path: str) -> str:
        if path in self._exact:
            return self._exact[path]
        if path.startswith(self._status) and self._status != f"{STATUS}/":
            return f"{STATUS}/{path.removeprefix(self._status)}"
        return path
