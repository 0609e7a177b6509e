"""Answers that people give become knowledge: suggested, weighed, reviewed, taken back.

A suggestion enters the base in three steps, so that a crash leaves no doubt: `begin` notes the
intent and the entry, the base takes the entry (a version that bears the suggestion's note), `end`
marks the suggestion. `repair` finishes what was begun and not ended: it finds the version by its
note, or puts the same entry again. Taking back works the same way.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

from sqlalchemy import Connection

from domain.decisions import Retrieval
from domain.errors import InvalidInput, KnowledgeError, NotFound
from domain.text import clean, letters
from knowledge.base import StoredEntry
from knowledge.clusters import Similarity, same_meaning
from knowledge.documents import Entry, make_entry
from knowledge.jobs import ImportSummary
from knowledge.lessons import (
    MAX_ANSWER_CHARS,
    Lesson,
    SourceKind,
    confidence_of,
    lesson_of,
    masked,
    offers_of,
    safe_wording,
    same_answer,
    type_of,
)
from knowledge.terms import wording_key
from knowledge.unknown import ClusterView, UnknownQuestions
from storage import clusters
from storage import learning as rows
from storage.audit import record
from storage.clock import iso
from storage.database import Database
from storage.learning import NewSuggestion, SuggestionRow, SuggestionState

T = TypeVar("T")
Search = Callable[[str], Awaitable[Retrieval]]
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

SAME_QUESTION = 0.6
SURE_RETRIEVAL = 0.75
SAME_ANSWER_ROWS = 50
LEASE_S = 60.0
AUTO = "learning"
REFUSED = "refused:"
_CAUTIONS: tuple[FlagKind, ...] = ("one_case", "address", "customer_claim")
_LASTING = {*_CAUTIONS, "ungrounded_offer", "review_wanted"}
"""Once seen, they stay; the others are found anew each time."""
_KEY = "learning"
_POSITIONS = {"agent": "客服回答", "desk": "人工解答", "conversation": "对话学习"}


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


@dataclass(frozen=True, slots=True)
class LearningPolicy:
    """Seed 003: ``auto`` enters by itself, ``review`` waits for a person, below is dropped."""

    auto: float = 0.80
    review: float = 0.70


@dataclass(frozen=True, slots=True)
class _Observed:
    lesson: Lesson
    source: SourceKind
    given: float | None
    satisfaction: float | None
    conversation_id: str
    answered_by: str
    type: str
    asked: str


class Learning:
    """``search`` finds what the base knows already (`Retriever.search`)."""

    def __init__(
        self,
        database: Database,
        base: Base,
        search: Search,
        *,
        questions: UnknownQuestions | None = None,
        policy: LearningPolicy | None = None,
        similarity: Similarity = same_meaning,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._base, self._search = database, base, search
        self.questions = questions or UnknownQuestions(database, similarity=similarity, clock=clock)
        self._policy = policy or LearningPolicy()
        self._similarity = similarity
        self._lease_s, self._clock = lease_s, clock

    # Observing

    async def observe(
        self,
        question: str,
        answer: str,
        *,
        source: SourceKind,
        confidence: float | None = None,
        conversation_id: str,
        answered_by: str,
        satisfaction: float | None = None,
        type: str = "",
    ) -> Suggestion:
        """What may be learned from one answer. ``satisfaction`` is 1..5 (seed 003).

        The same conversation counts once, however often it is observed. Raises InvalidInput for a
        source that is none: a customer's words are never a source.
        """
        if source not in _POSITIONS or not answered_by.strip():
            raise InvalidInput("source", "答案必须来自客服、人工台或本系统")
        lesson = await asyncio.to_thread(lesson_of, question, answer, source)
        seen = _Observed(
            lesson,
            source,
            _within(confidence, 0.0, 1.0),
            _within(satisfaction, 1.0, 5.0),
            conversation_id,
            answered_by,
            type or type_of(question),
            clean(question),
        )
        flags = await self._flags_of(lesson, source) if not lesson.refused else ()
        known = await self._equal_suggestion(lesson)
        row = await self._write(lambda c: self._note(c, seen, flags, known))
        if row.state == "pending" and self._enters_alone(row):
            try:
                return await self._enter(row, by=AUTO, auto=True)
            except AlreadyDecided:  # another process observed the same at the same moment
                return await self.suggestion(row.id)
        return _view(row)

    def _note(
        self,
        connection: Connection,
        seen: _Observed,
        flags: Sequence[Flag],
        known: tuple[str, str] | None,
    ) -> SuggestionRow:
        """Count this conversation into the row of the pair and weigh it anew."""
        lesson, at = seen.lesson, iso(self._clock())
        question_key, answer_key = known or (lesson.question_key, lesson.answer_key)
        new = NewSuggestion(
            question=lesson.question,
            answer=lesson.answer,
            question_key=question_key,
            answer_key=answer_key,
            source=seen.source,
            answered_by=seen.answered_by,
            conversation_id=seen.conversation_id,
            type=seen.type,
            at=at,
        )
        row = rows.add(connection, new)
        fresh = rows.see(
            connection,
            row.id,
            conversation_id=seen.conversation_id,
            answered_by=seen.answered_by,
            at=at,
        )
        if not fresh:
            return row
        rivals = rows.rivals(connection, question_key, answer_key)
        flags = [*flags, *(Flag("rival", suggestion_id=other) for other in rivals)]
        cluster = clusters.cluster_asked(connection, seen.conversation_id, seen.asked)
        judged = self._judged(connection, row, seen, _with_lasting(row, flags), cluster)
        detail = {"state": judged.state, "confidence": judged.confidence, "count": judged.count}
        _audit(connection, at, seen.answered_by, "suggestion.observe", row.id, detail)
        return judged

    def _judged(
        self,
        connection: Connection,
        row: SuggestionRow,
        seen: _Observed,
        flags: Sequence[Flag],
        cluster: int | None,
    ) -> SuggestionRow:
        given = _greatest(row.given, seen.given)
        satisfaction = _greatest(row.satisfaction, seen.satisfaction)
        confidence = confidence_of(
            seen.lesson,
            seen.source,
            given=given,
            satisfaction=satisfaction,
            count=row.count + 1,
        )
        state, reason = self._state(row, seen.lesson, confidence, flags)
        wordings = [*json.loads(row.wordings), seen.lesson.question]
        others = dict.fromkeys(wording for wording in wordings if wording != row.question)
        return rows.judge(
            connection,
            row.id,
            confidence=confidence,
            satisfaction=satisfaction,
            given=given,
            count=row.count + 1,
            wordings=list(others),
            flags=[_flag_row(flag) for flag in flags],
            reason=reason,
            state=state,
            cluster_id=cluster,
        )

    def _state(
        self, row: SuggestionRow, lesson: Lesson, confidence: float, flags: Sequence[Flag]
    ) -> tuple[SuggestionState, str]:
        """What a person decided stays; so does a refusal."""
        if row.state not in ("pending", "dropped") or row.reason.startswith(REFUSED):
            return row.state, row.reason
        if lesson.refused:
            return "dropped", f"{REFUSED}{lesson.refused}"
        known = [flag for flag in flags if flag.kind == "duplicate" and flag.detail == "wording"]
        if known:
            return "dropped", "知识库里已有这个问法和答案"
        contradicts = any(flag.kind in ("contradiction", "rival") for flag in flags)
        if contradicts or confidence >= self._policy.review:
            return "pending", ""
        return "dropped", f"置信度 {confidence:.2f} 低于 {self._policy.review:.2f}"

    def _enters_alone(self, row: SuggestionRow) -> bool:
        """Not what a person has looked at: what they took out comes in again by a person only."""
        flags = {flag["kind"] for flag in json.loads(row.flags)}
        untouched = not row.busy and not row.reviewed_by
        return row.confidence >= self._policy.auto and flags <= {"duplicate"} and untouched

    async def _equal_suggestion(self, lesson: Lesson) -> tuple[str, str] | None:
        """Keys of the suggestion with the same answer to the same question in other words."""
        key = lesson.answer_key
        found = await self._database.read(lambda c: rows.by_answer(c, key, SAME_ANSWER_ROWS))
        if not found or any(row.question_key == lesson.question_key for row in found):
            return None
        scores = await asyncio.to_thread(
            self._similarity, lesson.question, [row.question for row in found]
        )
        best = int(scores.argmax())
        if scores[best] < SAME_QUESTION or lesson.refused:
            return None
        return found[best].question_key, found[best].answer_key

    async def _flags_of(self, lesson: Lesson, source: SourceKind) -> tuple[Flag, ...]:
        """How it stands to what the base says, and why it may need a person."""
        found = [Flag(kind) for kind in _CAUTIONS if kind in lesson.cautions]
        retrieval = await self._search(lesson.question)
        near = [item.id for item in retrieval.evidence]
        entries = await self._base.get(near)
        for entry in entries:
            sure = retrieval.exact or retrieval.confidence >= SURE_RETRIEVAL
            alike = entry.id == near[0] and sure
            if alike or await self._asks_the_same(lesson.question, entry):
                found.append(_compared(lesson, entry))
        if source == "conversation" and offers_of(lesson.answer):
            granted = any(flag.kind == "duplicate" for flag in found)
            found += [] if granted else [Flag("ungrounded_offer")]
        return tuple(found)

    async def _asks_the_same(self, question: str, entry: Entry) -> bool:
        wordings = (entry.question, *entry.aliases)
        scores = await asyncio.to_thread(self._similarity, question, wordings)
        return float(scores.max()) >= SAME_QUESTION

    # Answering a cluster

    async def answer_cluster(
        self,
        cluster_id: int,
        answer: str,
        *,
        by: str,
        question: str | None = None,
        accept: bool = True,
        type: str = "",
    ) -> Suggestion:
        """A person answers all questions of a cluster; with ``accept`` at once, else for review.

        Raises NotFound, InvalidInput, AlreadyDecided.
        """
        cluster = await self.questions.cluster(cluster_id)
        if cluster.state != "open":
            raise InvalidInput("cluster_id", f"{cluster_id} 的状态是 {cluster.state}", status=409)
        lesson = _checked(question or cluster.representative, answer)
        flags = await self._flags_of(lesson, "desk")
        if not accept:
            flags = (*flags, Flag("review_wanted"))
        row = await self._write(lambda c: self._note_answer(c, cluster, lesson, flags, by, type))
        return await self._enter(row, by=by) if accept else _view(row)

    def _note_answer(
        self,
        connection: Connection,
        cluster: ClusterView,
        lesson: Lesson,
        flags: Sequence[Flag],
        by: str,
        type: str,
    ) -> SuggestionRow:
        at = iso(self._clock())
        new = NewSuggestion(
            question=lesson.question,
            answer=lesson.answer,
            question_key=lesson.question_key,
            answer_key=lesson.answer_key,
            source="desk",
            answered_by=by,
            conversation_id="",
            type=type or type_of(lesson.question),
            at=at,
        )
        row = rows.add(connection, new)
        if row.state == "approved" or row.busy:
            raise AlreadyDecided(row.id, row.state, row.busy_by or row.reviewed_by)
        others = dict.fromkeys((*json.loads(row.wordings), *cluster.wordings))
        judged = rows.judge(
            connection,
            row.id,
            confidence=1.0,
            satisfaction=row.satisfaction,
            given=1.0,
            count=max(row.count, 1),
            wordings=[wording for wording in others if wording != lesson.question],
            flags=[_flag_row(flag) for flag in flags],
            reason="",
            state="pending",
            cluster_id=cluster.id,
        )
        _audit(connection, at, by, "suggestion.answer", row.id, {"cluster": cluster.id})
        return judged

    # Reviewing

    async def accept(
        self,
        suggestion_id: int,
        *,
        by: str,
        question: str | None = None,
        answer: str | None = None,
        aliases: Sequence[str] | None = None,
        replaces: str | None = None,
    ) -> Suggestion:
        """Let a pending suggestion into the base, edited or as it is.

        ``replaces``: the id of an entry that it contradicts, whose answer it is to be.
        Raises NotFound; AlreadyDecided when another person was faster; KnowledgeError.
        """
        row = await self._row(suggestion_id)
        if row.state != "pending" or row.busy:
            raise AlreadyDecided(row.id, row.state, row.busy_by or row.reviewed_by)
        if question is not None or answer is not None:
            lesson = _checked(question or row.question, answer or row.answer)
            row = replace(row, question=lesson.question, answer=lesson.answer)
        if aliases is not None:
            safe = [safe_wording(alias) for alias in aliases]
            row = replace(row, wordings=json.dumps([alias for alias in safe if alias]))
        return await self._enter(row, by=by, replaces=replaces)

    async def reject(self, suggestion_id: int, *, by: str, reason: str = "") -> Suggestion:
        return await self._decide(suggestion_id, ("pending",), "rejected", by, reason)

    async def reopen(self, suggestion_id: int, *, by: str) -> Suggestion:
        """A rejected, dropped or undone suggestion waits for review again."""
        before: tuple[SuggestionState, ...] = ("rejected", "dropped", "undone")
        return await self._decide(suggestion_id, before, "pending", by, "")

    async def _decide(
        self,
        suggestion_id: int,
        before: Sequence[SuggestionState],
        state: SuggestionState,
        by: str,
        reason: str,
    ) -> Suggestion:
        row = await self._row(suggestion_id)
        at = iso(self._clock())

        def unit(connection: Connection) -> SuggestionRow | None:
            done = rows.decide(connection, row, state, by=by, reason=reason, at=at)
            if done is not None:
                detail = {"state": state, "reason": reason}
                _audit(connection, at, by, "suggestion.decide", row.id, detail)
            return done

        done = await self._write(unit) if row.state in before else None
        if done is None:
            raise await self._decided(suggestion_id)
        return _view(done)

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

    # Acts that change the base

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
            position=_POSITIONS[row.source],
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
                _audit(connection, at, row.busy_by, "suggestion.accept", row.id, detail)
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
                _audit(connection, at, row.busy_by, "suggestion.undo", row.id, {"entry": entry_id})
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
        return _view(ended) if ended is not None else await self.suggestion(row.id)

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

    # Reading

    async def suggestion(self, suggestion_id: int) -> Suggestion:
        """Raises NotFound."""
        return _view(await self._row(suggestion_id))

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
        return SuggestionPage(tuple(map(_view, found)), total)

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


def _checked(question: str, answer: str) -> Lesson:
    """A person's own words for the base: they need content, and may not hold personal data."""
    lesson = Lesson(safe_wording(question), clean(answer))
    if not letters(lesson.question) or not letters(lesson.answer):
        raise InvalidInput("answer", "问题和答案都不能为空")
    if len(lesson.answer) > MAX_ANSWER_CHARS:
        raise InvalidInput("answer", f"答案超过 {MAX_ANSWER_CHARS} 字")
    kinds = [kind for kind in masked(lesson.answer)[1] if kind in ("证件或卡号", "单号")]
    if kinds:
        raise InvalidInput("answer", f"答案含{'、'.join(kinds)}，不能作为知识")
    return lesson


def _compared(lesson: Lesson, entry: Entry) -> Flag:
    """``detail`` "wording": the entry has this very wording already."""
    if not same_answer(lesson.answer, entry.answer):
        return Flag("contradiction", entry_id=entry.id, detail=entry.answer[:200])
    keys = {wording_key(wording) for wording in (entry.question, *entry.aliases)}
    known = wording_key(lesson.question) in keys
    return Flag("duplicate", entry_id=entry.id, detail="wording" if known else "")


def _with_lasting(row: SuggestionRow, flags: Sequence[Flag]) -> list[Flag]:
    before = [Flag(**flag) for flag in json.loads(row.flags) if flag["kind"] in _LASTING]
    return list(dict.fromkeys((*before, *flags)))


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
    return lambda c: _audit(c, at, AUTO, "suggestion.failed", row.id, {"error": error})


def _flag_row(flag: Flag) -> dict[str, Any]:
    return {key: value for key, value in asdict(flag).items() if value not in (None, "")}


def _view(row: SuggestionRow) -> Suggestion:
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


def _within(value: float | None, low: float, high: float) -> float | None:
    return None if value is None else min(max(float(value), low), high)


def _greatest(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)


def _audit(
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
