"""Campaigns as they come and go over HTTP. Instants are ISO 8601 with an offset."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.fields import Identifier, Name, Text
from domain.campaigns import MAX_TEXT_CHARS, CampaignStatus, Forecast, Segment
from storage.campaigns import Campaign, NewCampaign, Person

MAX_LISTED_PEOPLE = 1_000
Level = Literal["white", "gray", "black"]
State = Literal["new", "potential", "deal", "repurchase", "churn"]
Tag = Annotated[str, Field(min_length=1, max_length=64)]
Some = Annotated[tuple[Identifier, ...], Field(max_length=MAX_LISTED_PEOPLE)]


def _zoned(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("no_zone", "应带时区,如 2026-12-12T20:00:00+08:00")
    return value


Moment = Annotated[datetime, AfterValidator(_zoned)]
ManyDays = Annotated[float, Field(ge=0, le=3_650, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SegmentIn(_Strict):
    """Customers that are all of this; what is left out does not count."""

    levels: tuple[Level, ...] = ()
    states: tuple[State, ...] = ()
    channels: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    tags_all: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    tags_none: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    active_within_days: ManyDays | None = None
    quiet_for_days: ManyDays | None = None
    min_score: Annotated[int, Field(ge=0, le=100)] | None = None
    min_messages: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    contacts: Some = ()

    def segment(self) -> Segment:
        return Segment(**self.model_dump())


class CampaignIn(_Strict):
    """``text``: ``{name}`` becomes the customer's name. ``version``: as read, for a change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "双十二老客回访",
                    "text": "{name},双十二修图八折,回复图片即可报价。",
                    "segment": {"levels": ["white", "gray"], "states": ["deal", "repurchase"]},
                    "per_minute": 30,
                }
            ]
        },
    )

    name: Annotated[Name, Field(min_length=1)]
    text: Annotated[Text, Field(max_length=MAX_TEXT_CHARS)]
    segment: SegmentIn = SegmentIn()
    per_minute: Annotated[int, Field(ge=1, le=6_000)] = 30
    ends_at: Moment | None = None
    version: Annotated[int, Field(ge=1, le=2**62)] | None = None

    def new(self) -> NewCampaign:
        ends = self.ends_at.timestamp() if self.ends_at is not None else None
        return NewCampaign(self.name, self.text, self.segment.segment(), self.per_minute, ends)


class StartIn(_Strict):
    """``starts_at``: later; left out: at once."""

    starts_at: Moment | None = None


class CampaignOut(BaseModel):
    """``people``: by what became of them, ``skipped:reason`` with the reason; ``deliveries``: the
    messages' own states."""

    model_config = ConfigDict(extra="allow")

    id: int
    name: str
    text: str
    segment: dict[str, Any]
    status: CampaignStatus
    per_minute: int
    starts_at: str | None
    ends_at: str | None
    version: int
    created_by: str
    created_at: str
    updated_at: str
    started_at: str | None
    ended_at: str | None
    people: dict[str, int] | None = None
    deliveries: dict[str, int] | None = None


class CampaignList(BaseModel):
    """``next``: the ``before`` of the next page, null: this is the last."""

    items: list[CampaignOut]
    next: int | None


class PersonOut(BaseModel):
    id: int
    contact_id: str
    status: Literal["planned", "sent", "skipped"]
    reason: str
    message_id: str
    sent_at: str | None


class PeopleList(BaseModel):
    """``next``: the ``after`` of the next page."""

    items: list[PersonOut]
    next: int | None


class ForecastOut(BaseModel):
    """``skipped``: by reason. ``seconds``: at the campaign's pace, quiet hours not counted."""

    matched: int
    sends: int
    skipped: dict[str, int]
    seconds: float
    sample: list[str]


def shown(campaign: Campaign) -> dict[str, Any]:
    values = asdict(campaign)
    for name in ("cursor", "due_at", "starts_ts", "ends_ts"):
        values.pop(name)
    segment = {name: value for name, value in values["segment"].items() if value not in ((), None)}
    return values | {
        "segment": segment,
        "starts_at": _iso(campaign.starts_ts or None),
        "ends_at": _iso(campaign.ends_ts),
    }


def shown_person(person: Person) -> dict[str, Any]:
    values = asdict(person)
    sent = values.pop("sent_ts")
    return values | {"sent_at": _iso(sent)}


def shown_forecast(found: Forecast) -> dict[str, Any]:
    return asdict(found) | {"sample": list(found.sample)}


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
