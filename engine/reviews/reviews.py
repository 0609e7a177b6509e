"""Reviews: a turn opened, run again, judged, and its conversation kept as a test."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from domain.approvals import Verdict
from domain.decisions import Action
from domain.desk import EVERYTHING, Agent, in_scope
from domain.errors import InvalidInput, NotFound
from domain.intents import Intent
from domain.messages import MAX_TEXT_CHARS, MessageKind
from domain.reviews import Fault
from domain.text import clean, letters
from engine.answers import build_answer
from engine.desk.desk import Forbidden
from engine.orders.turns import TurnOrders
from engine.regressions.checks import expectation_of
from engine.regressions.files import KeptFile, Regressions, name_for, picture_name
from engine.regressions.script import Customer, Expect, ReadScript, Script, Step
from engine.reviews.fork import Edits, Forked, Forks
from engine.reviews.opened import NEVER_AGAIN, asked, changes, given, opened, prompts, steps
from engine.reviews.records import Recorded, recorded
from engine.reviews.views import Marked, OpenedTurn, RegressionView, Rerun, ReviewPage
from graphs.context import Services, TurnContext
from knowledge.learning import Learning, Suggestion
from knowledge.lessons import with_stand_ins
from storage import approvals, drafts, history, reviews
from storage.audit import record
from storage.clock import iso
from storage.database import Database
from storage.reviews import NewReview, Review, ReviewState, SaidMessage, TurnFacts
from tools.models.calls import ModelCall

MAX_TURNS = 20
"""Of a kept conversation, the last ones: more do not fit the graph's memory anyway."""
MAX_CALLS = 50
MAX_CLAUSE_CHARS = 60
_SENTENCE_END = re.compile(r"(?<=\S)[。！？!?；;，,\n]")
_LEVELS = ("white", "gray", "black")
_FORGOTTEN = "这一轮的步骤没有保存（没有经过对话图，或已超过保留天数），不能重跑"
_WAITS = {"quote_approval": "approval", "draft": "draft"}

