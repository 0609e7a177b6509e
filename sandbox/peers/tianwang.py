"""Tianwang (seed 000): hands tasks to the service, and receives and verifies its callbacks."""

import asyncio
import math
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, unquote

import httpx
from fastapi import HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sandbox.grouped import GroupedLog
from sandbox.jsontext import json_bytes
from sandbox.peer import Peer, Sandbox, call_of, json_answer
from sandbox.received import Received
from sandbox.signatures import Secret, Signing
from sandbox.validation import first_problem

SIGNING = Signing("X-Tianwang-Timestamp", "X-Tianwang-Signature")
EVENT_HEADER = "X-Tianwang-Event-Id"
_BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
_SOON_SECONDS = 60.0

Scenario = Literal["reply", "payment", "greeting"]
SCENARIOS: dict[Scenario, dict[str, Any]] = {
    "reply": {
        "task_id": "TASK_001",
        "type": "send_file_after_reply",
        "customer": {"id": "customer_123", "name": "小明"},
        "trigger": {
            "type": "specified_customer_reply",
            "customer_id": "customer_123",
            "customer_name": "小明",
            "keyword": "好的",
        },
        "action": {"type": "send_message", "message": "这是您要的文件"},
        "priority": "normal",
        "timeout_hours": 24,
        "created_by": "设计师 lz",
    },
    "payment": {
        "task_id": "TASK_002",
        "type": "send_tutorial_after_payment",
        "customer": {"id": "customer_456", "name": "小红"},
        "trigger": {"type": "customer_payment"},
        "action": {"type": "send_message", "message": "感谢购买!这是使用教程:..."},
        "created_by": "设计师 lz",
    },
    "greeting": {
        "task_id": "TASK_003",
        "type": "send_greeting",
        "customer": {"id": "customer_789"},
        "trigger": {"type": "time_reach"},
        "action": {"type": "send_message", "message": "早上好!有什么可以帮您?"},
        "created_by": "设计师 lz",
    },
}
"""The three of seed 000. Each sending gets a task id of its own, and the greeting a time to come,
unless they are given."""


class Callback(BaseModel):
    """How a task ended. Unknown members are kept and shown."""

    model_config = ConfigDict(extra="allow", frozen=True)
    task_id: str = Field(min_length=1, max_length=256)
    status: str = Field(min_length=1, max_length=64)


