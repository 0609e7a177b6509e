"""Designers who work by themselves: they accept or refuse what they are given, and finish it."""

import asyncio
import random
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from sandbox.dispatch import Dispatch, DispatchTask

MADE = "已完成,请查收"
REFUSED = "手上的任务太多,暂时接不了"


class Habits(BaseModel):
    """Seconds until a task is answered, and from there until it is done; the share of tasks that
    are refused. ``seed`` makes refusals repeatable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    on: bool = True
    accept_s: float = Field(default=5.0, ge=0, le=3_600)
    finish_s: float = Field(default=20.0, ge=0, le=86_400)
    refuse_share: float = Field(default=0.0, ge=0, le=1)
    seed: int | None = None


class AutomaticDesigners:
    """``make``: the address of what they have made for a task."""

    def __init__(self, dispatch: Dispatch, make: Callable[[DispatchTask], str]) -> None:
        self._dispatch, self._make = dispatch, make
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._chance = random.Random()
        self.habits = Habits(on=False)

    def work(self, habits: Habits) -> None:
        """From now on like this, also on what they have already."""
        self.stop()
        self.habits, self._chance = habits, random.Random(habits.seed)
        for task in self._dispatch:
            self.look(task)

    def look(self, task: DispatchTask) -> None:
        """The task has moved: what comes next comes in its time."""
        timer = self._timers.pop(task.task_id, None)
        if timer is not None:
            timer.cancel()
        if not self.habits.on:
            return
        if task.status == "assigned":
            self._later(self.habits.accept_s, self._answer, task)
        elif task.status == "accepted":
            self._later(self.habits.finish_s, self._finish, task)

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _later(
        self, seconds: float, act: Callable[[DispatchTask], None], task: DispatchTask
    ) -> None:
        loop = asyncio.get_running_loop()
        self._timers[task.task_id] = loop.call_later(seconds, self._act, act, task)

    def _act(self, act: Callable[[DispatchTask], None], task: DispatchTask) -> None:
        del self._timers[task.task_id]
        if task.task_id in self._dispatch:  # it may be forgotten by now
            act(task)

    def _answer(self, task: DispatchTask) -> None:
        refuses = self._chance.random() < self.habits.refuse_share
        if refuses and self._is_there_another(task):
            self._dispatch.refuse(task.task_id, REFUSED)
        else:
            self._dispatch.accept(task.task_id)

    def _is_there_another(self, task: DispatchTask) -> bool:
        """Who would be asked next: a task that all refuse would wait for ever."""
        return bool(set(self._dispatch.online) - {task.assigned_to, *task.refused_by})

    def _finish(self, task: DispatchTask) -> None:
        self._dispatch.finish(task.task_id, MADE, (self._make(task),))
