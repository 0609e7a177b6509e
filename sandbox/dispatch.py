"""Tasks of a dispatch, who is online, and how a task gets from being wanted to being done."""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DESIGNERS = ("橘子", "婷婷")
Status = Literal["pending", "assigned", "accepted", "refused", "completed"]
WAITING: tuple[Status, ...] = ("pending", "refused")
AT_WORK: tuple[Status, ...] = ("assigned", "accepted")


class NewTask(BaseModel):
    """``reference``: the caller's own name for it; the same one again is the same task."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task_name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=20_000)
    task_type: str = Field(default="image_process", min_length=1, max_length=64)
    priority: int = Field(default=2, ge=0, le=10)
    reference: str = Field(default="", max_length=256)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who wanted a task: the address that they know us by, and the key that they showed."""

    base_url: str
    key: str = field(repr=False)


@dataclass(slots=True)
class DispatchTask:
    """``received``: how often its creation was asked. ``files``: addresses of what was made."""

    task_id: str
    task_name: str
    description: str
    task_type: str
    priority: int
    reference: str
    created_at: float
    caller: Caller
    status: Status = "pending"
    assigned_to: str | None = None
    assigned_at: float | None = None
    accepted_at: float | None = None
    completed_at: float | None = None
    refused_by: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    notes: str = ""
    received: int = 1

    def shown(self) -> dict[str, Any]:
        """All but the caller, whose key is nobody's business."""
        shown = asdict(self)
        del shown["caller"]
        return shown


class CannotBe(Exception):
    """What was asked of a task does not go with its state."""


class NoSuchTask(Exception):
    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id!r} does not exist")


class Dispatch:
    """Steps return whether they changed anything: the same one again is the same success. They
    raise NoSuchTask and CannotBe. ``on_change`` is told of each task that moved."""

    def __init__(
        self,
        max_tasks: int,
        clock: Callable[[], float],
        on_change: Callable[[DispatchTask], None],
    ) -> None:
        self._max_tasks, self._clock, self._on_change = max_tasks, clock, on_change
        self.online: tuple[str, ...] = DESIGNERS
        self.roster: tuple[str, ...] = DESIGNERS
        self._tasks: OrderedDict[str, DispatchTask] = OrderedDict()
        self._by_reference: dict[str, DispatchTask] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[DispatchTask]:
        return iter(self._tasks.values())

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._tasks

    def task(self, task_id: str) -> DispatchTask:
        try:
            return self._tasks[task_id]
        except KeyError:
            raise NoSuchTask(task_id) from None

    def waiting(self) -> list[DispatchTask]:
        return [task for task in self if task.status in WAITING]

    def least_busy(self) -> str | None:
        """Of those online the one with the fewest tasks, the first of several."""
        at_work = [task.assigned_to for task in self if task.status in AT_WORK]
        return min(self.online, key=at_work.count, default=None)

    def set_online(self, names: tuple[str, ...]) -> None:
        """Who is online from now on; what they have stays with those who leave."""
        self.online = tuple(dict.fromkeys(names))
        self.roster = tuple(dict.fromkeys([*self.roster, *names]))

    def create(self, wanted: NewTask, caller: Caller) -> tuple[DispatchTask, bool]:
        """The task, and whether it was there before."""
        known = self._by_reference.get(wanted.reference) if wanted.reference else None
        if known is not None:
            known.received += 1
            return known, True
        task = DispatchTask(
            task_id=uuid.uuid4().hex[:8],
            created_at=self._clock(),
            caller=caller,
            **wanted.model_dump(),
        )
        self._tasks[task.task_id] = task
        if task.reference:
            self._by_reference[task.reference] = task
        while len(self._tasks) > self._max_tasks:
            _, oldest = self._tasks.popitem(last=False)
            self._by_reference.pop(oldest.reference, None)
            self.dropped += 1
        self._on_change(task)
        return task, False

    def assign(self, task_id: str, designer: str, notes: str) -> bool:
        task = self.task(task_id)
        if task.status == "completed":
            raise CannotBe(f"task {task_id!r} is completed")
        if task.status in AT_WORK and task.assigned_to == designer:
            return False
        if designer not in self.online:
            raise CannotBe(f"designer {designer!r} is not online")
        task.assigned_to, task.notes, task.accepted_at = designer, notes, None
        task.assigned_at = self._clock()
        return self._becomes(task, "assigned")

    def accept(self, task_id: str) -> bool:
        """The designer says that they do it."""
        task = self._of_somebody(task_id)
        if task.status != "assigned":
            return False
        task.accepted_at = self._clock()
        return self._becomes(task, "accepted")

    def refuse(self, task_id: str, notes: str) -> bool:
        """The designer does not do it; it waits for somebody else."""
        if self.task(task_id).status == "refused":
            return False
        task = self._of_somebody(task_id)
        if task.status == "completed":
            raise CannotBe(f"task {task_id!r} is completed")
        task.refused_by += (task.assigned_to or "",)
        task.assigned_to, task.notes, task.accepted_at = None, notes, None
        return self._becomes(task, "refused")

    def finish(self, task_id: str, notes: str, files: tuple[str, ...] = ()) -> bool:
        task = self._of_somebody(task_id)
        if task.status == "completed":
            return False
        task.notes, task.files, task.completed_at = notes, files, self._clock()
        return self._becomes(task, "completed")

    def clear(self) -> None:
        self.online = self.roster = DESIGNERS
        self._tasks.clear()
        self._by_reference.clear()
        self.dropped = 0

    def _of_somebody(self, task_id: str) -> DispatchTask:
        task = self.task(task_id)
        if task.status in WAITING:
            raise CannotBe(f"task {task_id!r} is assigned to nobody")
        return task

    def _becomes(self, task: DispatchTask, status: Status) -> bool:
        task.status = status
        self._on_change(task)
        return True
