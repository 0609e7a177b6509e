"""How the knowledge base changes: versions, the drafts that become them, and what they changed.

A *version* is one atomic change of the base. Its *steps* (write or remove an entry) are staged,
many at a time for a long import, and then applied by one committing unit in SQL. That unit notes
in knowledge_changes what every touched entry was before: undoing needs no more, and the changes
are the followers' feed.

**The feed has no gaps.** PostgreSQL numbers rows when they are inserted and shows them when their
transaction commits, so a reader could see revision 8 before 7 and miss 7 for good. A committing
unit therefore holds an advisory lock from before its first revision until its commit; SQLite has
one writer anyway. Hence also: version ids rise in the order of the commits.

An import under way is a *draft*: a row in state open, at most one, with a lease. Whoever finds the
lease over, or knows that its owner is dead, forgets it; the owner, should it wake up, then finds
its draft gone and nothing written.
"""
# ruff: noqa: S608  every f-string of SQL here is made of the constants beside it

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import Connection

from domain.errors import KnowledgeError, StorageError
from storage.audit import record
from storage.clock import iso
from storage.knowledge import (
    COLUMNS,
    CONTENT,
    ENTRY,
    STATE,
    EntryRow,
    Known,
    find_known,
    row_before,
    row_of,
)
from storage.statements import Statement

_FEED_LOCK = 7_106_339  # any constant that no other lock of ours has


StagedKey = tuple[int, str]
Effect = Literal["added", "updated", "removed"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)


class Step(NamedTuple):
    """What a version does to an entry, and what the entry becomes (removed: None)."""

    entry_id: str
    effect: Effect
    row: EntryRow | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A version to be. ``id`` is negative: the real one is given at the commit, in its order."""

    id: int
    owner: str
    kind: str
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a version makes of the base.

    ``rows``: entries as they shall be, None for those that shall be gone. Entries that are not
    named go if their document is in ``documents``, or all of them with ``everything``.
    ``exact``: made from the base as it was; a commit that came between spoils it.
    """

    rows: Mapping[str, EntryRow | None]
    documents: Collection[str] = frozenset()
    everything: bool = False
    exact: bool = False

    def step(self, entry_id: str, known: Known | None) -> Step | None:
        """What is to be done about an entry; None where nothing is."""
        if entry_id not in self.rows:
            unwanted = known is not None and (self.everything or known.document in self.documents)
            return Step(entry_id, "removed") if unwanted else None
        row = self.rows[entry_id]
        if same_content(row, known):
            return None
        if row is None:
            return Step(entry_id, "removed")
        return Step(entry_id, "added" if known is None else "updated", row)


def same_content(one: EntryRow | None, other: EntryRow | Known | None) -> bool:
    """Counts and times do not matter."""
    if one is None or other is None:
        return one is other
    return one.content_hash == other.content_hash and one.source == other.source


@dataclass(frozen=True, slots=True)
class Committed:
    """``version`` None: there was nothing left to change."""

    version: int | None
    added: int = 0
    updated: int = 0
    removed: int = 0


class OpenDraft(NamedTuple):
    """An import under way."""

    id: int
    by: str
    owner: str
    lease_until: float
    created_at: str


class VersionRow(NamedTuple):
    id: int
    kind: str
    by: str
    note: str
    added: int
    updated: int
    removed: int
    unchanged: int
    created_at: str


class ChangeRow(NamedTuple):
    """The entry ``before`` and ``after`` the version, and ``now``.

    ``current``: no later version touched it. One that did may have been undone, so that ``now`` is
    ``after`` again.
    """

    entry_id: str
    before: EntryRow | None
    after: EntryRow | None
    now: EntryRow | None
    current: bool


