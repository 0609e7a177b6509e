"""Orders for designers, handed to Tuhui over HTTP."""

from dataclasses import replace

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
        self._key = key

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
        return await http_errors.request(
            self._http,
            method,
            self._url + path,
            peer=PEER,
            timeout=self._timeout,
            headers=self._headers | (http_errors.JSON_HEADERS if body is not None else {}),
            max_bytes=MAX_ANSWER_BYTES,
            secret=self._key,
            content=body,
        )
