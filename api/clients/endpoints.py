"""/api/v1/clients: who administers clients and their keys."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api.clients.schemas import (
    ERRORS,
    ClientChange,
    ClientList,
    ClientOut,
    NewClient,
    NewKeyIn,
    NewKeyOut,
)
from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.fields import Identifier, WithoutNul
from domain.clients import ClientKey, ClientRole, state_of
from engine.clients.clients import ClientPolicy, NewKey
from storage.clients import Listed
from storage.clock import iso

router = APIRouter(prefix="/api/v1/clients", tags=["clients"])
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Search = Annotated[str, Query(max_length=128), WithoutNul]
KeyId = Annotated[int, Path(ge=1, le=2**62)]
_SECRET = {"Cache-Control": "no-store"}


@router.get("", response_model=ClientList, responses=ERRORS)
async def list_clients(
    kefu: TheKefu,
    search: Search = "",
    role: ClientRole | None = None,
    enabled: bool | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """Clients by id, with their keys' first signs and whether they are there. ``search``: a part of
    the id or the name."""
    clients = kefu.access.clients
    found, total = await clients.listed(
        search=search, role=role, enabled=enabled, limit=limit, offset=offset
    )
    items = [shown(one, clients.policy) for one in found]
    return Json({"items": items, "total": total, "limit": limit, "offset": offset})


@router.post("", response_model=NewKeyOut, responses=ERRORS, status_code=201)
async def add_client(body: NewClient, kefu: TheKefu, actor: TheActor) -> Response:
    """A new client and its key, which nobody is shown again. 409: there is one of that id."""
    made = await kefu.access.clients.add(body.agent_id, name=body.name, role=body.role, by=actor)
    return _key(made)


@router.get("/{agent_id}", response_model=ClientOut, responses=ERRORS)
async def get_client(agent_id: Identifier, kefu: TheKefu) -> Response:
    """One client."""
    clients = kefu.access.clients
    return Json(shown(await clients.find(agent_id), clients.policy))


@router.patch("/{agent_id}", response_model=ClientOut, responses=ERRORS)
async def change_client(
    agent_id: Identifier, body: ClientChange, kefu: TheKefu, actor: TheActor
) -> Response:
    """Another name or role, or disabled. Another role and disabling end the client's tokens."""
    clients = kefu.access.clients
    changed = await clients.change(
        agent_id, by=actor, name=body.name, role=body.role, enabled=body.enabled
    )
    return Json(shown(changed, clients.policy))


@router.post("/{agent_id}/keys", response_model=NewKeyOut, responses=ERRORS, status_code=201)
async def rotate_key(
    agent_id: Identifier, kefu: TheKefu, actor: TheActor, body: NewKeyIn | None = None
) -> Response:
    """A new key; the old ones go on for ``overlap_hours``, as CLIENT_KEY_OVERLAP_HOURS has it."""
    hours = body.overlap_hours if body is not None else None
    overlap_s = None if hours is None else hours * 3_600
    return _key(await kefu.access.clients.rotate(agent_id, by=actor, overlap_s=overlap_s))


@router.delete("/{agent_id}/keys/{key_id}", response_model=ClientOut, responses=ERRORS)
async def revoke_key(
    agent_id: Identifier, key_id: KeyId, kefu: TheKefu, actor: TheActor
) -> Response:
    """Nobody signs in with that key any more, and its tokens end."""
    clients = kefu.access.clients
    await clients.revoke(agent_id, key_id, by=actor)
    return Json(shown(await clients.find(agent_id), clients.policy))


def _key(made: NewKey) -> Response:
    body = {"agent_id": made.client.agent_id, "key_id": made.id, "api_key": made.text}
    return Json(body, status_code=201, headers=_SECRET)


def shown(one: Listed, policy: ClientPolicy) -> dict[str, Any]:
    client, seen, now = one.client, one.seen, time.time()
    seen_ts = seen.at_ts if seen is not None else None
    return {
        "agent_id": client.agent_id,
        "name": client.name,
        "role": client.role.value,
        "enabled": client.enabled,
        "state": state_of(seen_ts, now=now, silence_s=policy.silence_s).value,
        "last_seen_at": _at(seen_ts),
        "status": seen.status if seen is not None else None,
        "created_at": client.created_at,
        "keys": [_key_shown(key, now) for key in one.keys],
    }


def _key_shown(key: ClientKey, now: float) -> dict[str, Any]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "state": _key_state(key, now),
        "created_at": key.created_at,
        "expires_at": _at(key.expires_ts),
        "revoked_at": _at(key.revoked_ts),
        "last_used_at": _at(key.used_ts),
    }


def _key_state(key: ClientKey, now: float) -> str:
    if key.revoked_ts is not None:
        return "revoked"
    if key.expires_ts is None:
        return "valid"
    return "ending" if now < key.expires_ts else "expired"


def _at(moment: float | None) -> str | None:
    return iso(moment) if moment is not None else None
