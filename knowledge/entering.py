"""Suggestions that enter the base, and are taken out of it again.

A suggestion enters the base in three steps, so that a crash leaves no doubt: `begin` notes the
intent and the entry, the base takes the entry (a version that bears the suggestion's note), `end`
marks the suggestion. `repair` finishes what was begun and not ended: it finds the version by its
note, or puts the same entry again. Taking back works the same way.
"""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from sqlalchemy import Connection

from domain.errors import KnowledgeError, NotFound
from knowledge.base import StoredEntry
from knowledge.documents import Entry, make_entry
from knowledge.jobs import ImportSummary
from knowledge.suggestions import AlreadyDecided, Suggestion, Suggestions, audit, view_of
from storage import clusters
from storage import learning as rows
from storage.clock import iso
from storage.database import Database
from storage.learning import SuggestionRow

LEASE_S = 60.0
AUTO = "learning"
POSITIONS = {"agent": "客服回答", "desk": "人工解答", "conversation": "对话学习"}


class Base(Protocol):
    """What is needed of `knowledge.base.KnowledgeBase`."""

    async def put(
        self,
        entries: Sequence[Entry],
        *,
        by: str,
        note: str = ...,
        kind: Literal["learned", "edit"] = ...,
    ) -> ImportSummary: ...

    async def undo(self, version: int, *, by: str, note: str = ...) -> ImportSummary: ...

    async def remove(self, ids: Sequence[str], *, by: str, note: str = ...) -> ImportSummary: ...

    async def get(self, ids: Sequence[str]) -> list[StoredEntry]: ...


@dataclass(frozen=True, slots=True)
class LearningPolicy:
    """Seed 003: ``auto`` enters by itself, ``review`` waits for a person, below is dropped."""

    auto: float = 0.80
    review: float = 0.70


