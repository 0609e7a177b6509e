"""What a turn needs to know of orders, and what it does to them in its own transaction.

Payloads of ORDER effects: ``do`` and, of an order that is there, ``order_id`` and the ``version``
that the turn has seen. create: status, service, workflow, requirement, images, pictures, quote,
priority, deadline_ts, tried, handed. quote: quote, requirement, workflow. confirm: handed. amend:
amendments, requirement, quote, pictures, images. cancel: reason. rework: note. ``handed``: the turn
itself tells staff.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from domain.amendments import OpenOrder
from domain.decisions import CustomerFacts, EffectKind, Quote
from domain.errors import InvalidInput, StaleTurn
from domain.orders import Amendment, ChangeKind, OrderStatus, Workflow
from domain.picture_risk import CustomerRecord
from domain.pricing import PriceBook
from engine.orders.deeds import Deed
from engine.orders.desk import OrderDesk
from engine.orders.quoting import requoting
from engine.orders.telling import Told
from graphs.orders import OrdersInTalk
from storage.clock import iso
from storage.inbox import Claim
from storage.orders import NewOrder, OrderRow, quote_from, record_of

ACTOR = "customer"
RECORD_S = 180 * 86_400.0
"""How far a customer's record reaches back."""


class TurnOrders:
    def __init__(self, desk: OrderDesk, *, clock: Callable[[], float] = time.time) -> None:
        self._desk, self._clock = desk, clock

    async def in_talk(self, claim: Claim, book: PriceBook) -> OrdersInTalk:
        """``book``: of this turn; a newer one is for turns that begin later."""
        pictured = any(message.attachments for message in claim.messages)
        if not claim.has_orders and not pictured:
            return OrdersInTalk(_no_price, dispatching=self._desk.policy.dispatching)

        def unit(connection: Connection) -> OrdersInTalk:
            rows, opened, facts = self._desk.read_open(connection, claim.conversation_id)
            return self._as_talk(connection, rows, opened, facts, claim.customer, book, pictured)

        return await self._desk.database.read(unit)

    async def as_it_was(
        self,
        rows: Sequence[OrderRow],
        opened: Sequence[OpenOrder],
        customer: CustomerFacts,
        book: PriceBook,
        *,
        pictured: bool,
    ) -> OrdersInTalk:
        """Of orders as they stood once, for who looks back; prices by ``book``."""

        def unit(connection: Connection) -> OrdersInTalk:
            facts = {row.id: self._desk.book.facts(connection, row) for row in rows}
            return self._as_talk(connection, rows, opened, facts, customer, book, pictured)

        return await self._desk.database.read(unit)

    def _as_talk(
        self,
        connection: Connection,
        rows: Sequence[OrderRow],
        opened: Sequence[OpenOrder],
        facts: Mapping[int, Sequence[dict[str, Any]]],
        customer: CustomerFacts,
        book: PriceBook,
        pictured: bool,
    ) -> OrdersInTalk:
        level, by_the_book = customer.level, requoting(book)

        def requote(order: OrderRow, requirement: str) -> Quote | None:
            return by_the_book(order, requirement, facts[order.id], level)

        record = None
        if pictured:
            since = iso(self._clock() - RECORD_S)
            orders, refunds = record_of(connection, customer.contact_id, since=since)
            record = CustomerRecord(level, orders, refunds)
        return OrdersInTalk(
            requote, tuple(rows), tuple(opened), self._desk.policy.dispatching, record
        )

    def commit(
        self,
        connection: Connection,
        claim: Claim,
        turn_id: str,
        effects: Sequence[dict[str, Any]],
        now: float,
    ) -> tuple[str, ...]:
        """In the turn's transaction; queues of the outbox to wake. Raises StaleTurn where an order
        has changed since the turn read it."""
        queues: tuple[str, ...] = ()
        for effect in effects:
            if effect["kind"] == EffectKind.ORDER:
                payload = effect["payload"]
                if payload["do"] == "create":
                    queues += self._create(connection, claim, turn_id, effect["name"], payload, now)
                else:
                    queues += self._do(connection, claim, payload, now)
        return queues

    def committed(self) -> None:
        """A runner may have something to do."""
        self._desk.on_due()

    def _create(
        self,
        connection: Connection,
        claim: Claim,
        turn_id: str,
        name: str,
        payload: dict[str, Any],
        now: float,
    ) -> tuple[str, ...]:
        quote = quote_from(payload["quote"]) if payload["quote"] else None
        status, workflow = OrderStatus(payload["status"]), Workflow(payload["workflow"])
        row, new = self._desk.book.create(
            connection,
            NewOrder(
                key=f"{turn_id}:{name}",
                contact_id=claim.contact_id,
                conversation_id=claim.conversation_id,
                requirement=payload["requirement"],
                images=tuple(payload["images"]),
                pictures=tuple(payload["pictures"]),
                service=payload["service"],
                workflow=workflow,
                quote=quote,
                status=status,
                priority=payload["priority"],
                deadline_ts=payload["deadline_ts"],
                due_at=_due_at(status, workflow, quote, now),
            ),
            actor=ACTOR,
            now=now,
        )
        if not new or status is OrderStatus.QUOTED:
            return ()
        if payload.get("tried"):
            noted = self._desk.book.note_tried(
                connection, row, payload["tried"], actor="pictures", now=now, due_at=row.due_at
            )
            assert noted is not None, "nobody else can know it yet"
            row = noted
        staff = self._desk.deeds.begun(connection, row, ACTOR, now)
        told = Told(staff=() if payload.get("handed") else staff)
        return self._desk.deeds.telling.tell(connection, row, told, ACTOR, now)

    def _do(
        self, connection: Connection, claim: Claim, payload: dict[str, Any], now: float
    ) -> tuple[str, ...]:
        before = self._desk.book.get(connection, payload["order_id"])
        if before is None or before.version != payload["version"]:
            raise StaleTurn(claim.conversation_id, claim.fence)
        deed = self._deed(payload, now)
        try:
            row = deed.change(connection, before, now)
        except InvalidInput as error:
            # What the turn was allowed to say of this version it may do: a fault of ours.
            raise RuntimeError(f"order {before.id}: {error}") from error
        if row is None:
            raise StaleTurn(claim.conversation_id, claim.fence)
        told = deed.after(connection, row, before, now)
        staff = () if payload.get("handed") else told.staff
        told = Told((), staff, told.queues)
        return self._desk.deeds.telling.tell(connection, row, told, ACTOR, now)

    def _deed(self, payload: dict[str, Any], now: float) -> Deed:
        deeds = self._desk.deeds
        match payload["do"]:
            case "quote":
                quote, workflow = quote_from(payload["quote"]), Workflow(payload["workflow"])
                due_at = _valid_until(quote, now)
                return deeds.quoting(
                    quote, payload["requirement"], workflow, actor=ACTOR, due_at=due_at
                )
            case "confirm":
                return deeds.confirming(actor=ACTOR)
            case "amend":
                given = payload["quote"]
                return deeds.amending_to(
                    [Amendment(ChangeKind(kind), words) for kind, words in payload["amendments"]],
                    payload["requirement"],
                    quote_from(given) if given else None,
                    actor=ACTOR,
                    pictures=payload["pictures"],
                    images=payload["images"],
                )
            case "cancel":
                return deeds.cancelling(payload["reason"], actor=ACTOR)
            case "accept":
                return deeds.accepting(actor=ACTOR)
            case "rework":
                return deeds.reworking(payload["note"], actor=ACTOR)
        raise ValueError(f"no order is {payload['do']!r}")


def _due_at(
    status: OrderStatus, workflow: Workflow, quote: Quote | None, now: float
) -> float | None:
    if status is OrderStatus.QUOTED and quote is not None:
        return _valid_until(quote, now)
    return now if status is OrderStatus.CONFIRMED and workflow is not Workflow.DESIGN else None


def _valid_until(quote: Quote, now: float) -> float:
    return now + quote.valid_hours * 3_600


def _no_price(_order: OrderRow, _requirement: str) -> Quote | None:
    return None
