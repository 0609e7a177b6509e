"""Tasks as rows: each change of state is one conditional statement, with its audit record and,
where Tianwang is to be told, its callback in the outbox, in the same transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, bindparam, text

from domain.tasks import ENDED, TaskStatus, TriggerKind
from storage import outbox
from storage.audit import record
from storage.clock import iso
from storage.leases import LeasedRows
from storage.statements import Statement

CALLBACK_CHANNEL = "tianwang"
CALLBACK_KIND = "callback"
WATCH_COUNTER = "task_watch"
TIANWANG, TOOL = "tianwang", "tool"
MAX_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True)
class NewTask:
    """What is received. ``fires_at``: of time_reach; ``expires_at``: of all others.

    ``body``: action {tool, arguments}, customer, trigger, and what the receiver compares.
    """

    task_id: str
    type: str
    trigger_type: str
    action_type: str
    body: dict[str, Any]
    customer_id: str = ""
    customer_name: str = ""
    specified_customer_id: str = ""
    specified_customer_name: str = ""
    keyword: str = ""
    keywords: tuple[str, ...] = ()
    file_url: str = ""
    message: str = ""
    priority: str = "normal"
    timeout_hours: float = 24
    max_retry: int = 3
    created_by: str = ""
    fires_at: float | None = None
    expires_at: float | None = None
    source: str = TIANWANG


@dataclass(frozen=True, slots=True)
class TaskRow:
    task_id: str
    type: str
    status: str
    source: str
    priority: str
    customer_id: str | None
    customer_name: str | None
    trigger_type: str | None
    action_type: str | None
    retry_count: int
    max_retry: int
    timeout_hours: float
    created_at: str | None
    created_by: str | None
    triggered_at: str | None
    completed_at: str | None
    error_message: str | None
    result: str | None
    body: dict[str, Any]
    created_ts: float
    due_at: float | None
    watch_no: int
    run_no: int
    event_no: int
    waiting: int
    cause: dict[str, Any] | None

    @property
    def key(self) -> str:
        """Names this firing of the task for good: what its action does is idempotent under it."""
        return f"task:{self.task_id}:{self.run_no}"


@dataclass(frozen=True, slots=True)
class Ended:
    """``queues``: of the outbox, to be woken."""

    task: TaskRow
    queues: tuple[str, ...] = ()


_COLUMNS = (
    "task_id, type, status, source, priority, customer_id, customer_name, trigger_type,"
    " action_type, retry_count, max_retry, timeout_hours, created_at, created_by, triggered_at,"
    " completed_at, error_message, result, body, created_ts, due_at, watch_no, run_no, event_no,"
    " waiting, cause"
)
_INSERT = Statement(
    """
    INSERT INTO tasks (task_id, specified_customer_id, specified_customer_name, type, customer_name,
        customer_id, trigger_type, trigger_keyword, trigger_keywords, action_type, action_file_url,
        action_message, priority, timeout_hours, status, retry_count, max_retry, created_at,
        created_by, body, source, created_ts, due_at, watch_no, run_no, event_no, waiting,
        lease_until)
    VALUES (:task_id, :specified_customer_id, :specified_customer_name, :type, :customer_name,
        :customer_id, :trigger_type, :keyword, :keywords, :action_type, :file_url, :message,
        :priority, :timeout_hours, 'pending', 0, :max_retry, :created_at, :created_by, :body,
        :source, :created_ts, :due_at, 0, 0, 0, 0, 0)
    ON CONFLICT (task_id) DO NOTHING RETURNING task_id
    """
)
_NUMBER = Statement("UPDATE counters SET value = value + 1 WHERE name = :name RETURNING value")
_SET_NUMBER = Statement("UPDATE tasks SET watch_no = :number WHERE task_id = :task_id")
_VERSION = Statement("SELECT value FROM counters WHERE name = :name")
_GET = Statement(f"SELECT {_COLUMNS} FROM tasks WHERE task_id = :task_id")  # noqa: S608
_WATCHED = Statement(
    f"SELECT {_COLUMNS} FROM tasks"  # noqa: S608
    " WHERE status = 'pending' AND watch_no > :after ORDER BY watch_no LIMIT :limit",
    sqlite_index="ix_tasks_watched",
)
_STATUS_OF = text("SELECT task_id, status FROM tasks WHERE task_id IN :task_ids").bindparams(
    bindparam("task_ids", expanding=True)
)
_FIRE = Statement(
    f"""
    UPDATE tasks SET status = 'triggered', triggered_at = :at, run_no = run_no + 1, cause = :cause,
        due_at = :due_at, lease_owner = NULL, lease_until = 0
    WHERE task_id = :task_id AND status = 'pending' RETURNING {_COLUMNS}
    """  # noqa: S608
)
_RETRY = Statement(
    f"""
    UPDATE tasks SET status = 'triggered', run_no = run_no + 1, retry_count = 0,
        error_message = NULL, completed_at = NULL, result = NULL, waiting = 0, due_at = :now,
        triggered_at = COALESCE(triggered_at, :at), lease_owner = NULL, lease_until = 0
    WHERE task_id = :task_id AND status = 'failed' RETURNING {_COLUMNS}
    """  # noqa: S608
)
_END = Statement(
    f"""
    UPDATE tasks SET status = :status, completed_at = :at, due_at = NULL, waiting = 0,
        error_message = :error, result = COALESCE(:result, result), event_no = event_no + 1,
        lease_owner = NULL, lease_until = 0
    WHERE task_id = :task_id AND status = :before AND run_no = :run_no RETURNING {_COLUMNS}
    """  # noqa: S608
)
_WAIT = Statement(
    "UPDATE tasks SET waiting = :waiting, result = :result, due_at = NULL, lease_owner = NULL,"
    " lease_until = 0 WHERE task_id = :task_id AND status = 'triggered' AND run_no = :run_no"
)
_ONE_LESS = Statement(
    "UPDATE tasks SET waiting = waiting - 1"
    " WHERE task_id = :task_id AND status = 'triggered' AND run_no = :run_no AND waiting > 0"
    " RETURNING waiting"
)
_AGAIN_LATER = Statement(
    "UPDATE tasks SET retry_count = :retries, error_message = :error, due_at = :due_at,"
    " lease_owner = NULL, lease_until = 0"
    " WHERE task_id = :task_id AND status = 'triggered' AND run_no = :run_no"
)
_ADRIFT = Statement(
    f"SELECT {_COLUMNS} FROM tasks"  # noqa: S608
    " WHERE status = 'pending' AND due_at IS NULL LIMIT :limit",
    sqlite_index="ix_tasks_adrift",
)
_MOOR = Statement(
    "UPDATE tasks SET due_at = :due_at, triggered_at = NULL, completed_at = NULL, retry_count = 0,"
    " error_message = NULL, result = NULL, waiting = 0, lease_owner = NULL, lease_until = 0"
    " WHERE task_id = :task_id AND status = 'pending'"
)


class TaskBook(LeasedRows[str]):
    """``zone``: of the local times in rows. ``callbacks``: Tianwang is told how its tasks end."""

    _table = "tasks"
    _key = "task_id"
    _columns = _COLUMNS

    def __init__(self, zone: tzinfo, *, callbacks: bool) -> None:
        self._zone, self._callbacks = zone, callbacks

    def local(self, seconds: float) -> str:
        return f"{datetime.fromtimestamp(seconds, self._zone):%Y-%m-%dT%H:%M:%S}"

    # Receiving and reading -----------------------------------------------------------------

    def add(self, connection: Connection, task: NewTask, *, actor: str, now: float) -> bool:
        """False if there is a task of this id already; nothing is written then."""
        watched = task.trigger_type != TriggerKind.TIME_REACH
        values: dict[str, Any] = {
            "task_id": task.task_id,
            "specified_customer_id": task.specified_customer_id or None,
            "specified_customer_name": task.specified_customer_name or None,
            "type": task.type,
            "customer_name": task.customer_name or None,
            "customer_id": task.customer_id or None,
            "trigger_type": task.trigger_type,
            "keyword": task.keyword or None,
            "keywords": json.dumps(task.keywords, ensure_ascii=False) if task.keywords else None,
            "action_type": task.action_type,
            "file_url": task.file_url or None,
            "message": task.message or None,
            "priority": task.priority,
            "timeout_hours": task.timeout_hours,
            "max_retry": task.max_retry,
            "created_at": self.local(now),
            "created_by": task.created_by or None,
            "body": json.dumps(task.body, ensure_ascii=False),
            "source": task.source,
            "created_ts": now,
            "due_at": task.expires_at if watched else task.fires_at,
        }
        if _INSERT.first(connection, values) is None:
            return False
        if watched:
            _number(connection, task.task_id)
        detail = {"type": task.type, "trigger": task.trigger_type, "action": task.action_type}
        self._audit(connection, task.task_id, "receive", actor, now, detail)
        return True

    def get(self, connection: Connection, task_id: str) -> TaskRow | None:
        row = _GET.first(connection, {"task_id": task_id})
        return _task(row) if row else None

    def listed(
        self,
        connection: Connection,
        *,
        customer_id: str | None,
        status: str | None,
        limit: int,
        offset: int,
    ) -> tuple[list[TaskRow], int]:
        """Newest first, and how many there are in all."""
        where, params = ["1 = 1"], {"limit": limit, "offset": offset}
        chosen = {"customer_id": customer_id, "status": status}
        for column, value in chosen.items():
            if value is not None:
                where.append(f"{column} = :{column}")
                params |= {column: value}  # type: ignore[dict-item]
        condition = " AND ".join(where)
        rows = connection.execute(
            text(
                f"SELECT {_COLUMNS} FROM tasks WHERE {condition}"  # noqa: S608
                " ORDER BY created_ts DESC, task_id DESC LIMIT :limit OFFSET :offset"
            ),
            params,
        ).all()
        counted = text(f"SELECT COUNT(*) FROM tasks WHERE {condition}")  # noqa: S608
        total = connection.execute(counted, params).scalar_one()
        return [_task(tuple(row)) for row in rows], int(total)

    def counts(self, connection: Connection) -> dict[str, int]:
        rows = connection.execute(text("SELECT status, COUNT(*) FROM tasks GROUP BY status"))
        return {row[0]: int(row[1]) for row in rows}

    def watched_after(self, connection: Connection, number: int, limit: int) -> list[TaskRow]:
        """Pending tasks that messages fire, numbered above ``number``, in order."""
        rows = _WATCHED.all(connection, {"after": number, "limit": limit})
        return [_task(row) for row in rows]

    def pending_among(self, connection: Connection, task_ids: Sequence[str]) -> set[str]:
        found = connection.execute(_STATUS_OF, {"task_ids": list(task_ids)})
        return {task_id for task_id, status in found if status == TaskStatus.PENDING}

    # Firing and ending ---------------------------------------------------------------------

    def fire(
        self,
        connection: Connection,
        task_id: str,
        *,
        cause: dict[str, Any],
        now: float,
        due_at: float | None,
    ) -> TaskRow | None:
        """pending → triggered; None if it is not pending any more: somebody else was first."""
        row = _FIRE.first(
            connection,
            {
                "task_id": task_id,
                "at": self.local(now),
                "cause": json.dumps(cause, ensure_ascii=False),
                "due_at": due_at,
            },
        )
        if row is None:
            return None
        self._audit(connection, task_id, "fire", "trigger", now, cause)
        return _task(row)

    def wait_for(
        self, connection: Connection, task: TaskRow, *, deliveries: int, result: dict[str, Any]
    ) -> None:
        """The action is done but for its deliveries; the last of them ends the task."""
        values = {"task_id": task.task_id, "run_no": task.run_no, "waiting": deliveries}
        _WAIT.run(connection, values | {"result": json.dumps(result, ensure_ascii=False)})

    def complete(
        self,
        connection: Connection,
        task: TaskRow,
        *,
        now: float,
        result: dict[str, Any] | None = None,
    ) -> Ended | None:
        return self._end(connection, task, TaskStatus.COMPLETED, now=now, result=result)

    def fail(
        self, connection: Connection, task: TaskRow, *, error: str, now: float
    ) -> Ended | None:
        return self._end(connection, task, TaskStatus.FAILED, now=now, error=error)

    def expire(
        self, connection: Connection, task: TaskRow, *, error: str, now: float
    ) -> Ended | None:
        return self._end(connection, task, TaskStatus.EXPIRED, now=now, error=error)

    def cancel(
        self, connection: Connection, task: TaskRow, *, reason: str, actor: str, now: float
    ) -> Ended | None:
        return self._end(
            connection, task, TaskStatus.CANCELLED, now=now, error=reason or None, actor=actor
        )

    def retry(
        self, connection: Connection, task_id: str, *, actor: str, now: float
    ) -> TaskRow | None:
        """failed → triggered, due at once; None if it has not failed."""
        values = {"task_id": task_id, "now": now, "at": self.local(now)}
        row = _RETRY.first(connection, values)
        if row is None:
            return None
        self._audit(connection, task_id, "retry", actor, now, {})
        return _task(row)

    def try_again(
        self, connection: Connection, task: TaskRow, *, error: str, retry_at: float, now: float
    ) -> None:
        """The action failed and will be tried again."""
        values = {
            "task_id": task.task_id,
            "run_no": task.run_no,
            "retries": task.retry_count + 1,
            "error": error[:MAX_ERROR_CHARS],
            "due_at": retry_at,
        }
        if _AGAIN_LATER.run(connection, values):
            detail = {"error": error[:MAX_ERROR_CHARS], "retry": task.retry_count + 1}
            self._audit(connection, task.task_id, "attempt_failed", "task runner", now, detail)

    def settled(
        self,
        connection: Connection,
        delivery: outbox.Delivery,
        *,
        outcome: str,
        error: str | None,
        now: float,
    ) -> tuple[str, ...]:
        """A delivery of a task's action was ``delivered``, ``postponed`` or is ``dead``; returns
        queues to wake."""
        if delivery.task_id is None:
            return ()
        task = self.get(connection, delivery.task_id)
        if task is None or task.run_no != delivery.task_run:
            return ()
        ended = None
        if outcome == "delivered":
            left = _ONE_LESS.first(
                connection, {"task_id": task.task_id, "run_no": delivery.task_run}
            )
            if left is not None and left[0] == 0:
                ended = self.complete(connection, task, now=now)
        elif outcome == "dead":
            outbox.drop_rest(connection, delivery, error=f"{delivery.message_id} 未能送达")
            ended = self.fail(connection, task, error=error or "投递失败", now=now)
        else:
            self._note_attempt(connection, task, delivery.attempts, error or "")
        return ended.queues if ended else ()

    def _note_attempt(
        self, connection: Connection, task: TaskRow, attempts: int, error: str
    ) -> None:
        connection.execute(
            text(
                "UPDATE tasks SET retry_count = :retries, error_message = :error"
                " WHERE task_id = :task_id AND run_no = :run_no AND status = 'triggered'"
            ),
            {
                "retries": attempts,
                "error": error[:MAX_ERROR_CHARS],
                "task_id": task.task_id,
                "run_no": task.run_no,
            },
        )

    # What is due by itself -----------------------------------------------------------------

    def claim_due(
        self,
        connection: Connection,
        status: TaskStatus = TaskStatus.PENDING,
        *,
        owner: str,
        now: float,
        lease_s: float,
        limit: int,
    ) -> list[TaskRow]:
        """Due tasks of ``status`` that nobody works on, taken under a lease."""
        rows = self._claim(
            connection,
            owner=owner,
            now=now,
            lease_s=lease_s,
            limit=limit,
            # Not status alone: its index would have all that are pending read and sorted.
            condition=" AND status || '' = :status",
            params={"status": status.value},
        )
        return [_task(row) for row in rows]

    def is_adrift(self, connection: Connection) -> bool:
        """Whether there is anything for `moor`."""
        return bool(_ADRIFT.all(connection, {"limit": 1}))

    def moor(self, connection: Connection, *, now: float, limit: int = 200) -> int:
        """Take up tasks that an operator set to pending by hand (seed 000's troubleshooting)."""
        rows = _ADRIFT.all(connection, {"limit": limit})
        for row in rows:
            self.moor_one(connection, _task(row), now=now)
        return len(rows)

    def moor_one(self, connection: Connection, task: TaskRow, *, now: float) -> None:
        """It waits anew for its trigger; a timer's time has come."""
        timed = task.trigger_type == TriggerKind.TIME_REACH
        due_at = now if timed else now + task.timeout_hours * 3600
        _MOOR.run(connection, {"task_id": task.task_id, "due_at": due_at})
        if not timed:
            _number(connection, task.task_id)
        self._audit(connection, task.task_id, "reset", "database", now, {"status": "pending"})

    # ---------------------------------------------------------------------------------------

    def _end(
        self,
        connection: Connection,
        task: TaskRow,
        status: TaskStatus,
        *,
        now: float,
        error: str | None = None,
        result: dict[str, Any] | None = None,
        actor: str = "task runner",
    ) -> Ended | None:
        """None if somebody else ended it, or fired it again, in between."""
        row = _END.first(
            connection,
            {
                "task_id": task.task_id,
                "status": status.value,
                "at": self.local(now),
                "error": error[:MAX_ERROR_CHARS] if error else None,
                "result": json.dumps(result, ensure_ascii=False) if result is not None else None,
                "before": task.status,
                "run_no": task.run_no,
            },
        )
        if row is None:
            return None
        ended = _task(row)
        detail = {"run": ended.run_no} | ({"error": ended.error_message} if error else {})
        self._audit(connection, task.task_id, status.value, actor, now, detail)
        return Ended(ended, self._call_back(connection, ended, now))

    def _call_back(self, connection: Connection, task: TaskRow, now: float) -> tuple[str, ...]:
        if not self._callbacks or task.source != TIANWANG:
            return ()
        queue = f"task:{task.task_id}"
        callback = outbox.NewDelivery(
            message_id=f"evt_{task.task_id}_{task.event_no}",
            queue=queue,
            kind=CALLBACK_KIND,
            channel=CALLBACK_CHANNEL,
            account="",
            conversation_id="",
            turn_id="",
            payload={
                "event_id": f"evt_{task.task_id}_{task.event_no}",
                "sequence": task.event_no,
                "event": f"task.{task.status}",
                "task_id": task.task_id,
                "type": task.type,
                "status": task.status,
                "customer_id": task.customer_id,
                "created_by": task.created_by,
                "created_at": task.created_at,
                "triggered_at": task.triggered_at,
                "completed_at": task.completed_at,
                "error_message": task.error_message,
                "retry_count": task.retry_count,
                "result": json.loads(task.result) if task.result else None,
            },
        )
        outbox.add(connection, [callback], iso(now))
        return (queue,)

    def _audit(
        self,
        connection: Connection,
        task_id: str,
        what: str,
        actor: str,
        now: float,
        detail: dict[str, Any],
    ) -> None:
        action = f"task.{what}"
        record(connection, at=iso(now), actor=actor, action=action, subject=task_id, detail=detail)


def watch_version(connection: Connection) -> int:
    """Number of the newest task that messages may fire; 0 where there never was one."""
    row = _VERSION.first(connection, {"name": WATCH_COUNTER})
    return int(row[0]) if row else 0


def is_ended(status: str) -> bool:
    return TaskStatus(status) in ENDED


def _number(connection: Connection, task_id: str) -> None:
    row = _NUMBER.first(connection, {"name": WATCH_COUNTER})
    assert row is not None
    _SET_NUMBER.run(connection, {"number": row[0], "task_id": task_id})


_NAMES = tuple(name.strip() for name in _COLUMNS.split(","))


def _task(row: Sequence[Any]) -> TaskRow:
    values = dict(zip(_NAMES, row, strict=True))
    values["body"] = json.loads(values["body"])
    values["cause"] = json.loads(values["cause"]) if values["cause"] else None
    return TaskRow(**values)
