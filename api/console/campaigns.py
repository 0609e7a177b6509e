"""Proactive messages: for administrators."""

import re
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from api.campaigns.schemas import CampaignIn, Level, SegmentIn, State, shown_forecast
from api.campaigns.schemas import shown as shown_campaign
from api.console.failures import PageRoute
from api.console.reader import TheRuler
from api.console.rendering import see
from api.console.shell import PAGE_SIZE, shown
from api.dependencies import TheKefu
from domain.campaigns import MAX_TEXT_CHARS, CampaignStatus
from engine.bootstrap import Kefu
from storage.campaigns import NewCampaign

CAMPAIGNS_PATH = "/desk/campaigns"
LEVELS, STATES = get_args(Level), get_args(State)
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=CAMPAIGNS_PATH)
_SEVERAL = re.compile(r"[\s,，、;；]+")
_LINE, _TEXT = 500, MAX_TEXT_CHARS


@router.get("")
async def campaigns_page(
    request: Request,
    kefu: TheKefu,
    reader: TheRuler,
    before: Annotated[int, Query(ge=0, le=2**62)] = 0,
    name: Annotated[str, Query(max_length=128)] = "",
    text: Annotated[str, Query(max_length=_TEXT)] = "",
    levels: Annotated[list[Level] | None, Query()] = None,
    states: Annotated[list[State] | None, Query()] = None,
    tags: Annotated[str, Query(max_length=_LINE)] = "",
    without: Annotated[str, Query(max_length=_LINE)] = "",
    quiet_for_days: Annotated[str, Query(max_length=20)] = "",
    per_minute: Annotated[int, Query(ge=1, le=6_000)] = 30,
) -> Response:
    """With ``text``: what that campaign would do now, beside the form that describes it."""
    form = {
        "name": name,
        "text": text,
        "levels": levels or [],
        "states": states or [],
        "tags": tags,
        "without": without,
        "quiet_for_days": quiet_for_days,
        "per_minute": per_minute,
    }
    forecast = None
    if text.strip():
        new = _new(name or "-", text, levels, states, tags, without, quiet_for_days, per_minute)
        forecast = shown_forecast(await kefu.campaigns.desk.forecast(new))
    items, more = await _listed(kefu, before)
    return await shown(
        request,
        reader,
        "campaigns.html",
        items=items,
        more=more,
        form=form,
        forecast=forecast,
        levels=LEVELS,
        states=STATES,
    )


@router.post("")
async def create(
    kefu: TheKefu,
    reader: TheRuler,
    name: Annotated[str, Form(max_length=128)],
    text: Annotated[str, Form(max_length=_TEXT)],
    levels: Annotated[list[Level] | None, Form()] = None,
    states: Annotated[list[State] | None, Form()] = None,
    tags: Annotated[str, Form(max_length=_LINE)] = "",
    without: Annotated[str, Form(max_length=_LINE)] = "",
    quiet_for_days: Annotated[str, Form(max_length=20)] = "",
    per_minute: Annotated[int, Form(ge=1, le=6_000)] = 30,
) -> Response:
    new = _new(name, text, levels, states, tags, without, quiet_for_days, per_minute)
    await kefu.campaigns.desk.create(new, actor=reader.id)
    return see(CAMPAIGNS_PATH, "campaign_saved")


@router.post("/{campaign}/{act}")
async def act(
    kefu: TheKefu,
    reader: TheRuler,
    campaign: Annotated[int, Path(ge=1, le=2**62)],
    act: Literal["start", "pause", "cancel"],
) -> Response:
    desk = kefu.campaigns.desk
    does = {"start": desk.start, "pause": desk.pause, "cancel": desk.cancel}[act]
    await does(campaign, actor=reader.id)
    return see(CAMPAIGNS_PATH, f"campaign_{act}")


async def _listed(kefu: Kefu, before: int) -> tuple[list[dict[str, object]], int]:
    """And before which the next page begins, 0: this is the last."""
    desk = kefu.campaigns.desk
    found = await desk.listed(status=None, before=before or None, limit=PAGE_SIZE)
    items = []
    for one in found:
        campaign, people, deliveries = await desk.get(one.id)
        begun = campaign.status is not CampaignStatus.DRAFT
        counts = {"people": people if begun else {}, "deliveries": deliveries}
        items.append(shown_campaign(campaign) | counts)
    return items, found[-1].id if len(found) == PAGE_SIZE else 0


def _new(
    name: str,
    text: str,
    levels: list[Level] | None,
    states: list[State] | None,
    tags: str,
    without: str,
    quiet_for_days: str,
    per_minute: int,
) -> NewCampaign:
    """Raises ValidationError like the API does."""
    segment = SegmentIn.model_validate(
        {
            "levels": levels or (),
            "states": states or (),
            "tags_all": _several(tags),
            "tags_none": _several(without),
            "quiet_for_days": quiet_for_days.strip() or None,
        }
    )
    values = {"name": name.strip(), "text": text, "segment": segment, "per_minute": per_minute}
    return CampaignIn.model_validate(values).new()


def _several(line: str) -> tuple[str, ...]:
    return tuple(part for part in _SEVERAL.split(line) if part)
