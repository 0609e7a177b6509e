"""/api/v1/campaigns: proactive messages."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api.campaigns.schemas import (
    CampaignIn,
    CampaignList,
    CampaignOut,
    ForecastOut,
    PeopleList,
    StartIn,
    shown,
    shown_forecast,
    shown_person,
)
from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.platform.schemas import ErrorOut
from domain.campaigns import CampaignStatus

router = APIRouter(prefix="/api/v1/campaigns", tags=["campaigns"])
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorOut} for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)
}
CampaignId = Annotated[int, Path(ge=1, le=2**62)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[int, Query(ge=0, le=2**62)]


@router.get("", response_model=CampaignList, responses=ERRORS)
async def list_campaigns(
    kefu: TheKefu, status: CampaignStatus | None = None, before: Cursor = 0, limit: Limit = 50
) -> Response:
    """The newest first."""
    desk = kefu.campaigns.desk
    found = await desk.listed(status=status, before=before or None, limit=limit)
    last = found[-1].id if len(found) == limit else None
    return Json({"items": [shown(one) for one in found], "next": last})


@router.post("", response_model=CampaignOut, status_code=201, responses=ERRORS)
async def create_campaign(body: CampaignIn, kefu: TheKefu, actor: TheActor) -> Response:
    """A draft: nothing is sent before it is started."""
    return Json(shown(await kefu.campaigns.desk.create(body.new(), actor=actor)), status_code=201)


@router.post("/dry-run", response_model=ForecastOut, responses=ERRORS)
async def dry_run(body: CampaignIn, kefu: TheKefu) -> Response:
    """Whom it would go to now, who would be left out and why, and some of the messages."""
    return Json(shown_forecast(await kefu.campaigns.desk.forecast(body.new())))


@router.get("/{campaign_id:int}", response_model=CampaignOut, responses=ERRORS)
async def get_campaign(campaign_id: CampaignId, kefu: TheKefu) -> Response:
    """With how many people and messages are where."""
    campaign, people, deliveries = await kefu.campaigns.desk.get(campaign_id)
    return Json(shown(campaign) | {"people": people, "deliveries": deliveries})


@router.put("/{campaign_id:int}", response_model=CampaignOut, responses=ERRORS)
async def edit_campaign(
    campaign_id: CampaignId, body: CampaignIn, kefu: TheKefu, actor: TheActor
) -> Response:
    """Drafts only."""
    desk = kefu.campaigns.desk
    found = await desk.edit(campaign_id, body.new(), actor=actor, version=body.version)
    return Json(shown(found))


@router.get("/{campaign_id:int}/people", response_model=PeopleList, responses=ERRORS)
async def list_people(
    campaign_id: CampaignId,
    kefu: TheKefu,
    status: Literal["planned", "sent", "skipped"] | None = None,
    after: Cursor = 0,
    limit: Limit = 50,
) -> Response:
    """Whom it is for, and what became of each."""
    found = await kefu.campaigns.desk.people(
        campaign_id, status=status or "", after=after, limit=limit
    )
    last = found[-1].id if len(found) == limit else None
    return Json({"items": [shown_person(one) for one in found], "next": last})


@router.post("/{campaign_id:int}/start", response_model=CampaignOut, responses=ERRORS)
async def start_campaign(
    campaign_id: CampaignId, kefu: TheKefu, actor: TheActor, body: StartIn | None = None
) -> Response:
    """Begin, or go on after a pause."""
    at = body.starts_at if body is not None else None
    starts = at.timestamp() if at is not None else None
    return Json(shown(await kefu.campaigns.desk.start(campaign_id, actor=actor, starts_ts=starts)))


@router.post("/{campaign_id:int}/pause", response_model=CampaignOut, responses=ERRORS)
async def pause_campaign(campaign_id: CampaignId, kefu: TheKefu, actor: TheActor) -> Response:
    """What is in the outbox already still goes out."""
    return Json(shown(await kefu.campaigns.desk.pause(campaign_id, actor=actor)))


@router.post("/{campaign_id:int}/cancel", response_model=CampaignOut, responses=ERRORS)
async def cancel_campaign(campaign_id: CampaignId, kefu: TheKefu, actor: TheActor) -> Response:
    """For good."""
    return Json(shown(await kefu.campaigns.desk.cancel(campaign_id, actor=actor)))
