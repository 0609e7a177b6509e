"""POST /api/v1/messages, its streaming variant, and fetching a late answer."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from api.dependencies import TheCaller, TheEngine, TheKefu, own_account
from api.envelopes import FAILED, SERVICE_AWAY, STORAGE_AWAY, Json, error_body
from api.fields import Identifier
from api.platform.schemas import AnswerOut, ErrorOut, MessageRequest
from domain.errors import KefuError, NotFound, StorageError
from domain.messages import Attachment, InboundMessage
from engine.bootstrap import Kefu
from engine.engine import Engine

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1", tags=["platform"])
CHANNEL = "api"
KEEP_ALIVE_S = 10.0
_EPOCH = datetime.fromtimestamp(0, UTC)
_Asking = asyncio.Task[dict[str, Any]]
_LEFT_ALONE: set[_Asking] = set()
"""Tasks of streams whose reader went away; the event loop itself keeps only weak references."""
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 413, 415, 422, 503)
}


@router.post("/messages", response_model=AnswerOut, responses=ERRORS)
async def post_message(body: MessageRequest, kefu: TheKefu, caller: TheCaller) -> Response:
    """One customer message in, its answer out.

    The same message id again gets the same answer and does nothing. Past the deadline the action
    is ``wait``: ask again with the same message, or fetch `/api/v1/messages/{id}/answer`.
    """
    own_account(caller, body.agent_id)
    answer = await kefu.engine.ask(_inbound(body, kefu), deadline_s=body.deadline_s)
    return Json(answer)


@router.get("/messages/{message_id:path}/answer", response_model=AnswerOut, responses=ERRORS)
async def get_answer(
    message_id: Identifier,
    engine: TheEngine,
    caller: TheCaller,
    agent_id: Annotated[Identifier, Query()],
) -> Response:
    """The answer to a message that was reported before; action ``wait`` while there is none."""
    own_account(caller, agent_id)
    found = await engine.answer_of(CHANNEL, agent_id, message_id)
    if found is None:
        raise NotFound("message_id", message_id)
    receipt, answer = found
    return Json(answer or engine.late_answer(receipt.conversation_id, message_id))


@router.post(
    "/messages/stream",
    responses=ERRORS | {200: {"content": {"text/event-stream": {}}}},
    response_class=StreamingResponse,
)
async def stream_message(
    body: MessageRequest, kefu: TheKefu, request: Request, caller: TheCaller
) -> Response:
    """The same as server-sent events: ``node``, ``token``, ``restart``, then ``result``."""
    own_account(caller, body.agent_id)
    events = _events(_inbound(body, kefu), body.deadline_s, kefu.engine, request.url.path)
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    message: InboundMessage, deadline_s: float | None, engine: Engine, path: str
) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    def watch(event: str, data: dict[str, Any]) -> None:
        queue.put_nowait(_event(event, data))

    asking = asyncio.create_task(engine.ask(message, deadline_s=deadline_s, watcher=watch))
    try:
        while not (asking.done() and queue.empty()):
            next_event = asyncio.create_task(queue.get())
            done, _ = await asyncio.wait(
                [next_event, asking], timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if next_event in done:
                yield next_event.result()
                continue
            next_event.cancel()
            if not done:
                yield b": keep-alive\n\n"
        yield _result(asking, path)
    finally:
        if not asking.done():
            # The browser went away. Cancelling could strike between storing and waking the turn.
            _LEFT_ALONE.add(asking)
            asking.add_done_callback(_let_go)


def _let_go(asking: _Asking) -> None:
    _LEFT_ALONE.discard(asking)
    if not asking.cancelled() and (error := asking.exception()) is not None:
        log.error("a message whose sender went away: %s", error)


def _result(asking: _Asking, path: str) -> bytes:
    """The status line has long gone out, so a failure is an event too."""
    try:
        return _event("result", asking.result())
    except StorageError as error:
        log.error("%s: %s", path, error)
        return _event("error", error_body(path, 503, STORAGE_AWAY))
    except KefuError as error:
        log.error("%s: %s", path, error)
        return _event("error", error_body(path, 503, SERVICE_AWAY))
    except Exception:
        log.exception("%s failed", path)
        return _event("error", error_body(path, 500, FAILED))


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def _inbound(body: MessageRequest, kefu: Kefu) -> InboundMessage:
    sent = body.message
    return InboundMessage(
        channel=CHANNEL,
        account=body.agent_id,
        channel_message_id=sent.id,
        chat_id=sent.chat_id,
        sender_id=sent.sender_id or sent.sender,
        sender_name=sent.sender_name or sent.sender,
        text=sent.content,
        kind=sent.type,
        attachments=tuple(Attachment(a.kind, a.url) for a in sent.attachments),
        sent_at=_seconds(sent.timestamp, kefu.settings.zone()),
        route="poll",
    )


def _seconds(moment: datetime | None, zone: tzinfo) -> float:
    """Since the epoch; never later than now, whatever the sender's clock says."""
    now = time.time()
    if moment is None:
        return now
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    # Subtracting, since astimezone() and timestamp() overflow at both ends of the calendar.
    return min((aware - _EPOCH).total_seconds(), now)
