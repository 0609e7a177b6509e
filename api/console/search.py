"""One box over customers, messages and orders."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheReader
from api.console.shell import shown
from api.dependencies import TheKefu
from domain.text import one_line
from engine.orders.shown import order_out
from storage import console
from storage.console import Slice

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MAX_EACH = 20
_BEFORE, _AROUND = 40, 160


@router.get("/desk/search")
async def search_page(
    request: Request,
    kefu: TheKefu,
    reader: TheReader,
    q: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    wanted, part = one_line(q), Slice(reader.agent.scopes, MAX_EACH)
    found: dict[str, list[dict[str, Any]]] = {"customers": [], "orders": [], "messages": []}

    def unit(connection: Connection) -> dict[str, list[dict[str, Any]]]:
        orders = console.orders(connection, part, (), wanted).items
        rows = [(one, kefu.orders.book.get(connection, one["id"])) for one in orders]
        messages = console.messages(connection, part, wanted).items
        return {
            "customers": list(console.customers(connection, part, wanted).items),
            "orders": [{**one, **order_out(row)} for one, row in rows if row],
            "messages": [{**one, "parts": _parts(one["content"], wanted)} for one in messages],
        }

    if wanted:
        found = await kefu.engine.database.read(unit)
    return await shown(
        request,
        reader,
        "search.html",
        q=wanted,
        found=found,
        nothing=not any(found.values()),
    )


def _parts(content: str, wanted: str) -> tuple[str, str, str]:
    """Before, the hit, after; cut to what fits into a line or two."""
    at = content.lower().find(wanted.lower())
    if at < 0:
        return content[:_AROUND], "", ""
    start = max(0, at - _BEFORE)
    end = at + len(wanted)
    before = ("…" if start else "") + content[start:at]
    return before, content[at:end], content[end : end + _AROUND]
