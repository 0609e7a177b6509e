"""GET /api/v1/audit."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from api.clients.schemas import ERRORS
from api.dependencies import TheKefu
from api.envelopes import Json
from api.fields import WithoutNul
from domain.errors import InvalidInput
from storage import audit
from storage.clock import iso

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
Wanted = Annotated[str, Query(max_length=256), WithoutNul]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[int | None, Query(ge=1, le=2**62)]


class AuditEntry(BaseModel):
    id: int
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(BaseModel):
    """``next``: the ``cursor`` of the page of older records; null: there are none."""

    items: list[AuditEntry]
    next: int | None


@router.get("", response_model=AuditPage, responses=ERRORS)
async def list_audit(
    kefu: TheKefu,
    actor: Wanted = "",
    action: Wanted = "",
    subject: Wanted = "",
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Who did what to what, newest first. ``action``: one, or all that begin alike, e.g.
    `client.*`. Times without a zone are the service's."""
    zone = kefu.settings.zone()
    wanted = {
        "actor": actor,
        "action": action,
        "subject": subject,
        "since": _moment("since", since, zone),
        "until": _moment("until", until, zone),
        "before": cursor,
    }
    found = await kefu.engine.database.read(lambda c: audit.search(c, wanted, limit=limit + 1))
    items = found[:limit]
    more = len(found) > limit
    return Json({"items": items, "next": items[-1]["id"] if more else None})


def _moment(field: str, given: datetime | None, zone: tzinfo) -> str | None:
    if given is None:
        return None
    aware = given if given.tzinfo else given.replace(tzinfo=zone)
    try:
        return iso(aware.astimezone(UTC).timestamp())
    except (OverflowError, ValueError, OSError):
        raise InvalidInput(field, "不是合法的时间") from None
