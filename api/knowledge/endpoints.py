"""Searching, and all of the knowledge surface."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.dependencies import TheKefu
from api.envelopes import Json
from api.fields import Text
from api.knowledge import entries, learning, versions
from api.knowledge.changes import readable
from api.knowledge.schemas import ERRORS, Filter, KbQuery, TopK
from domain.decisions import Route
from engine.bootstrap import Kefu
from engine.settings import Settings
from knowledge.answers import Explanation

IMPORTS_PATH = "/api/knowledge/imports"
router = APIRouter()
_search = APIRouter(tags=["knowledge"], responses=ERRORS)


@_search.post("/api/test_kb")
async def test_kb(body: KbQuery, kefu: TheKefu) -> Response:
    """What the knowledge base says to a question, without anything being stored or counted.

    ``results`` has ``content``, ``similarity`` and ``score`` as seed 004's callers read them;
    ``decision`` is answer, clarify or handoff by the thresholds.
    """
    found = await _explained(kefu, body.query, body.category, body.top_k)
    shown = _search_out(kefu.settings, found, explain=body.explain)
    results = [
        {**item, "content": item["answer"], "similarity": item["score"]}
        for item in shown["evidence"]
    ]
    answer = results[0]["answer"] if results and shown["decision"] == "answer" else None
    return Json({**shown, "answer": answer, "results": results})


@_search.get("/api/knowledge/search")
async def search(
    query: Annotated[Text, Query()],
    kefu: TheKefu,
    top_k: TopK = None,
    category: Filter = None,
    explain: bool = False,
) -> Response:
    """Evidence with its confidence; ``explain`` adds the named signals of each, in their order."""
    found = await _explained(kefu, query, category, top_k)
    return Json(_search_out(kefu.settings, found, explain=explain))


for _part in (_search, entries.router, versions.router, learning.router):
    router.include_router(_part)


async def _explained(
    kefu: Kefu, query: str, category: str | None, top_k: int | None
) -> Explanation:
    with readable():
        return await kefu.knowledge.retriever.explain(query, category=category, top_k=top_k)


def _search_out(settings: Settings, found: Explanation, *, explain: bool) -> dict[str, Any]:
    shown = found.as_dict() if explain else asdict(found.retrieval)
    return {
        **shown,
        "decision": _route(settings, found.retrieval.confidence),
        "thresholds": {"answer": settings.answer_threshold, "clarify": settings.clarify_threshold},
    }


def _route(settings: Settings, confidence: float) -> Route:
    if confidence >= settings.answer_threshold:
        return "answer"
    return "clarify" if confidence >= settings.clarify_threshold else "handoff"
