"""GET and POST /wecom/callback: WeCom checks the address, and tells what happens."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.dependencies import TheKefu
from api.platform.schemas import ErrorOut
from domain.errors import NotFound
from engine.bootstrap import Kefu
from engine.wecom.callbacks import WecomCallbacks
from tools.wx.crypto import CallbackRefused

CALLBACK_PATH = "/wecom/callback"
router = APIRouter(tags=["channels"])
_REFUSED: dict[str, Any] = {"description": "Not from WeCom, or too old"}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: _REFUSED,
    401: {"model": ErrorOut, "description": "Not set up, and no key"},
    403: _REFUSED,
    404: {"model": ErrorOut},
    503: {"model": ErrorOut},
}
Signature = Annotated[str, Query(max_length=128)]


@router.get(CALLBACK_PATH, responses=ERRORS)
async def verify(
    request: Request,
    kefu: TheKefu,
    msg_signature: Signature = "",
    timestamp: Signature = "",
    nonce: Signature = "",
    echostr: Annotated[str, Query(max_length=4_096)] = "",
) -> Response:
    """The check of the address when it is saved in WeCom's admin pages."""
    callbacks = _callbacks(kefu)
    if not callbacks.admits(_caller(request)):
        return Response(status_code=403)
    try:
        echo = callbacks.echo(
            echostr, msg_signature=msg_signature, timestamp=timestamp, nonce=nonce
        )
    except CallbackRefused as error:
        return Response(status_code=error.status)
    return Response(echo, media_type="text/plain")


@router.post(CALLBACK_PATH, responses=ERRORS)
async def receive(
    request: Request,
    kefu: TheKefu,
    msg_signature: Signature = "",
    timestamp: Signature = "",
    nonce: Signature = "",
) -> Response:
    """Stored before it is answered, with an empty body; the same again does nothing."""
    callbacks = _callbacks(kefu)
    if not callbacks.admits(_caller(request)):
        return Response(status_code=403)
    try:
        await callbacks.take(
            await request.body(), msg_signature=msg_signature, timestamp=timestamp, nonce=nonce
        )
    except CallbackRefused as error:
        return Response(status_code=error.status)
    return Response()


def _caller(request: Request) -> str:
    """Behind a proxy on this machine that is whom the proxy names."""
    return request.client.host if request.client is not None else ""


def _callbacks(kefu: Kefu) -> WecomCallbacks:
    found = kefu.wecom.callbacks if kefu.wecom is not None else None
    if found is None:
        raise NotFound("WECOM_TOKEN", CALLBACK_PATH)
    return found
