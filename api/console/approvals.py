"""Quotes that wait for a person's word."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.approvals.endpoints import MAX_YUAN
from api.console.failures import PageRoute
from api.console.reader import TheActor, TheReader
from api.console.rendering import see
from api.console.shell import part_of, shown
from api.dependencies import TheKefu
from api.fields import OptionalText
from domain.approvals import Verdict
from domain.errors import InvalidInput
from storage import approvals, console

APPROVALS_PATH = "/desk/approvals"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=APPROVALS_PATH)
State = Literal["pending", "done"]
_VERDICTS = {
    "approve": Verdict.APPROVED,
    "edit": Verdict.EDITED,
    "reject": Verdict.REJECTED,
}


@router.get("")
async def approvals_page(
    request: Request,
    kefu: TheKefu,
    reader: TheReader,
    state: State = "pending",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    part = part_of(reader, page)

    def unit(connection: Connection) -> tuple[list[dict[str, Any]], bool]:
        wanted = "pending" if state == "pending" else None
        found = console.approvals(connection, part, wanted)
        rows = [{**one, **approvals.get(connection, one["id"])} for one in found.items]
        return rows, found.more

    rows, more = await kefu.engine.database.read(unit)
    items = [_shown(row) for row in rows if state == "pending" or row["status"] != "pending"]
    return await shown(
        request, reader, "approvals.html", items=items, more=more, page=page, state=state
    )


@router.post("/{approval}")
async def decide(
    kefu: TheKefu,
    reader: TheActor,
    approval: Annotated[int, Path(ge=1, le=2**62)],
    decision: Annotated[Literal["approve", "edit", "reject"], Form()],
    total: Annotated[str, Form(max_length=20)] = "",
    note: Annotated[OptionalText, Form()] = "",
) -> Response:
    scopes = reader.agent.scopes
    await kefu.engine.database.read(
        lambda c: console.require(c, "approval", approval, scopes, "approval_id")
    )
    fen = _fen(total) if decision == "edit" else None
    await kefu.engine.decide_approval(
        approval, _VERDICTS[decision], by=reader.id, note=note.strip(), total=fen
    )
    return see(APPROVALS_PATH, "approval_" + decision)


def _fen(total: str) -> int:
    try:
        yuan = float(total)
    except ValueError:
        raise InvalidInput("total", "应为数字") from None
    if not 0 <= yuan <= MAX_YUAN:
        raise InvalidInput("total", "超出允许的范围")
    return round(yuan * 100)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    quote = row["quote"]
    items = [{**item, "amount": item["amount"] / 100} for item in quote["items"]]
    money = {"items": items, "total": quote["total"] / 100, "floor": quote["floor"] / 100}
    return {**row, "quote": {**quote, **money}}