class Overtaken(StorageError):
    """Another version was committed after revision ``seen``: compute the target again."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        super().__init__(f"the knowledge base changed after revision {seen}; try again")


class DraftLost(KnowledgeError):
    """The import was taken for dead and its staged entries are gone."""

    def __init__(self) -> None:
        super().__init__("知识库", "这次导入停顿太久,已被放弃,没有写入任何内容;请重新导入")


_LOCK_FEED = Statement(f"SELECT pg_advisory_xact_lock({_FEED_LOCK})")
_FORGET = Statement(
    "DELETE FROM knowledge_versions WHERE state = 'open' AND (lease_until < :now OR owner = :dead)"
)
_OPEN = Statement(
    """
    INSERT INTO knowledge_versions (id, kind, by, note, state, added, updated, removed, unchanged,
        owner, lease_until, created_at)
    VALUES (:id, :kind, :by, :note, 'open', 0, 0, 0, 0, :owner, :until, :at)
    ON CONFLICT DO NOTHING
    """
)
_FIND_OPEN = Statement(
    "SELECT id, by, owner, lease_until, created_at FROM knowledge_versions WHERE state = 'open'"
)
_RENEW = Statement(
    "UPDATE knowledge_versions SET lease_until = :until"
    " WHERE id = :id AND owner = :owner AND state = 'open'"
)
_CLOSE = Statement(
    "DELETE FROM knowledge_versions WHERE id = :id AND owner = :owner AND state = 'open'"
)
_STAGED = ("version_id", "entry_id", "effect", *CONTENT, "useful_count", "created_at")


def _stage(json_object: str) -> Statement:
    before = ", ".join(f"'{column}', e.{column}" for column in (*CONTENT, *STATE))
    return Statement(
        f"""
        INSERT INTO knowledge_staged ({", ".join(_STAGED)}, before)
        VALUES ({", ".join(f":{column}" for column in _STAGED)},
            (SELECT {json_object.format(before)} FROM knowledge_entries e
             WHERE e.id = CAST(:entry_id AS VARCHAR)))
        """
    )


_STAGE = {
    "sqlite": _stage("json_object({})"),
    "postgresql": _stage("json_build_object({})::text"),
}
_UNSTAGE = Statement(
    "DELETE FROM knowledge_staged WHERE version_id = :draft AND entry_id = :entry_id"
)
_COUNT_STAGED = Statement(
    "SELECT effect, COUNT(*) FROM knowledge_staged WHERE version_id = :draft GROUP BY effect"
)
_CLEAR_STAGED = Statement("DELETE FROM knowledge_staged WHERE version_id = :draft")
_SWEEP = Statement(
    """
    DELETE FROM knowledge_staged WHERE (version_id, entry_id) IN (
        SELECT s.version_id, s.entry_id FROM knowledge_staged s
        WHERE (s.version_id, s.entry_id) > (:version, :entry_id)
          AND NOT EXISTS (SELECT 1 FROM knowledge_versions v WHERE v.id = s.version_id)
        ORDER BY s.version_id, s.entry_id LIMIT :limit)
    RETURNING version_id, entry_id
    """
)
_ADD_VERSION = Statement(
    """
    INSERT INTO knowledge_versions (kind, by, note, state, added, updated, removed, unchanged,
        lease_until, created_at)
    VALUES (:kind, :by, :note, 'done', :added, :updated, :removed, :unchanged, 0, :at)
    RETURNING id
    """
)
_NOTE_CHANGES = Statement(
    "INSERT INTO knowledge_changes (version_id, entry_id, before)"
    " SELECT :version, s.entry_id, s.before FROM knowledge_staged s WHERE s.version_id = :draft"
)
_REMOVE_ENTRIES = Statement(
    "DELETE FROM knowledge_entries WHERE id IN (SELECT s.entry_id FROM knowledge_staged s"
    " WHERE s.version_id = :draft AND s.effect = 'removed')"
)
_WRITE_ENTRIES = Statement(
    f"""
    INSERT INTO knowledge_entries (id, {", ".join((*CONTENT, *STATE))})
    SELECT s.entry_id, {", ".join(f"s.{column}" for column in CONTENT)}, s.useful_count,
        s.created_at, :at
    FROM knowledge_staged s WHERE s.version_id = :draft AND s.effect <> 'removed'
    ON CONFLICT (id) DO UPDATE SET
        {", ".join(f"{column} = excluded.{column}" for column in (*CONTENT, "updated_at"))}
    """
)
_LATE = Statement("SELECT DISTINCT entry_id FROM knowledge_changes WHERE revision > :seen")
_VERSION = "id, kind, by, note, added, updated, removed, unchanged, created_at"
_VERSIONS = Statement(
    f"SELECT {_VERSION} FROM knowledge_versions WHERE state = 'done'"
    " ORDER BY id DESC LIMIT :limit OFFSET :offset"
)
_FIND_VERSION = Statement(
    f"SELECT {_VERSION} FROM knowledge_versions WHERE state = 'done' AND id = :id"
)
_CHANGES_OF = Statement(
    f"""
    SELECT c.entry_id, c.before, n.revision, n.before, {ENTRY}
    FROM (
        SELECT o.entry_id, o.before, (
            SELECT x.revision FROM knowledge_changes x
            WHERE x.entry_id = o.entry_id AND x.revision > o.revision
            ORDER BY x.revision LIMIT 1) AS next
        FROM knowledge_changes o
        WHERE o.version_id = :version AND o.entry_id > :after
        ORDER BY o.entry_id LIMIT :limit OFFSET :offset) c
    LEFT JOIN knowledge_changes n ON n.revision = c.next
    LEFT JOIN knowledge_entries e ON e.id = c.entry_id
    ORDER BY c.entry_id
    """
)
_STATES_BEFORE = Statement(
    """
    SELECT version_id, entry_id, before FROM knowledge_changes
    WHERE (version_id, entry_id) > (:version, :entry_id)
    ORDER BY version_id, entry_id LIMIT :limit
    """
)


def open_draft(
    connection: Connection, draft: Draft, *, now: float, lease_s: float, dead: str = ""
) -> OpenDraft | None:
    """Begin an import; returns the one that is under way instead, if there is one.

    One whose lease is over, or whose owner is ``dead``, is forgotten; its staged rows are for
    `sweep`.
    """
    _FORGET.run(connection, {"now": now, "dead": dead})
    values = {
        "id": draft.id,
        "kind": draft.kind,
        "by": draft.by,
        "note": draft.note,
        "owner": draft.owner,
        "until": now + lease_s,
        "at": iso(now),
    }
    if _OPEN.run(connection, values):
        return None
    other = _FIND_OPEN.first(connection, {})
    return OpenDraft(*other) if other else None


def renew_draft(connection: Connection, draft: Draft, *, until: float) -> None:
    """Raises DraftLost."""
    if not _RENEW.run(connection, {"id": draft.id, "owner": draft.owner, "until": until}):
        raise DraftLost


def close_draft(connection: Connection, draft: Draft) -> None:
    """Give up an import; nothing of it stays but staged rows for `sweep`."""
    _CLOSE.run(connection, {"id": draft.id, "owner": draft.owner})


def stage(
    connection: Connection, draft: Draft, steps: Sequence[Mapping[str, Any]], *, until: float
) -> None:
    """``steps``: of `step_values`. Also renews the draft; raises DraftLost."""
    renew_draft(connection, draft, until=until)
    _STAGE[connection.dialect.name].run_many(connection, steps)


def step_values(draft: Draft, step: Step, at: str) -> dict[str, Any]:
    """A row of knowledge_staged; ``at`` is when an entry that is new was created."""
    row = step.row or EntryRow(step.entry_id, "", "")
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    return values | {
        "version_id": draft.id,
        "entry_id": step.entry_id,
        "effect": step.effect,
        "created_at": row.created_at or at,
    }


def sweep(connection: Connection, after: StagedKey, limit: int) -> StagedKey | None:
    """Remove at most ``limit`` staged rows that no open draft owns; the last one, if any went.

    ``after``: what the sweep before returned, else PostgreSQL walks over all that it removed.
    """
    values = {"version": after[0], "entry_id": after[1], "limit": limit}
    return max(((row[0], row[1]) for row in _SWEEP.all(connection, values)), default=None)


def commit(
    connection: Connection,
    draft: Draft,
    target: Target,
    *,
    seen: int,
    staged: int,
    unchanged: int,
    now: float,
) -> Committed:
    """Apply the ``staged`` steps of an open draft. Raises DraftLost, Overtaken.

    ``seen``: the revision from before the steps were computed.
    """
    _lock_feed(connection)
    if not _CLOSE.run(connection, {"id": draft.id, "owner": draft.owner}):
        raise DraftLost
    if (
        sum(_staged(connection, draft).values()) != staged
    ):  # PostgreSQL empties unlogged tables when it crashed
        raise DraftLost
    _stage_late(connection, draft, target, seen, now)
    return _apply(connection, draft, unchanged, now)


def commit_steps(
    connection: Connection,
    draft: Draft,
    target: Target,
    steps: Iterable[Step],
    *,
    seen: int,
    unchanged: int,
    now: float,
) -> Committed:
    """A version of few ``steps`` in one unit; ``draft`` was not opened. Raises Overtaken."""
    _lock_feed(connection)
    values = [step_values(draft, step, iso(now)) for step in steps]
    if values:
        _STAGE[connection.dialect.name].run_many(connection, values)
    _stage_late(connection, draft, target, seen, now)
    committed = _apply(connection, draft, unchanged, now)
    _CLEAR_STAGED.run(connection, {"draft": draft.id})
    return committed


def _lock_feed(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        _LOCK_FEED.first(connection, {})


def _staged(connection: Connection, draft: Draft) -> dict[Effect, int]:
    return {row[0]: row[1] for row in _COUNT_STAGED.all(connection, {"draft": draft.id})}


def _stage_late(
    connection: Connection, draft: Draft, target: Target, seen: int, now: float
) -> None:
    """Decide again about entries that others changed after the steps were computed."""
    late = [row[0] for row in _LATE.all(connection, {"seen": seen})]
    if late and target.exact:
        raise Overtaken(seen)
    known = find_known(connection, late)
    for entry_id in late:
        _UNSTAGE.run(connection, {"draft": draft.id, "entry_id": entry_id})
        step = target.step(entry_id, known.get(entry_id))
        if step is not None:
            _STAGE[connection.dialect.name].run(connection, step_values(draft, step, iso(now)))


def _apply(connection: Connection, draft: Draft, unchanged: int, now: float) -> Committed:
    staged = _staged(connection, draft)
    if not staged:
        return Committed(None)
    counts = {effect: staged.get(effect, 0) for effect in EFFECTS}
    values = {"kind": draft.kind, "by": draft.by, "note": draft.note, "unchanged": unchanged}
    row = _ADD_VERSION.first(connection, values | counts | {"at": iso(now)})
    assert row is not None
    keys = {"version": row[0], "draft": draft.id, "at": iso(now)}
    _NOTE_CHANGES.run(connection, keys)
    _REMOVE_ENTRIES.run(connection, keys)
    _WRITE_ENTRIES.run(connection, keys)
    record(
        connection,
        at=iso(now),
        actor=draft.by,
        action=f"knowledge.{draft.kind}",
        subject=str(row[0]),
        detail={"note": draft.note} | {effect: count for effect, count in counts.items() if count},
    )
    return Committed(row[0], counts["added"], counts["updated"], counts["removed"])


def list_versions(connection: Connection, limit: int, offset: int) -> list[VersionRow]:
    """Newest first."""
    rows = _VERSIONS.all(connection, {"limit": limit, "offset": offset})
    return [VersionRow(*row) for row in rows]


def find_version(connection: Connection, version: int) -> VersionRow | None:
    row = _FIND_VERSION.first(connection, {"id": version})
    return VersionRow(*row) if row else None


def changes_of(
    connection: Connection, version: int, *, limit: int, offset: int = 0, after: str = ""
) -> list[ChangeRow]:
    """What a version changed, in the order of the entries' ids."""
    values = {"version": version, "limit": limit, "offset": offset, "after": after}
    return [_change(row) for row in _CHANGES_OF.all(connection, values)]


def _change(row: Sequence[Any]) -> ChangeRow:
    entry_id, before, next_revision, next_before = row[:4]
    now = row_of(row[4:])
    current = next_revision is None
    after = now if current else row_before(entry_id, next_before)
    return ChangeRow(entry_id, row_before(entry_id, before), after, now, current)


def states_before(
    connection: Connection, version: int, entry_id: str, limit: int
) -> list[tuple[int, str, EntryRow | None]]:
    """(version, entry id, what it was before), page by page after (``version``, ``entry_id``)."""
    values = {"version": version, "entry_id": entry_id, "limit": limit}
    rows = _STATES_BEFORE.all(connection, values)
    return [(row[0], row[1], row_before(row[1], row[2])) for row in rows]
