"""Tuhui's dispatch API (seed 001): what is sent, what its answers mean. No input or output.

The seed shows its answers by example, so they are read strictly in meaning and loosely in shape:
designers as a bare list or under ``designers``, plain names or objects with one, a task under
``task_id`` or ``id``, everything perhaps inside ``data``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from domain.errors import ConfigurationError, PeerRejected, PeerUnavailable
from domain.text import is_one_line

PEER = "tuhui"
KEY_HEADER = "X-API-Key"
MAX_TASK_ID_CHARS = 128
MAX_DESIGNER_CHARS = 128
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_NAMES = ("designer_name", "name", "assigned_to")


@dataclass(frozen=True, slots=True)
class DispatchOrder:
    """``reference``: our own name of this order, the same at every attempt. ``priority`` 1 to 3 as
    Tuhui takes it."""

    reference: str
    title: str
    description: str
    task_type: str = "image_process"
    priority: int = 2


@dataclass(frozen=True, slots=True)
class DesignTask:
    """A task as Tuhui tells of it; ``status`` in its words, e.g. pending, assigned, completed."""

    task_id: str
    status: str = ""
    assigned_to: str | None = None
    reference: str = ""
    description: str = ""
    notes: str = ""
    files: tuple[str, ...] = ()
    """Addresses of what the designer has made, where Tuhui tells them."""

    @property
    def progress(self) -> "Progress":
        """The seed shows assigned only; what else may come is read by its meaning."""
        word = self.status.strip().lower().replace("-", "_").replace(" ", "_")
        known = _PROGRESS.get(word)
        if known is None:
            return Progress.OFFERED if self.assigned_to else Progress.OPEN
        return known if self.assigned_to or known in _OF_NOBODY else Progress.OPEN


class Progress(StrEnum):
    OPEN = "open"
    """Nobody has it."""
    OFFERED = "offered"
    """Somebody has it, and has not said more."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


_OF_NOBODY = frozenset({Progress.REFUSED, Progress.COMPLETED, Progress.CANCELLED})
_PROGRESS = {
    word: progress
    for progress, words in {
        Progress.OPEN: "pending waiting queued open new created unassigned 待分配 待派单",
        Progress.OFFERED: "assigned dispatched 已分配 已派单",
        Progress.ACCEPTED: "accepted confirmed started working doing processing in_progress"
        " 已接单 处理中 进行中",
        Progress.REFUSED: "refused rejected declined returned 已拒绝 已退回",
        Progress.COMPLETED: "completed complete done finished delivered 已完成",
        Progress.CANCELLED: "cancelled canceled deleted 已取消",
    }.items()
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class Queue:
    tasks: tuple[DesignTask, ...] = ()
    suggestion: str = ""


def key_headers(key: str | None) -> dict[str, str]:
    """Raises ConfigurationError, which does not show the key."""
    if key is None:
        return {}
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            "TUHUI_API_KEY", "no HTTP header can carry it", "visible ASCII characters"
        )
    return {KEY_HEADER: key}


def task_path(task_id: str, step: str = "") -> str:
    return f"/tasks/{quote(task_id, safe='')}" + (f"/{step}" if step else "")


def create_body(order: DispatchOrder) -> bytes:
    named = {"reference": order.reference} if order.reference else {}
    return _body(
        {
            "task_name": order.title,
            "description": _marked(order),
            "task_type": order.task_type,
            "priority": order.priority,
            **named,
        }
    )


def assign_body(designer: str, notes: str) -> bytes:
    return _body({"designer_name": designer, "notes": notes})


def complete_body(notes: str) -> bytes:
    return _body({"notes": notes})


def _body(values: dict[str, Any]) -> bytes:
    # "replace": a lone surrogate in a customer's words must not stop the order.
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _marked(order: DispatchOrder) -> str:
    """With the reference in sight: an API that drops unknown fields still shows it in its queue."""
    if not order.reference:
        return order.description
    return f"{order.description}\n{_mark(order.reference)}"


def _mark(reference: str) -> str:
    return f"单号:[{reference}]"


