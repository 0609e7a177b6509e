"""Tuhui's dispatch (seed 001): who is online, which tasks there are, and who has them."""

import hmac
import uuid
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from fastapi import Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from sandbox.peer import Peer, Place, Sandbox, call_of

KEY_HEADER = "X-API-Key"
DESIGNERS = ("橘子", "婷婷")
_NAME_CHARS = 64


class NewTask(BaseModel):
    """``reference``: the caller's own name for it; the same one again is the same task."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task_name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=20_000)
    task_type: str = Field(default="image_process", min_length=1, max_length=64)
    priority: int = Field(default=2, ge=0, le=10)
    reference: str = Field(default="", max_length=256)


class Assignment(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    designer_name: str = Field(min_length=1, max_length=_NAME_CHARS)
    notes: str = Field(default="", max_length=20_000)


class Completion(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    notes: str = Field(default="", max_length=20_000)


class Designers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    designers: tuple[str, ...] = Field(max_length=1_000)


class TuhuiKey(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str | None = Field(max_length=512)


@dataclass(slots=True)
class DispatchTask:
    """``status``: pending, assigned, completed. ``received``: how often its creation was asked."""

    task_id: str
    task_name: str
    description: str
    task_type: str
    priority: int
    reference: str
    created_at: float
    status: str = "pending"
    assigned_to: str | None = None
    assigned_at: float | None = None
    completed_at: float | None = None
    notes: str = ""
    received: int = 1


class TuhuiPeer(Peer):
    name = "tuhui"
    title = "图绘派单"
    summary = "查询在线设计师,创建、分配、完成派单任务(按 reference 去重)。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (("派单情况", "/_sandbox/tuhui/state"),)

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._key = sandbox.settings.tuhui_api_key
        self._online: tuple[str, ...] = DESIGNERS
        self._tasks: OrderedDict[str, DispatchTask] = OrderedDict()
        self._by_reference: dict[str, DispatchTask] = {}
        self._dropped = 0
        self.router.dependencies.append(Depends(self._check_key))
        add = self.router.add_api_route
        add("/dispatch/queue", self.queue, methods=["GET"])
        add("/online/designers", self.designers, methods=["GET"])
        add("/tasks", self.create, methods=["POST"])
        add("/tasks/{task_id}", self.status, methods=["GET"])
        add("/tasks/{task_id}/assign", self.assign, methods=["POST"])
        add("/tasks/{task_id}/complete", self.complete, methods=["POST"])
        add = self.admin.add_api_route
        add("/state", self.state, methods=["GET"])
        add("/designers", self.set_designers, methods=["PUT"])
        add("/key", self.set_key, methods=["PUT"])

    def locate(self, path: str) -> Place:
        parts = path.strip("/").split("/")
        if len(parts) == 3 and parts[1] == "tasks":
            return Place(self.name, "task")
        return super().locate(path)

    # What Tuhui answers --------------------------------------------------------------------

    async def _check_key(self, request: Request) -> None:
        given = request.headers.get(KEY_HEADER, "").encode("utf-8", "replace")
        known = hmac.compare_digest(given, self._key.encode()) if self._key else bool(given)
        call_of(request).verdict(accepted=False)  # until it is
        if not known:
            raise HTTPException(401, f"{KEY_HEADER}: missing or wrong")

    async def queue(self, request: Request) -> dict[str, Any]:
        """What waits, who is online, and whom to give the next one."""
        call_of(request).verdict(accepted=True)
        waiting = [asdict(task) for task in self._tasks.values() if task.status == "pending"]
        return {
            "pending_tasks": {"count": len(waiting), "tasks": waiting},
            "online_designers": {"count": len(self._online), "designers": self._online},
            "suggestion": self._least_busy(),
        }

    async def designers(self, request: Request) -> list[str]:
        """The names of who is online."""
        call_of(request).verdict(accepted=True)
        return list(self._online)

    async def create(self, request: Request, wanted: NewTask) -> dict[str, str]:
        """A new task, or the one that has this reference."""
        known = self._by_reference.get(wanted.reference) if wanted.reference else None
        if known is not None:
            known.received += 1
        task = known or self._add(wanted)
        call_of(request).verdict(accepted=True, duplicate=known is not None)
        return {"task_id": task.task_id}

    async def status(self, request: Request, task_id: str) -> dict[str, Any]:
        """A task with its state and its designer."""
        task = self._task(task_id)
        call_of(request).verdict(accepted=True)
        return asdict(task)

    async def assign(self, request: Request, task_id: str, wanted: Assignment) -> dict[str, Any]:
        """Give the task to a designer who is online; the same one again is the same success."""
        task = self._task(task_id)
        duplicate = task.assigned_to == wanted.designer_name
        if task.status == "completed":
            raise HTTPException(409, f"task {task_id!r} is completed")
        if not duplicate:
            self._give(task, wanted)
        call_of(request).verdict(accepted=True, duplicate=duplicate)
        return _outcome(task)

    def _give(self, task: DispatchTask, wanted: Assignment) -> None:
        if wanted.designer_name not in self._online:
            raise HTTPException(409, f"designer {wanted.designer_name!r} is not online")
        task.status, task.assigned_to = "assigned", wanted.designer_name
        task.notes, task.assigned_at = wanted.notes, self.sandbox.clock()
        self.sandbox.changes.notify()

    async def complete(self, request: Request, task_id: str, wanted: Completion) -> dict[str, Any]:
        """The designer's work is done; again is the same success."""
        task = self._task(task_id)
        if task.status == "pending":
            raise HTTPException(409, f"task {task_id!r} is assigned to nobody")
        duplicate = task.status == "completed"
        if not duplicate:
            task.status, task.notes = "completed", wanted.notes
            task.completed_at = self.sandbox.clock()
            self.sandbox.changes.notify()
        call_of(request).verdict(accepted=True, duplicate=duplicate)
        return _outcome(task)

    def _add(self, wanted: NewTask) -> DispatchTask:
        task = DispatchTask(
            task_id=uuid.uuid4().hex[:8], created_at=self.sandbox.clock(), **wanted.model_dump()
        )
        self._tasks[task.task_id] = task
        if task.reference:
            self._by_reference[task.reference] = task
        while len(self._tasks) > self.sandbox.settings.max_messages:
            _, oldest = self._tasks.popitem(last=False)
            self._by_reference.pop(oldest.reference, None)
            self._dropped += 1
        self.sandbox.changes.notify()
        return task

    def _task(self, task_id: str) -> DispatchTask:
        try:
            return self._tasks[task_id]
        except KeyError:
            raise HTTPException(404, f"task {task_id!r} does not exist") from None

    def _least_busy(self) -> str | None:
        """Of those online the one with the fewest tasks, the first of several."""
        at_work = [task.assigned_to for task in self._tasks.values() if task.status == "assigned"]
        return min(self._online, key=at_work.count, default=None)

    # What drives and shows it --------------------------------------------------------------

    async def state(self, at_least: int = 0, wait: float = 0.0) -> dict[str, Any]:
        """Designers and tasks in the order of their creation; may wait for ``at_least`` tasks."""
        await self.sandbox.changes.until(lambda: len(self._tasks) >= at_least, wait)
        return {
            "designers": self._online,
            "tasks": [asdict(task) for task in self._tasks.values()],
            "dropped": self._dropped,
        }

    async def set_designers(self, body: Designers) -> dict[str, Any]:
        """Who is online from now on; what they have stays with those who leave."""
        self._online = tuple(dict.fromkeys(body.designers))
        return {"designers": self._online}

    async def set_key(self, body: TuhuiKey) -> dict[str, Any]:
        """The only key that is believed; None believes any. It is never shown."""
        self._key = body.key or None
        return {"configured": self._key is not None}

    def error(self, kind: str, status: int) -> Any:
        return {"detail": f"injected by the sandbox (HTTP {status})"}

    def facts(self) -> dict[str, Any]:
        return {"designers": len(self._online), "tasks": len(self._tasks), "dropped": self._dropped}

    async def reset(self) -> None:
        self._key, self._online = self.sandbox.settings.tuhui_api_key, DESIGNERS
        self._tasks.clear()
        self._by_reference.clear()
        self._dropped = 0


def _outcome(task: DispatchTask) -> dict[str, Any]:
    return {
        "success": True,
        "task_id": task.task_id,
        "status": task.status,
        "assigned_to": task.assigned_to,
    }
