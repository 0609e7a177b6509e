"""Dispatches to designers as rows. Each step is one conditional statement, with its audit record
and, where an order is linked, its event, in the same transaction.

wanted ─> created ─> assigned ─> notified ─> told ─> done. told goes back to created when a designer
refuses or does not answer. failed and cancelled are ends; a failed one can be tried again.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from storage.audit import record
from storage.clock import iso
from storage.leases import LeasedRows
from storage.order_rows import add_event, title_for
from storage.outbox import Delivery
from storage.recipients import RecipientRow, recipient_in
from storage.statements import Statement
from storage.tasks import TaskBook

ACTOR = "dispatch"
MAX_ERROR_CHARS = 500
RECENT = 200
"""Dispatches that are looked at for whose turn it is."""


class Step(StrEnum):
    WANTED = "wanted"
    CREATED = "created"
    """Tuhui has the task; who gets it may be chosen already."""
    ASSIGNED = "assigned"
    NOTIFIED = "notified"
    TOLD = "told"
    """The customer knows; the designer works, and we look how far it is."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = frozenset({Step.DONE, Step.FAILED, Step.CANCELLED})


@dataclass(frozen=True, slots=True)
class NewDispatch:
    """``key``: names it for good, for Tuhui too. ``task_id``, ``task_run``: the firing of a
    Tianwang task that waits until a designer has it. Without a conversation and without a contact
    that has one, no customer is told."""

    key: str
    title: str
    description: str
    task_type: str = "image_process"
    priority: int = 2
    designer: str = ""
    order_id: int | None = None
    conversation_id: str = ""
    contact_id: str = ""
    task_id: str | None = None
    task_run: int = 0


@dataclass(frozen=True, slots=True)
class DispatchRow:
    id: int
    key: str
    order_id: int | None
    conversation_id: str
    contact_id: str
    title: str
    description: str
    task_type: str
    priority: int
    wanted_designer: str
    step: Step
    tuhui_task_id: str | None
    designer: str | None
    refused_by: tuple[str, ...]
    attempts: int
    assigned_ts: float | None
    told_waiting: bool
    due_at: float | None
    lease_owner: str | None
    lease_until: float
    last_error: str | None
    task_id: str | None
    task_run: int
    created_at: str
    updated_at: str

    @property
    def round(self) -> int:
        """Which assignment it is: each refusal begins another."""
        return len(self.refused_by)


@dataclass(frozen=True, slots=True)
class Work:
    """What designers have of ours. ``latest``: number of the newest dispatch that each got."""

    open: dict[str, int]
    latest: dict[str, int]


_COLUMNS = (
    "id, key, order_id, conversation_id, contact_id, title, description, task_type, priority,"
    " wanted_designer, step, tuhui_task_id, designer, refused_by, attempts, assigned_ts,"
    " told_waiting, due_at, lease_owner, lease_until, last_error, task_id, task_run, created_at,"
    " updated_at"
)
_NAMES = tuple(name.strip() for name in _COLUMNS.split(","))
_WANT = Statement(
    """
    INSERT INTO dispatches (key, order_id, conversation_id, contact_id, title, description,
        task_type, priority, wanted_designer, step, refused_by, attempts, told_waiting, due_at,
        lease_until, task_id, task_run, created_at, updated_at)
    VALUES (:key, :order_id, :conversation_id, :contact_id, :title, :description, :task_type,
        :priority, :designer, 'wanted', '[]', 0, FALSE, :now, 0, :task_id, :task_run, :at, :at)
    ON CONFLICT (key) DO NOTHING RETURNING id
    """
)
_GET = Statement(f"SELECT {_COLUMNS} FROM dispatches WHERE id = :id")  # noqa: S608
_BY_KEY = Statement(f"SELECT {_COLUMNS} FROM dispatches WHERE key = :key")  # noqa: S608
_OF_ORDER = Statement(
    f"SELECT {_COLUMNS} FROM dispatches WHERE order_id = :order_id ORDER BY id"  # noqa: S608
)
_OPEN_WORK = Statement(
    "SELECT designer, COUNT(*) FROM dispatches"
    " WHERE due_at IS NOT NULL AND designer IS NOT NULL GROUP BY designer"
)
_LATEST_WORK = Statement(
    "SELECT designer, MAX(id) FROM (SELECT id, designer FROM dispatches ORDER BY id DESC"
    " LIMIT :recent) AS newest WHERE designer IS NOT NULL GROUP BY designer"
)
_SERVICE = Statement("SELECT service FROM image_tasks WHERE id = :order_id")
_HASTEN = Statement(
    "UPDATE dispatches SET due_at = :now"
    " WHERE due_at IS NOT NULL AND step = 'told' AND tuhui_task_id = :tuhui_task_id"
)
_LOOKED = Statement(
    f"""
    UPDATE dispatches SET attempts = 0, last_error = NULL, lease_owner = NULL, lease_until = 0,
        due_at = CASE WHEN due_at = :claimed_at THEN :due_at ELSE due_at END
    WHERE id = :id AND step = :before AND lease_owner = :holder RETURNING {_COLUMNS}
    """  # noqa: S608
)
_CANCEL = Statement(
    "UPDATE dispatches SET step = 'cancelled', due_at = NULL, lease_owner = NULL, lease_until = 0,"
    " task_id = NULL, updated_at = :at WHERE id = :id AND step = :before"
)
_DESCRIBE = Statement(
    "UPDATE dispatches SET description = :description, updated_at = :at"
    " WHERE id = :id AND step = 'wanted'"
)
_UNSENT = Statement("SELECT id FROM outbox WHERE message_id = :message_id AND status = 'pending'")
_FREE: dict[str, Any] = {"lease_owner": None, "lease_until": 0.0}
_ENDED: dict[str, Any] = {"due_at": None, **_FREE}


