"""The knowledge base: what is imported and edited, in versions that can be taken back.

Rows are the truth (`storage.knowledge`); indexes follow them by the change feed. Every change is a
version, applied as a whole or not at all. A change of few entries is one unit of work. A longer
one is staged in batches, so that other writes go on between them, and then applied by one unit;
only one such import is under way at a time anywhere, and a second one waits for it.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import psutil
from sqlalchemy import Connection

from domain.errors import KefuError, KnowledgeError, NotFound
from knowledge.documents import Entry, Progress
from knowledge.jobs import ImportJobs
from knowledge.jobs import ImportSummary as ImportSummary
from storage import knowledge as rows
from storage import knowledge_versions as versions
from storage.clock import iso
from storage.database import Database
from storage.knowledge import EntryRow
from storage.knowledge_versions import Draft, Overtaken, Step, Target, VersionRow

Kind = Literal["import", "rebuild", "edit", "learned", "rollback"]
T = TypeVar("T")

FEW = 500
"""Steps that one unit of work takes; more are staged in batches of this size."""
READ_IDS = 2_000
SWEEP_ROWS = 2_000
LEASE_S = 30.0
PATIENCE_S = 60.0
POLL_S = 0.1
TRIES = 10
NAMED = 5
_BASE = "知识库"
_KEY = "knowledge"


@dataclass(frozen=True, slots=True)
class StoredEntry(Entry):
    """An entry of the base, with what the base knows about it. Times are ISO 8601 in UTC."""

    useful_count: int = 0
    created_at: str = ""
    updated_at: str = ""


class Change(NamedTuple):
    """What a version did to an entry; ``current``: no later version touched it."""

    entry_id: str
    before: StoredEntry | None
    after: StoredEntry | None
    current: bool


@dataclass(frozen=True, slots=True)
class Document:
    """``categories``: numbers of entries by category; ``changed_at`` of the newest entry."""

    name: str
    entries: int
    categories: dict[str, int]
    changed_at: str


class ChangedAgain(KnowledgeError):
    """``entry_ids`` were changed again after ``version``: undoing it would lose that."""

    def __init__(self, version: int, entry_ids: Sequence[str], named: Sequence[str]) -> None:
        self.version, self.entry_ids = version, tuple(entry_ids)
        some = "、".join(f"「{name}」({key})" for key, name in zip(entry_ids, named, strict=False))
        more = "等" if len(entry_ids) > len(named) else ""
        super().__init__(
            f"版本 {version}",
            f"其中 {len(entry_ids)} 条知识后来又被改动:{some}{more};"
            "请先撤销后来的版本,或强制撤销并放弃后来的改动",
        )


class _Plan(NamedTuple):
    """``steps`` lead from the base as it was at revision ``seen`` to ``target``."""

    target: Target
    steps: list[Step]
    unchanged: int
    seen: int


class _Order(NamedTuple):
    kind: Kind
    by: str
    note: str
    progress: Progress | None = None


class KnowledgeBase(ImportJobs):
    """Asynchronous; the database must be started. Faults are KnowledgeError or StorageError."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
        few: int = FEW,
    ) -> None:
        """``lease_s``: how long an import may stand still before another one takes its place (one
        of a dead process on this machine at once); ``patience_s``: how long one waits its turn;
        ``few``: changes that one unit of work takes, more are staged."""
        super().__init__(database, clock=clock)
        self._lease_s, self._patience_s, self._few = lease_s, patience_s, few

    # Changing

    async def import_entries(
        self,
        entries: Iterable[Entry],
        *,
        refresh: Collection[str] = (),
        rebuild: bool = False,
        by: str = "",
        note: str = "",
        progress: Progress | None = None,
    ) -> ImportSummary:
        """Adds new entries and replaces those whose content hash differs, as one version.

        ``refresh``: documents (`Entry.document`) whose entries that are not given go.
        ``rebuild``: the base holds exactly ``entries`` afterwards. ``progress`` counts changes.
        Another import is waited for; KnowledgeError when it takes too long.
        """
        given = await asyncio.to_thread(_rows_of, entries)
        target = Target(given, frozenset(refresh), everything=rebuild)
        order = _Order("rebuild" if rebuild else "import", by, note, progress)
        return await self._change(target, order)

    async def put(
        self,
        entries: Iterable[Entry],
        *,
        by: str,
        note: str = "",
        kind: Kind = "edit",
        replaces: Collection[str] = (),
    ) -> ImportSummary:
        """Add or replace entries. ``replaces``: ids that go in the same version, for an entry whose
        new question gives it a new id."""
        gone: dict[str, EntryRow | None] = dict.fromkeys(replaces)
        target = Target(gone | await asyncio.to_thread(_rows_of, entries))
        return await self._change(target, _Order(kind, by, note))

    async def remove(self, ids: Iterable[str], *, by: str, note: str = "") -> ImportSummary:
        return await self._change(Target(dict.fromkeys(ids)), _Order("edit", by, note))

    async def undo(
        self, version: int, *, by: str, note: str = "", force: bool = False
    ) -> ImportSummary:
        """Restore what ``version`` changed, as a version of its own.

        Raises ChangedAgain if entries do not stand as it left them, unless ``force`` gives that
        later work up; NotFound. Undoing an undo or a rollback works the same.
        """

        async def target() -> Target:
            return await self._before_version(version, force=force)

        return await self._restore(target, _Order("rollback", by, note or f"撤销版本 {version}"))

    async def rollback(self, to_version: int, *, by: str, note: str = "") -> ImportSummary:
        """Undo all versions after ``to_version`` (0: all there are), as one new version."""

        async def target() -> Target:
            return await self._after_version(to_version)

        return await self._restore(target, _Order("rollback", by, note or f"退回版本 {to_version}"))

    async def used(self, ids: Collection[str]) -> None:
        """These entries answered somebody."""
        if ids:
            await self._write(lambda c: rows.count_useful(c, ids))

    # Reading

    async def entries(
        self,
        *,
        category: str | None = None,
        document: str | None = None,
        text: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[int, list[StoredEntry]]:
        """How many match, and one page of them, ordered by document and id."""
        page = rows.Page(category, document, text, limit, offset)

        def unit(connection: Connection) -> tuple[int, list[StoredEntry]]:
            total, found = rows.list_entries(connection, page)
            return total, [_stored(row) for row in found]

        return await self.database.read(unit)

    async def get(self, ids: Sequence[str]) -> list[StoredEntry]:
        """Those that exist, in the order of ``ids``."""
        found = await self.database.read(lambda c: rows.get_entries(c, ids))
        return [_stored(found[key]) for key in dict.fromkeys(ids) if key in found]

    async def documents(self) -> list[Document]:
        counts = await self.database.read(rows.count_documents)
        grouped: dict[str, list[rows.DocumentCount]] = {}
        for count in counts:
            grouped.setdefault(count.document, []).append(count)
        return [
            Document(
                name,
                sum(part.entries for part in parts),
                {part.category: part.entries for part in parts},
                max(part.changed_at for part in parts),
            )
            for name, parts in grouped.items()
        ]

    async def categories(self) -> dict[str, int]:
        """Numbers of entries by category."""
        return dict(await self.database.read(rows.count_categories))

    async def versions(self, limit: int = 50, offset: int = 0) -> list[VersionRow]:
        """Newest first."""
        return await self.database.read(lambda c: versions.list_versions(c, limit, offset))

    async def version(self, version: int) -> VersionRow:
        """Raises NotFound."""
        found = await self.database.read(lambda c: versions.find_version(c, version))
        if found is None:
            raise NotFound("version", str(version))
        return found

    async def changes_of(self, version: int, limit: int = 50, offset: int = 0) -> list[Change]:
        """What a version changed, ordered by entry id. Raises NotFound."""
        await self.version(version)
        found = await self.database.read(
            lambda c: versions.changes_of(c, version, limit=limit, offset=offset)
        )
        return [
            Change(row.entry_id, _maybe(row.before), _maybe(row.after), row.current)
            for row in found
        ]

    # Versions

    async def _restore(self, make: Callable[[], Awaitable[Target]], order: _Order) -> ImportSummary:
        """The target depends on the base: where another version came between, make it again."""
        for _ in range(TRIES):
            seen = await self.database.read(rows.newest_revision)
            with contextlib.suppress(Overtaken):
                return await self._change(await make(), order, seen)
        raise KnowledgeError(_BASE, "别处正在不断改动知识库,请稍后再试")

    async def _before_version(self, version: int, *, force: bool) -> Target:
        await self.version(version)
        before: dict[str, EntryRow | None] = {}
        lost: dict[str, str] = {}
        after = ""
        while page := await self.database.read(_changes_page(version, after)):
            for change in page:
                before[change.entry_id] = change.before
                if not versions.same_content(change.now, change.after):
                    some = change.now or change.after or change.before
                    lost[change.entry_id] = some.question if some else ""
            after = page[-1].entry_id
        if lost and not force:
            raise ChangedAgain(version, list(lost), list(lost.values())[:NAMED])
        return Target(before, exact=True)

    async def _after_version(self, to_version: int) -> Target:
        if to_version:
            await self.version(to_version)
        before: dict[str, EntryRow | None] = {}
        at = (to_version + 1, "")
        while page := await self.database.read(_states_page(*at)):
            for _, entry_id, row in page:
                before.setdefault(entry_id, row)
            at = page[-1][:2]
        return Target(before, exact=True)

    async def _change(
        self, target: Target, order: _Order, seen: int | None = None
    ) -> ImportSummary:
        plan = await self._plan(target, seen)
        if not plan.steps:
            return ImportSummary(unchanged=plan.unchanged)
        owner = await asyncio.to_thread(_owner)
        draft = Draft(-1 - secrets.randbits(52), owner, order.kind, order.by, order.note)
        if len(plan.steps) <= self._few:
            return await self._commit_few(draft, plan, order.progress)
        async with self._opened(draft):
            if await self.database.read(rows.newest_revision) != plan.seen:
                plan = await self._plan(target, plan.seen if target.exact else None)
            return await self._commit_many(draft, plan, order.progress)

    async def _plan(self, target: Target, seen: int | None) -> _Plan:
        if seen is None:
            seen = await self.database.read(rows.newest_revision)
        steps: list[Step] = []
        ids = list(target.rows)
        for start in range(0, len(ids), READ_IDS):
            steps += await self.database.read(_steps_unit(target, ids[start : start + READ_IDS]))
        unchanged = sum(row is not None for row in target.rows.values())
        unchanged -= sum(step.row is not None for step in steps)
        async for entry_id in self._others(target):
            steps.append(Step(entry_id, "removed"))
        return _Plan(target, steps, unchanged, seen)

    async def _others(self, target: Target) -> AsyncIterator[str]:
        """Entries that go because the target does not name them."""
        async for page in self._all_ids() if target.everything else self._ids(target.documents):
            for entry_id in page:
                if entry_id not in target.rows:
                    yield entry_id

    async def _all_ids(self) -> AsyncIterator[list[str]]:
        after = ""
        while page := await self.database.read(_ids_page(after)):
            yield page
            after = page[-1]

    async def _ids(self, documents: Collection[str]) -> AsyncIterator[list[str]]:
        names = sorted(documents)
        for start in range(0, len(names), rows.IDS_AT_ONCE):
            yield await self.database.read(_ids_unit(names[start : start + rows.IDS_AT_ONCE]))

    async def _commit_few(
        self, draft: Draft, plan: _Plan, progress: Progress | None
    ) -> ImportSummary:
        done = await self._write(
            lambda c: versions.commit_steps(
                c,
                draft,
                plan.target,
                plan.steps,
                seen=plan.seen,
                unchanged=plan.unchanged,
                now=self._clock(),
            )
        )
        if progress is not None:
            progress(len(plan.steps), len(plan.steps))
        return _summary(done, plan)

    async def _commit_many(
        self, draft: Draft, plan: _Plan, progress: Progress | None
    ) -> ImportSummary:
        await self._stage(draft, plan.steps, progress)
        done = await self._write(
            lambda c: versions.commit(
                c,
                draft,
                plan.target,
                seen=plan.seen,
                staged=len(plan.steps),
                unchanged=plan.unchanged,
                now=self._clock(),
            )
        )
        return _summary(done, plan)

    async def _stage(self, draft: Draft, steps: list[Step], progress: Progress | None) -> None:
        for start in range(0, len(steps), self._few):
            now = self._clock()
            part = steps[start : start + self._few]
            values = await asyncio.to_thread(_values_of, draft, part, iso(now))
            await self._write(_stage_unit(draft, values, now + self._lease_s))
            if progress is not None:
                progress(start + len(part), len(steps))

    # The draft of a long import

    @contextlib.asynccontextmanager
    async def _opened(self, draft: Draft) -> AsyncIterator[None]:
        await self._open(draft)
        renewing = asyncio.create_task(self._renew(draft))
        try:
            await self._sweep()
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(KefuError):  # then its lease runs out
                await self._write(lambda c: versions.close_draft(c, draft))
        await self._sweep()

    async def _open(self, draft: Draft) -> None:
        deadline = time.monotonic() + self._patience_s
        dead = ""
        while True:
            other = await self._write(_open_unit(draft, self._clock(), self._lease_s, dead))
            if other is None:
                return
            dead = other.owner if await asyncio.to_thread(_is_dead, other.owner) else ""
            if time.monotonic() > deadline:
                who = f"由 {other.by} " if other.by else ""
                raise KnowledgeError(
                    _BASE, f"另一次导入正在进行({who}{other.created_at} 开始),请等它完成后再试"
                )
            if not dead:
                await asyncio.sleep(POLL_S)

    async def _renew(self, draft: Draft) -> None:
        """Planning again under the draft may take long; staging renews by itself."""
        with contextlib.suppress(KefuError):  # staging and committing say so themselves
            while True:
                await asyncio.sleep(self._lease_s / 3)
                await self._write(_renew_unit(draft, self._clock() + self._lease_s))

    async def _sweep(self) -> None:
        at: versions.StagedKey | None = (-(2**62), "")
        while at is not None:
            at = await self._write(_sweep_unit(at))

    def _write(self, unit: Callable[[Connection], T]) -> asyncio.Future[T]:
        return self.database.write(unit, key=_KEY)


def entry_of(row: EntryRow) -> Entry:
    """The entry as it was imported."""
    return Entry(*_content(row))


def _stored(row: EntryRow) -> StoredEntry:
    return StoredEntry(*_content(row), row.useful_count, row.created_at, row.updated_at)


def _maybe(row: EntryRow | None) -> StoredEntry | None:
    return _stored(row) if row is not None else None


def _content(
    row: EntryRow,
) -> tuple[str, str, str, tuple[str, ...], str, tuple[str, ...], str, str, str]:
    return (
        *(row.id, row.question, row.answer, tuple(json.loads(row.aliases)), row.category),
        *(tuple(json.loads(row.tags)), row.source, row.position, row.content_hash),
    )


def row_of(entry: Entry) -> EntryRow:
    return EntryRow(
        id=entry.id,
        question=entry.question,
        answer=entry.answer,
        aliases=json.dumps(entry.aliases, ensure_ascii=False),
        category=entry.category,
        tags=json.dumps(entry.tags, ensure_ascii=False),
        source=entry.source,
        document=entry.document,
        position=entry.position,
        content_hash=entry.content_hash or _digest(entry),
    )


def _digest(entry: Entry) -> str:
    """For entries that `make_entry` did not make."""
    said = (entry.question, entry.answer, entry.aliases, entry.category, entry.tags, entry.position)
    return hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest()


def _rows_of(entries: Iterable[Entry]) -> dict[str, EntryRow | None]:
    """The last one of an id counts."""
    return {entry.id: row_of(entry) for entry in entries}


def _values_of(draft: Draft, steps: Sequence[Step], at: str) -> list[dict[str, object]]:
    return [versions.step_values(draft, step, at) for step in steps]


def _summary(done: versions.Committed, plan: _Plan) -> ImportSummary:
    return ImportSummary(done.version, done.added, done.updated, plan.unchanged, done.removed)


# Units of work


def _steps_unit(target: Target, ids: list[str]) -> Callable[[Connection], list[Step]]:
    def unit(connection: Connection) -> list[Step]:
        known = rows.find_known(connection, ids)
        steps = (target.step(entry_id, known.get(entry_id)) for entry_id in ids)
        return [step for step in steps if step is not None]

    return unit


def _ids_page(after: str) -> Callable[[Connection], list[str]]:
    return lambda c: rows.entry_ids(c, after, READ_IDS)


def _ids_unit(documents: list[str]) -> Callable[[Connection], list[str]]:
    return lambda c: rows.ids_of_documents(c, documents)


def _changes_page(version: int, after: str) -> Callable[[Connection], list[versions.ChangeRow]]:
    return lambda c: versions.changes_of(c, version, limit=READ_IDS, after=after)


def _states_page(
    version: int, entry_id: str
) -> Callable[[Connection], list[tuple[int, str, EntryRow | None]]]:
    return lambda c: versions.states_before(c, version, entry_id, READ_IDS)


def _stage_unit(
    draft: Draft, values: list[dict[str, object]], until: float
) -> Callable[[Connection], None]:
    return lambda c: versions.stage(c, draft, values, until=until)


def _open_unit(
    draft: Draft, now: float, lease_s: float, dead: str
) -> Callable[[Connection], versions.OpenDraft | None]:
    return lambda c: versions.open_draft(c, draft, now=now, lease_s=lease_s, dead=dead)


def _sweep_unit(
    after: versions.StagedKey,
) -> Callable[[Connection], versions.StagedKey | None]:
    return lambda c: versions.sweep(c, after, SWEEP_ROWS)


def _renew_unit(draft: Draft, until: float) -> Callable[[Connection], None]:
    return lambda c: versions.renew_draft(c, draft, until=until)


# Who imports


def _owner() -> str:
    started = psutil.Process().create_time()
    return f"{socket.gethostname()}|{os.getpid()}|{started}|{secrets.token_hex(8)}"


def _is_dead(owner: str) -> bool:
    """Whether the process is known to have ended: only one of this machine can be.

    A wrong answer does no harm: a draft that was taken from a living import fails as a whole.
    """
    host, pid, started, _ = owner.split("|")
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return str(process.create_time()) != started or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
