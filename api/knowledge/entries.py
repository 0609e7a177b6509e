"""Entries, documents and categories: read, written, edited, removed."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.dependencies import TheActor, TheKefu
from api.envelopes import Json
from api.fields import Identifier, WithoutNul
from api.knowledge.changes import conflicts, follow
from api.knowledge.schemas import (
    ERRORS,
    EntriesIn,
    EntryChange,
    EntryIn,
    Filter,
    PageNumber,
    PageSize,
)
from domain.errors import InvalidInput, NotFound
from knowledge.base import KnowledgeBase, StoredEntry
from knowledge.documents import Entry, make_entry

router = APIRouter(prefix="/api/knowledge", tags=["knowledge"], responses=ERRORS)
POSITION = "人工录入"


@router.get("/entries")
async def list_entries(
    kefu: TheKefu,
    category: Filter = None,
    document: Filter = None,
    text: Annotated[Filter, Query(description="In question, answer or aliases.")] = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> Response:
    """One page of the entries, ordered by document and id."""
    total, found = await kefu.knowledge.base.entries(
        category=category,
        document=document,
        text=text,
        limit=page_size,
        offset=(page - 1) * page_size,
    )
    items = [entry_out(entry) for entry in found]
    return Json({"items": items, "page": page, "page_size": page_size, "total": total})


@router.post("/entries", status_code=201)
async def add_entries(body: EntriesIn, kefu: TheKefu, actor: TheActor) -> Response:
    """Add one entry or up to 200, as one version; searches see them when this returns.

    409 where one of them, by source and question, is there already.
    """
    base = kefu.knowledge.base
    made = [_made(entry) for entry in body.entries]
    await _check_new(base, made)
    with conflicts():
        summary = await base.put(made, by=actor, note="新增知识")
    stored = await base.get([entry.id for entry in made])
    return Json(
        {
            "items": [entry_out(entry) for entry in stored],
            "summary": asdict(summary),
            "searchable": await follow(kefu),
        },
        status_code=201,
    )


@router.get("/entries/{entry_id}")
async def get_entry(entry_id: Identifier, kefu: TheKefu) -> Response:
    return Json(entry_out(await _stored(kefu.knowledge.base, entry_id)))


@router.put("/entries/{entry_id}")
async def change_entry(
    entry_id: Identifier, body: EntryChange, kefu: TheKefu, actor: TheActor
) -> Response:
    """Change an entry; what is not given stays. A new question gives it a new id: ``replaced``
    tells the old one."""
    base = kefu.knowledge.base
    old = await _stored(base, entry_id)
    if body.content_hash not in (None, old.content_hash):
        raise InvalidInput("content_hash", "这条知识在读取之后已被改动，请重新读取", status=409)
    new = _changed(old, body)
    moved = new.id != old.id
    if moved:
        await _check_new(base, [new], "question")
    with conflicts():
        summary = await base.put(
            [new], by=actor, note="修改知识", replaces=[old.id] if moved else []
        )
    return Json(
        {
            **entry_out(await _stored(base, new.id)),
            "replaced": old.id if moved else None,
            "summary": asdict(summary),
            "searchable": await follow(kefu),
        }
    )


@router.delete("/entries/{entry_id}")
async def delete_entry(entry_id: Identifier, kefu: TheKefu, actor: TheActor) -> Response:
    """Remove an entry; undoing the version brings it back."""
    base = kefu.knowledge.base
    await _stored(base, entry_id)
    with conflicts():
        summary = await base.remove([entry_id], by=actor, note="删除知识")
    return Json({"summary": asdict(summary), "searchable": await follow(kefu)})


@router.get("/documents")
async def list_documents(kefu: TheKefu, page: PageNumber = 1, page_size: PageSize = 50) -> Response:
    """Documents by name, with the number of entries by category."""
    found = await kefu.knowledge.base.documents()
    start = (page - 1) * page_size
    items = [asdict(document) for document in found[start : start + page_size]]
    return Json({"items": items, "page": page, "page_size": page_size, "total": len(found)})


@router.delete("/documents")
async def delete_document(
    name: Annotated[str, Query(min_length=1, max_length=1_000), WithoutNul],
    kefu: TheKefu,
    actor: TheActor,
) -> Response:
    """Remove all entries of a document, as one version. The name may hold folders, so that it is a
    parameter and no part of the address."""
    with conflicts():
        summary = await kefu.knowledge.base.import_entries(
            (), refresh={name}, by=actor, note=f"删除文档 {name}".replace("|", "｜")[:500]
        )
    if not summary.removed:
        raise NotFound("name", name)
    return Json({"summary": asdict(summary), "searchable": await follow(kefu)})


@router.get("/categories")
async def list_categories(kefu: TheKefu) -> Response:
    """Number of entries by category."""
    found = await kefu.knowledge.base.categories()
    items = [{"name": name, "entries": entries} for name, entries in found.items()]
    return Json({"items": items, "total": len(items)})


def entry_out(entry: StoredEntry) -> dict[str, Any]:
    return {**asdict(entry), "document": entry.document}


def _made(entry: EntryIn) -> Entry:
    return make_entry(
        entry.question,
        entry.answer,
        source=entry.source,
        aliases=entry.aliases,
        category=entry.category,
        tags=entry.tags,
        position=POSITION,
    )


def _changed(old: StoredEntry, body: EntryChange) -> Entry:
    return make_entry(
        old.question if body.question is None else body.question,
        old.answer if body.answer is None else body.answer,
        source=old.source,
        aliases=old.aliases if body.aliases is None else body.aliases,
        category=old.category if body.category is None else body.category,
        tags=old.tags if body.tags is None else body.tags,
        position=old.position,
    )


async def _check_new(base: KnowledgeBase, made: list[Entry], field: str = "") -> None:
    """Raises InvalidInput for an entry that is there already, or is sent twice."""
    known = {entry.id for entry in await base.get([entry.id for entry in made])}
    seen: set[str] = set()
    for number, entry in enumerate(made):
        where = field or f"entries.{number}.question"
        if entry.id in known:
            raise InvalidInput(
                where, f"{entry.source} 里已有这个问题（{entry.id}），请修改那一条", status=409
            )
        if entry.id in seen:
            raise InvalidInput(where, "同一个问题出现了两次")
        seen.add(entry.id)


async def _stored(base: KnowledgeBase, entry_id: str) -> StoredEntry:
    found = await base.get([entry_id])
    if not found:
        raise NotFound("entry_id", entry_id)
    return found[0]
