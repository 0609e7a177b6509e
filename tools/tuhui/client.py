"""Orders for designers, handed to Tuhui over HTTP."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime

import httpx

from domain.errors import PeerRejected
from tools import http_errors
from tools.tuhui.protocol import (
    PEER,
    DesignTask,
    DispatchOrder,
    Queue,
    assign_body,
    check_done,
    complete_body,
    create_body,
    key_headers,
    parse_designers,
    parse_queue,
    parse_task,
    parse_task_id,
    task_path,
)

MAX_ANSWER_BYTES = 1_048_576
_NOT_OFFERED = frozenset({404, 405, 501})


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
    ) -> None:
        self._url, self._http, self._timeout = url.rstrip("/"), http, timeout
        self._headers = key_headers(key)
        self._key = re.compile(re.escape(key)) if key else None

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

    async def assign(self, task_id: str, designer: str, notes: str) -> None:
        body = assign_body(designer, notes)
        check_done(await self._call("POST", task_path(task_id, "assign"), body))

    async def complete(self, task_id: str, notes: str = "") -> None:
        check_done(await self._call("POST", task_path(task_id, "complete"), complete_body(notes)))

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
