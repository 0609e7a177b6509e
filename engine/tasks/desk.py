"""Where Tianwang's orders come in and are looked up."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from domain import message_fields
from domain.errors import InvalidInput, NotFound
from domain.tasks import TaskStatus, TriggerKind
from engine.metrics import Metrics
from engine.tasks.acting import Acting
from storage.tasks import NewTask, TaskRow
from tools.registry import Role
from tools.tianwang.protocol import TaskOrder

MAX_PAGE_SIZE = 200
_BY_MESSAGE = frozenset({"trigger.keyword", "trigger.text"})


class TaskConflict(InvalidInput):
    """``differences``: names of what another order of this id said otherwise."""

    def __init__(self, field: str, reason: str, differences: Sequence[str] = ()) -> None:
        super().__init__(field, reason, status=409)
        self.differences = tuple(differences)


class TaskDesk:
    """``on_due`` is told of instants at which a task wants something, ``on_queues`` of queues of
    the outbox that got something."""

    def __init__(
        self,
        acting: Acting,
        metrics: Metrics,
        *,
        on_due: Callable[[float], None],
        on_queues: Callable[[Sequence[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._acting, self._metrics = acting, metrics
        self._database, self._book = acting.database, acting.book
        self._on_due, self._on_queues, self._clock = on_due, on_queues, clock

    async def receive(self, order: TaskOrder, *, actor: str) -> dict[str, Any]:
        """The task as stored. The same order again is the same success; another one of this id
        raises TaskConflict. Raises InvalidInput for what could not be carried out."""
        now, zone = self._clock(), self._acting.policy.zone
        known = await self._database.read(lambda c: self._book.get(c, order.task_id))
        if known is None:
            order.check_times(now, zone)
            self._check_action(order)
            task = self._new_task(order, now)
            added = await self._database.write(
                lambda c: self._book.add(c, task, actor=actor, now=now)
            )
            if added:
                self._metrics.tasks_received.labels(order.trigger.type).inc()
                self._on_due(task.fires_at or task.expires_at or now)
            known = await self._database.read(lambda c: self._book.get(c, order.task_id))
            assert known is not None
            if added:
                return shown(known)
        differences = order.differences(known.body.get("order", {}), zone)
        if differences:
            names = "、".join(differences)
            reason = f"任务 {order.task_id!r} 已存在,内容不同:{names}"
            raise TaskConflict("task_id", reason, differences)
        return shown(known)

    async def status(self, task_id: str) -> dict[str, Any]:
        """Raises NotFound."""
        return shown(await self._get(task_id))

    async def cancel(self, task_id: str, reason: str, *, actor: str) -> dict[str, Any]:
        """Raises NotFound, and TaskConflict for what has fired or ended otherwise."""
        now = self._clock()
        row = await self._get(task_id)
        if row.status == TaskStatus.PENDING:
            ended = await self._database.write(
                lambda c: self._book.cancel(c, row, reason=reason, actor=actor, now=now)
            )
            if ended is not None:
                self._on_queues(ended.queues)
                return shown(ended.task)
            row = await self._get(task_id)
        if row.status == TaskStatus.CANCELLED:
            return shown(row)
        raise TaskConflict("task_id", f"任务状态为 {row.status},不能取消")

    async def retry(self, task_id: str, *, actor: str) -> dict[str, Any]:
        """Act again for a task that has failed. Raises NotFound, TaskConflict."""
        now = self._clock()
        row = await self._database.write(
            lambda c: self._book.retry(c, task_id, actor=actor, now=now)
        )
        if row is None:
            found = await self._get(task_id)
            raise TaskConflict("task_id", f"任务状态为 {found.status},只有 failed 可以重试")
        self._on_due(now)
        return shown(row)

    async def list(
        self,
        *,
        customer_id: str | None = None,
        status: str | None = None,
        page: int = 1,
        page_size: int = 20,
    ) -> dict[str, Any]:
        """Newest first; an empty page past the end. Raises InvalidInput for an unknown status."""
        if status is not None and status not in set(TaskStatus):
            raise InvalidInput("status", f"未知的状态,可用:{'、'.join(TaskStatus)}")

        def unit(connection: Connection) -> tuple[list[TaskRow], int]:
            return self._book.listed(
                connection,
                customer_id=customer_id,
                status=status,
                limit=page_size,
                offset=(page - 1) * page_size,
            )

        rows, total = await self._database.read(unit)
        tasks = [shown(row) for row in rows]
        return {"tasks": tasks, "total": total, "page": page, "page_size": page_size}

    async def _get(self, task_id: str) -> TaskRow:
        row = await self._database.read(lambda c: self._book.get(c, task_id))
        if row is None:
            raise NotFound("task_id", task_id)
        return row

    def _check_action(self, order: TaskOrder) -> None:
        """What would fail at firing is refused now: tool, arguments, fields in its texts."""
        registry, name = self._acting.registry, order.action.type
        usable = [tool.name for tool in registry if Role.TIANWANG in tool.roles]
        if name not in usable:
            raise InvalidInput("action.type", f"未知的动作类型,可用:{'、'.join(usable)}")
        arguments = order.arguments()
        try:
            message_fields.check(arguments, _known_fields(order))
            registry.get(name).parse(arguments)
        except InvalidInput as error:
            raise InvalidInput(f"action.{error.field}", error.reason) from error
        try:
            longest = message_fields.longest_values()
            registry.get(name).parse(message_fields.fill(arguments, longest))
        except InvalidInput as error:
            reason = f"填入字段的值后可能不合格:{error.reason}"
            raise InvalidInput(f"action.{error.field}", reason) from error

    def _new_task(self, order: TaskOrder, now: float) -> NewTask:
        zone, trigger = self._acting.policy.zone, order.trigger_for(self._acting.policy.zone)
        arguments = order.arguments()
        specified = trigger.kind is TriggerKind.SPECIFIED_CUSTOMER_REPLY
        return NewTask(
            task_id=order.task_id,
            type=order.type,
            trigger_type=trigger.kind.value,
            action_type=order.action.type,
            body={
                "order": order.canonical(zone),
                "action": {"tool": order.action.type, "arguments": arguments},
                "customer": order.customer.model_dump(),
                "trigger": asdict(trigger),
            },
            customer_id=order.customer.id,
            customer_name=order.customer.name,
            specified_customer_id=trigger.customer_id if specified else "",
            specified_customer_name=trigger.customer_name if specified else "",
            keyword=trigger.keywords[0] if len(trigger.keywords) == 1 else "",
            keywords=trigger.keywords if len(trigger.keywords) > 1 else (),
            file_url=order.action.file_url,
            message=order.action.message,
            priority=order.priority.value,
            timeout_hours=order.timeout_hours,
            max_retry=order.max_retry,
            created_by=order.created_by,
            fires_at=order.fires_at(zone),
            expires_at=order.expires_at(now),
        )


def _known_fields(order: TaskOrder) -> frozenset[str]:
    known = set(message_fields.LONGEST) - {"customer.name"}
    anybody = order.kind in (TriggerKind.CUSTOMER_REPLY, TriggerKind.CUSTOMER_KEYWORD)
    if order.customer.name and not anybody:
        known.add("customer.name")
    # Time says no word, and a payment may be an event without one.
    wordless = order.kind in (TriggerKind.TIME_REACH, TriggerKind.CUSTOMER_PAYMENT)
    return frozenset(known - _BY_MESSAGE if wordless else known)


def shown(row: TaskRow) -> dict[str, Any]:
    """The seed's columns, as callers see them."""
    return {
        "task_id": row.task_id,
        "type": row.type,
        "status": row.status,
        "priority": row.priority,
        "retry_count": row.retry_count,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "triggered_at": row.triggered_at,
        "completed_at": row.completed_at,
        "error_message": row.error_message,
        "customer_id": row.customer_id,
        "customer_name": row.customer_name,
        "trigger_type": row.trigger_type,
        "action_type": row.action_type,
        "max_retry": row.max_retry,
        "timeout_hours": row.timeout_hours,
        "result": row.result,
    }
