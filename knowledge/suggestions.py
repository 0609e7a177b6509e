"""Suggestions: answers that may become knowledge, and what is known of each."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

from domain.errors import InvalidInput, NotFound
from knowledge.lessons import SourceKind
from storage import learning as rows
from storage.audit import record
from storage.database import Database
from storage.learning import SuggestionRow, SuggestionState

T = TypeVar("T")
FlagKind = Literal[
    "duplicate",
    "contradiction",
    "rival",
    "customer_claim",
    "ungrounded_offer",
    "one_case",
    "address",
    "review_wanted",
]

REFUSED = "refused:"
"""What a reason begins with that nobody can overrule."""
_KEY = "learning"


class AlreadyDecided(InvalidInput):
    """Somebody else was faster, or the suggestion's ``state`` does not allow the act."""

    def __init__(self, suggestion_id: int, state: str, by: str) -> None:
        self.suggestion_id, self.state, self.by = suggestion_id, state, by
        who = f"（{by}）" if by else ""
        super().__init__("suggestion_id", f"建议 {suggestion_id} 已是 {state}{who}", status=409)


@dataclass(frozen=True, slots=True)
class Flag:
    """``entry_id`` of the knowledge, or ``suggestion_id``, that it is about."""

    kind: FlagKind
    entry_id: str | None = None
    suggestion_id: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``wordings``: further ways to ask. ``count``: conversations with this answer.

    ``reason``: why it was dropped or rejected. ``version_id``: the base's, for its history.
    """

    id: int
    question: str
    answer: str
    confidence: float
    type: str
    source: str
    source_session: str
    answered_by: str
    state: SuggestionState
    count: int
    wordings: tuple[str, ...]
    flags: tuple[Flag, ...]
    reason: str
    cluster_id: int | None
    entry_id: str | None
    version_id: int | None
    auto_approved: bool
    useful_count: int
    reviewed_by: str
    reviewed_at: str | None
    created_at: str
    busy_by: str


@dataclass(frozen=True, slots=True)
class SuggestionPage:
    items: tuple[Suggestion, ...]
    total: int


class Suggestions:
    """Reading them, and saying that they were useful."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    async def suggestion(self, suggestion_id: int) -> Suggestion:
        """Raises NotFound."""
        return view_of(await self._row(suggestion_id))

    async def suggestions(
        self,
        *,
        state: SuggestionState | None = None,
        source: SourceKind | None = None,
        cluster_id: int | None = None,
        flagged: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> SuggestionPage:
        """The newest first; ``flagged``: only duplicates, contradictions and other cautions."""
        total, found = await self._database.read(
            lambda c: rows.listing(
                c,
                state=state,
                source=source,
                cluster_id=cluster_id,
                flagged=flagged,
                limit=limit,
                offset=offset,
            )
        )
        return SuggestionPage(tuple(map(view_of, found)), total)

    async def counts(self) -> dict[str, int]:
        """Number of suggestions by state."""
        found = await self._database.read(rows.counts)
        states = ("pending", "approved", "rejected", "dropped", "undone")
        return {state: found.get(state, 0) for state in states}

    async def useful(self, entry_ids: Sequence[str]) -> None:
        """These entries answered somebody: their suggestions were useful."""
        if entry_ids:
            await self._write(lambda c: rows.useful(c, entry_ids))

    async def _row(self, suggestion_id: int) -> SuggestionRow:
        row = await self._database.read(lambda c: rows.find(c, suggestion_id))
        if row is None:
            raise NotFound("suggestion_id", str(suggestion_id))
        return row

    async def _decided(self, suggestion_id: int) -> AlreadyDecided:
        row = await self._row(suggestion_id)
        return AlreadyDecided(row.id, row.busy or row.state, row.busy_by or row.reviewed_by)

    def _write(self, unit: Callable[[Connection], T]) -> asyncio.Future[T]:
        return self._database.write(unit, key=_KEY)


def flag_row(flag: Flag) -> dict[str, Any]:
    return {key: value for key, value in asdict(flag).items() if value not in (None, "")}


def view_of(row: SuggestionRow) -> Suggestion:
    return Suggestion(
        id=row.id,
        question=row.question,
        answer=row.answer,
        confidence=row.confidence,
        type=row.type,
        source=row.source,
        source_session=row.source_session,
        answered_by=row.answered_by,
        state=row.state,
        count=row.count,
        wordings=tuple(json.loads(row.wordings)),
        flags=tuple(Flag(**flag) for flag in json.loads(row.flags)),
        reason=row.reason.removeprefix(REFUSED),
        cluster_id=row.cluster_id,
        entry_id=row.entry_id,
        version_id=row.version_id,
        auto_approved=bool(row.auto_approved),
        useful_count=row.useful_count,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
        created_at=row.created_at,
        busy_by=row.busy_by if row.busy else "",
    )


def audit(
    connection: Connection,
    at: str,
    by: str,
    action: str,
    suggestion_id: int,
    detail: dict[str, Any],
) -> None:
    record(
        connection,
        at=at,
        actor=by,
        action=action,
        subject=f"suggestion:{suggestion_id}",
        detail=detail,
    )
