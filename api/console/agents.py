"""Agents and canned replies: for administrators."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheReader, TheRuler
from api.console.rendering import see
from api.console.shell import shown
from api.desk.session import TheDesk
from api.fields import Text
from domain.desk import AgentRole

AGENTS_PATH, CANNED_PATH = "/desk/agents", "/desk/canned"
router = APIRouter(route_class=PageRoute, include_in_schema=False)
Line = Annotated[str, Form(max_length=500)]
_SEVERAL = re.compile(r"[\s,，、;；]+")


@router.get(AGENTS_PATH)
async def agents_page(request: Request, desk: TheDesk, reader: TheRuler) -> Response:
    agents = await desk.agents(reader.agent)
    roles = [role.value for role in AgentRole]
    return await shown(request, reader, "agents.html", agents=agents, roles=roles)


@router.post(AGENTS_PATH)
async def put_agent(
    desk: TheDesk,
    reader: TheRuler,
    agent: Annotated[str, Form(max_length=64)],
    role: Annotated[AgentRole, Form()],
    name: Line = "",
    skills: Line = "",
    scopes: Line = "",
    max_load: Annotated[int, Form(ge=1, le=200)] = 8,
    enabled: Annotated[bool, Form()] = False,
    password: Annotated[str, Form(max_length=256)] = "",
) -> Response:
    """A new one, or what is said of one; an empty ``password`` leaves theirs."""
    await desk.put_agent(
        reader.agent,
        agent.strip().lower(),
        name=name.strip(),
        role=role.value,
        skills=_several(skills),
        scopes=_several(scopes),
        max_load=max_load,
        enabled=enabled,
        password=password or None,
    )
    return see(AGENTS_PATH, "agent_saved")


@router.get(CANNED_PATH)
async def canned_page(request: Request, desk: TheDesk, reader: TheReader) -> Response:
    return await shown(request, reader, "canned.html", canned=await desk.canned(reader.agent))


@router.post(CANNED_PATH)
async def put_canned(
    desk: TheDesk,
    reader: TheRuler,
    shortcut: Annotated[str, Form(max_length=64)],
    title: Line,
    text: Annotated[Text, Form()],
    skill: Annotated[str, Form(max_length=64)] = "",
    canned: Annotated[int | None, Form(ge=1, le=2**62)] = None,
) -> Response:
    await desk.put_canned(
        reader.agent,
        shortcut=shortcut.strip().removeprefix("/"),
        title=title.strip(),
        text=text,
        skill=skill.strip(),
        canned=canned,
    )
    return see(CANNED_PATH, "canned_saved")


@router.post(CANNED_PATH + "/{canned}/drop")
async def drop_canned(
    desk: TheDesk, reader: TheRuler, canned: Annotated[int, Path(ge=1, le=2**62)]
) -> Response:
    await desk.drop_canned(reader.agent, canned)
    return see(CANNED_PATH, "canned_dropped")


def _several(line: str) -> list[str]:
    return [part for part in _SEVERAL.split(line) if part]
