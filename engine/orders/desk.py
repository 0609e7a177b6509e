"""Where orders are changed, and everyone concerned is told, in one transaction.

The customer is told through the outbox, staff by a notice, the designer by the dispatch and its
notices. What a customer changes in a turn is told by that turn's own reply: ``tell`` False.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from domain.amendments import OpenOrder
from domain.errors import InvalidInput, NotFound, StorageError
from domain.orders import Amendment, ChangeKind, OrderStatus, Workflow, may_follow
from domain.requirements import merged, requirement_lines
from engine.orders import words
from engine.orders.quoting import Requotes
from engine.orders.shown import order_out, whole
from engine.orders.telling import AT_WORK, Telling, Told, is_address, is_sha256, notice, say
from engine.orders.telling import DeskPolicy as DeskPolicy
from storage.database import Database
from storage.dispatches import ENDS, DispatchBook, DispatchRow, NewDispatch, want
from storage.orders import NewOrder, OrderBook, OrderRow
from storage.tasks import TaskBook

MAX_REQUIREMENT_CHARS = 4_000
MAX_DELIVERABLES = 20
_TRIES = 5
_PRIORITIES = {"low": 1, "normal": 2, "high": 3}
S = OrderStatus
_ON_THE_WAY: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    S.CONFIRMED: (S.WORKING,),
    S.FAILED: (S.CONFIRMED, S.WORKING),
}
"""A person may deliver what no runner has begun, or has failed at."""

Change = Callable[[Connection, OrderRow, float], OrderRow | None]
After = Callable[[Connection, OrderRow, OrderRow, float], Told]


class CancelsDispatch(Protocol):
    """As `engine.dispatch_steps.DispatchSteps.cancel`."""

    def __call__(
        self, connection: Connection, dispatch: int, reason: str, *, actor: str, now: float
    ) -> tuple[str, ...] | None: ...


class TaskDone(Protocol):
    """What of Tuhui's task is needed of a finished one."""

    @property
    def files(self) -> tuple[str, ...]: ...


