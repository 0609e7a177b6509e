"""Unknown questions: swept into clusters, and what a person does with those.

The clusters that a question may join are held in memory and follow the rows by revision, so a
sweep reads only what changed. It computes in a worker thread and writes only if nobody else
changed a cluster in between; otherwise it looks again.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

from domain.errors import InvalidInput, NotFound, StorageError
from knowledge.clusters import (
    MAX_WORDINGS,
    Cluster,
    ClusterIndex,
    Similarity,
    Thresholds,
    most_central,
    same_meaning,
)
from knowledge.lessons import safe_wording
from knowledge.terms import wording_key
from storage import clusters as rows
from storage.audit import record
from storage.clock import iso
from storage.clusters import ClusterRow, ClusterState, QuestionRow, UnassignedQuestion
from storage.database import Database

T = TypeVar("T")

BATCH = 200
MAX_OPEN = 2_000
RETENTION_DAYS = 90.0
CONTENTS_READ = 400
TRIES = 8
_KEY = "learning"
_NO_WORDS = "（没有文字）"


@dataclass(frozen=True, slots=True)
class ClusterView:
    """``representative``: the most central wording. ``missed``: asked again after the answer."""

    id: int
    state: ClusterState
    representative: str
    wordings: tuple[str, ...]
    count: int
    customers: int
    missed: int
    first_at: str
    last_at: str
    entry_id: str | None
    reason: str
    merged_into: int | None


@dataclass(frozen=True, slots=True)
class ClusterPage:
    items: tuple[ClusterView, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Numbers. ``more``: the batch was full, so there may be others."""

    assigned: int = 0
    created: int = 0
    merged: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Placed:
    question: UnassignedQuestion
    cluster: int


@dataclass(frozen=True, slots=True)
class _Merge:
    kept: int
    gone: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """In the order of the questions; negative cluster ids are new ones."""

    steps: tuple[_Placed | _Merge, ...]
    described: dict[int, tuple[str, tuple[str, ...]]]


