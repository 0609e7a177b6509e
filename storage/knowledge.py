"""The knowledge base as rows: what it says, and the feed by which followers keep up with it.

A follower (the vector side, the keyword side) is a thread with a connection of its own, in this
process or another. It asks `newest_revision`, copies the base with `entries_page`, and from then
on asks `changes_since`. It calls them inside ``with connection.begin():`` of a connection with
``execution_options(kefu_write=False)``, so that on SQLite it never waits for writers.

The feed has no gaps: see `storage.knowledge_versions`, which writes it.
"""
# ruff: noqa: S608  every f-string of SQL here is made of the constants beside it

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, text

from storage.statements import Statement

CONTENT = (
    *("question", "answer", "aliases", "category", "tags", "source", "document"),
    *("position", "content_hash"),
)
STATE = ("useful_count", "created_at", "updated_at")
COLUMNS = ("id", *CONTENT, *STATE)
IDS_AT_ONCE = 500
"""Ids in one IN list."""


class EntryRow(NamedTuple):
    """A row of knowledge_entries; ``aliases`` and ``tags`` are JSON lists."""

    id: str
    question: str
    answer: str
    aliases: str = "[]"
    category: str = ""
    tags: str = "[]"
    source: str = ""
    document: str = ""
    position: str = ""
    content_hash: str = ""
    useful_count: int = 0
    created_at: str = ""
    updated_at: str = ""


class Known(NamedTuple):
    """What comparing needs of a stored entry."""

    content_hash: str
    source: str
    document: str


class FeedChange(NamedTuple):
    """``row``: the entry's newest state, None when it is gone."""

    revision: int
    entry_id: str
    row: EntryRow | None


class DocumentCount(NamedTuple):
    document: str
    category: str
    entries: int
    changed_at: str


@dataclass(frozen=True, slots=True)
class Page:
    """Which entries to list; ``text`` is looked for in questions, answers and aliases."""

    category: str | None = None
    document: str | None = None
    text: str | None = None
    limit: int = 50
    offset: int = 0


