"""The steps of a dispatch: one call or one word each, committed before the next.

Before a call that cannot be taken back, the row says for whom it is made and that it is still ours.
A step that is begun again asks Tuhui first what of it has happened already.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from domain.errors import PeerError, PeerRejected, PeerUnavailable
from storage.database import Database
from storage.dispatches import ACTOR, DispatchBook, DispatchRow, Step
from storage.effects import Cause, apply
from storage.orders import sender_of
from storage.tasks import TaskBook
from tools.tuhui.choice import Load, Offer, ranked
from tools.tuhui.client import TuhuiClient
from tools.tuhui.protocol import DesignTask, DispatchOrder, Progress, task_of

log = logging.getLogger(__name__)
MAX_ASKED = 3
"""Designers who are asked one after the other where Tuhui refuses the assignment."""
NOTICE_LOOK_S = 0.1
_REASON_CHARS = 200
_NOT_NOW = frozenset({None, 400, 409, 422, 423})
"""Answers to an assignment that speak of the designer, e.g. gone off line, and not of us."""
_AT_WORK = frozenset({Progress.ACCEPTED, Progress.COMPLETED})

OnStep = Callable[[Connection, DispatchRow, str, float], Sequence[str]]
OnDone = Callable[[Connection, DispatchRow, DesignTask, float], Sequence[str]]
Change = Callable[[Connection, float], "DispatchRow | tuple[DispatchRow, tuple[str, ...]] | None"]
Effects = Callable[[Connection, DispatchRow], Sequence[Effect]]


@dataclass(frozen=True, slots=True)
class DispatchWords:
    """What the customer reads. ``arranged`` is the seed's sentence."""

    arranged: str = "好的,已帮您安排设计师处理,请稍候"
    waiting: str = "您的图片需要设计师处理，目前设计师都不在线，有设计师上线后会马上为您安排～"


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """Durations in seconds.

    ``sla_s``: how long an assigned task may stay unanswered before somebody else gets it, 0: for
    ever; where Tuhui does not tell that a designer has accepted, as long as the work may take.
    ``wait_s``: between two looks for somebody on line. ``watch_s`` to ``watch_max_s``: between two
    looks at a task, growing with its age. ``max_attempts``: of one step; an assigned task is looked
    at for ever. ``alarm_attempts``: after so many staff is told. ``notice_s``: how long the word to
    the customer waits for the notice to the designer. ``skills``: kinds of work by designer (task
    types of Tuhui, services of the price book); who is not named there does everything.
    ``channels``: those that deliver.
    """

    channels: frozenset[str] = frozenset()
    words: DispatchWords = DispatchWords()
    lease_s: float = 30.0
    sla_s: float = 1_800.0
    wait_s: float = 30.0
    watch_s: float = 15.0
    watch_max_s: float = 300.0
    retry_base_s: float = 2.0
    retry_max_s: float = 300.0
    max_attempts: int = 12
    alarm_attempts: int = 4
    notice_s: float = 5.0
    skills: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def backoff(self, attempts: int) -> float:
        return float(min(self.retry_base_s * 2 ** min(attempts, 30), self.retry_max_s))

    def look_again(self, age: float, *, answered: bool) -> float:
        """Seconds to the next look at a task that was assigned ``age`` seconds ago."""
        pause = min(max(age / 4, self.watch_s), self.watch_max_s)
        left = self.sla_s - age
        return min(pause, left) if left > 0 and not answered else pause


@dataclass(frozen=True, slots=True)
class Moved:
    """``row``: to go on with, None: it rests. ``fresh``: the next step was never begun before.
    ``queues``: of the outbox, to be woken."""

    row: DispatchRow | None = None
    queues: tuple[str, ...] = ()
    fresh: bool = False


class LostHold(Exception):
    """The row is somebody else's by now, or was cancelled: what was found out is dropped."""


def _nothing_follows(*_: object) -> Sequence[str]:
    return ()


