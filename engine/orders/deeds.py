"""What can be done to an order, each with what follows from it, in a transaction of the caller."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from domain.decisions import Effect, Quote
from domain.errors import InvalidInput
from domain.orders import Amendment, ChangeKind, OrderStatus, Workflow, may_follow
from domain.requirements import merged
from engine.orders import words
from engine.orders.quoting import Requotes
from engine.orders.telling import (
    AT_WORK,
    DeskPolicy,
    Telling,
    Told,
    handed_over,
    is_address,
    notice,
    say,
)
from graphs.order_words import OrderWords
from graphs.orders import MAX_REQUIREMENT_CHARS
from storage.dispatches import ENDS, DispatchBook, DispatchRow, NewDispatch, want
from storage.orders import OrderBook, OrderRow
from storage.tasks import TaskBook

MAX_DELIVERABLES = 20
_PRIORITIES = {"low": 1, "normal": 2, "high": 3}
S = OrderStatus
_ON_THE_WAY: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    S.CONFIRMED: (S.WORKING,),
    S.FAILED: (S.CONFIRMED, S.WORKING),
}
"""A person may deliver what no runner has begun, or has failed at."""
_AFTER_STEP = {
    "wait": S.WAITING,
    "assign": S.DISPATCHED,
    "return": S.WAITING,
    "failed": S.FAILED,
}

Change = Callable[[Connection, OrderRow, float], OrderRow | None]
After = Callable[[Connection, OrderRow, OrderRow, float], Told]


@dataclass(frozen=True, slots=True)
class Deed:
    """``change``: the order as it is to be, None if somebody else was first; ``after``: of the new
    and the old order, what follows."""

    change: Change
    after: After


class CancelsDispatch(Protocol):
    """As `engine.dispatch_steps.DispatchSteps.cancel`."""

    def __call__(
        self, connection: Connection, dispatch: int, reason: str, *, actor: str, now: float
    ) -> tuple[str, ...] | None: ...


class TaskDone(Protocol):
    """What of Tuhui's task is needed of a finished one."""

    @property
    def files(self) -> tuple[str, ...]: ...