class Entering(Suggestions):
    """``lease_s``: after so long an act that did not end is finished by whoever finds it."""

    def __init__(
        self,
        database: Database,
        base: Base,
        *,
        policy: LearningPolicy,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(database, clock)
        self._base, self._policy, self._lease_s = base, policy, lease_s

    async def undo(self, suggestion_id: int, *, by: str) -> Suggestion:
        """Take an accepted suggestion out of the base again; its cluster is open again.

        Raises NotFound, AlreadyDecided, and KnowledgeError when the entry was changed since.
        """
        row = await self._row(suggestion_id)
        until = self._clock() + self._lease_s
        begun = await self._write(
            lambda c: rows.begin(
                c, row.id, "undo", by=by, until=until, target=row.target, previous=row.previous
            )
        )
        if begun is None:
            raise await self._decided(suggestion_id)
        return await self._finish(begun)

    def _enters_alone(self, row: SuggestionRow) -> bool:
        """Not what a person has looked at: what they took out comes in again by a person only."""
        flags = {flag["kind"] for flag in json.loads(row.flags)}
        untouched = not row.busy and not row.reviewed_by
        return row.confidence >= self._policy.auto and flags <= {"duplicate"} and untouched

    async def _enter(
        self, row: SuggestionRow, *, by: str, auto: bool = False, replaces: str | None = None
    ) -> Suggestion:
        target, previous = await self._entry_of(row, replaces)
        until = self._clock() + self._lease_s
        intent = {"entry": asdict(target), "auto": auto}
        before = json.dumps(asdict(previous), ensure_ascii=False) if previous else None
        begun = await self._write(
            lambda c: rows.begin(
                c,
                row.id,
                "accept",
                by=by,
                until=until,
                target=json.dumps(intent, ensure_ascii=False),
                previous=before,
            )
        )
        if begun is None:
            raise await self._decided(row.id)
        return await self._finish(begun)

    async def _entry_of(
        self, row: SuggestionRow, replaces: str | None
    ) -> tuple[Entry, Entry | None]:
        """The entry as it is to be, and as it is."""
        wordings = tuple(json.loads(row.wordings))
        duplicate = _duplicated(row)
        known = replaces or duplicate
        if known is not None:
            found = await self._base.get([known])
            if found:
                old = _plain(found[0])
                answer = row.answer if replaces else old.answer
                return _extended(old, (row.question, *wordings), answer), old
            if replaces:
                raise NotFound("replaces", replaces)
        made = make_entry(
            row.question,
            row.answer,
            source=f"learned#{row.id}",
            aliases=wordings,
            category=row.type,
            tags=("learned",),
            position=POSITIONS[row.source],
        )
        found = await self._base.get([made.id])
        return made, _plain(found[0]) if found else None

    async def _finish(self, row: SuggestionRow) -> Suggestion:
        """Do what was begun. A base that refuses leaves the suggestion as it was."""
        try:
            if row.busy == "accept":
                return await self._finish_accept(row)
            return await self._finish_undo(row)
        except KnowledgeError:
            await self._write(lambda c: rows.release(c, row))
            raise

    async def _finish_accept(self, row: SuggestionRow) -> Suggestion:
        intent = json.loads(row.target or "{}")
        entry = _entry_from(intent["entry"])
        note = _note_of(row)
        version = await self._database.read(lambda c: rows.version_of(c, entry.id, note))
        if version is None:
            done = await self._base.put([entry], by=row.busy_by, note=note, kind="learned")
            version = done.version
        at, auto = iso(self._clock()), bool(intent["auto"])
        replaced = row.previous is not None

        def unit(connection: Connection) -> SuggestionRow | None:
            ended = rows.approve(
                connection,
                row,
                question=row.question if replaced else entry.question,
                answer=entry.answer,
                entry_id=entry.id,
                version_id=version,
                auto=auto,
                at=at,
            )
            if ended is not None:
                _close_cluster(connection, ended)
                detail = {"entry": entry.id, "version": version, "auto": auto}
                audit(connection, at, row.busy_by, "suggestion.accept", row.id, detail)
            return ended

        return await self._ended(unit, row)

    async def _finish_undo(self, row: SuggestionRow) -> Suggestion:
        entry_id = row.entry_id or ""
        previous = _entry_from(json.loads(row.previous)) if row.previous else None
        if not await self._stands(entry_id, previous):
            await self._take_out(row, entry_id, previous)
        at = iso(self._clock())

        def unit(connection: Connection) -> SuggestionRow | None:
            ended = rows.undone(connection, row, at=at)
            if ended is not None:
                _open_cluster(connection, ended)
                audit(connection, at, row.busy_by, "suggestion.undo", row.id, {"entry": entry_id})
            return ended

        return await self._ended(unit, row)

    async def _take_out(self, row: SuggestionRow, entry_id: str, previous: Entry | None) -> None:
        note = f"撤销学习建议 {row.id}"
        if row.version_id is not None:
            await self._base.undo(row.version_id, by=row.busy_by, note=note)
        elif previous is None:
            await self._base.remove([entry_id], by=row.busy_by, note=note)

    async def _stands(self, entry_id: str, wanted: Entry | None) -> bool:
        """Whether the base says ``wanted`` (None: nothing) under this id."""
        found = await self._base.get([entry_id])
        if not found or wanted is None:
            return not found and wanted is None
        return found[0].content_hash == wanted.content_hash

    async def _ended(
        self, unit: Callable[[Connection], SuggestionRow | None], row: SuggestionRow
    ) -> Suggestion:
        """Where `repair` of another process ended the act meanwhile, its result is ours too."""
        ended = await self._write(unit)
        return view_of(ended) if ended is not None else await self.suggestion(row.id)

    async def repair(self, limit: int = 100) -> int:
        """Finish acts whose process died, and let in what was about to enter; how many.

        Run it now and then.
        """
        return await self._finish_stalled(limit) + await self._enter_waiting(limit)

    async def _enter_waiting(self, limit: int) -> int:
        """What is sure enough, but whose process died, or whose base was busy, before it began."""
        sure = self._policy.auto
        found = await self._database.read(lambda c: rows.unreviewed(c, sure, limit))
        done = 0
        for row in filter(self._enters_alone, found):
            with contextlib.suppress(AlreadyDecided, KnowledgeError):
                await self._enter(row, by=AUTO, auto=True)
                done += 1
        return done

    async def _finish_stalled(self, limit: int) -> int:
        now = self._clock()
        found = await self._database.read(lambda c: rows.stalled(c, now, limit))
        done = 0
        for row in found:
            taken = await self._write(_take_over_unit(row, now, now + self._lease_s))
            if taken is None:
                continue
            try:
                await self._finish(taken)
                done += 1
            except KnowledgeError as error:
                await self._write(_failure_unit(taken, iso(now), str(error)))
        return done


def _duplicated(row: SuggestionRow) -> str | None:
    """The entry that says the same, if none says otherwise."""
    flags = json.loads(row.flags)
    if any(flag["kind"] == "contradiction" for flag in flags):
        return None
    return next((flag["entry_id"] for flag in flags if flag["kind"] == "duplicate"), None)


def _extended(entry: Entry, wordings: Sequence[str], answer: str) -> Entry:
    made = make_entry(
        entry.question,
        answer,
        source=entry.source,
        aliases=(*entry.aliases, *wordings),
        category=entry.category,
        tags=entry.tags,
        position=entry.position,
    )
    return replace(made, id=entry.id)


def _plain(entry: StoredEntry) -> Entry:
    return Entry(
        id=entry.id,
        question=entry.question,
        answer=entry.answer,
        aliases=entry.aliases,
        category=entry.category,
        tags=entry.tags,
        source=entry.source,
        position=entry.position,
        content_hash=entry.content_hash,
    )


def _entry_from(fields: dict[str, Any]) -> Entry:
    return Entry(**{**fields, "aliases": tuple(fields["aliases"]), "tags": tuple(fields["tags"])})


def _note_of(row: SuggestionRow) -> str:
    """Names the act, not only the suggestion: one may be accepted again after it was undone."""
    return f"学习建议 {row.id}（第 {row.attempt} 次）"


def _close_cluster(connection: Connection, row: SuggestionRow) -> None:
    if row.cluster_id is None:
        return
    found = clusters.find(connection, row.cluster_id)
    if found is not None and found.state == "open":
        clusters.set_state(
            connection,
            found.id,
            "answered",
            revision=clusters.take_revision(connection),
            entry_id=row.entry_id,
        )


def _open_cluster(connection: Connection, row: SuggestionRow) -> None:
    if row.cluster_id is not None and row.entry_id is not None:
        clusters.reopen_answered(
            connection,
            row.cluster_id,
            row.entry_id,
            revision=clusters.take_revision(connection),
        )


def _take_over_unit(
    row: SuggestionRow, now: float, until: float
) -> Callable[[Connection], SuggestionRow | None]:
    return lambda c: rows.take_over(c, row, now=now, until=until)


def _failure_unit(row: SuggestionRow, at: str, error: str) -> Callable[[Connection], None]:
    return lambda c: audit(c, at, AUTO, "suggestion.failed", row.id, {"error": error})