class DispatchSteps:
    """``on_step`` and ``on_done`` run in the transaction of the step, may only read and write rows,
    and return queues of the outbox that got something. ``on_step`` is told what has happened:
    wait, create, assign, notify, tell, return, hand_on, failed, cancel; ``on_done`` gets the task
    as Tuhui tells of it.
    """

    def __init__(
        self,
        database: Database,
        client: TuhuiClient,
        tasks: TaskBook,
        policy: DispatchPolicy,
        *,
        on_step: OnStep = _nothing_follows,
        on_done: OnDone = _nothing_follows,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database, self.policy = database, policy
        self.book, self._tasks = DispatchBook(tasks), tasks
        self._client, self._clock = client, clock
        self._on_step, self._on_done = on_step, on_done
        self._choosing = asyncio.Lock()
        self._steps = {
            Step.WANTED: self._create,
            Step.CREATED: self._assign,
            Step.ASSIGNED: self._notify,
            Step.NOTIFIED: self._tell,
            Step.TOLD: self._watch,
        }

    async def advance(self, row: DispatchRow, *, fresh: bool = False) -> Moved:
        """One step of ``row``, which is held by us. Raises LostHold."""
        try:
            return await self._steps[row.step](row, fresh)
        except PeerRejected as error:
            if row.step is Step.TOLD and error.status != 404:
                return await self._postpone(row, error)  # the designer works: we only cannot look
            return await self._fail(row, str(error))
        except PeerUnavailable as error:
            if row.attempts + 1 >= self.policy.max_attempts and row.step is not Step.TOLD:
                return await self._fail(row, str(error))
            return await self._postpone(row, error)

    def cancel(
        self, connection: Connection, dispatch: int, reason: str, *, actor: str, now: float
    ) -> tuple[str, ...] | None:
        """To be called in a transaction. Tuhui has no call for it: who has the task is told by a
        notice. Queues to wake; None if it has ended already."""
        found = self.book.cancel(connection, dispatch, reason, actor=actor, now=now)
        if found is None:
            return None
        row, queues = found
        if row.tuhui_task_id is not None:
            queues += self._apply(connection, row, (_cancelled_notice(row, reason),), now)
        return queues + tuple(self._on_step(connection, row, "cancel", now))

    # The steps -----------------------------------------------------------------------------

    async def _create(self, row: DispatchRow, _fresh: bool) -> Moved:
        online = await self._client.online_designers()
        queue = await self._client.pending()
        until = self._until()
        existing = task_of(queue, row.key)
        if existing is not None:
            task_id = existing.task_id
            return await self._commit(
                row,
                lambda c, now: self.book.created(c, row, task_id, until=until, now=now),
                "create",
            )
        chosen = await self._choose(row, Offer(online, queue.suggestion))
        if chosen is None:
            return await self._wait(row, "没有设计师在线")
        made = await self._client.create(_order(chosen))
        try:
            moved = await self._commit(
                chosen,
                lambda c, now: self.book.created(c, chosen, made, until=self._until(), now=now),
                "create",
            )
        except LostHold:
            await self._leave_behind(chosen, made)
            raise
        return replace(moved, fresh=True)

    async def _assign(self, row: DispatchRow, fresh: bool) -> Moved:
        if fresh and row.designer:
            moved = await self._ask(row)
            return moved or await self._find_somebody(row, frozenset({row.designer}))
        return await self._find_somebody(row, frozenset())

    async def _find_somebody(self, row: DispatchRow, not_now: Collection[str]) -> Moved:
        task = await self._client.task(_tuhui_task(row))
        if task.progress is Progress.CANCELLED:
            return await self._fail(row, "图绘中的任务已被取消")
        holder = _holder(task, row)
        if holder:
            return await self._assigned(row, holder)
        offer = Offer(
            await self._client.online_designers(), (await self._client.pending()).suggestion
        )
        asked = set(not_now)
        for _ in range(MAX_ASKED):
            chosen = await self._choose(row, offer, asked)
            if chosen is None or chosen.designer is None:
                break
            moved = await self._ask(chosen)
            if moved is not None:
                return moved
            asked.add(chosen.designer)
        if asked:
            refusal = PeerRejected("tuhui", f"不能分配给 {'、'.join(sorted(asked))}")
            return await self._postpone(row, refusal, forget=True)
        return await self._wait(row, "没有其他设计师在线" if row.refused_by else "没有设计师在线")

    async def _ask(self, row: DispatchRow) -> Moved | None:
        """None where Tuhui does not let this designer have it."""
        designer = row.designer or ""
        try:
            await self._client.assign(_tuhui_task(row), designer, _assign_notes(row))
        except PeerRejected as error:
            if error.status not in _NOT_NOW:
                raise
            log.warning("dispatch %d cannot be assigned to %s: %s", row.id, designer, error)
            return None
        return await self._assigned(row, designer)

    async def _assigned(self, row: DispatchRow, designer: str) -> Moved:
        return await self._commit(
            row,
            lambda c, now: self.book.assigned(c, row, designer, until=self._until(), now=now),
            "assign",
        )

    async def _notify(self, row: DispatchRow, _fresh: bool) -> Moved:
        return await self._commit(
            row,
            lambda c, now: self.book.notified(c, row, until=self._until(), now=now),
            "notify",
            lambda _c, moved: (_assigned_notice(moved),),
        )

    async def _tell(self, row: DispatchRow, _fresh: bool) -> Moved:
        """The designer is to know before the customer is told so."""
        now = self._clock()
        age = now - (row.assigned_ts or now)
        notice = f"{row.key}:{_notice_name(row)}"
        if age < self.policy.notice_s and await self.database.read(
            lambda c: self.book.is_unsent(c, notice)
        ):
            due_at = now + NOTICE_LOOK_S
            return await self._commit(row, lambda c, _: self.book.looked(c, row, due_at=due_at))
        due_at = now + self.policy.look_again(age, answered=False)
        return await self._commit(
            row,
            lambda c, now: self.book.told(c, row, due_at=due_at, now=now),
            "tell",
            lambda c, moved: self._word(c, moved, "told", self.policy.words.arranged),
        )

    async def _watch(self, row: DispatchRow, _fresh: bool) -> Moved:
        task = await self._client.task(_tuhui_task(row))
        progress = task.progress
        if progress is Progress.COMPLETED:
            return await self._done(row, task)
        if progress is Progress.CANCELLED:
            return await self._fail(row, "图绘中的任务已被取消")
        if progress is Progress.REFUSED:
            return await self._return(row, "设计师拒绝")
        if progress is Progress.OPEN:
            return await self._return(row, "任务退回待分配")
        now = self._clock()
        if task.assigned_to and task.assigned_to != row.designer:
            return await self._handed_on(row, task.assigned_to, now)
        age, answered = now - (row.assigned_ts or now), progress is Progress.ACCEPTED
        if not answered and 0 < self.policy.sla_s <= age and await self._is_somebody_else(row):
            return await self._return(row, f"{self.policy.sla_s:g} 秒内没有接单")
        due_at = now + self.policy.look_again(age, answered=answered)
        return await self._commit(row, lambda c, _: self.book.looked(c, row, due_at=due_at))

    # Ways that steps end -------------------------------------------------------------------

    async def _done(self, row: DispatchRow, task: DesignTask) -> Moved:
        def unit(connection: Connection) -> tuple[str, ...] | None:
            now = self._clock()
            moved = self.book.done(connection, row, task.notes, now=now)
            return None if moved is None else tuple(self._on_done(connection, moved, task, now))

        queues = await self.database.write(unit, key=row.key)
        if queues is None:
            raise LostHold
        return Moved(None, queues)

    async def _return(self, row: DispatchRow, reason: str) -> Moved:
        return await self._commit(
            row,
            lambda c, now: self.book.returned(c, row, reason, until=self._until(), now=now),
            "return",
        )

    async def _handed_on(self, row: DispatchRow, designer: str, now: float) -> Moved:
        due_at = now + self.policy.look_again(0.0, answered=False)
        return await self._commit(
            row,
            lambda c, now: self.book.handed_on(c, row, designer, due_at=due_at, now=now),
            "hand_on",
        )

    async def _wait(self, row: DispatchRow, reason: str) -> Moved:
        due_at = self._clock() + self.policy.wait_s

        def effects(connection: Connection, moved: DispatchRow) -> Sequence[Effect]:
            waiting = _waiting_notice(moved, reason)
            if moved.assigned_ts is not None:  # the customer was told that somebody has it
                return (waiting,)
            word = self._word(connection, moved, "waiting", self.policy.words.waiting)
            return (waiting, *word)

        return await self._commit(
            row,
            lambda c, now: self.book.waits(c, row, reason, due_at=due_at, now=now),
            "" if row.told_waiting else "wait",
            effects,
        )

    async def _postpone(self, row: DispatchRow, error: PeerError, *, forget: bool = False) -> Moved:
        log.warning("dispatch %d, %s, is tried again: %s", row.id, row.step, error)
        asked = error.retry_after if isinstance(error, PeerUnavailable) else None
        retry_at = self._clock() + max(asked or 0.0, self.policy.backoff(row.attempts))
        stuck = row.attempts + 1 == self.policy.alarm_attempts
        return await self._commit(
            row,
            lambda c, now: self.book.postponed(
                c, row, str(error), retry_at=retry_at, forget=forget, now=now
            ),
            effects=lambda _c, moved: (_stuck_notice(moved),) if stuck else (),
        )

    async def _fail(self, row: DispatchRow, error: str) -> Moved:
        log.error("dispatch %d has failed, %s: %s", row.id, row.step, error)
        name = f"failed:{self._clock():.3f}"
        return await self._commit(
            row,
            lambda c, now: self.book.failed(c, row, error, now=now),
            "failed",
            lambda _c, moved: (_failed_notice(moved, name),),
        )

    async def _leave_behind(self, row: DispatchRow, task: str) -> None:
        """It was cancelled while Tuhui created it: somebody has to take it off the queue there."""

        def unit(connection: Connection) -> None:
            now = self._clock()
            left = self.book.left_behind(connection, row, task, now=now)
            if left is not None:
                self._apply(connection, left, (_cancelled_notice(left, "订单已取消"),), now)

        await self.database.write(unit, key=row.key)

    # ---------------------------------------------------------------------------------------

    async def _is_somebody_else(self, row: DispatchRow) -> bool:
        online = await self._client.online_designers()
        return bool(set(online) - {row.designer, *row.refused_by})

    async def _choose(
        self, row: DispatchRow, offer: Offer, not_now: Collection[str] = ()
    ) -> DispatchRow | None:
        """The row, held for whoever is to get it; None where nobody can. Who was chosen before
        stays chosen: a call may be on its way that names them."""
        refused = {*row.refused_by, *not_now}
        async with self._choosing:  # who is chosen counts as busy for the next one
            work = await self.database.read(self.book.work)
            kinds = await self.database.read(lambda c: self.book.kinds(c, row))
            names = ranked(
                offer,
                Load(work.open, work.latest),
                wanted=row.wanted_designer,
                kinds=kinds,
                skills=self.policy.skills,
                refused=refused,
            )
            if not names:
                return None
            designer = row.designer if row.designer in names else names[0]
            until = self._until()
            held = await self.database.write(
                lambda c: self.book.hold(c, row, until=until, designer=designer), key=row.key
            )
        if held is None:
            raise LostHold
        return held

    def _until(self) -> float:
        return self._clock() + self.policy.lease_s

    async def _commit(
        self,
        row: DispatchRow,
        change: Change,
        what: str = "",
        effects: Effects = _nothing_follows,  # type: ignore[assignment]
    ) -> Moved:
        """``change``, what it brings about, and what follows from it, at once."""

        def unit(connection: Connection) -> Moved | None:
            now = self._clock()
            found = change(connection, now)
            if found is None:
                return None
            moved, queues = found if isinstance(found, tuple) else (found, ())
            queues += self._apply(connection, moved, effects(connection, moved), now)
            if what:
                queues += tuple(self._on_step(connection, moved, what, now))
            return Moved(moved if moved.lease_owner else None, queues)

        moved = await self.database.write(unit, key=row.key)
        if moved is None:
            raise LostHold
        return moved

    def _apply(
        self, connection: Connection, row: DispatchRow, effects: Sequence[Effect], now: float
    ) -> tuple[str, ...]:
        if not effects:
            return ()
        to = next((e.payload["to"] for e in effects if e.kind is EffectKind.MESSAGE), None)
        fetched = to is not None and to["channel"] not in self.policy.channels
        cause = Cause(
            actor=ACTOR,
            conversation_id=row.conversation_id,
            contact_id=row.contact_id,
            shown_in=to["conversation_id"] if to is not None and fetched else "",
        )
        return apply(
            connection,
            effects,
            key=row.key,
            cause=cause,
            now=now,
            book=self._tasks,
            channels=self.policy.channels,
        ).queues

    def _word(
        self, connection: Connection, row: DispatchRow, name: str, text: str
    ) -> tuple[Effect, ...]:
        """To the customer, once under this name; nothing where the dispatch is for nobody."""
        found = self.book.recipient(connection, row)
        if found is None:
            return ()
        to = asdict(found) | {"pushes": found.channel in self.policy.channels}
        return (Effect(EffectKind.MESSAGE, name, {"to": to, "type": "text", "text": text}),)


def _holder(task: DesignTask, row: DispatchRow) -> str:
    """Who has it already: an earlier attempt of ours, or a person at Tuhui, gave it to them."""
    if task.progress in _AT_WORK:
        return task.assigned_to or row.designer or "设计师"
    if task.progress is Progress.OFFERED and task.assigned_to not in row.refused_by:
        return task.assigned_to or ""
    return ""


def _tuhui_task(row: DispatchRow) -> str:
    assert row.tuhui_task_id is not None, "steps after wanted have a task"
    return row.tuhui_task_id


def _order(row: DispatchRow) -> DispatchOrder:
    return DispatchOrder(row.key, row.title, row.description, row.task_type, row.priority)


def _reason(row: DispatchRow) -> str:
    return row.description.split("\n", 1)[0][:_REASON_CHARS]


def _assign_notes(row: DispatchRow) -> str:
    return f"AI 客服自动派单\n原因:{_reason(row)}\n客户:{sender_of(row.contact_id)}"


# Notices: to staff, in the seed's words ---------------------------------------------------------


def _notice_name(row: DispatchRow) -> str:
    return f"notified:{row.round}:{row.designer}"


def _assigned_notice(row: DispatchRow) -> Effect:
    lines = [
        f"设计师:{row.designer}",
        f"任务 ID: {row.tuhui_task_id}",
        f"客户:{sender_of(row.contact_id)}",
        f"原因:{_reason(row)}",
        "请及时处理",
    ]
    return _notice(row, _notice_name(row), "📋 **新任务派单**", lines, urgent=row.priority >= 3)


def _waiting_notice(row: DispatchRow, reason: str) -> Effect:
    lines = [f"任务:{row.title}", f"客户:{sender_of(row.contact_id)}", f"原因:{reason}"]
    lines += ["有设计师上线后会自动派单"]
    return _notice(row, f"waiting:{row.round}", "新任务待派单", lines, urgent=True)


def _stuck_notice(row: DispatchRow) -> Effect:
    lines = [f"任务:{row.title}", f"客户:{sender_of(row.contact_id)}"]
    lines += [f"已尝试 {row.attempts} 次:{row.last_error}", "系统会继续重试，请检查图绘派单系统"]
    return _notice(row, f"stuck:{row.step}:{row.round}", "派单受阻", lines, urgent=True)


def _failed_notice(row: DispatchRow, name: str) -> Effect:
    lines = [
        f"任务:{row.title}",
        f"客户:{sender_of(row.contact_id)}",
        f"任务 ID: {row.tuhui_task_id or '未创建'}",
        f"原因:{row.last_error}",
        "不会再自动重试，请人工派单或排除原因后重试",
    ]
    return _notice(row, name, "派单失败", lines, urgent=True)


def _cancelled_notice(row: DispatchRow, reason: str) -> Effect:
    lines = [
        f"设计师:{row.designer or '未分配'}",
        f"任务 ID: {row.tuhui_task_id}",
        f"客户:{sender_of(row.contact_id)}",
        f"原因:{reason}",
        "请停止处理，并在图绘中关闭该任务",
    ]
    return _notice(row, "cancelled", "派单已取消", lines, urgent=False)


def _notice(
    row: DispatchRow, name: str, title: str, lines: Sequence[str], *, urgent: bool
) -> Effect:
    payload = {
        "title": title,
        "text": "\n".join(lines),
        "priority": "high" if urgent else "normal",
        "reason": "dispatch",
        "conversation_id": row.conversation_id,
    }
    return Effect(EffectKind.NOTICE, name, payload)