class Deeds:
    """Deeds raise InvalidInput (409) for what may not follow."""

    def __init__(
        self,
        book: OrderBook,
        tasks: TaskBook,
        requote: Requotes,
        policy: DeskPolicy,
        said: OrderWords,
    ) -> None:
        self.book, self.policy, self.said = book, policy, said
        self.telling = Telling(book, tasks, policy, said)
        self._requote = requote
        self._dispatches = DispatchBook(tasks)
        self.cancel_dispatch: CancelsDispatch = self._cancel_row

    # Deeds ---------------------------------------------------------------------------------

    def amending(
        self,
        amendments: Sequence[Amendment],
        *,
        actor: str,
        pictures: Sequence[str] = (),
        images: Sequence[str] = (),
    ) -> Deed:
        """Requirements changed one after the other, and the price with them. A cancellation among
        them cancels."""
        if not amendments:
            raise InvalidInput("changes", "不能为空")
        if any(one.kind is ChangeKind.CANCEL for one in amendments):
            return self.cancelling("；".join(one.requirement for one in amendments), actor=actor)

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            requirement = merged(order.requirement, amendments)
            facts, level = self.book.facts(connection, order), self.book.level(connection, order)
            quote = self._requote(order, requirement, facts, level)
            return self._amended(
                connection, order, amendments, requirement, quote, actor, now, pictures, images
            )

        return Deed(change, self._after_amending(amendments, actor))

    def amending_to(
        self,
        amendments: Sequence[Amendment],
        requirement: str,
        quote: Quote | None,
        *,
        actor: str,
        pictures: Sequence[str] = (),
        images: Sequence[str] = (),
    ) -> Deed:
        """As `amending`, with the requirement and the price that the customer was told."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self._amended(
                connection, order, amendments, requirement, quote, actor, now, pictures, images
            )

        return Deed(change, self._after_amending(amendments, actor))

    def quoting(
        self, quote: Quote, requirement: str, workflow: Workflow, *, actor: str, due_at: float
    ) -> Deed:
        """Another price for what waits for a yes; ``due_at``: when it is valid no more."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.book.requote(
                connection,
                order,
                quote,
                requirement=requirement,
                workflow=workflow,
                due_at=due_at,
                actor=actor,
                now=now,
            )

        return Deed(change, lambda *_: Told())

    def confirming(self, *, actor: str) -> Deed:
        """The customer takes the price: work begins."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            due_at = None if is_for_designers(order) else now
            return self.book.confirm(connection, order, actor=actor, now=now, due_at=due_at)

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            return Told((say(self.said.confirmed(row)),), self.begun(connection, row, actor, now))

        return Deed(change, after)

    def delivering(self, deliverables: Sequence[str], note: str, *, actor: str) -> Deed:
        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            row: OrderRow | None = order
            for status in _ON_THE_WAY.get(order.status, ()):
                row = row and self.book.set_status(connection, row, status, actor=actor, now=now)
            return row and self.book.deliver(connection, row, deliverables, actor=actor, now=now)

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            queues = self.end_dispatches(connection, row, "已由他人交付", actor, now)
            return Told(self.telling.sent(row, deliverables, note), queues=queues)

        return Deed(change, after)

    def accepting(self, *, actor: str) -> Deed:
        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.book.accept(connection, order, actor=actor, now=now)

        def after(_c: Connection, row: OrderRow, _b: OrderRow, _now: float) -> Told:
            staff = notice(row, "订单已验收", words.notice(row, ["客户已验收"]))
            return Told((say(self.said.say("order_accepted", row)),), staff)

        return Deed(change, after)

    def reworking(self, note: str, *, actor: str) -> Deed:
        """What was delivered goes back, to the designer who made it; what no designer made goes to
        one: the same work again would bring the same."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.book.rework(
                connection, order, note, actor=actor, now=now, workflow=Workflow.DESIGN
            )

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            self.hand_on(connection, row, actor, now, note=note)
            lines = [f"返工:{note}"] if note else ["客户要求返工"]
            staff = notice(row, "订单返工", words.notice(row, lines), urgent=True)
            return Told((say(self.said.say("order_rework", row)),), staff)

        return Deed(change, after)

    def cancelling(self, reason: str, *, actor: str) -> Deed:
        """Its dispatch is called off with it."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.book.cancel(connection, order, reason, actor=actor, now=now)

        def after(connection: Connection, row: OrderRow, before: OrderRow, now: float) -> Told:
            queues = self.end_dispatches(connection, row, reason or "订单已取消", actor, now)
            lines = [f"原因:{reason or '未说明'}", "请停止处理"]
            told = notice(row, "订单已取消", words.notice(row, lines), urgent=True)
            staff = told if before.status in AT_WORK else ()
            return Told((say(self.said.say("order_cancelled", row)),), staff, queues)

        return Deed(change, after)

    def assigning(self, designer: str, *, actor: str) -> Deed:
        """To this designer, instead of whoever has it."""
        if not self.policy.dispatching:
            raise InvalidInput("designer", "未配置图绘派单系统，不能派给设计师", status=409)

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            if order.status in (S.DISPATCHED, S.WAITING):
                return self.book.set_designer(connection, order, designer, actor=actor, now=now)
            return self.book.set_status(
                connection,
                order,
                S.WAITING,
                actor=actor,
                now=now,
                designer=designer,
                workflow=Workflow.DESIGN,
                detail={"designer": designer, "workflow": Workflow.DESIGN},
            )

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            queues = self.end_dispatches(connection, row, f"改派 {designer}", actor, now)
            self.hand_on(connection, row, actor, now)
            return Told(queues=queues)

        return Deed(change, after)

    def giving_up(self, tried: Sequence[Mapping[str, Any]], reason: str, *, actor: str) -> Deed:
        """What cannot be done without a person goes to a designer, who learns what was tried."""
        last = {"by": words.MACHINE, "result": "given_up", "reason": reason}

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            row: OrderRow | None = order
            for one in (*tried, last):
                row = row and self.book.note_tried(connection, row, one, actor=actor, now=now)
            return row and self.book.set_status(
                connection,
                row,
                S.WAITING,
                actor=actor,
                now=now,
                workflow=Workflow.DESIGN,
                detail={"reason": reason},
            )

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            staff = self.begun(connection, row, actor, now)
            if not self.policy.dispatching:
                staff += handed_over(row, reason)
            return Told((say(self.said.say("order_to_designer", row)),), staff)

        return Deed(change, after)

    # Designers -----------------------------------------------------------------------------

    def begun(
        self, connection: Connection, row: OrderRow, actor: str, now: float
    ) -> tuple[Effect, ...]:
        """Work on ``row`` begins: what staff is told where no Tuhui gives it to a designer."""
        self.hand_on(connection, row, actor, now)
        return () if self.policy.dispatching else self.telling.waits_for_staff(row)

    def hand_on(
        self, connection: Connection, order: OrderRow, actor: str, now: float, *, note: str = ""
    ) -> None:
        """To a designer, where the order is theirs; others wait for a runner, due at once."""
        if not is_for_designers(order) or not self.policy.dispatching:
            return
        wanted = NewDispatch(
            key=f"order:{order.id}:{order.version}",
            title=order.title,
            description=words.description(order, note, self.telling.addresses(order)),
            priority=_PRIORITIES.get(self.policy.rework_priority if note else order.priority, 2),
            designer=order.designer or "",
            order_id=order.id,
            conversation_id=order.conversation_id,
            contact_id=order.contact_id,
        )
        want(connection, wanted, actor=actor, now=now)

    def end_dispatches(
        self, connection: Connection, order: OrderRow, reason: str, actor: str, now: float
    ) -> tuple[str, ...]:
        queues: tuple[str, ...] = ()
        for row in self._dispatches.of_order(connection, order.id):
            if row.step not in ENDS:
                ended = self.cancel_dispatch(connection, row.id, reason, actor=actor, now=now)
                queues += ended or ()
        return queues

    def on_step(
        self, connection: Connection, row: DispatchRow, what: str, now: float
    ) -> Sequence[str]:
        """A dispatch has moved: its order with it. For `DispatchSteps(on_step=…)`."""
        order = self.book.get(connection, row.order_id) if row.order_id is not None else None
        if order is None:
            return ()
        status = _AFTER_STEP.get(what)
        if status is not None and may_follow(order.status, status):
            self.book.set_status(
                connection, order, status, actor="dispatch", now=now, designer=row.designer
            )
        elif what in ("assign", "hand_on") and row.designer not in (None, order.designer):
            designer = row.designer or ""
            self.book.set_designer(connection, order, designer, actor="dispatch", now=now)
        return ()

    def on_done(
        self, connection: Connection, row: DispatchRow, task: TaskDone, now: float
    ) -> Sequence[str]:
        """The designer has finished: what Tuhui hands over goes to the customer. Where it hands
        over nothing a person is to deliver. For `DispatchSteps(on_done=…)`."""
        order = self.book.get(connection, row.order_id) if row.order_id is not None else None
        if order is None or not may_follow(order.status, S.DELIVERED):
            return ()
        files = [file for file in task.files if is_address(file)][:MAX_DELIVERABLES]
        if not files:
            lines = ["设计师已完成，图绘没有给出成品地址", "请把成品交付给客户"]
            told = Told(staff=notice(order, "请交付成品", words.notice(order, lines)))
            return self.telling.tell(connection, order, told, "dispatch", now)
        after = self.book.deliver(connection, order, files, actor="dispatch", now=now)
        if after is None:
            return ()
        told = Told(self.telling.sent(after, files, ""))
        return self.telling.tell(connection, after, told, "dispatch", now)

    # ---------------------------------------------------------------------------------------

    def _amended(
        self,
        connection: Connection,
        order: OrderRow,
        amendments: Sequence[Amendment],
        requirement: str,
        quote: Quote | None,
        actor: str,
        now: float,
        pictures: Sequence[str],
        images: Sequence[str],
    ) -> OrderRow | None:
        if not requirement:
            raise InvalidInput("changes", "撤回后没有要求了，请直接取消订单")
        if len(requirement) > MAX_REQUIREMENT_CHARS:
            raise InvalidInput("changes", f"要求合计不能超过 {MAX_REQUIREMENT_CHARS} 个字符")
        return self.book.amend(
            connection,
            order,
            amendments,
            requirement=requirement,
            quote=quote,
            actor=actor,
            now=now,
            pictures=pictures,
            images=images,
            due_at=None if is_for_designers(order) else now,
        )

    def _after_amending(self, amendments: Sequence[Amendment], actor: str) -> After:
        def after(connection: Connection, row: OrderRow, before: OrderRow, now: float) -> Told:
            if (before.status, row.status) == (S.DELIVERED, S.REWORK):
                self.hand_on(connection, row, actor, now)
            else:
                self._describe_anew(connection, row, now)
            return self.telling.amended(row, before, amendments)

        return after

    def _describe_anew(self, connection: Connection, row: OrderRow, now: float) -> None:
        """Whoever gets it later gets it as it is wanted now."""
        addresses = self.telling.addresses(row)
        for dispatch in self._dispatches.of_order(connection, row.id):
            text = words.described_anew(dispatch.description, row, addresses)
            self._dispatches.describe(connection, dispatch.id, text, now=now)

    def _cancel_row(
        self, connection: Connection, dispatch: int, reason: str, *, actor: str, now: float
    ) -> tuple[str, ...] | None:
        found = self._dispatches.cancel(connection, dispatch, reason, actor=actor, now=now)
        return None if found is None else found[1]


def is_for_designers(order: OrderRow) -> bool:
    return order.workflow is Workflow.DESIGN
