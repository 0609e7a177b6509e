"""Tuhui's dispatch (seed 001): who is online, which tasks there are, and who has them.

What designers do there is played under ``/_sandbox/tuhui``: by hand, on its page, or by themselves.
"""

import contextlib
import hmac
from collections.abc import Iterator
from importlib import resources
from typing import Annotated, Any, ClassVar

from fastapi import Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.deliverables import Deliverables, drawn_for
from sandbox.delivery import Deliverer, Delivery, TooManyPending
from sandbox.designers import AutomaticDesigners, Habits
from sandbox.dispatch import (
    Caller,
    CannotBe,
    Dispatch,
    DispatchTask,
    NewTask,
    NoSuchTask,
)
from sandbox.jsontext import json_bytes
from sandbox.peer import Peer, Place, Sandbox, call_of

KEY_HEADER = "X-API-Key"
CALLBACK_PATH = "/api/tuhui/callback"
_NAME_CHARS = 64
_PAGE_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src data:;"
    " script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
Notes = Annotated[str, Field(max_length=20_000)]
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2_048)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Assignment(Body):
    designer_name: str = Field(min_length=1, max_length=_NAME_CHARS)
    notes: Notes = ""


class Completion(Body):
    notes: Notes = ""


class Finished(Completion):
    """``files``: addresses of what was made; `upload` gives them to files."""

    files: tuple[Address, ...] = Field(default=(), max_length=20)


class Designers(Body):
    designers: tuple[str, ...] = Field(max_length=1_000)


class TuhuiKey(Body):
    key: str | None = Field(max_length=512)


class Callback(Body):
    """Where the service hears of news, under its address; None: nowhere."""

    path: str | None = Field(pattern=r"^/[^\s?#]*$", max_length=256)