class UnknownQuestions:
    """``max_open`` clusters stay open at most, and ``retention_days`` after the last question."""

    def __init__(
        self,
        database: Database,
        *,
        similarity: Similarity = same_meaning,
        thresholds: Thresholds | None = None,
        max_open: int = MAX_OPEN,
        retention_days: float = RETENTION_DAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._similarity = similarity
        self._thresholds = thresholds or Thresholds()
        self._max_open, self._retention_s = max_open, retention_days * 86_400
        self._clock = clock
        self._index: ClusterIndex | None = None
        self._seen = 0
        self._sweeping = asyncio.Lock()

    # Sweeping

    async def sweep(self, batch: int = BATCH) -> Sweep:
        """Assign waiting questions, the oldest first. Safe to run anywhere at any time."""
        async with self._sweeping:
            before = iso(self._clock() - self._retention_s)
            await self._write(lambda c: rows.expire(c, before=before, keep=self._max_open))
            for _ in range(TRIES):
                waiting = await self._database.read(lambda c: rows.unassigned(c, batch))
                if not waiting:
                    return Sweep()
                index = await self._current()
                # From here on it holds what is in no row: should this fail, all is read again.
                self._index = None
                plan = await asyncio.to_thread(self._place, index, waiting)
                done = await self._commit(index, plan)
                if done is not None:
                    return Sweep(*done, more=len(waiting) == batch)
            raise StorageError("the clusters keep changing; the next sweep tries again")

    async def _current(self) -> ClusterIndex:
        index, seen = self._index, self._seen
        if index is None:
            limit = self._max_open
            seen, loaded = await self._database.read(
                lambda c: (rows.revision(c), rows.absorbing(c, limit))
            )
            index = ClusterIndex(self._similarity, self._thresholds)
            await asyncio.to_thread(_fill, index, loaded)
        else:
            seen, changed = await self._database.read(
                lambda c: (rows.revision(c), rows.changed_since(c, self._seen))
            )
            await asyncio.to_thread(_refresh, index, changed)
        self._index, self._seen = index, seen
        return index

    def _place(self, index: ClusterIndex, waiting: Sequence[UnassignedQuestion]) -> _Plan:
        steps: list[_Placed | _Merge] = []
        grown: dict[int, int] = {}
        for question in waiting:
            wording = safe_wording(question.content) or _NO_WORDS
            placed = index.place(wording)
            grown.setdefault(placed.cluster_id, 0)
            for gone in placed.merged:
                steps.append(_Merge(placed.cluster_id, gone))
                grown.pop(gone, None)
            steps.append(_Placed(question, placed.cluster_id))
        described = {at: index.wordings_of(at) for at in grown}
        return _Plan(
            tuple(steps),
            {at: (most_central(own, self._similarity), own) for at, own in described.items()},
        )

    async def _commit(self, index: ClusterIndex, plan: _Plan) -> tuple[int, int, int] | None:
        """None when the clusters are not those that the plan was made with."""
        seen = self._seen

        def unit(connection: Connection) -> _Written | None:
            revision = rows.take_revision(connection)
            return _write_plan(connection, plan, revision) if revision == seen + 1 else None

        written = await self._write(unit)
        if written is None:
            return None
        for temporary, real in written.ids.items():
            if temporary in written.alive:
                index.rename(temporary, real)
        self._index, self._seen = index, seen + 1
        return written.assigned, len(written.ids), written.merged

    # What a person does

    async def move(self, question_id: int, to: int | None, *, by: str) -> ClusterView:
        """Move a question to cluster ``to``, or (None) to a new one of its own; where it is now.

        Raises NotFound, and InvalidInput for a question that no sweep has seen yet.
        """
        found = await self._database.read(lambda c: rows.question(c, question_id))
        if found is None:
            raise NotFound("question_id", str(question_id))
        if found.cluster_id is None:
            raise InvalidInput("question_id", "这个问题还没有归类，请稍后再试", status=409)
        if to is not None:
            await self.cluster(to)
        wording = safe_wording(found.content) or _NO_WORDS
        at = iso(self._clock())

        def unit(connection: Connection) -> tuple[int, ...]:
            revision = rows.take_revision(connection)
            target = to
            if target is None:
                target = rows.create(
                    connection,
                    revision=revision,
                    representative=wording,
                    wordings=[wording],
                    at=found.created_at,
                )
            source = rows.move(connection, question_id, target, revision=revision)
            detail = {"question": question_id, "from": source, "to": target}
            _audit(connection, at, by, "cluster.move", target, detail)
            return (target, source) if source is not None else (target,)

        touched = await self._write(unit)
        await self._describe(touched)
        return await self.cluster(touched[0])

    async def merge(self, kept: int, gone: int, *, by: str) -> ClusterView:
        """All questions of ``gone`` are ``kept``'s from now on; `unmerge` takes it back."""
        if kept == gone:
            raise InvalidInput("cluster_id", "不能与自己合并")
        at = iso(self._clock())

        def unit(connection: Connection) -> None:
            for cluster in (kept, gone):
                if _found(connection, cluster).merged_into is not None:
                    raise InvalidInput("cluster_id", f"{cluster} 已被合并", status=409)
            revision = rows.take_revision(connection)
            rows.merge(connection, kept=kept, gone=gone, revision=revision)
            _audit(connection, at, by, "cluster.merge", kept, {"gone": gone})

        await self._write(unit)
        await self._describe((kept,))
        return await self.cluster(kept)

    async def unmerge(self, gone: int, *, by: str) -> ClusterView:
        """Take a merge back; the cluster is open again with its questions."""
        at = iso(self._clock())

        def unit(connection: Connection) -> int:
            kept = _found(connection, gone).merged_into
            if kept is None:
                raise InvalidInput("cluster_id", f"{gone} 没有被合并", status=409)
            revision = rows.take_revision(connection)
            rows.unmerge(connection, kept=kept, gone=gone, revision=revision)
            _audit(connection, at, by, "cluster.unmerge", gone, {"kept": kept})
            return kept

        kept = await self._write(unit)
        await self._describe((kept, gone))
        return await self.cluster(gone)

    async def dismiss(self, cluster_id: int, *, by: str, reason: str = "") -> ClusterView:
        """No answer is wanted: later questions of this meaning stay out of sight too."""
        return await self._set(cluster_id, "dismissed", by, "cluster.dismiss", reason or "不处理")

    async def reopen(self, cluster_id: int, *, by: str) -> ClusterView:
        """A dismissed cluster waits for an answer again."""
        return await self._set(cluster_id, "open", by, "cluster.reopen", "")

    async def _set(
        self, cluster_id: int, state: ClusterState, by: str, action: str, reason: str
    ) -> ClusterView:
        at = iso(self._clock())
        wanted = "open" if state == "dismissed" else "dismissed"

        def unit(connection: Connection) -> None:
            found = _found(connection, cluster_id)
            if found.state != wanted or found.merged_into is not None:
                raise InvalidInput("cluster_id", f"{cluster_id} 的状态是 {found.state}", status=409)
            revision = rows.take_revision(connection)
            rows.set_state(connection, cluster_id, state, revision=revision, reason=reason)
            _audit(connection, at, by, action, cluster_id, {"reason": reason})

        await self._write(unit)
        return await self.cluster(cluster_id)

    async def _describe(self, touched: Sequence[int]) -> None:
        """Wordings and representative of clusters whose questions a person moved."""
        for cluster_id in touched:
            contents = await self._database.read(_contents_unit(cluster_id))
            wordings = await asyncio.to_thread(_distinct, contents)
            if not wordings:
                continue
            central = await asyncio.to_thread(most_central, wordings, self._similarity)
            await self._write(_describe_unit(cluster_id, central, wordings))

    # Reading

    async def cluster(self, cluster_id: int) -> ClusterView:
        """Raises NotFound."""
        return _view(await self._database.read(lambda c: _found(c, cluster_id)))

    async def clusters(
        self,
        *,
        state: ClusterState | None = None,
        order: Literal["count", "last_at"] = "count",
        min_count: int = 1,
        missed: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> ClusterPage:
        """``missed``: only clusters that were asked again after their answer."""
        total, found = await self._database.read(
            lambda c: rows.listing(
                c,
                state=state,
                order=order,
                min_count=min_count,
                missed=missed,
                limit=limit,
                offset=offset,
            )
        )
        return ClusterPage(tuple(map(_view, found)), total)

    async def questions(
        self, cluster_id: int, *, limit: int = 50, offset: int = 0
    ) -> list[QuestionRow]:
        """As they were asked, the newest first."""
        return await self._database.read(
            lambda c: rows.questions(c, cluster_id, limit=limit, offset=offset)
        )

    async def counts(self) -> dict[str, int]:
        """Number of clusters by state."""
        found = await self._database.read(rows.counts)
        return {state: found.get(state, 0) for state in ("open", "answered", "dismissed")}

    def _write(self, unit: Callable[[Connection], T]) -> asyncio.Future[T]:
        return self._database.write(unit, key=_KEY)


@dataclass(frozen=True, slots=True)
class _Written:
    """``ids``: of new clusters, by their temporary ones; ``alive``: those not merged since."""

    ids: dict[int, int]
    alive: frozenset[int]
    assigned: int
    merged: int


def _write_plan(connection: Connection, plan: _Plan, revision: int) -> _Written:
    ids: dict[int, int] = {}
    gone: set[int] = set()
    assigned = 0
    for step in plan.steps:
        if isinstance(step, _Merge):
            kept = ids.get(step.kept, step.kept)
            rows.merge(connection, kept=kept, gone=ids.get(step.gone, step.gone), revision=revision)
            gone.add(step.gone)
            continue
        cluster = ids.get(step.cluster, step.cluster)
        if cluster < 0:
            wording = safe_wording(step.question.content) or _NO_WORDS
            cluster = ids[step.cluster] = rows.create(
                connection,
                revision=revision,
                representative=wording,
                wordings=[wording],
                at=step.question.created_at,
            )
        assigned += rows.assign(connection, step.question, cluster, revision=revision)
    for at, (central, wordings) in plan.described.items():
        rows.describe(
            connection,
            ids.get(at, at),
            representative=central,
            wordings=wordings,
            revision=revision,
        )
    return _Written(ids, frozenset(ids) - gone, assigned, len(gone))


def _fill(index: ClusterIndex, loaded: Sequence[ClusterRow]) -> None:
    for row in loaded:
        index.add(Cluster(row.id, json.loads(row.wordings), row.state == "open"))


def _refresh(index: ClusterIndex, changed: Sequence[ClusterRow]) -> None:
    for row in changed:
        index.discard(row.id)
    _fill(index, [row for row in changed if row.reason not in (rows.EXPIRED, rows.MERGED)])


def _distinct(contents: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for content in contents:
        wording = safe_wording(content)
        if wording:
            found.setdefault(wording_key(wording), wording)
    return tuple(found.values())[:MAX_WORDINGS]


def _contents_unit(cluster_id: int) -> Callable[[Connection], list[str]]:
    return lambda c: rows.contents(c, cluster_id, CONTENTS_READ)


def _describe_unit(
    cluster_id: int, central: str, wordings: Sequence[str]
) -> Callable[[Connection], None]:
    def unit(connection: Connection) -> None:
        revision = rows.take_revision(connection)
        rows.describe(
            connection, cluster_id, representative=central, wordings=wordings, revision=revision
        )

    return unit


def _found(connection: Connection, cluster_id: int) -> ClusterRow:
    row = rows.find(connection, cluster_id)
    if row is None:
        raise NotFound("cluster_id", str(cluster_id))
    return row


def _view(row: ClusterRow) -> ClusterView:
    return ClusterView(
        row.id,
        row.state,
        row.representative,
        tuple(json.loads(row.wordings)),
        row.count,
        row.customers,
        row.missed,
        row.first_at,
        row.last_at,
        row.entry_id,
        row.reason,
        row.merged_into,
    )


def _audit(
    connection: Connection, at: str, by: str, action: str, cluster_id: int, detail: dict[str, Any]
) -> None:
    record(
        connection, at=at, actor=by, action=action, subject=f"cluster:{cluster_id}", detail=detail
    )
