"""The generic webhook channel: signed deliveries in; answers leave through the outbox."""

import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import Response

from api.dependencies import TheKefu
from api.envelopes import Json
from api.platform.schemas import ErrorOut
from domain.errors import InvalidInput, NotFound
from engine.settings import Settings, is_loopback
from tools.webhook.protocol import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    InboundBody,
    VerifiedBody,
    parse_inbound,
    verify,
)

router = APIRouter(prefix="/api/channels", tags=["channels"])
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 413, 415, 422, 503)
}


class Accepted(BaseModel):
    accepted: bool = True
    duplicate: bool
    conversation_id: str
    message_id: str


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """``schema`` with what it refers to in place: this body is no component of the document."""
    if isinstance(schema, list):
        return [_inlined(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {name: _inlined(item, parts) for name, item in schema.items() if name != "$defs"}


def _described(body: type[BaseModel]) -> dict[str, Any]:
    """A body that is read as bytes, since they are what is signed, documented all the same."""
    schema = body.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.get("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/webhook/{account}/messages",
    response_model=Accepted,
    responses=ERRORS,
    openapi_extra=_described(InboundBody),
)
async def receive(account: str, request: Request, kefu: TheKefu) -> Response:
    """Stored before it is acknowledged; delivering the same message again does nothing."""
    settings, now = kefu.settings, time.time()
    if account != settings.webhook_account:
        raise NotFound("account", account)
    body = _verified(settings, request.headers, await request.body(), now)
    message = parse_inbound(body, account=account, received_at=now, zone=settings.zone())
    receipt = await kefu.engine.receive(message)
    return Json(
        {
            "accepted": True,
            "duplicate": receipt.duplicate,
            "conversation_id": receipt.conversation_id,
            "message_id": message.channel_message_id,
        }
    )


def _verified(settings: Settings, headers: Headers, body: bytes, now: float) -> VerifiedBody:
    """Unsigned deliveries are taken only where no secret is set and only loopback is served."""
    secret = settings.webhook_secret
    if secret is None:
        if is_loopback(settings.host):
            return VerifiedBody(body)
        raise InvalidInput(SIGNATURE_HEADER, "未配置 WEBHOOK_SECRET,不接受消息", status=401)
    return verify(
        secret.get_secret_value(),
        headers.get(TIMESTAMP_HEADER),
        headers.get(SIGNATURE_HEADER),
        body,
        now=now,
    )