ENTRY = ", ".join(f"e.{column}" for column in COLUMNS)
_NEWEST = Statement("SELECT COALESCE(MAX(revision), 0) FROM knowledge_changes")
_MARK = Statement(
    """
    SELECT c.revision, c.entry_id, c.version_id, COALESCE(v.created_at, '')
    FROM knowledge_changes c LEFT JOIN knowledge_versions v ON v.id = c.version_id
    WHERE c.revision <= :revision ORDER BY c.revision DESC LIMIT 1
    """
)
# The window first: grouping the whole tail for each page would make a long catch-up quadratic.
_FEED = Statement(
    f"""
    SELECT c.revision, c.entry_id, {ENTRY}
    FROM (SELECT revision, entry_id FROM knowledge_changes
          WHERE revision > :revision ORDER BY revision LIMIT :limit) c
    LEFT JOIN knowledge_entries e ON e.id = c.entry_id
    ORDER BY c.revision
    """
)
_ENTRIES_AFTER = Statement(
    f"SELECT {ENTRY} FROM knowledge_entries e WHERE e.id > :after ORDER BY e.id LIMIT :limit"
)
_KNOWN = text(
    "SELECT id, content_hash, source, document FROM knowledge_entries WHERE id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_GET = text(f"SELECT {ENTRY} FROM knowledge_entries e WHERE e.id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_USED = text(
    "UPDATE knowledge_entries SET useful_count = useful_count + 1 WHERE id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_IDS_AFTER = Statement(
    "SELECT id FROM knowledge_entries WHERE id > :after ORDER BY id LIMIT :limit"
)
_IDS_OF_DOCUMENTS = text("SELECT id FROM knowledge_entries WHERE document IN :names").bindparams(
    bindparam("names", expanding=True)
)
_DOCUMENTS = Statement(
    "SELECT document, category, COUNT(*), MAX(updated_at) FROM knowledge_entries"
    " GROUP BY document, category ORDER BY document, category"
)
_CATEGORIES = Statement(
    "SELECT category, COUNT(*) FROM knowledge_entries GROUP BY category ORDER BY category"
)


def newest_revision(connection: Connection) -> int:
    """0 for a base that never changed."""
    row = _NEWEST.first(connection, {})
    assert row is not None
    return int(row[0])


def mark_of(connection: Connection, revision: int) -> str:
    """Tells ``revision`` from the same number in another database, or in this one after a backup
    was put back: which entry changed then, and when."""
    row = _MARK.first(connection, {"revision": revision})
    return repr(tuple(row)) if row else ""


def changes_since(connection: Connection, revision: int, limit: int) -> list[FeedChange]:
    """What changed after ``revision``: each entry once, as it is now. Empty: nothing more.

    ``limit`` counts changes, so fewer may come; go on from the last one's revision. An entry that
    changed several times may then come again in the same state.
    """
    found: dict[str, FeedChange] = {}
    for row in _FEED.all(connection, {"revision": revision, "limit": limit}):
        found.pop(row[1], None)
        found[row[1]] = FeedChange(row[0], row[1], row_of(row[2:]))
    return list(found.values())


def entries_page(connection: Connection, after_id: str, limit: int) -> list[EntryRow]:
    """All entries in the order of their ids, ``limit`` after ``after_id`` ("" to begin)."""
    rows = _ENTRIES_AFTER.all(connection, {"after": after_id, "limit": limit})
    return [EntryRow(*row) for row in rows]


def row_of(columns: Sequence[Any]) -> EntryRow | None:
    """Of the columns `ENTRY` of an outer join."""
    return EntryRow(*columns) if columns[0] is not None else None


def row_before(entry_id: str, before: str | None) -> EntryRow | None:
    """Of knowledge_changes.before."""
    return EntryRow(entry_id, **json.loads(before)) if before is not None else None


def find_known(connection: Connection, ids: Sequence[str]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        rows = connection.execute(_KNOWN, {"ids": list(ids[start : start + IDS_AT_ONCE])})
        found.update((row[0], Known(row[1], row[2], row[3])) for row in rows)
    return found


def get_entries(connection: Connection, ids: Sequence[str]) -> dict[str, EntryRow]:
    found: dict[str, EntryRow] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        rows = connection.execute(_GET, {"ids": list(ids[start : start + IDS_AT_ONCE])})
        found.update((row[0], EntryRow(*row)) for row in rows)
    return found


def entry_ids(connection: Connection, after: str, limit: int) -> list[str]:
    """All ids in order, ``limit`` after ``after``."""
    return [row[0] for row in _IDS_AFTER.all(connection, {"after": after, "limit": limit})]


def ids_of_documents(connection: Connection, names: Sequence[str]) -> list[str]:
    """``names``: at most IDS_AT_ONCE."""
    return [row[0] for row in connection.execute(_IDS_OF_DOCUMENTS, {"names": list(names)})]


def list_entries(connection: Connection, page: Page) -> tuple[int, list[EntryRow]]:
    """How many there are, and one page of them, ordered by document and id."""
    where, values = _filter(page, connection.dialect.name)
    total = connection.execute(text(f"SELECT COUNT(*) FROM knowledge_entries e{where}"), values)
    rows = connection.execute(
        text(
            f"SELECT {ENTRY} FROM knowledge_entries e{where}"
            " ORDER BY e.document, e.id LIMIT :limit OFFSET :offset"
        ),
        values | {"limit": page.limit, "offset": page.offset},
    )
    return int(total.scalar_one()), [EntryRow(*row) for row in rows]


def _filter(page: Page, dialect: str) -> tuple[str, dict[str, Any]]:
    parts: list[str] = []
    values: dict[str, Any] = {}
    for column, wanted in (("category", page.category), ("document", page.document)):
        if wanted is not None:
            parts.append(f"e.{column} = :{column}")
            values[column] = wanted
    if page.text:
        sought = ("question", "answer", "aliases")
        like = "LIKE" if dialect == "sqlite" else "ILIKE"  # SQLite's folds case by itself
        likes = (f"e.{column} {like} :text ESCAPE '!'" for column in sought)
        parts.append(f"({' OR '.join(likes)})")
        values["text"] = f"%{_literal(page.text)}%"
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


def _literal(sought: str) -> str:
    return sought.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def count_documents(connection: Connection) -> list[DocumentCount]:
    """One for each category within each document."""
    return [DocumentCount(*row) for row in _DOCUMENTS.all(connection, {})]


def count_categories(connection: Connection) -> list[tuple[str, int]]:
    return [(row[0], row[1]) for row in _CATEGORIES.all(connection, {})]


def count_useful(connection: Connection, ids: Collection[str]) -> None:
    connection.execute(_USED, {"ids": sorted(set(ids))})
