"""Orders for designers, handed to Tuhui over HTTP."""

import asyncio
import logging
import re
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import httpx

from domain.errors import PeerRejected
from tools import http_errors
from tools.tuhui.protocol import (
    PEER,
    DesignTask,
    Dispatched,
    DispatchOrder,
    Queue,
    assign_body,
    candidates,
    check_done,
    complete_body,
    create_body,
    key_headers,
    parse_designers,
    parse_queue,
    parse_task,
    parse_task_id,
    task_of,
    task_path,
)

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 1_048_576
MAX_ASKED = 3
"""Designers who are asked one after the other where Tuhui refuses the assignment."""
_NOTES = "AI 客服自动派单"
_NOT_OFFERED = frozenset({404, 405, 501})


class Journal(Protocol):
    """Our own record of which task of Tuhui's an order has become."""

    async def find(self, reference: str) -> str | None: ...

    async def keep(self, reference: str, task_id: str) -> None: ...


class MemoryJournal:
    """The last ``size`` orders of this process."""

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._tasks: OrderedDict[str, str] = OrderedDict()

    async def find(self, reference: str) -> str | None:
        return self._tasks.get(reference)

    async def keep(self, reference: str, task_id: str) -> None:
        self._tasks[reference] = task_id
        while len(self._tasks) > self._size:
            self._tasks.popitem(last=False)


class TuhuiClient:
    """``timeout``: seconds for one call. ``http`` belongs to the caller.

    Every method raises PeerUnavailable (try again) or PeerRejected. The key is in no error: not
    even where the peer repeats it in its answer.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        http: httpx.AsyncClient,
        timeout: float = 10.0,
        *,
        journal: Journal | None = None,
    ) -> None:
        self._url, self._http, self._timeout = url.rstrip("/"), http, timeout
        self._headers = key_headers(key)
        self._key = re.compile(re.escape(key)) if key else None
        self._journal = journal or MemoryJournal()

    async def dispatch(self, order: DispatchOrder) -> Dispatched:
        """Create ``order``'s task and assign it to somebody who is online. May be called again.

        The task carries ``order.reference`` as a field and in its description. Before one is
        created, our journal and Tuhui's queue are searched for it, so a repeated order goes on with
        the task that is there. What that cannot close: the answer to the creation was lost, Tuhui
        neither knows ``reference`` nor lists the task as pending any more (a person assigned it in
        between); then a second task is created, recognisable by the same 单号 in its description.
        An assignment whose answer was lost is read back from the task and not made twice.
        """
        online = await self.online_designers()
        queue = await self._queue_if_offered()
        existing = await self._existing(order, queue)
        if existing is not None and existing.assigned_to:
            return Dispatched(existing.task_id, existing.assigned_to)
        task_id = existing.task_id if existing else await self._create(order)
        designer = await self._assign_any(
            task_id, candidates(order.designer, online, queue.suggestion)
        )
        return Dispatched(task_id, designer)

    async def online_designers(self) -> tuple[str, ...]:
        return parse_designers(await self._call("GET", "/online/designers"))

    async def queue(self) -> Queue:
        return parse_queue(await self._call("GET", "/dispatch/queue"))

    async def task(self, task_id: str) -> DesignTask:
        found = parse_task(await self._call("GET", task_path(task_id)))
        return replace(found, task_id=task_id)

    async def create(self, order: DispatchOrder) -> str:
        """The id of the new task, or of the one that Tuhui knows under ``order.reference``.

        Not to be repeated before `pending` was asked: an answer that is lost leaves a task.
        """
        return parse_task_id(await self._call("POST", "/tasks", create_body(order)))

    async def pending(self) -> Queue:
        """The queue; empty where Tuhui does not offer it."""
        try:
            return await self.queue()
        except PeerRejected as error:
            if error.status in _NOT_OFFERED:
                return Queue()
            raise

    async def assign(self, task_id: str, designer: str, notes: str = _NOTES) -> None:
        body = assign_body(designer, notes)
        check_done(await self._call("POST", task_path(task_id, "assign"), body))

    async def complete(self, task_id: str, notes: str = "") -> None:
        check_done(await self._call("POST", task_path(task_id, "complete"), complete_body(notes)))

    async def _existing(self, order: DispatchOrder, queue: Queue) -> DesignTask | None:
        task_id = await self._journal.find(order.reference)
        if task_id is not None:
            return await self.task(task_id)
        return task_of(queue, order.reference)

    async def _create(self, order: DispatchOrder) -> str:
        task_id = parse_task_id(await self._call("POST", "/tasks", create_body(order)))
        await self._journal.keep(order.reference, task_id)
        return task_id

    async def _assign_any(self, task_id: str, designers: tuple[str, ...]) -> str | None:
        """Who has it now; None where nobody is online or all were refused: it stays in the queue,
        where people see it."""
        for designer in designers[:MAX_ASKED]:
            try:
                await self.assign(task_id, designer)
            except PeerRejected as error:
                log.warning("task %s cannot be assigned to %s: %s", task_id, designer, error)
            else:
                return designer
        return None

    async def _queue_if_offered(self) -> Queue:
        try:
            return await self.queue()
        except PeerRejected as error:
            if error.status in _NOT_OFFERED:
                return Queue()
            raise

    async def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._http.stream(
                    method,
                    self._url + path,
                    content=body,
                    headers=headers,
                    timeout=self._timeout,
                    follow_redirects=False,
                ) as response,
            ):
                answer = await _bounded(response)
        except (httpx.HTTPError, TimeoutError) as error:
            raise http_errors.error_of_transport(PEER, error) from error
        self._check(response, answer)
        return answer

    def _check(self, response: httpx.Response, answer: bytes) -> None:
        reason = answer.decode("utf-8", "replace")
        wait = response.headers.get("Retry-After")
        problem = http_errors.error_of_status(
            PEER,
            response.status_code,
            reason=self._key.sub("***", reason) if self._key else reason,
            retry_after=http_errors.retry_after_seconds(wait, now=datetime.now(UTC).timestamp()),
        )
        if problem is not None:
            raise problem


async def _bounded(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes(16_384):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            break
    return b"".join(parts)[:MAX_ANSWER_BYTES]
