"""/api/reviews: a turn opened and run again, answers judged, conversations kept as tests."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.dependencies import TheKefu
from api.desk.schemas import ERRORS, Shown
from api.desk.session import TheActing, TheAgent
from api.fields import Identifier
from api.reviews.schemas import (
    Limit,
    MarkIn,
    Offset,
    RegressionName,
    ReportOut,
    RerunIn,
    ReviewStates,
    RowId,
    RunIn,
    SaveIn,
    ScriptIn,
    SettleIn,
)
from domain.reviews import Fault
from engine.regressions.stage import replay_beside
from engine.reviews.reviews import Reviews
from engine.reviews.views import Marked, OpenedTurn, RegressionView, Rerun, ReviewPage
from storage.reviews import Review

router = APIRouter(prefix="/api/reviews", tags=["reviews"], responses=ERRORS)


async def _the_reviews(request: Request) -> Reviews:
    reviews: Reviews = request.app.state.kefu.reviews
    return reviews


TheReviews = Annotated[Reviews, Depends(_the_reviews)]


@router.get("", response_model=ReviewPage)
async def list_reviews(
    agent: TheAgent,
    reviews: TheReviews,
    state: ReviewStates | None = None,
    fault: Annotated[Fault | None, Query()] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """Answers that were judged, newest first, with the numbers by state."""
    return Shown(await reviews.reviews(agent, state=state, fault=fault, limit=limit, offset=offset))


@router.get("/turns/{turn_id}", response_model=OpenedTurn)
async def open_turn(turn_id: Identifier, agent: TheAgent, reviews: TheReviews) -> Response:
    """A turn: what was said, its path with what each node gave, evidence, quote, prompts, model
    calls. ``recorded`` false: only the answer is left of it."""
    return Shown(await reviews.turn(agent, turn_id))


@router.post("/turns/{turn_id}/rerun", response_model=Rerun)
async def rerun(
    turn_id: Identifier, body: RerunIn, session: TheActing, reviews: TheReviews
) -> Response:
    """The turn once more from one of its nodes, as a fork: with the knowledge, prices and models
    of now. Nothing that it decides is done. 409 where its steps are not kept any more."""
    return Shown(
        await reviews.rerun(
            session.agent,
            turn_id,
            from_node=body.from_node,
            text=body.text,
            intent=body.intent,
            level=body.level,
        )
    )


@router.post("/turns/{turn_id}/mark", response_model=Marked)
async def mark(
    turn_id: Identifier, body: MarkIn, session: TheActing, reviews: TheReviews
) -> Response:
    """The answer was wrong. A correct one becomes a suggestion for the knowledge base."""
    return Shown(
        await reviews.mark(
            session.agent,
            turn_id,
            body.fault,
            note=body.note,
            correct=body.correct,
            question=body.question,
        )
    )


@router.post("/turns/{turn_id}/save", response_model=RegressionView)
async def save(
    turn_id: Identifier, body: SaveIn, session: TheActing, reviews: TheReviews
) -> Response:
    """The conversation up to this turn as a test. 409 for a name that is taken; 422 where the
    answer was judged wrong and nobody has said what is right."""
    return Shown(
        await reviews.save(
            session.agent,
            turn_id,
            name=body.name or "",
            expect=body.expect,
            note=body.note,
            replace=body.replace,
        )
    )


@router.post("/{review_id:int}", response_model=Review)
async def settle(
    review_id: RowId, body: SettleIn, session: TheActing, reviews: TheReviews
) -> Response:
    """Fixed, dismissed, or open again."""
    return Shown(await reviews.settle(session.agent, review_id, body.state))


# Kept conversations ----------------------------------------------------------------------------


@router.get("/regressions", response_model=list[RegressionView])
async def list_regressions(agent: TheAgent, reviews: TheReviews) -> Response:
    """By name."""
    return Shown(await reviews.regressions(agent))


@router.post("/regressions", response_model=ReportOut)
async def run_regressions(
    body: RunIn, session: TheActing, reviews: TheReviews, kefu: TheKefu
) -> Response:
    """Play them with what is known now, as `kefu eval conversations` does."""
    scripts = await reviews.scripts(session.agent, body.names)
    report = await replay_beside(kefu, scripts, models=body.models)
    return Shown(report.as_json())


@router.get("/regressions/{name}", response_model=RegressionView)
async def get_regression(name: RegressionName, agent: TheAgent, reviews: TheReviews) -> Response:
    return Shown(await reviews.regression(agent, name))


@router.put("/regressions/{name}", response_model=RegressionView)
async def put_regression(
    name: RegressionName, body: ScriptIn, session: TheActing, reviews: TheReviews
) -> Response:
    """A script as a person wrote it, new or instead of one; 422 names the line of a fault."""
    return Shown(await reviews.put_regression(session.agent, name, body.text))


@router.delete("/regressions/{name}", status_code=204, response_class=Response)
async def drop_regression(
    name: RegressionName, session: TheActing, reviews: TheReviews
) -> Response:
    await reviews.drop_regression(session.agent, name)
    return Response(status_code=204)
