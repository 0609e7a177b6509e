"""Answers that people give become knowledge: suggested, weighed, reviewed, taken back."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from domain.decisions import Retrieval
from domain.errors import InvalidInput
from domain.text import clean, letters
from knowledge.clusters import Similarity, same_meaning
from knowledge.documents import Entry
from knowledge.entering import AUTO, LEASE_S, POSITIONS, Base, Entering
from knowledge.entering import LearningPolicy as LearningPolicy
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
from knowledge.suggestions import REFUSED, Flag, FlagKind, audit, flag_row, view_of
from knowledge.suggestions import AlreadyDecided as AlreadyDecided
from knowledge.suggestions import Suggestion as Suggestion
from knowledge.suggestions import SuggestionPage as SuggestionPage
from knowledge.terms import wording_key
from knowledge.unknown import ClusterView, UnknownQuestions
from storage import clusters
from storage import learning as rows
from storage.clock import iso
from storage.database import Database
from storage.learning import NewSuggestion, SuggestionRow, SuggestionState

Search = Callable[[str], Awaitable[Retrieval]]

SAME_QUESTION = 0.6
SURE_RETRIEVAL = 0.75
SAME_ANSWER_ROWS = 50
_CAUTIONS: tuple[FlagKind, ...] = ("one_case", "address", "customer_claim")
_LASTING = {*_CAUTIONS, "ungrounded_offer", "review_wanted"}
"""Once seen, they stay; the others are found anew each time."""


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


class Learning(Entering):
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
        super().__init__(
            database, base, policy=policy or LearningPolicy(), lease_s=lease_s, clock=clock
        )
        self._search, self._similarity = search, similarity
        self.questions = questions or UnknownQuestions(database, similarity=similarity, clock=clock)

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
        if source not in POSITIONS or not answered_by.strip():
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
        return view_of(row)

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
        audit(connection, at, seen.answered_by, "suggestion.observe", row.id, detail)
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
            flags=[flag_row(flag) for flag in flags],
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
        return await self._enter(row, by=by) if accept else view_of(row)

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
            flags=[flag_row(flag) for flag in flags],
            reason="",
            state="pending",
            cluster_id=cluster.id,
        )
        audit(connection, at, by, "suggestion.answer", row.id, {"cluster": cluster.id})
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
                audit(connection, at, by, "suggestion.decide", row.id, detail)
            return done

        done = await self._write(unit) if row.state in before else None
        if done is None:
            raise await self._decided(suggestion_id)
        return view_of(done)


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


def _within(value: float | None, low: float, high: float) -> float | None:
    return None if value is None else min(max(float(value), low), high)


def _greatest(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
