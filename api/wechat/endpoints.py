"""GET and POST /api/wechat, GET /api/wechat/messages, GET /api/wechat/jsapi."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.background import BackgroundTask
from starlette.responses import Response

from api.campus.schemas import CampusError
from api.dependencies import TheKefu
from api.envelopes import Json
from api.fields import Identifier, WebAddress
from api.wechat.schemas import JsSignature, Records
from domain.errors import InvalidInput, PeerError, PeerRejected
from domain.ids import contact_id
from engine.bootstrap import Kefu
from engine.wechat.intake import Intake
from storage import channel_records
from tools.wechat.messages import CHANNEL
from tools.wx.crypto import CallbackRefused

CALLBACK_PATH = "/api/wechat"
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": CampusError} for code in (400, 401, 403, 404, 409, 422, 503)
}
_REFUSED: dict[str, Any] = {"description": "Not from WeChat, or too old"}
FROM_WECHAT = ERRORS | {400: _REFUSED, 403: _REFUSED}
router = APIRouter(prefix=CALLBACK_PATH, tags=["wechat"])
_MAX_PAGE = 1_000_000


@router.get("", response_class=Response, responses=FROM_WECHAT)
async def verify(request: Request, kefu: TheKefu) -> Response:
    """The platform's check of this address: its echo where the signature is right."""
    try:
        echo = _intake(kefu).verify(request.query_params)
    except CallbackRefused as error:
        return Response(status_code=error.status)
    return Response(echo, media_type="text/plain; charset=utf-8")


@router.post("", response_class=Response, responses=FROM_WECHAT)
async def receive(request: Request, kefu: TheKefu) -> Response:
    """A message or an event. The response carries the answer where it is ready in time, else
    ``success``."""
    intake = _intake(kefu)
    body = await request.body()
    async with _hanging_up(request) as gone:
        answer = await intake.take(request.query_params, body, gone=gone)
    confirm = BackgroundTask(intake.written, answer) if answer.given is not None else None
    return Response(answer.body, answer.status, media_type=answer.media_type, background=confirm)


@router.get("/messages", response_model=Records, responses=ERRORS)
async def messages(
    kefu: TheKefu,
    user_id: Annotated[Identifier | None, Query()] = None,
    page: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 1,
    limit: Annotated[int, Query(ge=1, le=200)] = 10,
) -> Response:
    """What customers of the official account and we have said, newest first."""
    contact = contact_id(CHANNEL, kefu.settings.appid, user_id) if user_id is not None else None
    total, found = await kefu.engine.database.read(
        lambda c: channel_records.page(
            c, CHANNEL, contact=contact, limit=limit, offset=(page - 1) * limit
        )
    )
    shown = [_record(kefu, row) for row in found]
    return Json({"total": total, "page": page, "limit": limit, "messages": shown})


@router.get("/jsapi", response_model=JsSignature, responses=ERRORS)
async def jsapi(kefu: TheKefu, url: Annotated[WebAddress, Query()]) -> Response:
    """What the page at ``url`` hands to wx.config."""
    push = kefu.wechat.push if kefu.wechat is not None else None
    if push is None:
        raise InvalidInput("APPSECRET", "未配置微信公众号的 APPID 和 APPSECRET", status=409)
    try:
        return Json(await push.jsapi.of(url))
    except PeerRejected as error:
        raise InvalidInput("", f"微信拒绝了请求：{error.reason}", status=503) from error
    except PeerError as error:
        raise InvalidInput("", "微信暂时不可用，请稍后再试", status=503) from error


def _intake(kefu: Kefu) -> Intake:
    if kefu.wechat is None or kefu.wechat.intake is None:
        raise InvalidInput("WECHAT_TOKEN", "未配置微信公众号的 APPID 和 WECHAT_TOKEN", status=404)
    return kefu.wechat.intake


def _record(kefu: Kefu, row: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromisoformat(row["received_at"]).astimezone(kefu.settings.zone())
    return {
        "id": row["id"],
        "msg_id": row["channel_message_id"],
        "user_id": row["contact_id"].rpartition(":")[2],
        "role": "user" if row["role"] == "user" else "ai",
        "type": row["kind"],
        "event": row["event"],
        "content": row["content"],
        "time": f"{at:%F %T}",
    }


@contextlib.asynccontextmanager
async def _hanging_up(request: Request) -> AsyncIterator[asyncio.Event]:
    """Set when the caller has hung up, who then gets to see nothing of the response."""
    gone = asyncio.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch(), name="hanging up")
    try:
        yield gone
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
