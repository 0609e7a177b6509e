"""Pages of somebody who is signed in: with what waits for them beside the navigation."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.console.reader import Reader
from api.console.rendering import page
from engine.bootstrap import Kefu
from storage import console
from storage.console import Slice

PAGE_SIZE = 30


async def shown(
    request: Request, reader: Reader, template: str, *, status: int = 200, **context: Any
) -> Response:
    """``context``: what the template names."""
    kefu: Kefu = request.app.state.kefu
    waiting = context.pop("waiting", None)
    if waiting is None:
        waiting = (await kefu.desk.queue(reader.agent, limit=1)).counts["waiting"]
    found = await kefu.engine.database.read(lambda c: console.counts(c, reader.agent.scopes))
    counts = {
        "queue": waiting,
        "approvals": found["approvals"],
        "letters": found["deliveries"] + found["parked"],
    }
    return page(request, template, reader, status=status, counts=counts, waits=found, **context)


def part_of(reader: Reader, number: int) -> Slice:
    """Page ``number``, from 1, of what ``reader`` may see."""
    return Slice(reader.agent.scopes, PAGE_SIZE, (number - 1) * PAGE_SIZE)