Calls = Callable[[str, Sequence[ModelCall]], Awaitable[None]]
ReadPicture = Callable[[str], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """``keep_s``: for how long a turn's steps are kept. ``timeout_s``: of a re-run."""

    keep_s: float
    timeout_s: float = 60.0


class Reviews:
    """``services``: those that turns have now. ``refresh`` makes what knowledge has learned
    findable at once. ``keep_calls``: records what a re-run asked of models. ``picture``: the bytes
    behind a picture's address, None where they are not kept.

    Every method takes the agent who asks: NotFound for what is out of scope, Forbidden where a
    viewer would change something.
    """

    def __init__(
        self,
        database: Database,
        services: Callable[[], Services],
        learning: Learning,
        regressions: Regressions,
        policy: ReviewPolicy,
        *,
        orders: TurnOrders,
        refresh: Callable[[], Awaitable[object]],
        keep_calls: Calls,
        picture: ReadPicture,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy, self.kept = policy, regressions
        self._database, self._services, self._learning = database, services, learning
        self._orders, self._refresh, self._keep_calls = orders, refresh, keep_calls
        self._picture, self._clock = picture, clock
        self._forks: Forks | None = None
        self.playing = asyncio.Lock()
        """Held by who plays kept conversations: one at a time."""

    # Opening and running again ---------------------------------------------------------------

    async def turn(self, who: Agent, turn_id: str) -> OpenedTurn:
        """Raises NotFound."""
        facts, kept = await self._turn(who, turn_id)

        def unit(connection: Connection) -> tuple[list[Review], list[dict[str, object]]]:
            calls = history.model_calls(connection, turn_id=turn_id, limit=MAX_CALLS, offset=0)
            return reviews.of_turn(connection, turn_id), calls[::-1]

        judged, calls = await self._database.read(unit)
        return opened(facts, kept, judged, calls, keep_s=self.policy.keep_s)

    async def rerun(
        self,
        who: Agent,
        turn_id: str,
        *,
        from_node: str,
        text: str | None = None,
        intent: str | None = None,
        level: str | None = None,
    ) -> Rerun:
        """The turn once more from ``from_node`` (of `OpenedTurn.steps`), with the knowledge, prices
        and models of now; ``text``, ``intent`` and the customer's ``level`` may be others.

        Raises NotFound; InvalidInput: 409 where its steps are not kept, 422 for a node that it did
        not pass or an edit that cannot be, 503 where it takes too long.
        """
        _acts(who)
        edits = _edits(text, intent, level)
        facts, kept = await self._turn(who, turn_id)
        if kept is None:
            raise InvalidInput("turn_id", _FORGOTTEN, status=409)
        await self._refresh()
        context = await self._context(facts, kept, edits)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.policy.timeout_s):
                forked = await self._run(kept, from_node, edits, context)
        except TimeoutError as error:
            reason = f"重跑超过 {self.policy.timeout_s:g} 秒，没有结果"
            raise InvalidInput("from_node", reason, status=503) from error
        finally:
            await self._keep_calls(f"rerun:{turn_id}", context.calls)
        await self._note_rerun(who, turn_id, from_node, edits)
        ms = round((time.perf_counter() - began) * 1000)
        return self._told(facts, from_node, forked, context, ms)

    async def _run(
        self, kept: Recorded, from_node: str, edits: Edits, context: TurnContext
    ) -> Forked:
        if from_node in NEVER_AGAIN:
            raise InvalidInput("from_node", "任务的动作已经做过，不能从这里重跑")
        if self._forks is None:
            self._forks = await asyncio.to_thread(Forks)
        return await self._forks.run(kept, from_node, edits, context)

    async def _context(self, facts: TurnFacts, kept: Recorded, edits: Edits) -> TurnContext:
        services = self._services()
        customer = replace(kept.customer, level=edits.level or kept.customer.level)
        orders = await self._orders.as_it_was(
            kept.orders,
            kept.open_orders,
            customer,
            services.price_book,
            pictured=bool(kept.attachments),
        )
        return TurnContext(
            services=services,
            turn_id=kept.turn_id,
            conversation_id=facts.conversation_id,
            channel=facts.channel,
            account=facts.account,
            customer=customer,
            session=kept.session,
            attachments=kept.attachments,
            now=kept.now,
            asks=kept.asks if edits.text is None else "",
            orders=orders,
            desk=kept.desk,
        )

    def _told(
        self, facts: TurnFacts, from_node: str, forked: Forked, context: TurnContext, ms: int
    ) -> Rerun:
        state = forked.state
        if forked.stopped == "quote_approval":
            state["decision"] = _waiting(self._services(), context, forked.stopped)
        answer = build_answer(state, context, latency_ms=ms)
        retrieval = given(context.runs, "retrieval") or {}
        return Rerun(
            turn_id=facts.turn_id,
            from_node=from_node,
            answer=answer,
            steps=steps(context.runs, again=False),
            evidence=tuple(retrieval.get("evidence") or ()),
            retrieval_confidence=retrieval.get("confidence"),
            prompts=prompts(context.prompts),
            stopped=forked.stopped,
            changes=changes(facts.result, answer),
        )

    async def _note_rerun(self, who: Agent, turn_id: str, node: str, edits: Edits) -> None:
        detail = {
            "from": node,
            "edited": [k for k in ("text", "intent", "level") if getattr(edits, k)],
        }
        await self._note(who, "turn.rerun", turn_id, detail)

    async def _note(self, who: Agent, action: str, subject: str, detail: dict[str, Any]) -> None:
        at = iso(self._clock())
        await self._database.write(
            lambda c: record(c, at=at, actor=who.id, action=action, subject=subject, detail=detail)
        )

    # Judging ---------------------------------------------------------------------------------

    async def mark(
        self,
        who: Agent,
        turn_id: str,
        fault: Fault,
        *,
        note: str = "",
        correct: str = "",
        question: str = "",
    ) -> Marked:
        """A wrong answer. ``correct``: what should have been said; it becomes a suggestion for the
        knowledge base, for ``question`` or else for the customer's words."""
        _acts(who)
        facts, kept = await self._turn(who, turn_id)
        wording = clean(question) or asked(facts, kept)
        suggestion = await self._learned(who, facts, wording, correct) if clean(correct) else None
        new = NewReview(
            turn_id=turn_id,
            conversation_id=facts.conversation_id,
            channel=facts.channel,
            account=facts.account,
            fault=fault.value,
            note=clean(note),
            question=wording,
            answer=str(facts.result.get("content", "")),
            correct=clean(correct),
            suggestion_id=suggestion.id if suggestion else None,
            agent=who.id,
        )
        now = self._clock()
        review = await self._database.write(lambda c: reviews.add(c, new, now=now))
        return Marked(review, suggestion)

    async def _learned(
        self, who: Agent, facts: TurnFacts, question: str, correct: str
    ) -> Suggestion:
        if not letters(question):
            raise InvalidInput("question", "客户没有说话，请填写问题")
        return await self._learning.observe(
            question,
            correct,
            source="desk",
            conversation_id=facts.conversation_id,
            answered_by=who.id,
        )

    async def reviews(
        self,
        who: Agent,
        *,
        state: ReviewState | None = None,
        fault: Fault | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> ReviewPage:
        """The newest first."""
        scopes = None if EVERYTHING in who.scopes else who.scopes
        wanted = fault.value if fault is not None else None

        def unit(connection: Connection) -> ReviewPage:
            total, items = reviews.listed(
                connection, state=state, fault=wanted, scopes=scopes, limit=limit, offset=offset
            )
            return ReviewPage(tuple(items), total, reviews.counts(connection, scopes=scopes))

        return await self._database.read(unit)

    async def settle(self, who: Agent, review_id: int, state: ReviewState) -> Review:
        """Fixed, dismissed, or open again. Raises NotFound; InvalidInput (409) if it is so."""
        _acts(who)
        found = await self._database.read(lambda c: reviews.get(c, review_id))
        if not in_scope(who.scopes, found.channel, found.account):
            raise NotFound("review_id", str(review_id))
        now = self._clock()
        return await self._database.write(
            lambda c: reviews.settle(c, review_id, state, by=who.id, now=now)
        )

    # Keeping as a test -----------------------------------------------------------------------

    async def save(
        self,
        who: Agent,
        turn_id: str,
        *,
        name: str = "",
        expect: Expect | None = None,
        note: str = "",
        replace: bool = False,
    ) -> RegressionView:
        """The conversation up to this turn as a script; ``expect``: of this turn's answer, else
        what was said of it when it was judged, else the answer as it was. Personal data become
        made-up values, pictures that are kept go beside the file.

        Raises InvalidInput: 409 for a name that is taken, 422 where the customer said nothing, or
        where the answer was judged wrong and nobody said what is right.
        """
        _acts(who)
        facts, kept = await self._turn(who, turn_id)
        spoken = await self._database.read(lambda c: reviews.turns_until(c, facts, limit=MAX_TURNS))
        name = clean(name) or name_for(with_stand_ins(asked(facts, kept)), turn_id)
        pictures: dict[str, bytes] = {}
        steps = [await self._step(name, one, pictures) for one in spoken]
        turns = [step for step in steps if step is not None]
        if not turns or (steps[-1] is None and not _sent_draft(facts)):
            raise InvalidInput("turn_id", "这一轮由人工回复，或客户没有说话，不能存成回归用例")
        wanted = expect or await self._expected(facts)
        turns[-1] = turns[-1].model_copy(update={"expect": wanted})
        script = Script(
            name=with_stand_ins(asked(facts, kept)).replace("\n", " ")[:60] or name,
            note=clean(note),
            source=f"{facts.channel}:{facts.account}",
            customer=_customer(facts, kept),
            turns=tuple(turns),
        )
        comment = f"会话 {facts.conversation_id} 的第 {turn_id} 轮，由 {who.id} 保存"
        file = await self.kept.keep(
            name, script, comment=comment, pictures=pictures, replace=replace
        )
        await self._database.write(lambda c: reviews.note_regression(c, turn_id, name))
        await self._note(who, "regression.save", name, {"turn": turn_id})
        return _kept(file)

    async def _expected(self, facts: TurnFacts) -> Expect:
        judged = await self._database.read(lambda c: reviews.of_turn(c, facts.turn_id))
        standing = [one for one in judged if one.state != "dismissed"]
        if not standing:
            return expectation_of(facts.result)
        found = expectation_after(standing[-1])
        if found is None:
            raise InvalidInput("expect", "这一轮的回答被标为有误，请填写正确回答应满足的期望")
        return found

    async def _step(
        self,
        name: str,
        turn: tuple[dict[str, object], tuple[SaidMessage, ...]],
        pictures: dict[str, bytes],
    ) -> Step | None:
        """None for what the graph was not asked: a person had the conversation, or it was an
        event. What a person said to a quote is played too."""
        answer, messages = turn
        if not answer.get("nodes"):
            return None
        if not _speaks(messages):
            return await self._approval(messages[-1].event)
        say = [with_stand_ins(one.text)[:MAX_TEXT_CHARS] for one in messages if one.text.strip()]
        images = []
        for attachment in (a for one in messages for a in one.attachments if a["kind"] == "image"):
            data = await self._picture(attachment["url"])
            shown = attachment["url"]
            if data is not None:
                shown = picture_name(name, len(pictures) + 1, data)
                pictures[shown] = data
            images.append(shown)
        return Step(say=tuple(say), images=tuple(images))

    async def _approval(self, event: str) -> Step | None:
        row = await self._database.read(lambda c: approvals.spoken(c, event))
        if row is None:
            return None
        if row["status"] == Verdict.EDITED:
            return Step(approve=row["quote"]["total"] / 100)
        return Step(approve="yes" if row["status"] == Verdict.APPROVED else "no")

    async def regressions(self, who: Agent) -> list[RegressionView]:
        return [_kept(file) for file in await self._visible(who)]

    async def regression(self, who: Agent, name: str) -> RegressionView:
        return _kept(await self._file(who, name))

    async def put_regression(self, who: Agent, name: str, text: str) -> RegressionView:
        """A script as a person wrote it, new or instead of one. Raises InvalidInput with the line
        of a fault."""
        _acts(who)
        known = await self._visible(who, everything=True)
        if any(one.name == name and not _sees(who, one) for one in known):
            raise NotFound("name", name)
        kept = _kept(await self.kept.put(name, text))
        await self._note(who, "regression.put", name, {})
        return kept

    async def drop_regression(self, who: Agent, name: str) -> None:
        _acts(who)
        await self._file(who, name)
        await self.kept.drop(name)
        await self._note(who, "regression.drop", name, {})

    async def scripts(self, who: Agent, names: Sequence[str] = ()) -> list[ReadScript]:
        """Of the named files, or of all. Raises NotFound, and InvalidInput for one that cannot be
        read."""
        files = [await self._file(who, name) for name in names] or await self._visible(who)
        for one in files:
            if one.problem:
                raise InvalidInput("name", one.problem)
        return [script for one in files for script in one.scripts]

    async def _visible(self, who: Agent, *, everything: bool = False) -> list[KeptFile]:
        files = await self.kept.listed()
        return files if everything else [one for one in files if _sees(who, one)]

    async def _file(self, who: Agent, name: str) -> KeptFile:
        file = await self.kept.get(name)
        if not _sees(who, file):
            raise NotFound("name", name)
        return file

    # Reading ---------------------------------------------------------------------------------

    async def _turn(self, who: Agent, turn_id: str) -> tuple[TurnFacts, Recorded | None]:
        def unit(connection: Connection) -> tuple[TurnFacts | None, reviews.TurnRecord | None]:
            return reviews.turn_facts(connection, turn_id), reviews.find_record(connection, turn_id)

        facts, row = await self._database.read(unit)
        if facts is None or not in_scope(who.scopes, facts.channel, facts.account):
            raise NotFound("turn_id", turn_id)
        return facts, recorded(row) if row is not None else None


def _acts(who: Agent) -> None:
    if not who.acts:
        raise Forbidden("只读账号不能这样做")


def _edits(text: str | None, intent: str | None, level: str | None) -> Edits:
    if text is not None and not clean(text):
        raise InvalidInput("text", "不能为空")
    if text is not None and len(text) > MAX_TEXT_CHARS:
        raise InvalidInput("text", f"超过 {MAX_TEXT_CHARS} 字")
    if intent is not None and intent not in set(Intent):
        raise InvalidInput("intent", f"应为 {'、'.join(Intent)} 之一")
    if level is not None and level not in _LEVELS:
        raise InvalidInput("level", f"应为 {'、'.join(_LEVELS)} 之一")
    return Edits(
        clean(text) if text is not None else None, Intent(intent) if intent else None, level
    )


def _waiting(services: Services, context: TurnContext, stopped: str) -> dict[str, object]:
    """Of a run that stopped before it decided anything."""
    return {
        "action": Action.REPLY.value,
        "decision": _WAITS[stopped],
        "content": services.templates.render("awaiting_approval", seed=context.turn_id),
        "confidence": 1.0,
        "citations": [],
        "source": "template:awaiting_approval",
    }


def expectation_after(review: Review) -> Expect | None:
    """What its answer must be once it is put right; None: nobody has said."""
    if review.correct:
        clause = _SENTENCE_END.split(with_stand_ins(review.correct), maxsplit=1)[0]
        return Expect(decision=("answer",), contains=(clause[:MAX_CLAUSE_CHARS],))
    if review.fault == Fault.HANDOVER:
        return Expect(handoff="any")
    return Expect(decision=("answer",)) if review.fault == Fault.MISSING else None


def _sent_draft(facts: TurnFacts) -> bool:
    """A person's word on what the turn before had drafted: without one the bot says it at once."""
    return any(one.event.startswith(f"{drafts.EVENT}:") for one in facts.messages)


def _speaks(messages: Sequence[SaidMessage]) -> bool:
    return any(one.kind != MessageKind.EVENT and (one.text or one.attachments) for one in messages)


def _customer(facts: TurnFacts, kept: Recorded | None) -> Customer:
    """Without their name."""
    level = kept.customer.level if kept else facts.level
    score = kept.customer.score if kept else 60
    return Customer.model_validate({"level": level, "score": min(max(score, 0), 100)})


def _sees(who: Agent, file: KeptFile) -> bool:
    """What says where it comes from is for those who may see that."""
    return all(in_scope(who.scopes, *_source(one)) for one in file.sources)


def _source(text: str) -> tuple[str, str]:
    channel, _, account = text.partition(":")
    return channel, account


def _kept(file: KeptFile) -> RegressionView:
    title = file.scripts[0].script.name if file.scripts else ""
    turns = sum(len(one.script.turns) for one in file.scripts)
    return RegressionView(
        file.name, title or file.name, turns, file.saved_ts, file.text, file.problem
    )
