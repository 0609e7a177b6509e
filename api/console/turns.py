"""A turn opened: its path, evidence, prompts; run again from a node, judged, kept as a test."""

from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import Reader, TheActor, TheReader
from api.console.rendering import see
from api.console.shell import PAGE_SIZE, shown
from api.dependencies import TheKefu
from api.fields import Identifier, OptionalText
from api.reviews.endpoints import TheReviews
from domain.intents import Intent
from domain.reviews import Fault
from engine.regressions.stage import replay_beside
from engine.reviews.reviews import Reviews
from engine.reviews.views import Rerun

TURNS_PATH, REVIEWS_PATH, TESTS_PATH = "/desk/turns", "/desk/reviews", "/desk/reviews/tests"
router = APIRouter(route_class=PageRoute, include_in_schema=False)
TurnId = Annotated[Identifier, Path()]
FAULTS = tuple(fault.value for fault in Fault)
LEVELS = ("white", "gray", "black")
State = Literal["open", "fixed", "dismissed"]
STATES: tuple[State, ...] = ("open", "fixed", "dismissed")
_HINT = "retrieve"
"""Where most wrong answers begin, and so what is offered first."""


@router.get(TURNS_PATH + "/{turn_id}")
async def turn_page(
    request: Request, reviews: TheReviews, reader: TheReader, turn_id: TurnId
) -> Response:
    return await _turn(request, reviews, reader, turn_id)


@router.post(TURNS_PATH + "/{turn_id}/rerun")
async def rerun(
    request: Request,
    reviews: TheReviews,
    reader: TheActor,
    turn_id: TurnId,
    from_node: Annotated[str, Form(max_length=64)],
    text: Annotated[OptionalText, Form()] = "",
    original: Annotated[OptionalText, Form()] = "",
    intent: Annotated[str, Form(max_length=40)] = "",
    level: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Shows the new answer beside the old one; nothing of it is done, or stored."""
    again = await reviews.rerun(
        reader.agent,
        turn_id,
        from_node=from_node,
        text=text if text and text != original else None,
        intent=intent or None,
        level=level or None,
    )
    return await _turn(request, reviews, reader, turn_id, again)


@router.post(TURNS_PATH + "/{turn_id}/mark")
async def mark(
    reviews: TheReviews,
    reader: TheActor,
    turn_id: TurnId,
    fault: Annotated[Fault, Form()],
    note: Annotated[OptionalText, Form()] = "",
    correct: Annotated[OptionalText, Form()] = "",
    question: Annotated[OptionalText, Form()] = "",
) -> Response:
    await reviews.mark(reader.agent, turn_id, fault, note=note, correct=correct, question=question)
    return see(f"{TURNS_PATH}/{turn_id}", "marked_learning" if correct else "marked")


@router.post(TURNS_PATH + "/{turn_id}/save")
async def save(
    reviews: TheReviews,
    reader: TheActor,
    turn_id: TurnId,
    name: Annotated[str, Form(max_length=80)] = "",
    replace: Annotated[bool, Form()] = False,
) -> Response:
    await reviews.save(reader.agent, turn_id, name=name.strip(), replace=replace)
    return see(TESTS_PATH, "test_saved")


@router.get(REVIEWS_PATH)
async def reviews_page(
    request: Request,
    reviews: TheReviews,
    reader: TheReader,
    state: State = "open",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Answers that were judged."""
    found = await reviews.reviews(
        reader.agent,
        state=state,
        limit=PAGE_SIZE,
        offset=(page - 1) * PAGE_SIZE,
    )
    return await shown(
        request,
        reader,
        "reviews.html",
        items=found.items,
        numbers=found.counts,
        more=found.total > page * PAGE_SIZE,
        page=page,
        state=state,
        states=STATES,
    )


@router.post(REVIEWS_PATH + "/{review}/settle")
async def settle(
    reviews: TheReviews,
    reader: TheActor,
    review: Annotated[int, Path(ge=1, le=2**62)],
    state: Annotated[State, Form()],
) -> Response:
    await reviews.settle(reader.agent, review, state)
    return see(REVIEWS_PATH, "settled")


@router.get(TESTS_PATH)
async def tests_page(request: Request, reviews: TheReviews, reader: TheReader) -> Response:
    """Conversations that were kept as tests."""
    tests = await reviews.regressions(reader.agent)
    return await shown(request, reader, "tests.html", tests=tests, report=None, results={})


@router.post(TESTS_PATH + "/run")
async def run_tests(
    request: Request,
    kefu: TheKefu,
    reviews: TheReviews,
    reader: TheActor,
    name: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """All of them, or the one called ``name``, with what is known now."""
    tests = await reviews.regressions(reader.agent)
    scripts = await reviews.scripts(reader.agent, [name] if name else ())
    report = (await replay_beside(kefu, scripts)).as_json()
    results: dict[str, list[dict[str, Any]]] = {}
    for one in report["results"]:
        results.setdefault(PurePath(one["file"]).stem, []).append(one)
    return await shown(request, reader, "tests.html", tests=tests, report=report, results=results)


@router.post(TESTS_PATH + "/drop")
async def drop_test(
    reviews: TheReviews, reader: TheActor, name: Annotated[str, Form(max_length=80)]
) -> Response:
    await reviews.drop_regression(reader.agent, name)
    return see(TESTS_PATH, "test_dropped")


async def _turn(
    request: Request, reviews: Reviews, reader: Reader, turn_id: str, again: Rerun | None = None
) -> Response:
    turn = await reviews.turn(reader.agent, turn_id)
    nodes = [step.node for step in turn.steps if step.again]
    chosen = again.from_node if again else _HINT
    return await shown(
        request,
        reader,
        "turn.html",
        turn=turn,
        again=again,
        nodes=list(dict.fromkeys(nodes)),
        chosen=chosen if chosen in nodes else next(iter(nodes), ""),
        faults=FAULTS,
        intents=[intent.value for intent in Intent],
        levels=LEVELS,
    )
