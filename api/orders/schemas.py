"""What callers send about orders, and what they see. Money in yuan."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.fields import Identifier, WebAddress
from api.platform.schemas import ErrorOut
from domain.orders import ChangeKind, OrderStatus, Workflow
from domain.text import clean, letters, one_line

MAX_REASON_CHARS = 500
MAX_REQUIREMENT_CHARS = 500
MAX_CHANGES = 20
MAX_PICTURES = 20
SHA256 = r"^[0-9a-f]{64}$"

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}
OrderId = Annotated[int, Path(ge=1, le=2**62)]
PageNumber = Annotated[int, Query(ge=1, le=10_000, description="From 1.")]
PageSize = Annotated[int, Query(ge=1, le=200)]
Statuses = Annotated[
    list[OrderStatus], Query(max_length=len(OrderStatus), description="Any of these; none: all.")
]
Sha256 = Annotated[str, Path(pattern=SHA256)]


def _informing(value: str) -> str:
    value = one_line(value)
    if not letters(value):
        raise ValueError("不能为空")
    return value


Requirement = Annotated[str, Field(max_length=MAX_REQUIREMENT_CHARS), AfterValidator(_informing)]
Note = Annotated[str, Field(max_length=MAX_REASON_CHARS), AfterValidator(clean)]
Stored = Annotated[str, Field(pattern=SHA256)]
Deliverable = Stored | WebAddress


class Strict(BaseModel):
    """A misspelt field is refused, rather than a change that does less than was meant."""

    model_config = ConfigDict(extra="forbid")


class ChangeIn(Strict):
    """``version``, as it was read: 409 if the order has changed since. ``tell_customer`` false: the
    caller tells them."""

    version: Annotated[int, Field(ge=1, le=2**31)] | None = None
    tell_customer: bool = True


class RequirementIn(Strict):
    """``change`` takes the place of the line about the same thing, ``withdraw`` removes it."""

    kind: ChangeKind = ChangeKind.CHANGE
    requirement: Requirement


class AmendIn(ChangeIn):
    """``pictures``: sha256 of uploaded ones, ``images``: addresses; both beside those there are."""

    changes: Annotated[list[RequirementIn], Field(min_length=1, max_length=MAX_CHANGES)]
    pictures: Annotated[list[Stored], Field(max_length=MAX_PICTURES)] = []
    images: Annotated[list[WebAddress], Field(max_length=MAX_PICTURES)] = []

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"changes": [{"kind": "change", "requirement": "把字改成红色"}]}]
        }
    )


class DeliverIn(ChangeIn):
    """Addresses, or sha256 of uploaded pictures; each goes to the customer as a message."""

    deliverables: Annotated[list[Deliverable], Field(min_length=1, max_length=MAX_PICTURES)]
    note: Note = ""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"deliverables": ["https://shop.example/done.png"]}]}
    )


class ReworkIn(ChangeIn):
    """``note``: what is to be better."""

    note: Note = ""


class CancelIn(ChangeIn):
    reason: Note = ""


class DesignerIn(Strict):
    designer: Identifier
    version: Annotated[int, Field(ge=1, le=2**31)] | None = None


class QuoteItemOut(BaseModel):
    label: str
    amount: float
    reason: str


class QuoteOut(BaseModel):
    service: str
    service_name: str
    items: list[QuoteItemOut]
    total: float
    quantity: int
    valid_hours: int
    estimate: bool
    book_version: str


class OrderOut(BaseModel):
    """``images``: addresses that the customer sent, ``pictures``: sha256 of stored ones."""

    id: int
    title: str
    status: OrderStatus
    status_name: str
    workflow: Workflow
    service: str
    customer_id: str
    contact_id: str
    conversation_id: str
    requirements: list[str]
    images: list[str]
    pictures: list[str]
    quote: QuoteOut | None
    tried: list[dict[str, Any]]
    deliverables: list[str]
    designer: str | None
    priority: str
    deadline: str | None
    version: int
    created_at: str
    updated_at: str


class EventOut(BaseModel):
    id: int
    at: str
    actor: str
    kind: str
    detail: dict[str, Any]


class WholeOrderOut(OrderOut):
    """``facts``: of its stored pictures."""

    events: list[EventOut]
    facts: list[dict[str, Any]]


class OrdersOut(BaseModel):
    items: list[OrderOut]
    total: int
    page: int
    page_size: int


class PictureOut(BaseModel):
    """``new``: the same bytes were not there before. ``facts``: what was measured."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sha256": "…", "new": True, "facts": {"width": 800}}]}
    )

    sha256: str
    new: bool
    facts: dict[str, Any]