def want(connection: Connection, wanted: NewDispatch, *, actor: str, now: float) -> bool:
    """False if there is one of this key already; nothing is written then."""
    at = iso(now)
    values = {
        "key": wanted.key,
        "order_id": wanted.order_id,
        "conversation_id": wanted.conversation_id,
        "contact_id": wanted.contact_id,
        "title": wanted.title or title_for(wanted.contact_id),
        "description": wanted.description,
        "task_type": wanted.task_type,
        "priority": wanted.priority,
        "designer": wanted.designer,
        "task_id": wanted.task_id,
        "task_run": wanted.task_run,
        "now": now,
        "at": at,
    }
    row = _WANT.first(connection, values)
    if row is None:
        return False
    detail = {"title": values["title"], "priority": wanted.priority}
    _note(connection, int(row[0]), wanted.order_id, "want", actor, at, detail)
    return True


class DispatchBook(LeasedRows[int]):
    """A step's method returns None, and writes nothing, where the row is not any more what the
    caller holds: cancelled, taken over by another process, or further."""

    _table = "dispatches"
    _columns = _COLUMNS

    def __init__(self, tasks: TaskBook) -> None:
        self._tasks = tasks

    # Reading -------------------------------------------------------------------------------

    def get(self, connection: Connection, dispatch: int) -> DispatchRow | None:
        return _maybe(_GET.first(connection, {"id": dispatch}))

    def by_key(self, connection: Connection, key: str) -> DispatchRow | None:
        return _maybe(_BY_KEY.first(connection, {"key": key}))

    def of_order(self, connection: Connection, order_id: int) -> list[DispatchRow]:
        """Oldest first."""
        return [_row(found) for found in _OF_ORDER.all(connection, {"order_id": order_id})]

    def listed(
        self, connection: Connection, *, step: str | None = None, limit: int = 50, before: int = 0
    ) -> list[DispatchRow]:
        """Newest first; ``before``: only those with smaller ids, for paging."""
        where, params = ["1 = 1"], {"limit": limit, "before": before, "step": step}
        where += ["id < :before"] if before else []
        where += ["step = :step"] if step else []
        found = connection.execute(
            text(
                f"SELECT {_COLUMNS} FROM dispatches WHERE {' AND '.join(where)}"  # noqa: S608
                " ORDER BY id DESC LIMIT :limit"
            ),
            {name: value for name, value in params.items() if value or name == "limit"},
        )
        return [_row(tuple(row)) for row in found]

    def work(self, connection: Connection) -> Work:
        """Who of the designers has how much, and who got something last."""
        latest = _LATEST_WORK.all(connection, {"recent": RECENT})
        return Work(
            {row[0]: int(row[1]) for row in _OPEN_WORK.all(connection, {})},
            {row[0]: int(row[1]) for row in latest},
        )

    def kinds(self, connection: Connection, row: DispatchRow) -> frozenset[str]:
        """What designers may be good at: Tuhui's task type, and the service of the order."""
        found = _SERVICE.first(connection, {"order_id": row.order_id}) if row.order_id else None
        return frozenset({row.task_type, str(found[0])} - {""} if found else {row.task_type})

    def recipient(self, connection: Connection, row: DispatchRow) -> RecipientRow | None:
        """The conversation in which the customer is told."""
        return recipient_in(connection, row.conversation_id, row.contact_id)

    def is_unsent(self, connection: Connection, message_id: str) -> bool:
        """Whether this delivery of the outbox is still to be made."""
        return _UNSENT.first(connection, {"message_id": message_id}) is not None

    # Leases --------------------------------------------------------------------------------

    def claim_due(
        self, connection: Connection, *, owner: str, now: float, lease_s: float, limit: int
    ) -> list[DispatchRow]:
        """What is due and nobody works on, taken under a lease."""
        found = self._claim(
            connection, owner=owner, now=now, lease_s=lease_s, limit=limit, order="due_at, id"
        )
        return sorted(map(_row, found), key=lambda row: (row.due_at, row.id))

    def hold(
        self, connection: Connection, row: DispatchRow, *, until: float, designer: str | None
    ) -> DispatchRow | None:
        """Right before a call that cannot be taken back: it is still ours, and for ``designer``."""
        return _move(connection, row, {"designer": designer, "lease_until": until})

    # Steps ---------------------------------------------------------------------------------

    def created(
        self, connection: Connection, row: DispatchRow, task: str, *, until: float, now: float
    ) -> DispatchRow | None:
        """Tuhui has it as ``task``."""
        changes = {"step": Step.CREATED.value, "tuhui_task_id": task, "lease_until": until}
        return self._step(connection, row, changes, "create", now, {"tuhui_task": task})

    def assigned(
        self, connection: Connection, row: DispatchRow, designer: str, *, until: float, now: float
    ) -> DispatchRow | None:
        changes = {
            "step": Step.ASSIGNED.value,
            "designer": designer,
            "assigned_ts": now,
            "refused_by": _names(name for name in row.refused_by if name != designer),
            "lease_until": until,
        }
        detail = {"tuhui_task": row.tuhui_task_id, "designer": designer}
        return self._step(connection, row, changes, "assign", now, detail)

    def notified(
        self, connection: Connection, row: DispatchRow, *, until: float, now: float
    ) -> DispatchRow | None:
        changes = {"step": Step.NOTIFIED.value, "lease_until": until}
        return self._step(connection, row, changes, "notify", now, {"designer": row.designer})

    def told(
        self, connection: Connection, row: DispatchRow, *, due_at: float, now: float
    ) -> tuple[DispatchRow, tuple[str, ...]] | None:
        """Handed over: a task of Tianwang's that waited for it ends. Also returns queues."""
        changes = {"step": Step.TOLD.value, "due_at": due_at, "task_id": None, **_FREE}
        moved = self._step(connection, row, changes, "tell", now, {"designer": row.designer})
        return (moved, self._settle(connection, row, "delivered", None, now)) if moved else None

    def returned(
        self, connection: Connection, row: DispatchRow, reason: str, *, until: float, now: float
    ) -> DispatchRow | None:
        """The designer refused or did not answer; somebody else is to get it."""
        refused = [*row.refused_by, row.designer or ""]
        changes = {
            "step": Step.CREATED.value,
            "designer": None,
            "refused_by": _names(refused),
            "lease_until": until,
        }
        detail = {"designer": row.designer, "reason": reason}
        return self._step(connection, row, changes, "return", now, detail)

    def handed_on(
        self, connection: Connection, row: DispatchRow, designer: str, *, due_at: float, now: float
    ) -> DispatchRow | None:
        """Somebody at Tuhui gave it to another designer."""
        changes = {"designer": designer, "assigned_ts": now, "due_at": due_at, **_FREE}
        detail = {"designer": designer, "before": row.designer}
        return self._step(connection, row, changes, "hand_on", now, detail)

    def done(
        self, connection: Connection, row: DispatchRow, notes: str, *, now: float
    ) -> DispatchRow | None:
        changes = {"step": Step.DONE.value, **_ENDED}
        detail = {"designer": row.designer, "notes": notes[:MAX_ERROR_CHARS]}
        return self._step(connection, row, changes, "done", now, detail)

    def failed(
        self, connection: Connection, row: DispatchRow, error: str, *, now: float
    ) -> tuple[DispatchRow, tuple[str, ...]] | None:
        """Nothing more is tried before somebody wants it. Also returns queues."""
        shown = error[:MAX_ERROR_CHARS]
        changes = {"step": Step.FAILED.value, "last_error": shown, "task_id": None, **_ENDED}
        detail = {"step": row.step.value, "error": shown}
        moved = self._step(connection, row, changes, "failed", now, detail)
        return (moved, self._settle(connection, row, "dead", shown, now)) if moved else None

    def describe(
        self, connection: Connection, dispatch: int, description: str, *, now: float
    ) -> None:
        """What is wanted has changed: Tuhui is told so, where it has not been told anything yet."""
        _DESCRIBE.run(connection, {"id": dispatch, "description": description, "at": iso(now)})

    def cancel(
        self, connection: Connection, dispatch: int, reason: str, *, actor: str, now: float
    ) -> tuple[DispatchRow, tuple[str, ...]] | None:
        """The row as it was, and queues; None if it has ended. Whoever works on it finds out at
        the next step."""
        row = self.get(connection, dispatch)
        if row is None or row.step in ENDS:
            return None
        at = iso(now)
        values = {"id": row.id, "before": row.step.value, "at": at}
        if not _CANCEL.run(connection, values):
            return None
        detail = {"reason": reason, "step": row.step.value}
        _note(connection, row.id, row.order_id, "cancel", actor, at, detail)
        return row, self._settle(connection, row, "dead", reason or "已取消", now)

    def retry(
        self, connection: Connection, dispatch: int, *, actor: str, now: float
    ) -> DispatchRow | None:
        """failed → where it was, due at once; None if it has not failed."""
        found = connection.execute(
            text(
                "UPDATE dispatches SET attempts = 0, due_at = :now, last_error = NULL,"  # noqa: S608
                " updated_at = :at, step = CASE WHEN tuhui_task_id IS NULL THEN 'wanted'"
                " ELSE 'created' END WHERE id = :id AND step = 'failed'"
                f" RETURNING {_COLUMNS}"
            ),
            {"id": dispatch, "now": now, "at": iso(now)},
        ).first()
        if found is None:
            return None
        row = _row(tuple(found))
        _note(connection, row.id, row.order_id, "retry", actor, iso(now), {"step": row.step.value})
        return row

    def left_behind(
        self, connection: Connection, row: DispatchRow, task: str, *, now: float
    ) -> DispatchRow | None:
        """It was cancelled while Tuhui created ``task``: None if not so."""
        found = connection.execute(
            text(
                "UPDATE dispatches SET tuhui_task_id = :task, updated_at = :at"  # noqa: S608
                " WHERE id = :id AND step = 'cancelled' AND tuhui_task_id IS NULL"
                f" RETURNING {_COLUMNS}"
            ),
            {"id": row.id, "task": task, "at": iso(now)},
        ).first()
        if found is None:
            return None
        detail = {"tuhui_task": task}
        _note(connection, row.id, row.order_id, "left_behind", ACTOR, iso(now), detail)
        return _row(tuple(found))

    # Without a step ------------------------------------------------------------------------

    def waits(
        self, connection: Connection, row: DispatchRow, reason: str, *, due_at: float, now: float
    ) -> DispatchRow | None:
        """Nobody is there to take it."""
        changes = {
            "told_waiting": True,
            "designer": None,
            "attempts": 0,
            "last_error": None,
            "due_at": due_at,
            **_FREE,
        }
        if row.told_waiting:
            return _move(connection, row, changes)
        return self._step(connection, row, changes, "wait", now, {"reason": reason})

    def looked(
        self, connection: Connection, row: DispatchRow, *, due_at: float
    ) -> DispatchRow | None:
        """Nothing new; look again at ``due_at``, or at once if there was news meanwhile."""
        values = {"id": row.id, "before": row.step.value, "holder": row.lease_owner}
        times = {"claimed_at": row.due_at, "due_at": due_at}
        return _maybe(_LOOKED.first(connection, values | times))

    def postponed(
        self,
        connection: Connection,
        row: DispatchRow,
        error: str,
        *,
        retry_at: float,
        forget: bool,
        now: float,
    ) -> tuple[DispatchRow, tuple[str, ...]] | None:
        """It failed and will be tried again. ``forget``: not with the designer who was chosen."""
        shown = error[:MAX_ERROR_CHARS]
        changes: dict[str, Any] = {"attempts": row.attempts + 1, "last_error": shown}
        changes |= {"designer": None} if forget else {}
        moved = _move(connection, row, changes | {"due_at": retry_at, **_FREE})
        if moved is None:
            return None
        return moved, self._settle(connection, moved, "postponed", shown, now)

    def hasten(self, connection: Connection, tuhui_task: str, *, now: float) -> bool:
        """Look now: somebody says that Tuhui has news of this task."""
        return _HASTEN.run(connection, {"tuhui_task_id": tuhui_task, "now": now}) > 0

    # ---------------------------------------------------------------------------------------

    def _step(
        self,
        connection: Connection,
        row: DispatchRow,
        changes: dict[str, Any],
        what: str,
        now: float,
        detail: dict[str, Any],
    ) -> DispatchRow | None:
        at = iso(now)
        fresh: dict[str, Any] = {"attempts": 0, "last_error": None, "updated_at": at}
        moved = _move(connection, row, fresh | changes)
        if moved is not None:
            _note(connection, row.id, row.order_id, what, ACTOR, at, detail)
        return moved

    def _settle(
        self,
        connection: Connection,
        row: DispatchRow,
        outcome: str,
        error: str | None,
        now: float,
    ) -> tuple[str, ...]:
        """The firing of a task that waits for it learns of it as of a delivery."""
        if row.task_id is None:
            return ()
        delivery = Delivery(
            id=0,
            message_id=row.key,
            queue=f"dispatch:{row.key}",
            kind="dispatch",
            channel="tuhui",
            account="",
            conversation_id=row.conversation_id,
            turn_id="",
            payload={},
            attempts=row.attempts,
            task_id=row.task_id,
            task_run=row.task_run,
        )
        return self._tasks.settled(connection, delivery, outcome=outcome, error=error, now=now)


