"""Which tasks a message fires: an index in memory that follows the rows."""

import asyncio
import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from domain.tasks import Match, Matching, Said, TaskPriority, Trigger, TriggerKind, WatchedTask
from domain.triggers import TaskIndex
from storage.database import Database
from storage.inbox import Claim, UnreadMessage
from storage.tasks import TaskBook, TaskRow, watch_version

log = logging.getLogger(__name__)
PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Hit:
    """``message`` fires the task of ``match``."""

    message: UnreadMessage
    said: Said
    match: Match


class TaskWatch:
    """Pending tasks that messages fire. It may know tasks that have ended: the rows are asked
    about those that a message would fire, and no task is remembered past its expiry."""

    def __init__(self, database: Database, book: TaskBook) -> None:
        self._database, self._book = database, book
        self._index = TaskIndex()
        self._rows: dict[str, TaskRow] = {}
        self._expiries: list[tuple[float, str]] = []
        self._version = 0
        self._loading = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    async def warm(self) -> None:
        """What the first message would otherwise wait for: half a second for 10,000 tasks."""
        await self._catch_up(await self._database.read(watch_version))

    async def hits(self, claim: Claim) -> list[Hit]:
        """At most one for each task: the first message that fires it; in the tasks' order."""
        if claim.tasks_version > self._version:
            await self._catch_up(claim.tasks_version)
        self._forget_expired(claim.messages[-1].received_ts)
        if not self._rows:
            return []
        found: dict[str, Hit] = {}
        for message in claim.messages:
            said = _said(claim, message)
            for match in self._index.matches(said):
                found.setdefault(match.task.task_id, Hit(message, said, match))
        if found:
            await self._keep_pending(found)
        return sorted(found.values(), key=lambda hit: hit.match.task.order)

    def row(self, task_id: str) -> TaskRow:
        return self._rows[task_id]

    def forget(self, task_ids: Sequence[str]) -> None:
        """They are not pending any more."""
        for task_id in task_ids:
            if self._rows.pop(task_id, None) is not None:
                self._index.discard(task_id)

    async def _keep_pending(self, found: dict[str, Hit]) -> None:
        """A turn that acts for a task which has ended is lost, and is run again for each such."""
        ids = list(found)
        pending = await self._database.read(lambda c: self._book.pending_among(c, ids))
        known = pending & self._rows.keys()  # another turn may have forgotten one meanwhile
        ended = [task_id for task_id in ids if task_id not in known]
        self.forget(ended)
        for task_id in ended:
            del found[task_id]

    def _forget_expired(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] < now:
            _, task_id = heapq.heappop(self._expiries)
            row = self._rows.get(task_id)
            if row is not None and row.due_at is not None and row.due_at < now:
                self.forget([task_id])

    async def _catch_up(self, version: int) -> None:
        async with self._loading:
            while self._version < version:
                after = self._version
                rows = await self._database.read(
                    lambda c, after=after: self._book.watched_after(c, after, PAGE)  # type: ignore[misc]
                )
                for row in rows:
                    self._take(row)
                full = len(rows) == PAGE
                self._version = rows[-1].watch_no if full else max(version, self._version)
                await asyncio.sleep(0)

    def _take(self, row: TaskRow) -> None:
        try:
            task = watched(row)
        except (KeyError, ValueError) as error:
            log.error("task %s cannot be watched for: %r", row.task_id, error)
            return
        self._rows[row.task_id] = row
        if row.due_at is not None:
            heapq.heappush(self._expiries, (row.due_at, row.task_id))
        self._index.discard(row.task_id)
        self._index.add(task)


def watched(row: TaskRow) -> WatchedTask:
    """Raises KeyError or ValueError where the row was not written by us."""
    told = row.body["trigger"]
    trigger = Trigger(
        kind=TriggerKind(told["kind"]),
        keywords=tuple(told["keywords"]),
        customer_id=told["customer_id"],
        customer_name=told["customer_name"],
        matching=Matching(told["matching"]),
    )
    return WatchedTask(row.task_id, trigger, row.created_ts, TaskPriority(row.priority))


def _said(claim: Claim, message: UnreadMessage) -> Said:
    return Said(
        sender_id=claim.sender_id,
        contact_id=claim.contact_id,
        text=message.text,
        received_at=message.received_ts,
        sender_name=claim.customer.name,
        event=message.event,
    )