class TuhuiPeer(Peer):
    name = "tuhui"
    title = "图绘派单"
    summary = "查询在线设计师,创建、分配、完成派单任务(按 reference 去重)。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("设计师工作台:接单、拒单、交付", "/_sandbox/tuhui/page"),
        ("派单情况", "/_sandbox/tuhui/state"),
    )
    delivers = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._key = sandbox.settings.tuhui_api_key
        self._dispatch = Dispatch(sandbox.settings.max_messages, sandbox.clock, self._moved)
        self._designers = AutomaticDesigners(self._dispatch, self._make)
        self._files = Deliverables()
        self._callback: str | None = None
        self._told = 0
        self._deliverer = Deliverer(sandbox, self.name)
        # Customers fetch what was made for them: these addresses ask for no key.
        self.router.add_api_route(
            "/files/{path:path}", self.file, methods=["GET"], response_model=None
        )
        self.router.dependencies.append(Depends(self._check_key))
        self._answer_as_tuhui()
        self._let_drive()

    def _answer_as_tuhui(self) -> None:
        add = self.router.add_api_route
        add("/dispatch/queue", self.queue, methods=["GET"])
        add("/online/designers", self.designers, methods=["GET"])
        add("/tasks", self.create, methods=["POST"])
        add("/tasks/{task_id}", self.status, methods=["GET"])
        add("/tasks/{task_id}/assign", self.assign, methods=["POST"])
        add("/tasks/{task_id}/complete", self.complete, methods=["POST"])

    def _let_drive(self) -> None:
        add = self.admin.add_api_route
        add("/page", self.page, methods=["GET"], response_class=HTMLResponse)
        add("/state", self.state, methods=["GET"])
        add("/designers", self.set_designers, methods=["PUT"])
        add("/tasks/{task_id}/accept", self.accept, methods=["POST"])
        add("/tasks/{task_id}/refuse", self.refuse, methods=["POST"])
        add("/tasks/{task_id}/finish", self.finish, methods=["POST"])
        add("/files", self.upload, methods=["POST"], status_code=201)
        add("/automatic", self.set_automatic, methods=["PUT"])
        add("/callback", self.set_callback, methods=["PUT"])
        add("/key", self.set_key, methods=["PUT"])

    def locate(self, path: str) -> Place:
        parts = path.strip("/").split("/")
        if len(parts) == 3 and parts[1] == "tasks":
            return Place(self.name, "task")
        if len(parts) > 2 and parts[1] == "files":
            return Place(self.name, "file")
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
        waiting = [task.shown() for task in self._dispatch.waiting()]
        online = self._dispatch.online
        return {
            "pending_tasks": {"count": len(waiting), "tasks": waiting},
            "online_designers": {"count": len(online), "designers": online},
            "suggestion": self._dispatch.least_busy(),
        }

    async def designers(self, request: Request) -> list[str]:
        """The names of who is online."""
        call_of(request).verdict(accepted=True)
        return list(self._dispatch.online)

    async def create(self, request: Request, wanted: NewTask) -> dict[str, str]:
        """A new task, or the one that has this reference."""
        caller = Caller(_base(request), request.headers[KEY_HEADER])
        task, known = self._dispatch.create(wanted, caller)
        call_of(request).verdict(accepted=True, duplicate=known)
        return {"task_id": task.task_id}

    async def status(self, request: Request, task_id: str) -> dict[str, Any]:
        """A task with its state and its designer."""
        with _refusals():
            task = self._dispatch.task(task_id)
        call_of(request).verdict(accepted=True)
        return task.shown()

    async def assign(self, request: Request, task_id: str, wanted: Assignment) -> dict[str, Any]:
        """Give the task to a designer who is online; the same one again is the same success."""
        with _refusals():
            moved = self._dispatch.assign(task_id, wanted.designer_name, wanted.notes)
        call_of(request).verdict(accepted=True, duplicate=not moved)
        return self._outcome(task_id)

    async def complete(self, request: Request, task_id: str, wanted: Completion) -> dict[str, Any]:
        """The designer's work is done; again is the same success."""
        with _refusals():
            moved = self._dispatch.finish(task_id, wanted.notes)
        call_of(request).verdict(accepted=True, duplicate=not moved)
        return self._outcome(task_id)

    async def file(self, request: Request, path: str) -> Response:
        """What a designer has made."""
        found = self._files.get(path)
        if found is None:
            raise HTTPException(404, f"file {path!r} does not exist")
        call_of(request).verdict(accepted=True)
        return Response(found.data, media_type=found.media_type, headers=found.headers)

    # What designers do there ---------------------------------------------------------------

    async def accept(self, task_id: str) -> dict[str, Any]:
        """The designer who was given the task does it."""
        with _refusals():
            self._dispatch.accept(task_id)
        return self._outcome(task_id)

    async def refuse(self, task_id: str, body: Completion | None = None) -> dict[str, Any]:
        """The designer does not do it: it waits for somebody else."""
        with _refusals():
            self._dispatch.refuse(task_id, body.notes if body else "")
        return self._outcome(task_id)

    async def finish(self, task_id: str, body: Finished | None = None) -> dict[str, Any]:
        """The designer hands over what was made."""
        made = body or Finished()
        with _refusals():
            self._dispatch.finish(task_id, made.notes, made.files)
        return self._outcome(task_id)

    async def upload(self, request: Request, name: str = "file") -> dict[str, str]:
        """Keep the body as a file of this name; its address, as a customer can open it."""
        limit, parts, size = self.sandbox.settings.max_body_bytes, [], 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise HTTPException(413, f"a file may have {limit} bytes")
        if not size:
            raise HTTPException(422, "the body is empty")
        return {"url": self._address(_base(request), name, b"".join(parts))}

    def _make(self, task: DispatchTask) -> str:
        name = f"{task.task_id}.png"
        return self._address(task.caller.base_url, name, drawn_for(task.task_id))

    def _address(self, base_url: str, name: str, data: bytes) -> str:
        return f"{base_url}/{self.name}/files/{self._files.keep(name, data)}"

    def _moved(self, task: DispatchTask) -> None:
        self._designers.look(task)
        if self._callback is not None and task.status in ("accepted", "refused", "completed"):
            self._tell(task, self._callback)
        self.sandbox.changes.notify()

    def _tell(self, task: DispatchTask, path: str) -> None:
        """Tuhui says that there is news, with the key that both know."""
        self._told += 1
        delivery = Delivery(
            id=f"news-{self._told}",
            lane=task.task_id,
            path=path,
            body=json_bytes({"task_id": task.task_id, "status": task.status}),
            headers=lambda _body: {KEY_HEADER: task.caller.key},
            created_at=self.sandbox.clock(),
        )
        with contextlib.suppress(TooManyPending):  # it is only a hint: the service looks by itself
            self._deliverer.add(delivery)

    # What drives and shows it --------------------------------------------------------------

    async def page(self) -> HTMLResponse:
        """Designers at work, for a person to play."""
        text = (resources.files("sandbox") / "tuhui.html").read_text("utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": _PAGE_POLICY})

    async def state(self, at_least: int = 0, wait: float = 0.0) -> dict[str, Any]:
        """Designers and tasks in the order of their creation; may wait for ``at_least`` tasks."""
        await self.sandbox.changes.until(lambda: len(self._dispatch) >= at_least, wait)
        return {
            "designers": self._dispatch.online,
            "roster": self._dispatch.roster,
            "tasks": [task.shown() for task in self._dispatch],
            "dropped": self._dispatch.dropped,
            "automatic": self._designers.habits.model_dump(),
            "callback": self._callback,
            "told": {"pending": self._deliverer.pending, "delivered": self._deliverer.delivered},
        }

    async def set_designers(self, body: Designers) -> dict[str, Any]:
        """Who is online from now on; what they have stays with those who leave."""
        self._dispatch.set_online(body.designers)
        return {"designers": self._dispatch.online}

    async def set_automatic(self, body: Habits) -> dict[str, Any]:
        """Whether designers work by themselves, and how."""
        self._designers.work(body)
        return body.model_dump()

    async def set_callback(self, body: Callback) -> dict[str, Any]:
        """Where the service is told that there is news of a task, at its own address."""
        self._callback = body.path
        return {"path": self._callback}

    async def set_key(self, body: TuhuiKey) -> dict[str, Any]:
        """The only key that is believed; None believes any. It is never shown."""
        self._key = body.key or None
        return {"configured": self._key is not None}

    def _outcome(self, task_id: str) -> dict[str, Any]:
        task = self._dispatch.task(task_id)
        return {
            "success": True,
            "task_id": task.task_id,
            "status": task.status,
            "assigned_to": task.assigned_to,
        }

    def error(self, kind: str, status: int) -> Any:
        return {"detail": f"injected by the sandbox (HTTP {status})"}

    def facts(self) -> dict[str, Any]:
        return {
            "designers": len(self._dispatch.online),
            "tasks": len(self._dispatch),
            "dropped": self._dispatch.dropped,
        }

    async def start(self) -> None:
        await self._deliverer.start()
        self._begin()

    async def stop(self) -> None:
        self._designers.stop()
        await self._deliverer.stop()

    async def reset(self) -> None:
        self._key = self.sandbox.settings.tuhui_api_key
        self._dispatch.clear()
        self._files.clear()
        await self._deliverer.clear()
        self._begin()

    def _begin(self) -> None:
        """As the sandbox was started: by hand, or with everybody at work."""
        settings = self.sandbox.settings
        self._callback = CALLBACK_PATH if settings.automatic else None
        habits = Habits(on=settings.automatic, refuse_share=0.2, seed=settings.seed)
        self._designers.work(habits)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except NoSuchTask as error:
        raise HTTPException(404, str(error)) from error
    except CannotBe as error:
        raise HTTPException(409, str(error)) from error


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")
