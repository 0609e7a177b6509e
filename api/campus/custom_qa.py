"""Custom question-answer pairs: keywords and their answer, as entries of the knowledge base.

They are found like all knowledge: a message that is a keyword gets its answer as it stands, one
that means the same by what retrieval makes of it. Versions, undo and imports hold for them too.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.campus import words
from api.campus.schemas import CustomPair, CustomPairs, PairsOut, PairsSaved
from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.fields import WithoutNul
from api.knowledge.changes import conflicts, follow
from domain.errors import NotFound
from domain.text import clean
from knowledge.base import StoredEntry
from knowledge.documents import MAX_QUESTION_CHARS, Entry, make_entry

router = APIRouter()
CATEGORY = "自定义问答"
SOURCE = "custom_qa"


@router.get("/custom_qa", response_model=PairsOut)
async def list_pairs(
    kefu: TheKefu,
    keyword: Annotated[
        Annotated[str, WithoutNul] | None, Query(max_length=MAX_QUESTION_CHARS)
    ] = None,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The pairs, also those that were imported with the category 自定义问答."""
    total, found = await kefu.knowledge.base.entries(
        category=CATEGORY, text=keyword, limit=limit, offset=(page - 1) * limit
    )
    pairs = [_pair(entry) for entry in found]
    return Json({"code": 200, "total": total, "page": page, "limit": limit, "pairs": pairs})


@router.post("/custom_qa", response_model=PairsSaved)
async def save_pairs(body: CustomPairs, kefu: TheKefu, actor: TheActor) -> Response:
    """Add pairs, or replace those whose first keyword is there; searches see them when this
    returns."""
    base = kefu.knowledge.base
    made = [_entry(pair) for pair in body.pairs]
    with conflicts():
        await base.put(made, by=actor, note=words.PAIR_SAVED_NOTE)
    searchable = await follow(kefu)
    stored = await base.get([entry.id for entry in made])
    return Json(
        {
            "code": 200,
            "msg": words.EVERYTHING_SAVED,
            "pairs": [_pair(entry) for entry in stored],
            "searchable": searchable,
        }
    )


@router.delete("/custom_qa", response_model=PairsSaved)
async def remove_pair(
    keyword: Annotated[str, Query(min_length=1, max_length=MAX_QUESTION_CHARS), WithoutNul],
    kefu: TheKefu,
    actor: TheActor,
) -> Response:
    """Remove the pair that has this keyword."""
    base = kefu.knowledge.base
    _, found = await base.entries(category=CATEGORY, text=clean(keyword), limit=200)
    gone = [entry for entry in found if clean(keyword) in (entry.question, *entry.aliases)]
    if not gone:
        raise NotFound("keyword", keyword)
    with conflicts():
        await base.remove([entry.id for entry in gone], by=actor, note=words.PAIR_REMOVED_NOTE)
    searchable = await follow(kefu)
    return Json(
        {
            "code": 200,
            "msg": words.EVERYTHING_REMOVED,
            "pairs": [_pair(entry) for entry in gone],
            "searchable": searchable,
        }
    )


def _entry(pair: CustomPair) -> Entry:
    return make_entry(
        pair.keywords[0],
        pair.answer,
        source=SOURCE,
        aliases=pair.keywords[1:],
        category=CATEGORY,
        position=words.PAIR_POSITION,
    )


def _pair(entry: StoredEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "keywords": [entry.question, *entry.aliases],
        "answer": entry.answer,
        "updated_at": entry.updated_at,
    }
