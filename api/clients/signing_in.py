"""POST /api/v1/auth/login and POST /api/v1/heartbeat, as seed 003 prints them."""

import asyncio
import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.clients.schemas import (
    ERRORS,
    SIGN_IN_ERRORS,
    Heartbeat,
    HeartbeatOut,
    SignedInOut,
    SignIn,
)
from api.dependencies import TheCaller, TheKefu, own_account
from api.envelopes import Json
from api.identity import ClientCaller, Tokens
from domain.errors import InvalidInput
from engine.clients import words
from engine.clients.clients import SignedIn
from storage.clock import iso
from tools.registry import Role

router = APIRouter(prefix="/api/v1", tags=["clients"])


@router.post("/auth/login", response_model=SignedInOut, responses=SIGN_IN_ERRORS)
async def sign_in(body: SignIn, kefu: TheKefu, request: Request) -> Response:
    """A token for an API key, to be sent as `Authorization: Bearer …`.

    Wrong keys are throttled by client and by address: 429, with `Retry-After`.
    """
    tokens: Tokens | None = request.app.state.tokens
    if tokens is None:
        raise InvalidInput("", words.UNSIGNED, status=503)
    address = request.client.host if request.client is not None else ""
    clients = kefu.access.clients
    signed = await clients.sign_in(body.agent_id, body.api_key, address)
    token_s = clients.policy.token_s
    # The first one imports PyJWT, which would hold up the event loop for 0.1 s.
    issued = await asyncio.to_thread(
        tokens.issue, caller_of(signed), now=time.time(), hours=token_s / 3_600
    )
    body_out = {"access_token": issued, "token_type": "bearer", "expires_in": round(token_s)}
    return Json(body_out, headers={"Cache-Control": "no-store"})


def caller_of(signed: SignedIn) -> ClientCaller:
    client = signed.client
    return ClientCaller(
        Role(client.role.value),
        client.agent_id,
        generation=client.generation,
        key=signed.key.id,
    )


@router.post("/heartbeat", response_model=HeartbeatOut, responses=ERRORS)
async def heartbeat(body: Heartbeat, kefu: TheKefu, caller: TheCaller) -> Response:
    """A client's sign of life. Staff is told when several are missed, and when they come again."""
    own_account(caller, body.agent_id)
    clients = kefu.access.clients
    registered = await clients.heartbeat(body.agent_id, body.said())
    return Json(
        {
            "status": "ok",
            "agent_id": body.agent_id,
            "registered": registered,
            "interval_s": clients.policy.heartbeat_s,
            "server_time": iso(time.time()),
        }
    )
