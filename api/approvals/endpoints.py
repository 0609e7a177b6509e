"""GET /api/approvals, POST /api/approvals/{id}."""

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.fields import OptionalText
from api.platform.schemas import ErrorOut
from domain.approvals import Verdict
from storage import approvals

router = APIRouter(prefix="/api/approvals", tags=["approvals"])
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
RowId = Annotated[int, Path(ge=1, le=2**62)]
Status = Literal["pending", "approved", "edited", "rejected", "expired", "superseded"]
MAX_YUAN = 1_000_000
_VERDICTS = {
    "approve": Verdict.APPROVED,
    "edit": Verdict.EDITED,
    "reject": Verdict.REJECTED,
}


class Word(BaseModel):
    """``total``: in yuan, for ``edit``; never under the quote's floor."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "edit", "total": 588, "note": "老客户"}]},
    )

    decision: Literal["approve", "edit", "reject"]
    total: Annotated[float, Field(ge=0, le=MAX_YUAN, allow_inf_nan=False)] | None = None
    note: OptionalText = ""

    @model_validator(mode="after")
    def _names_a_total(self) -> Self:
        if (self.decision == "edit") != (self.total is not None):
            reason = "只在 decision 为 edit 时填写 total,且必须填写"
            raise PydanticCustomError("value_error", "{reason}", {"reason": reason})
        return self


class ApprovalOut(BaseModel):
    """Money in yuan."""

    model_config = ConfigDict(extra="allow")

    id: int
    conversation_id: str
    contact_id: str
    status: Status
    request: str
    reasons: list[str]
    quote: dict[str, Any]
    note: str
    decided_by: str | None
    created_at: str
    decided_at: str | None


class ApprovalList(BaseModel):
    items: list[ApprovalOut]
    limit: int
    offset: int


@router.get("", response_model=ApprovalList, responses=ERRORS)
async def list_approvals(
    kefu: TheKefu, status: Status | None = None, limit: Limit = 50, offset: Offset = 0
) -> Response:
    """Quotes that wait for, or got, a person's word; newest first."""
    rows = await kefu.engine.database.read(
        lambda c: approvals.listed(c, status=status, limit=limit, offset=offset)
    )
    return Json({"items": [_shown(row) for row in rows], "limit": limit, "offset": offset})


@router.post("/{approval_id}", response_model=ApprovalOut, responses=ERRORS)
async def decide(approval_id: RowId, body: Word, kefu: TheKefu, actor: TheActor) -> Response:
    """Approve, change the total, or reject; the conversation goes on at once."""
    total = None if body.total is None else round(body.total * 100)
    decided = await kefu.engine.decide_approval(
        approval_id, _VERDICTS[body.decision], by=actor, note=body.note, total=total
    )
    return Json(_shown(decided))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    quote = row["quote"]
    items = [{**item, "amount": item["amount"] / 100} for item in quote["items"]]
    money = {"items": items, "total": quote["total"] / 100, "floor": quote["floor"] / 100}
    return {**row, "quote": {**quote, **money, "currency": "CNY"}}
