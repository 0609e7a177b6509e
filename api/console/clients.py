"""Clients that report messages, and their keys: for administrators who may see all accounts."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from api.clients.endpoints import shown as shown_client
from api.console.failures import PageRoute
from api.console.reader import TheUnscopedRuler
from api.console.rendering import see
from api.console.shell import PAGE_SIZE, shown
from api.dependencies import TheKefu
from api.fields import Identifier, Name
from domain.clients import ClientRole
from engine.clients.clients import NewKey

CLIENTS_PATH = "/desk/clients"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=CLIENTS_PATH)
AgentId = Annotated[Identifier, Form()]


@router.get("")
async def clients_page(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    q: Annotated[str, Query(max_length=128)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    clients, q = kefu.access.clients, q.replace("\0", "").strip()
    found, total = await clients.listed(search=q, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return await shown(
        request,
        reader,
        "clients.html",
        clients=[shown_client(one, clients.policy) for one in found],
        roles=tuple(map(str, ClientRole)),
        q=q,
        page=page,
        more=page * PAGE_SIZE < total,
    )


@router.post("")
async def add(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    agent_id: AgentId,
    role: Annotated[ClientRole, Form()],
    name: Annotated[Name, Form()] = "",
) -> Response:
    made = await kefu.access.clients.add(agent_id, name=name, role=role, by=reader.agent.id)
    return await _key_shown(request, reader, made)


@router.post("/one")
async def change(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    agent_id: AgentId,
    role: Annotated[ClientRole, Form()],
    name: Annotated[Name, Form()] = "",
    enabled: Annotated[bool, Form()] = False,
) -> Response:
    """An empty name leaves the one that it has."""
    await kefu.access.clients.change(
        agent_id, by=reader.agent.id, name=name or None, role=role, enabled=enabled
    )
    return see(CLIENTS_PATH, "client_saved")


@router.post("/keys")
async def rotate(
    request: Request, kefu: TheKefu, reader: TheUnscopedRuler, agent_id: AgentId
) -> Response:
    made = await kefu.access.clients.rotate(agent_id, by=reader.agent.id)
    return await _key_shown(request, reader, made)


@router.post("/keys/revoke")
async def revoke(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    agent_id: AgentId,
    key: Annotated[int, Form(ge=1, le=2**62)],
) -> Response:
    await kefu.access.clients.revoke(agent_id, key, by=reader.agent.id)
    return see(CLIENTS_PATH, "key_revoked")


async def _key_shown(request: Request, reader: TheUnscopedRuler, made: NewKey) -> Response:
    """The answer itself: an address to go to would have to name the key."""
    return await shown(request, reader, "client_key.html", made=made)
