"""Where orders are changed, and everyone concerned is told, in one transaction.

The customer is told through the outbox, staff by a notice, the designer by the dispatch and its
notices. What a customer changes in a turn is told by that turn's own reply: ``tell`` False.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from domain.amendments import OpenOrder
from domain.errors import InvalidInput, NotFound, StorageError
from domain.orders import Amendment, OrderStatus, Workflow
from domain.requirements import requirement_lines
from engine.orders.deeds import MAX_DELIVERABLES, Change, Deed, Deeds
from engine.orders.quoting import Requotes
from engine.orders.shown import order_out, whole
from engine.orders.telling import DeskPolicy as DeskPolicy
from engine.orders.telling import Told, is_address, is_sha256
from graphs.order_words import OrderWords
from storage.database import Database
from storage.orders import NewOrder, OrderBook, OrderRow
from storage.tasks import TaskBook

_TRIES = 5


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
        words: OrderWords,
        policy: DeskPolicy | None = None,
        on_queues: Callable[[Sequence[str]], None] = lambda _queues: None,
        on_due: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.book = book
        self.database = database
        self.policy = policy or DeskPolicy()
        self.deeds = Deeds(book, tasks, requote, self.policy, words)
        self.on_queues, self.on_due, self._clock = on_queues, on_due, clock

    # Reading -------------------------------------------------------------------------------

    async def get(self, order_id: int) -> dict[str, Any]:
        def unit(connection: Connection) -> dict[str, Any]:
            order = self._found(connection, order_id)
            events = self.book.events(connection, order_id)
            return whole(order, events, self.book.facts(connection, order))

        return await self.database.read(unit)

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
        rows, total = await self.database.read(
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
        rows, opened, _ = await self.database.read(lambda c: self.read_open(c, conversation_id))
        return rows, opened

    def read_open(
        self, connection: Connection, conversation_id: str
    ) -> tuple[list[OrderRow], list[OpenOrder], dict[int, list[dict[str, Any]]]]:
        """As `open_orders`, and the facts of each order's pictures."""
        rows = self.book.open_of_conversation(connection, conversation_id)
        newest = max((row.updated_at for row in rows), default="")
        recent = {row.id for row in rows if row.updated_at == newest}
        facts = {row.id: self.book.facts(connection, row) for row in rows}
        return rows, [_open(row, facts[row.id], recent=row.id in recent) for row in rows], facts

    # Changing ------------------------------------------------------------------------------

    async def create(self, order: NewOrder, *, actor: str) -> dict[str, Any]:
        """Idempotent by its key. Requirements are kept as lines."""
        now, lines = self._clock(), requirement_lines(order.requirement)
        if not lines:
            raise InvalidInput("requirement", "不能为空")
        made = NewOrder(**_values(order) | {"requirement": "\n".join(lines)})
        row, _ = await self.database.write(
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
        deed = self.deeds.amending(amendments, actor=actor, pictures=pictures, images=images)
        return await self._do(order_id, deed, actor=actor, version=version, tell=tell)

    async def confirm(
        self, order_id: int, *, actor: str, version: int | None = None, tell: bool = True
    ) -> dict[str, Any]:
        """The customer takes the price: work begins."""
        deed = self.deeds.confirming(actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=tell)

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
        deed = self.deeds.delivering(deliverables, note, actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=tell)

    async def accept(
        self, order_id: int, *, actor: str, version: int | None = None, tell: bool = True
    ) -> dict[str, Any]:
        deed = self.deeds.accepting(actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=tell)

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
        deed = self.deeds.reworking(note, actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=tell)

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
        deed = self.deeds.cancelling(reason, actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=tell)

    async def give_up(
        self,
        order_id: int,
        tried: Sequence[Mapping[str, Any]],
        reason: str,
        *,
        actor: str,
        version: int | None = None,
    ) -> dict[str, Any]:
        """A designer gets it, and the customer is told so."""
        deed = self.deeds.giving_up(tried, reason, actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=True)

    async def assign_designer(
        self, order_id: int, designer: str, *, actor: str, version: int | None = None
    ) -> dict[str, Any]:
        """To this designer, instead of whoever has it."""
        deed = self.deeds.assigning(designer, actor=actor)
        return await self._do(order_id, deed, actor=actor, version=version, tell=False)

    # ---------------------------------------------------------------------------------------

    async def _do(
        self, order_id: int, deed: Deed, *, actor: str, version: int | None, tell: bool
    ) -> dict[str, Any]:
        def unit(connection: Connection) -> tuple[OrderRow, tuple[str, ...]]:
            now = self._clock()
            before, row = self._changed(connection, order_id, deed.change, version, now)
            told = deed.after(connection, row, before, now)
            if not tell:
                told = Told((), told.staff, told.queues)
            return row, self.deeds.telling.tell(connection, row, told, actor, now)

        row, queues = await self.database.write(unit, key=f"order:{order_id}")
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


def _values(order: NewOrder) -> dict[str, Any]:
    return {name: getattr(order, name) for name in NewOrder.__slots__}


def _open(row: OrderRow, facts: Sequence[dict[str, Any]], *, recent: bool) -> OpenOrder:
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
