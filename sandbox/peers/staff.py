"""Receiver of notices to staff, and the inbox that shows them from every channel."""

from typing import Annotated, Any, ClassVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.peer import Peer, Sandbox, call_of, json_answer
from sandbox.received import ReceivedLog
from sandbox.validation import first_problem
from sandbox.wx.driving import phone


class Notice(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    notice_id: str = Field(min_length=1, max_length=256)
    title: str = Field(max_length=500)
    text: str = Field(max_length=20_000)
    priority: str | int = "normal"
    conversation_id: str = ""
    reason: str = ""


class StaffPeer(Peer):
    name = "staff"
    title = "人工通知接收端"
    summary = "接收转人工等提醒,按 notice_id 去重。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("收件箱:各渠道收到的通知", "/_sandbox/staff/page"),
        ("已收到的通知", "/_sandbox/staff/notices"),
    )

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._notices = ReceivedLog(sandbox.settings.max_messages, sandbox.changes)
        self.router.add_api_route("/notice", self.receive, methods=["POST"], response_model=None)
        self.admin.add_api_route("/notices", self.notices, methods=["GET"])
        self.admin.add_api_route("/inbox", self.inbox, methods=["GET"])
        self.admin.add_api_route("/page", self.page, methods=["GET"], response_class=HTMLResponse)

    async def receive(self, request: Request) -> Response:
        """Accept a notice; the same notice_id again is a duplicate."""
        call = call_of(request)
        try:
            notice = Notice.model_validate_json(await request.body())
        except ValidationError as error:
            call.verdict(accepted=False)
            return json_answer({"accepted": False, "error": first_problem(error)}, 422)
        now = self.sandbox.clock()
        _, duplicate = self._notices.add(notice.notice_id, notice, now)
        if not duplicate:
            self.sandbox.inbox.add(self.name, "", notice.text, now, title=notice.title)
        self._notices.trim()
        call.verdict(accepted=True, duplicate=duplicate)
        return json_answer({"accepted": True, "duplicate": duplicate})

    async def notices(self, at_least: int = 0, wait: float = 0.0) -> dict[str, Any]:
        """Notices in the order of their first arrival; may wait for ``at_least`` of them."""
        await self.sandbox.changes.until(lambda: len(self._notices) >= at_least, wait)
        return {
            "notices": [received.as_dict() for received in self._notices],
            "dropped": self._notices.dropped,
        }

    async def inbox(
        self,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
        wait: Annotated[float, Query(ge=0, le=60)] = 0.0,
    ) -> dict[str, Any]:
        """What came on every channel after number ``after``, oldest first; may wait for more.
        ``last``: the ``after`` of the next question."""
        inbox = self.sandbox.inbox
        await self.sandbox.changes.until(lambda: bool(inbox.after(after, 1)), wait)
        found = inbox.after(after, limit)
        return {
            "items": [item.model_dump() for item in found],
            "last": found[-1].number if found else after,
            "dropped": inbox.dropped,
        }

    async def page(self) -> HTMLResponse:
        return phone("notices.html")

    def error(self, kind: str, status: int) -> Any:
        return {"accepted": False, "error": f"injected by the sandbox: HTTP {status}"}

    def facts(self) -> dict[str, Any]:
        return {"notices": len(self._notices), "dropped": self._notices.dropped}

    async def reset(self) -> None:
        self._notices.clear()
        self.sandbox.inbox.clear()