def _move(connection: Connection, row: DispatchRow, changes: dict[str, Any]) -> DispatchRow | None:
    sets = ", ".join(f"{column} = :{column}" for column in changes)
    found = connection.execute(
        text(
            f"UPDATE dispatches SET {sets}"  # noqa: S608
            " WHERE id = :id AND step = :before AND lease_owner = :holder"
            f" RETURNING {_COLUMNS}"
        ),
        changes | {"id": row.id, "before": row.step.value, "holder": row.lease_owner},
    ).first()
    return _row(tuple(found)) if found else None


def _note(
    connection: Connection,
    dispatch: int,
    order_id: int | None,
    what: str,
    actor: str,
    at: str,
    detail: dict[str, Any],
) -> None:
    action = f"dispatch.{what}"
    record(connection, at=at, actor=actor, action=action, subject=str(dispatch), detail=detail)
    if order_id is None:
        return
    kind = "told" if what == "tell" else "note"
    add_event(connection, order_id, kind, {"dispatch": dispatch, "what": what, **detail}, actor, at)


def _names(names: Iterable[str]) -> str:
    return json.dumps(list(dict.fromkeys(name for name in names if name)), ensure_ascii=False)


def _maybe(found: Sequence[Any] | None) -> DispatchRow | None:
    return _row(found) if found else None


def _row(found: Sequence[Any]) -> DispatchRow:
    values = dict(zip(_NAMES, found, strict=True))
    values["step"] = Step(values["step"])
    values["refused_by"] = tuple(json.loads(values["refused_by"]))
    values["told_waiting"] = bool(values["told_waiting"])
    return DispatchRow(**values)