class OrderDesk:
    """``on_queues`` is told of queues of the outbox that got something, ``on_due`` that an order
    wants a runner or a designer. Methods raise NotFound, and InvalidInput: 409 for what may not
    follow, or for another ``version`` than the one that the caller has read."""

    def __init__(
        self,
        database: Database,
        book: OrderBook,
        *,
        tasks: TaskBook,
        requote: Requotes,
        policy: DeskPolicy | None = None,
        on_queues: Callable[[Sequence[str]], None] = lambda _queues: None,
        on_due: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.book = book
        self._database, self._tasks, self._requote = database, tasks, requote
        self.policy = policy or DeskPolicy()
        self._telling = Telling(book, tasks, self.policy)
        self.on_queues, self.on_due, self._clock = on_queues, on_due, clock
        self._dispatches = DispatchBook(tasks)
        self.cancel_dispatch: CancelsDispatch = self._cancel_row

    # Reading -------------------------------------------------------------------------------

    async def get(self, order_id: int) -> dict[str, Any]:
        def unit(connection: Connection) -> dict[str, Any]:
            order = self._found(connection, order_id)
            events = self.book.events(connection, order_id)
            return whole(order, events, self.book.facts(connection, order))

        return await self._database.read(unit)

    async def listed(
        self,
        *,
        statuses: Sequence[OrderStatus] = (),
        customer: str | None = None,
        workflow: Workflow | None = None,
        conversation_id: str | None = None,
        page: int = 1,
        page_size: int = 20,
    ) -> dict[str, Any]:
        rows, total = await self._database.read(
            lambda c: self.book.listed(
                c,
                statuses=statuses,
                customer=customer,
                workflow=workflow,
                conversation_id=conversation_id,
                limit=page_size,
                offset=(page - 1) * page_size,
            )
        )
        items = [order_out(row) for row in rows]
        return {"items": items, "total": total, "page": page, "page_size": page_size}

    async def open_orders(self, conversation_id: str) -> tuple[list[OrderRow], list[OpenOrder]]:
        """The rows, and as `domain.amendments.amendment_of` reads them, in the same order."""

        def unit(connection: Connection) -> tuple[list[OrderRow], list[OpenOrder]]:
            rows = self.book.open_of_conversation(connection, conversation_id)
            newest = max((row.updated_at for row in rows), default="")
            return rows, [self._open(connection, row, row.updated_at == newest) for row in rows]

        return await self._database.read(unit)

    # Changing ------------------------------------------------------------------------------

    async def create(self, order: NewOrder, *, actor: str) -> dict[str, Any]:
        """Idempotent by its key. Requirements are kept as lines."""
        now, lines = self._clock(), requirement_lines(order.requirement)
        if not lines:
            raise InvalidInput("requirement", "不能为空")
        made = NewOrder(**_values(order) | {"requirement": "\n".join(lines)})
        row, _ = await self._database.write(
            lambda c: self.book.create(c, made, actor=actor, now=now)
        )
        return order_out(row)

    async def amend(
        self,
        order_id: int,
        amendments: Sequence[Amendment],
        *,
        actor: str,
        pictures: Sequence[str] = (),
        images: Sequence[str] = (),
        version: int | None = None,
        tell: bool = True,
    ) -> dict[str, Any]:
        """Requirements changed one after the other, and the price with them. A cancellation among
        them cancels."""
        if not amendments:
            raise InvalidInput("changes", "不能为空")
        if any(one.kind is ChangeKind.CANCEL for one in amendments):
            reason = "；".join(one.requirement for one in amendments)
            return await self.cancel(order_id, reason, actor=actor, version=version, tell=tell)

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.amended(
                connection,
                order,
                amendments,
                actor=actor,
                now=now,
                pictures=pictures,
                images=images,
            )

        def after(_c: Connection, row: OrderRow, before: OrderRow, _now: float) -> Told:
            return self._telling.amended(row, before, amendments)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=tell)

    async def confirm(
        self, order_id: int, *, actor: str, version: int | None = None, tell: bool = True
    ) -> dict[str, Any]:
        """The customer takes the price: work begins."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            due_at = None if self._is_for_designers(order) else now
            return self.book.confirm(connection, order, actor=actor, now=now, due_at=due_at)

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            self._hand_on(connection, row, actor, now)
            staff = () if self.policy.dispatching else self._telling.waits_for_staff(row)
            return Told((say(words.confirmed(row)),), staff)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=tell)

    async def deliver(
        self,
        order_id: int,
        deliverables: Sequence[str],
        *,
        actor: str,
        note: str = "",
        version: int | None = None,
        tell: bool = True,
    ) -> dict[str, Any]:
        """``deliverables``: addresses, or sha256 of stored pictures; sent to the customer."""
        await asyncio.to_thread(self._check_deliverables, deliverables)

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self._delivered(connection, order, deliverables, actor, now)

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            queues = self._end_dispatches(connection, row, "已由他人交付", actor, now)
            return Told(self._telling.sent(row, deliverables, note), queues=queues)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=tell)

    async def accept(
        self, order_id: int, *, actor: str, version: int | None = None, tell: bool = True
    ) -> dict[str, Any]:
        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.book.accept(connection, order, actor=actor, now=now)

        def after(_c: Connection, row: OrderRow, _b: OrderRow, _now: float) -> Told:
            staff = notice(row, "订单已验收", words.notice(row, ["客户已验收"]))
            return Told((say(words.accepted(row)),), staff)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=tell)

    async def rework(
        self,
        order_id: int,
        note: str,
        *,
        actor: str,
        version: int | None = None,
        tell: bool = True,
    ) -> dict[str, Any]:
        """What was delivered goes back, to the designer who made it."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            due_at = None if self._is_for_designers(order) else now
            return self.book.rework(connection, order, note, actor=actor, now=now, due_at=due_at)

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            self._hand_on(connection, row, actor, now, note=note)
            lines = [f"返工:{note}"] if note else ["客户要求返工"]
            staff = notice(row, "订单返工", words.notice(row, lines), urgent=True)
            return Told((say(words.reworked(row)),), staff)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=tell)

    async def cancel(
        self,
        order_id: int,
        reason: str = "",
        *,
        actor: str,
        version: int | None = None,
        tell: bool = True,
    ) -> dict[str, Any]:
        """Its dispatch is called off with it."""

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            return self.book.cancel(connection, order, reason, actor=actor, now=now)

        def after(connection: Connection, row: OrderRow, before: OrderRow, now: float) -> Told:
            queues = self._end_dispatches(connection, row, reason or "订单已取消", actor, now)
            lines = [f"原因:{reason or '未说明'}", "请停止处理"]
            stop = notice(row, "订单已取消", words.notice(row, lines), urgent=True)
            staff = stop if before.status in AT_WORK else ()
            return Told((say(words.cancelled(row)),), staff, queues)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=tell)

    async def assign_designer(
        self, order_id: int, designer: str, *, actor: str, version: int | None = None
    ) -> dict[str, Any]:
        """To this designer, instead of whoever has it."""
        if not self.policy.dispatching:
            raise InvalidInput("designer", "未配置图绘派单系统，不能派给设计师", status=409)

        def change(connection: Connection, order: OrderRow, now: float) -> OrderRow | None:
            if order.status is S.DISPATCHED:
                return self.book.set_designer(connection, order, designer, actor=actor, now=now)
            waits = {"designer": designer, "workflow": Workflow.DESIGN}
            if order.status is S.WAITING:
                return self.book.set_designer(connection, order, designer, actor=actor, now=now)
            return self.book.set_status(
                connection,
                order,
                S.WAITING,
                actor=actor,
                now=now,
                designer=designer,
                workflow=Workflow.DESIGN,
                detail=waits,
            )

        def after(connection: Connection, row: OrderRow, _b: OrderRow, now: float) -> Told:
            queues = self._end_dispatches(connection, row, f"改派 {designer}", actor, now)
            self._hand_on(connection, row, actor, now)
            return Told(queues=queues)

        return await self._change(order_id, change, after, actor=actor, version=version, tell=False)

    # In a transaction of somebody else -----------------------------------------------------

    def amended(
        self,
        connection: Connection,
        order: OrderRow,
        amendments: Sequence[Amendment],
        *,
        actor: str,
        now: float,
        pictures: Sequence[str] = (),
        images: Sequence[str] = (),
    ) -> OrderRow | None:
        """Requirements merged, price made anew; None if somebody else was first."""
        requirement = merged(order.requirement, amendments)
        if not requirement:
            raise InvalidInput("changes", "撤回后没有要求了，请直接取消订单")
        if len(requirement) > MAX_REQUIREMENT_CHARS:
            raise InvalidInput("changes", f"要求合计不能超过 {MAX_REQUIREMENT_CHARS} 个字符")
        facts, level = self.book.facts(connection, order), self.book.level(connection, order)
        after = self.book.amend(
            connection,
            order,
            amendments,
            requirement=requirement,
            quote=self._requote(order, requirement, facts, level),
            actor=actor,
            now=now,
            pictures=pictures,
            images=images,
            due_at=None if self._is_for_designers(order) else now,
        )
        if after is not None and (order.status, after.status) == (S.DELIVERED, S.REWORK):
            self._hand_on(connection, after, actor, now)
        return after

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
            return self._telling.tell(connection, order, told, "dispatch", now)
        after = self.book.deliver(connection, order, files, actor="dispatch", now=now)
        if after is None:
            return ()
        return self._telling.tell(
            connection, after, Told(self._telling.sent(after, files, "")), "dispatch", now
        )

    # ---------------------------------------------------------------------------------------

    async def _change(
        self,
        order_id: int,
        change: Change,
        after: After,
        *,
        actor: str,
        version: int | None,
        tell: bool,
    ) -> dict[str, Any]:
        def unit(connection: Connection) -> tuple[OrderRow, tuple[str, ...]]:
            now = self._clock()
            before, row = self._changed(connection, order_id, change, version, now)
            told = after(connection, row, before, now)
            if not tell:
                told = Told((), told.staff, told.queues)
            return row, self._telling.tell(connection, row, told, actor, now)

        row, queues = await self._database.write(unit, key=f"order:{order_id}")
        if queues:
            self.on_queues(queues)
        self.on_due()
        return order_out(row)

    def _changed(
        self,
        connection: Connection,
        order_id: int,
        change: Change,
        version: int | None,
        now: float,
    ) -> tuple[OrderRow, OrderRow]:
        """Before and after. Whoever was first is read and, where it still fits, followed."""
        for _ in range(_TRIES):
            order = self._found(connection, order_id)
            if version is not None and version != order.version:
                raise InvalidInput("version", "订单在读取之后已被改动，请重新读取", status=409)
            row = change(connection, order, now)
            if row is not None:
                return order, row
        raise StorageError(f"order {order_id} changed under {_TRIES} attempts")

    def _found(self, connection: Connection, order_id: int) -> OrderRow:
        order = self.book.get(connection, order_id)
        if order is None:
            raise NotFound("order_id", str(order_id))
        return order

    def _open(self, connection: Connection, row: OrderRow, recent: bool) -> OpenOrder:
        facts = self.book.facts(connection, row)
        shown = (str(one.get(name, "")) for one in facts for name in ("description", "text"))
        service = row.quote.service_name if row.quote else ""
        return OpenOrder(
            row.id,
            service,
            row.requirement,
            words=tuple(word for word in shown if word),
            pictures=max(1, len(row.pictures or row.images)),
            recent=recent,
        )

    def _delivered(
        self,
        connection: Connection,
        order: OrderRow,
        deliverables: Sequence[str],
        actor: str,
        now: float,
    ) -> OrderRow | None:
        row: OrderRow | None = order
        for status in _ON_THE_WAY.get(order.status, ()):
            row = row and self.book.set_status(connection, row, status, actor=actor, now=now)
        return row and self.book.deliver(connection, row, deliverables, actor=actor, now=now)

    def _check_deliverables(self, deliverables: Sequence[str]) -> None:
        if not 1 <= len(deliverables) <= MAX_DELIVERABLES:
            raise InvalidInput("deliverables", f"应有 1 到 {MAX_DELIVERABLES} 项")
        for at, one in enumerate(deliverables):
            if is_address(one):
                continue
            if not is_sha256(one):
                raise InvalidInput(f"deliverables.{at}", "应为图片的 sha256 或 http(s) 地址")
            if not self.policy.known_pictures(one):
                raise NotFound(f"deliverables.{at}", one)
            if not self.policy.picture_url:
                reason = "未配置图片的公开地址，请用 http(s) 地址交付"
                raise InvalidInput(f"deliverables.{at}", reason)

    # Designers -----------------------------------------------------------------------------

    def _is_for_designers(self, order: OrderRow) -> bool:
        return order.workflow is Workflow.DESIGN

    def _hand_on(
        self, connection: Connection, order: OrderRow, actor: str, now: float, *, note: str = ""
    ) -> None:
        """To a designer, where the order is theirs; others wait for a runner, due at once."""
        if not self._is_for_designers(order) or not self.policy.dispatching:
            return
        wanted = NewDispatch(
            key=f"order:{order.id}:{order.version}",
            title=order.title,
            description=words.description(order, note),
            priority=_PRIORITIES.get(self.policy.rework_priority if note else order.priority, 2),
            designer=order.designer or "",
            order_id=order.id,
            conversation_id=order.conversation_id,
            contact_id=order.contact_id,
        )
        want(connection, wanted, actor=actor, now=now)

    def _end_dispatches(
        self, connection: Connection, order: OrderRow, reason: str, actor: str, now: float
    ) -> tuple[str, ...]:
        queues: tuple[str, ...] = ()
        for row in self._dispatches.of_order(connection, order.id):
            if row.step not in ENDS:
                ended = self.cancel_dispatch(connection, row.id, reason, actor=actor, now=now)
                queues += ended or ()
        return queues

    def _cancel_row(
        self, connection: Connection, dispatch: int, reason: str, *, actor: str, now: float
    ) -> tuple[str, ...] | None:
        found = self._dispatches.cancel(connection, dispatch, reason, actor=actor, now=now)
        return None if found is None else found[1]


_AFTER_STEP = {
    "wait": S.WAITING,
    "assign": S.DISPATCHED,
    "return": S.WAITING,
    "failed": S.FAILED,
}


def _values(order: NewOrder) -> dict[str, Any]:
    return {name: getattr(order, name) for name in NewOrder.__slots__}