class Send(BaseModel):
    """``task`` is sent as it is, or on top of the scenario's. ``in_seconds``: a greeting's time
    from now."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scenario: Scenario | None = None
    task: dict[str, JsonValue] = Field(default_factory=dict)
    in_seconds: float = Field(default=_SOON_SECONDS, ge=0, le=31_536_000)


class Cancel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    task_id: str = Field(max_length=1_000)
    reason: str = Field(default="", max_length=10_000)


class Key(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str | None = Field(max_length=512)


def laid_over(scenario: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """``scenario`` with the members of ``task``, objects merged one level deep."""
    merged = dict(scenario)
    for name, value in task.items():
        known = merged.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[name] = known | value
        else:
            merged[name] = value
    return merged


def beijing_time(at: float) -> str:
    """The way Tianwang writes a time; fractions of a second go up, so that it is never past."""
    moment = datetime.fromtimestamp(math.ceil(at), UTC).astimezone(_BEIJING)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


class TianwangPeer(Peer):
    name = "tianwang"
    title = "天网任务调度"
    summary = "向客服系统下发任务,接收并验签任务回调(按事件编号去重)。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("已收到的回调", "/_sandbox/tianwang/callbacks"),
    )

    delivers = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._secret = sandbox.settings.tianwang_secret
        self._key: str | None = None
        self._callbacks = GroupedLog(sandbox.settings.max_messages, sandbox.changes)
        self._verified: set[str] = set()
        self._refused = 0
        self._client: httpx.AsyncClient | None = None
        self.router.add_api_route("/callback", self.receive, methods=["POST"], response_model=None)
        add = self.admin.add_api_route
        add("/callbacks", self.callbacks, methods=["GET"])
        add("/send", self.send, methods=["POST"])
        add("/tasks", self.tasks, methods=["GET"])
        add("/tasks/{task_id:path}", self.task, methods=["GET"])
        add("/cancel", self.cancel, methods=["POST"])
        add("/secret", self.set_secret, methods=["PUT"])
        add("/key", self.set_key, methods=["PUT"])

    # What Tianwang answers -----------------------------------------------------------------

    async def receive(self, request: Request) -> Response:
        """Take note of a callback; the same event id again is a duplicate."""
        call = call_of(request)
        body = await request.body()
        event_id = unquote(request.headers.get(EVENT_HEADER, ""))
        if (reason := self._distrust(request, body)) is not None:
            self._refused += 1
            call.verdict(accepted=False)
            return json_answer({"code": 401, "message": reason}, 401)
        if not 0 < len(event_id) <= 256:
            call.verdict(accepted=False)
            return json_answer({"code": 400, "message": f"{EVENT_HEADER}: missing or long"}, 400)
        try:
            callback = Callback.model_validate_json(body)
        except ValidationError as error:
            call.verdict(accepted=False)
            return json_answer({"code": 422, "message": first_problem(error)}, 422)
        duplicate = self._note(event_id, callback)
        call.verdict(accepted=True, duplicate=duplicate)
        return json_answer({"code": 200, "message": "ok"})

    def _distrust(self, request: Request, body: bytes) -> str | None:
        skew, now = self.sandbox.settings.tianwang_max_skew, self.sandbox.clock()
        return SIGNING.distrust(request, body, self._secret, now=now, max_skew=skew)

    def _note(self, event_id: str, callback: Callback) -> bool:
        if self._secret is not None:
            self._verified.add(event_id)
        duplicate, dropped = self._callbacks.put(
            event_id, callback, self.sandbox.clock(), group=callback.task_id
        )
        self._verified.difference_update(gone.id for gone in dropped)
        return duplicate

    # What shows it -------------------------------------------------------------------------

    async def callbacks(
        self, task_id: str | None = None, at_least: int = 0, wait: float = 0.0
    ) -> dict[str, Any]:
        """Callbacks in the order of their first arrival; may wait for ``at_least`` of them.

        ``received`` counts the copies, ``conflicts`` those with another body; ``verified``: signed
        with the secret. With a secret what is not signed is refused, and counted only.
        """
        await self.sandbox.changes.until(lambda: len(self._of(task_id)) >= at_least, wait)
        chosen = [self._shown(received) for received in self._of(task_id)]
        return {"callbacks": chosen, "dropped": self._callbacks.dropped, "refused": self._refused}

    def _of(self, task_id: str | None) -> GroupedLog | Collection[Received]:
        return self._callbacks if task_id is None else self._callbacks.of(task_id)

    def _shown(self, received: Received) -> dict[str, Any]:
        more = {"event_id": received.id, "verified": received.id in self._verified}
        return received.as_dict() | more

    # What drives it ------------------------------------------------------------------------

    async def send(self, order: Send) -> dict[str, Any]:
        """Hand a task to the service: one's own, or a scenario of seed 000 with changes."""
        if order.scenario is None and not order.task:
            raise HTTPException(422, f"scenario: one of {', '.join(SCENARIOS)}, or give a task")
        task = self._task(order)
        copies = self.sandbox.faults.copies(self.name)
        sendings = [self._ask("POST", "/api/task/receive", body=task) for _ in range(copies)]
        answers = await asyncio.gather(*sendings)
        return {"sent": task, "copies": copies} | answers[0]

    def _task(self, order: Send) -> dict[str, Any]:
        if order.scenario is None:
            return order.task
        scenario = SCENARIOS[order.scenario]
        fresh: dict[str, Any] = {"task_id": f"{scenario['task_id']}_{uuid.uuid4().hex[:8]}"}
        if order.scenario == "greeting":
            time = beijing_time(self.sandbox.clock() + order.in_seconds)
            fresh["trigger"] = {"time": time}
        return laid_over(laid_over(scenario, fresh), order.task)

    async def task(self, task_id: str) -> dict[str, Any]:
        """What the service says of a task."""
        return await self._ask("GET", f"/api/task/status/{quote(task_id, safe='')}")

    async def tasks(
        self,
        customer_id: str | None = None,
        status: str | None = None,
        page: str | None = None,
        page_size: Annotated[str | None, Query(max_length=100)] = None,
    ) -> dict[str, Any]:
        """The service's list of tasks; what is wrong with the filters is for it to say."""
        asked = {"customer_id": customer_id, "status": status, "page": page, "page_size": page_size}
        query = {name: value for name, value in asked.items() if value is not None}
        return await self._ask("GET", "/api/task/list", query=query)

    async def cancel(self, order: Cancel) -> dict[str, Any]:
        """Take a task back."""
        return await self._ask("POST", "/api/task/cancel", body=order.model_dump())

    async def set_secret(self, body: Secret) -> dict[str, Any]:
        """Change or remove the secret that callbacks are signed with; it is never shown."""
        self._secret = body.secret or None
        return {"configured": self._secret is not None}

    async def set_key(self, body: Key) -> dict[str, Any]:
        """The API key that Tianwang shows to the service, if that asks for one."""
        self._key = body.key or None
        return {"configured": self._key is not None}

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """The service's HTTP status and answer. Raises HTTPException if there is none."""
        assert self._client is not None, "not started"
        headers = {"content-type": "application/json"} if body is not None else {}
        if self._key is not None:
            headers["x-api-key"] = self._key
        try:
            response = await self._client.request(
                method,
                self.sandbox.target + path,
                params=query or None,
                content=json_bytes(body) if body is not None else None,
                headers=headers,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"{self.sandbox.target}: {type(error).__name__}: {error}"
            raise HTTPException(502, problem) from error
        try:
            answer = response.json()
        except ValueError:
            answer = response.text
        return {"status": response.status_code, "answer": answer}

    # What the sandbox asks -----------------------------------------------------------------

    def error(self, kind: str, status: int) -> Any:
        return {"code": status, "message": f"injected by the sandbox: HTTP {status}"}

    def facts(self) -> dict[str, Any]:
        return {
            "callbacks": len(self._callbacks),
            "tasks": self._callbacks.groups,
            "dropped": self._callbacks.dropped,
            "refused": self._refused,
        }

    async def start(self) -> None:
        self._client = httpx.AsyncClient(timeout=30.0, trust_env=False)

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def reset(self) -> None:
        self._secret, self._key = self.sandbox.settings.tianwang_secret, None
        self._callbacks.clear()
        self._verified.clear()
        self._refused = 0