def parse_designers(answer: bytes) -> tuple[str, ...]:
    """Who is online, each once. Raises PeerUnavailable for what is no such list."""
    found = _unwrapped(answer)
    for name in ("online_designers", "designers"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if not isinstance(found, list):
        raise _unreadable("list of designers")
    return tuple(dict.fromkeys(_designers(found)))


def parse_task_id(answer: bytes) -> str:
    """Of the task that was created. Raises PeerUnavailable where the answer names none."""
    found = _unwrapped(answer)
    if isinstance(found, dict) and isinstance(found.get("task"), dict):
        found = found["task"]
    task_id = _task_id(found)
    if not task_id:
        raise _unreadable("task id")
    return task_id


def parse_task(answer: bytes) -> DesignTask:
    """Raises PeerUnavailable for what is no task."""
    found = _unwrapped(answer)
    if isinstance(found, dict) and isinstance(found.get("task"), dict):
        found = found["task"]
    if not isinstance(found, dict):
        raise _unreadable("task")
    return _task(found, _task_id(found))


def parse_queue(answer: bytes) -> Queue:
    """Raises PeerUnavailable for what is no JSON object; what is missing in it is empty."""
    found = _unwrapped(answer)
    if not isinstance(found, dict):
        raise _unreadable("queue")
    pending = found.get("pending_tasks", found.get("tasks"))
    if isinstance(pending, dict):
        pending = pending.get("tasks")
    rows = [row for row in pending if isinstance(row, dict)] if isinstance(pending, list) else []
    tasks = tuple(_task(row, task_id) for row in rows if (task_id := _task_id(row)))
    return Queue(tasks, _designer(found.get("suggestion")))


def check_done(answer: bytes) -> None:
    """Raises PeerRejected for an answer that says ``success: false``; others are a success."""
    try:
        found = _unwrapped(answer)
    except PeerUnavailable:
        return
    if found is False or (isinstance(found, dict) and found.get("success") is False):
        raise PeerRejected(PEER, "answered that it did not succeed")


def task_of(queue: Queue, reference: str) -> DesignTask | None:
    """The task that an earlier attempt of this order created."""
    mark = _mark(reference)
    found = (t for t in queue.tasks if t.reference == reference or mark in t.description)
    return next(found, None)


def _unwrapped(answer: bytes) -> object:
    try:
        found: object = json.loads(answer)
    except (ValueError, RecursionError):
        raise _unreadable("JSON") from None
    if isinstance(found, dict) and isinstance(found.get("data"), dict | list):
        return found["data"]
    return found


def _unreadable(what: str) -> PeerUnavailable:
    # Not rejected: a proxy's page or a cut answer says nothing about the next attempt.
    return PeerUnavailable(PEER, f"its answer holds no usable {what}")


def _designers(items: list[object]) -> Iterator[str]:
    for item in items:
        if name := _designer(item):
            yield name


def _designer(item: object) -> str:
    if isinstance(item, dict):
        item = next((item[name] for name in _NAMES if isinstance(item.get(name), str)), None)
    name = item.strip() if isinstance(item, str) else ""
    return name if len(name) <= MAX_DESIGNER_CHARS and is_one_line(name) else ""


def _task_id(found: object) -> str:
    """Empty for what cannot be one: it goes into a path."""
    if not isinstance(found, dict):
        return ""
    value = found.get("task_id", found.get("id"))
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    usable = 0 < len(text) <= MAX_TASK_ID_CHARS and is_one_line(text) and text not in (".", "..")
    return text if usable else ""


def _task(found: dict[str, Any], task_id: str) -> DesignTask:
    return DesignTask(
        task_id=task_id,
        status=_text(found.get("status")),
        assigned_to=_designer(found.get("assigned_to")) or None,
        reference=_text(found.get("reference")),
        description=_text(found.get("description")),
        notes=_text(found.get("notes")),
        files=tuple(_files(found)),
    )


def _files(found: dict[str, Any]) -> Iterator[str]:
    for name in ("deliverables", "files", "results", "result_urls", "result_url"):
        value = found.get(name)
        for item in value if isinstance(value, list) else [value]:
            url = item.get("url") if isinstance(item, dict) else item
            if isinstance(url, str) and url.startswith(("http://", "https://")):
                yield url


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
