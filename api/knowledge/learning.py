"""Unknown questions by cluster, and the suggestions that people's answers become."""

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.knowledge.changes import conflicts, follow
from api.knowledge.schemas import (
    ERRORS,
    AcceptIn,
    ClusterAnswer,
    ClusterStates,
    MergeIn,
    MoveIn,
    PageNumber,
    PageSize,
    Reason,
    RowId,
    SuggestionStates,
)
from engine.bootstrap import Kefu
from knowledge.learning import Suggestion

router = APIRouter(prefix="/api/knowledge", tags=["knowledge"], responses=ERRORS)


@router.get("/unknown")
async def list_unknown(
    kefu: TheKefu,
    state: ClusterStates | None = None,
    order: Literal["count", "last_at"] = "count",
    missed: bool = False,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> Response:
    """Questions that nobody could answer, gathered by meaning. ``missed``: only those that were
    asked again after their answer."""
    questions = kefu.knowledge.questions
    found = await questions.clusters(
        state=state,
        order=order,
        missed=missed,
        limit=page_size,
        offset=(page - 1) * page_size,
    )
    return Json(
        {
            "items": [asdict(cluster) for cluster in found.items],
            "page": page,
            "page_size": page_size,
            "total": found.total,
            "counts": await questions.counts(),
        }
    )


@router.get("/unknown/{cluster_id}")
async def get_unknown(
    cluster_id: RowId, kefu: TheKefu, page: PageNumber = 1, page_size: PageSize = 50
) -> Response:
    """A cluster with its wordings, and one page of its questions as they were asked."""
    questions = kefu.knowledge.questions
    cluster = await questions.cluster(cluster_id)
    asked = await questions.questions(cluster_id, limit=page_size, offset=(page - 1) * page_size)
    return Json(
        {
            **asdict(cluster),
            "questions": {
                "items": [asdict(question) for question in asked],
                "page": page,
                "page_size": page_size,
                "total": cluster.count,
            },
        }
    )


@router.post("/unknown/{cluster_id}/answer")
async def answer_unknown(
    cluster_id: RowId, body: ClusterAnswer, kefu: TheKefu, actor: TheActor
) -> Response:
    """Answer all questions of a cluster; the answer becomes knowledge at once, or waits for review
    where ``accept`` is false."""
    with conflicts():
        done = await kefu.knowledge.learning.answer_cluster(
            cluster_id, body.answer, by=actor, question=body.question, accept=body.accept
        )
    return await _done(kefu, done)


@router.post("/unknown/{cluster_id}/dismiss")
async def dismiss_unknown(
    cluster_id: RowId, kefu: TheKefu, actor: TheActor, body: Reason | None = None
) -> Response:
    """No answer is wanted, for later questions of this meaning neither."""
    reason = body.reason if body else ""
    return Json(asdict(await kefu.knowledge.questions.dismiss(cluster_id, by=actor, reason=reason)))


@router.post("/unknown/{cluster_id}/reopen")
async def reopen_unknown(cluster_id: RowId, kefu: TheKefu, actor: TheActor) -> Response:
    """A dismissed cluster waits for an answer again."""
    return Json(asdict(await kefu.knowledge.questions.reopen(cluster_id, by=actor)))


@router.post("/unknown/{cluster_id}/merge")
async def merge_unknown(
    cluster_id: RowId, body: MergeIn, kefu: TheKefu, actor: TheActor
) -> Response:
    """Cluster ``gone`` becomes part of this one."""
    return Json(asdict(await kefu.knowledge.questions.merge(cluster_id, body.gone, by=actor)))


@router.post("/unknown/{cluster_id}/unmerge")
async def unmerge_unknown(cluster_id: RowId, kefu: TheKefu, actor: TheActor) -> Response:
    """Take back that this cluster was merged into another one."""
    return Json(asdict(await kefu.knowledge.questions.unmerge(cluster_id, by=actor)))


@router.post("/unknown/questions/{question_id}/move")
async def move_question(
    question_id: RowId, body: MoveIn, kefu: TheKefu, actor: TheActor
) -> Response:
    """Move a question to another cluster, or to one of its own; answers with where it is now."""
    return Json(asdict(await kefu.knowledge.questions.move(question_id, body.to, by=actor)))


@router.get("/suggestions")
async def list_suggestions(
    kefu: TheKefu,
    state: SuggestionStates | None = None,
    flagged: bool = False,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> Response:
    """Answers that people gave and that may become knowledge, newest first, with the numbers by
    state. ``flagged``: only duplicates, contradictions and other cautions."""
    learning = kefu.knowledge.learning
    found = await learning.suggestions(
        state=state, flagged=flagged, limit=page_size, offset=(page - 1) * page_size
    )
    return Json(
        {
            "items": [asdict(suggestion) for suggestion in found.items],
            "page": page,
            "page_size": page_size,
            "total": found.total,
            "counts": await learning.counts(),
        }
    )


@router.get("/suggestions/{suggestion_id}")
async def get_suggestion(suggestion_id: RowId, kefu: TheKefu) -> Response:
    return Json(asdict(await kefu.knowledge.learning.suggestion(suggestion_id)))


@router.post("/suggestions/{suggestion_id}/accept")
async def accept_suggestion(
    suggestion_id: RowId, kefu: TheKefu, actor: TheActor, body: AcceptIn | None = None
) -> Response:
    """Let a suggestion into the knowledge base, edited or as it is. 409 where somebody else has
    decided it."""
    edits = body or AcceptIn()
    with conflicts():
        done = await kefu.knowledge.learning.accept(
            suggestion_id,
            by=actor,
            question=edits.question,
            answer=edits.answer,
            aliases=edits.aliases,
            replaces=edits.replaces,
        )
    return await _done(kefu, done)


@router.post("/suggestions/{suggestion_id}/reject")
async def reject_suggestion(
    suggestion_id: RowId, kefu: TheKefu, actor: TheActor, body: Reason | None = None
) -> Response:
    reason = body.reason if body else ""
    return Json(
        asdict(await kefu.knowledge.learning.reject(suggestion_id, by=actor, reason=reason))
    )


@router.post("/suggestions/{suggestion_id}/undo")
async def undo_suggestion(suggestion_id: RowId, kefu: TheKefu, actor: TheActor) -> Response:
    """Take an accepted suggestion out of the base again; its cluster is open again."""
    with conflicts("suggestion_id"):
        done = await kefu.knowledge.learning.undo(suggestion_id, by=actor)
    return await _done(kefu, done)


@router.post("/suggestions/{suggestion_id}/reopen")
async def reopen_suggestion(suggestion_id: RowId, kefu: TheKefu, actor: TheActor) -> Response:
    """A rejected, dropped or undone suggestion waits for review again."""
    return Json(asdict(await kefu.knowledge.learning.reopen(suggestion_id, by=actor)))


async def _done(kefu: Kefu, suggestion: Suggestion) -> Response:
    return Json({**asdict(suggestion), "searchable": await follow(kefu)})
