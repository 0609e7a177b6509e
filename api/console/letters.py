"""What could not be delivered, and messages whose turn kept failing: seen, and tried again."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheActor, TheReader
from api.console.rendering import see
from api.console.shell import part_of, shown
from api.dependencies import TheKefu
from storage import console

DELIVERIES_PATH = "/desk/deliveries"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=DELIVERIES_PATH)
State = Literal["dead", "parked", "pending", "delivered", "dropped", "replayed"]
STATES: tuple[State, ...] = ("dead", "parked", "pending", "delivered")
RowId = Annotated[int, Path(ge=1, le=2**62)]
_TEXT_CHARS = 300


@router.get("")
async def letters_page(
    request: Request,
    kefu: TheKefu,
    reader: TheReader,
    state: State = "dead",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    part, inbound = part_of(reader, page), state in ("parked", "replayed")
    read = console.dead_letters if inbound else console.deliveries
    found = await kefu.engine.database.read(lambda c: read(c, part, state))
    items = [one if inbound else {**one, "text": _said(one["payload"])} for one in found.items]
    return await shown(
        request,
        reader,
        "letters.html",
        items=items,
        more=found.more,
        page=page,
        state=state,
        states=STATES,
        inbound=inbound,
    )


@router.post("/{delivery}/resend")
async def resend(kefu: TheKefu, reader: TheActor, delivery: RowId) -> Response:
    scopes = reader.agent.scopes
    await kefu.engine.database.read(
        lambda c: console.require(c, "delivery", delivery, scopes, "delivery_id")
    )
    await kefu.engine.resend(delivery, actor=reader.id)
    return see(DELIVERIES_PATH, "resent")


@router.post("/parked/{letter}/replay")
async def replay(kefu: TheKefu, reader: TheActor, letter: RowId) -> Response:
    scopes = reader.agent.scopes
    await kefu.engine.database.read(
        lambda c: console.require(c, "dead_letter", letter, scopes, "dead_letter_id")
    )
    await kefu.engine.replay_dead_letter(letter, actor=reader.id)
    return see(f"{DELIVERIES_PATH}?state=parked", "replayed")


def _said(payload: str) -> str:
    """The words of a delivery, for whoever decides whether to send it again."""
    told: Any = json.loads(payload)
    for name in ("text", "content", "message", "title"):
        value = told.get(name) if isinstance(told, dict) else None
        if isinstance(value, str) and value:
            return value[:_TEXT_CHARS]
    return ""
