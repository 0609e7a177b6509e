"""Orders for work on pictures as rows: each change is one conditional statement with its event and
its audit record, in the same transaction.

A change names the version that it was decided on. None instead of the changed row: somebody else
was first, and what was decided must be decided anew.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, text

from domain.decisions import Quote
from domain.order_words import STATUSES
from domain.orders import CLOSED, Amendment, OrderStatus, Workflow, may_follow
from storage.audit import record
from storage.clock import iso
from storage.customer_counts import FAMILY, bought, called_off
from storage.leases import LeasedRows
from storage.order_rows import ORDER_COLUMNS, add_event, json_list, order_of, quote_text, refused
from storage.order_rows import EventRow as EventRow
from storage.order_rows import NewOrder as NewOrder
from storage.order_rows import OrderRow as OrderRow
from storage.order_rows import quote_from as quote_from
from storage.order_rows import sender_of as sender_of
from storage.order_rows import title_for as title_for
from storage.recipients import RecipientRow, recipient_in
from storage.statements import Statement
from storage.task_tables import OPEN_ORDER

MAX_TRIED = 20
S = OrderStatus
_INSERT = Statement(
    f"""
    INSERT INTO image_tasks (key, contact_id, conversation_id, title, requirement, images, pictures,
        status, workflow, service, quote, tried, deliverables, priority, deadline_ts, version,
        attempts, due_at, lease_until, created_at, updated_at)
    VALUES (:key, :contact_id, :conversation_id, :title, :requirement, :images, :pictures, :status,
        :workflow, :service, :quote, '[]', '[]', :priority, :deadline_ts, 1, 0, :due_at, 0, :at,
        :at)
    ON CONFLICT (key) DO NOTHING RETURNING {ORDER_COLUMNS}
    """  # noqa: S608
)
_GET = Statement(f"SELECT {ORDER_COLUMNS} FROM image_tasks WHERE id = :id")  # noqa: S608
_BY_KEY = Statement(f"SELECT {ORDER_COLUMNS} FROM image_tasks WHERE key = :key")  # noqa: S608
_EVENTS = Statement(
    "SELECT id, at, actor, kind, detail FROM image_task_events WHERE order_id = :order_id"
    " ORDER BY id"
)
_LEVEL = Statement("SELECT level FROM customers WHERE contact_id = :contact_id")
_FACTS = Statement("SELECT facts FROM pictures WHERE sha256 = :digest")
_GIVE_BACK = Statement(
    "UPDATE image_tasks SET lease_owner = NULL, lease_until = 0"
    " WHERE id = :id AND lease_owner = :owner"
)
_HAS_OPEN = Statement(
    f"SELECT 1 FROM image_tasks WHERE conversation_id = :id AND {OPEN_ORDER} LIMIT 1"  # noqa: S608
)
_RECORD = Statement(
    f"""
    SELECT COUNT(*) FILTER (WHERE o.status IN ('accepted', 'delivered')),
        COUNT(*) FILTER (WHERE o.status = 'cancelled' AND EXISTS (
            SELECT 1 FROM image_task_events e WHERE e.order_id = o.id AND e.kind = 'confirmed'))
    FROM image_tasks o WHERE o.contact_id IN {FAMILY} AND o.updated_at >= :since
    """  # noqa: S608
)
_FILTERS = {
    "statuses": "status IN :statuses",
    "workflow": "workflow = :workflow",
    "conversation_id": "conversation_id = :conversation_id",
    # As the channel names the customer, or channel:account:customer.
    "customer": "(contact_id = :customer OR contact_id IN"
    " (SELECT contact_id FROM conversations WHERE sender_id = :customer))",
}


class OrderBook(LeasedRows[int]):
    """Holds nothing: all of it is rows."""

    _table = "image_tasks"
    _columns = ORDER_COLUMNS

    # Taking and reading --------------------------------------------------------------------

    def create(
        self, connection: Connection, order: NewOrder, *, actor: str, now: float
    ) -> tuple[OrderRow, bool]:
        """The order of this key, and whether it is new; a known one is left as it is."""
        row = _INSERT.first(
            connection,
            {
                "key": order.key,
                "contact_id": order.contact_id,
                "conversation_id": order.conversation_id,
                "title": order.title or title_for(order.contact_id),
                "requirement": order.requirement,
                "images": json_list(order.images),
                "pictures": json_list(order.pictures),
                "status": order.status.value,
                "workflow": order.workflow.value,
                "service": order.service,
                "quote": quote_text(order.quote),
                "priority": order.priority,
                "deadline_ts": order.deadline_ts,
                "due_at": order.due_at,
                "at": iso(now),
            },
        )
        if row is None:
            known = _BY_KEY.first(connection, {"key": order.key})
            assert known is not None
            return order_of(known), False
        made = order_of(row)
        detail = {"status": made.status, "workflow": made.workflow, "service": made.service}
        detail |= _priced(made.quote)
        told = {"requirement": made.requirement, "pictures": list(made.pictures)}
        self._note(connection, made.id, "created", detail, actor, now, private=told)
        return made, True

    def get(self, connection: Connection, order_id: int) -> OrderRow | None:
        row = _GET.first(connection, {"id": order_id})
        return order_of(row) if row else None

    def open_of_conversation(self, connection: Connection, conversation_id: str) -> list[OrderRow]:
        """The oldest first: as a customer counts them."""
        return self._open(connection, "conversation_id", conversation_id)

    def recipient(self, connection: Connection, order: OrderRow) -> RecipientRow | None:
        """The conversation in which the customer is told; another of theirs if it is gone."""
        return recipient_in(connection, order.conversation_id, order.contact_id)

    def level(self, connection: Connection, order: OrderRow) -> str:
        """The customer's: white, gray or black."""
        row = _LEVEL.first(connection, {"contact_id": order.contact_id})
        return str(row[0]) if row else "gray"

    def facts(self, connection: Connection, order: OrderRow) -> list[dict[str, Any]]:
        """What is known of its pictures, in their order; a picture that is gone is left out."""
        found = (_FACTS.first(connection, {"digest": sha256}) for sha256 in order.pictures)
        return [json.loads(row[0]) for row in found if row]

    def open_of_contact(self, connection: Connection, contact_id: str) -> list[OrderRow]:
        return self._open(connection, "contact_id", contact_id)

    def listed(
        self,
        connection: Connection,
        *,
        statuses: Collection[OrderStatus] = (),
        customer: str | None = None,
        workflow: Workflow | None = None,
        conversation_id: str | None = None,
        limit: int,
        offset: int,
    ) -> tuple[list[OrderRow], int]:
        """Newest first, and how many there are in all. ``customer``: a sender's or contact's id."""
        chosen: dict[str, Any] = {
            "statuses": [status.value for status in statuses] or None,
            "customer": customer,
            "workflow": workflow.value if workflow else None,
            "conversation_id": conversation_id,
        }
        params = {name: value for name, value in chosen.items() if value is not None}
        condition = " AND ".join(["1 = 1", *(_FILTERS[name] for name in params)])
        many = "statuses" in params
        expanding: list[BindParameter[Any]] = (
            [bindparam("statuses", expanding=True)] if many else []
        )
        page = text(
            f"SELECT {ORDER_COLUMNS} FROM image_tasks WHERE {condition}"  # noqa: S608
            " ORDER BY id DESC LIMIT :limit OFFSET :offset"
        ).bindparams(*expanding)
        counted = text(
            f"SELECT COUNT(*) FROM image_tasks WHERE {condition}"  # noqa: S608
        ).bindparams(*expanding)
        rows = connection.execute(page, params | {"limit": limit, "offset": offset}).all()
        total = connection.execute(counted, params).scalar_one()
        return [order_of(tuple(row)) for row in rows], int(total)

    def counts(self, connection: Connection) -> dict[str, int]:
        rows = connection.execute(text("SELECT status, COUNT(*) FROM image_tasks GROUP BY status"))
        return {row[0]: int(row[1]) for row in rows}

    def events(self, connection: Connection, order_id: int) -> list[EventRow]:
        """The oldest first."""
        rows = _EVENTS.all(connection, {"order_id": order_id})
        return [EventRow(no, at, who, kind, json.loads(told)) for no, at, who, kind, told in rows]

    # What the customer wants ---------------------------------------------------------------

    def amend(
        self,
        connection: Connection,
        order: OrderRow,
        amendments: Sequence[Amendment],
        *,
        requirement: str,
        quote: Quote | None,
        actor: str,
        now: float,
        images: Sequence[str] = (),
        pictures: Sequence[str] = (),
        due_at: float | None = None,
    ) -> OrderRow | None:
        """``requirement`` and ``quote`` instead of the old ones (quote None: it stays), further
        pictures beside the old ones. What was delivered goes back to work, due at ``due_at``.
        Raises InvalidInput where the order is closed."""
        if order.status in CLOSED:
            raise refused(order, "不能再修改要求")
        changes: dict[str, Any] = {
            "requirement": requirement,
            "images": json_list(_joined(order.images, images)),
            "pictures": json_list(_joined(order.pictures, pictures)),
        }
        if quote is not None:
            changes |= {"quote": quote_text(quote), "service": quote.service}
        if order.status is S.DELIVERED:
            changes |= _moved(S.REWORK, due_at)
        after = self._change(connection, order, changes, now)
        if after is None:
            return None
        detail: dict[str, Any] = {"kinds": [one.kind.value for one in amendments]}
        detail |= _priced(after.quote)
        if after.status is not order.status:
            detail |= {"before": order.status, "after": after.status}
        told: dict[str, Any] = {
            "said": [one.requirement for one in amendments],
            "from": order.requirement,
            "to": requirement,
        }
        if order.quote is not None:
            told["total_before"] = order.quote.total
        self._note(connection, order.id, "amended", detail, actor, now, private=told)
        return after

    def requote(
        self,
        connection: Connection,
        order: OrderRow,
        quote: Quote,
        *,
        actor: str,
        now: float,
        requirement: str | None = None,
        workflow: Workflow | None = None,
        due_at: float | None = None,
    ) -> OrderRow | None:
        """A draft is quoted by it; an order that was quoted or confirmed gets another price. None
        of ``requirement``, ``workflow``, ``due_at``: as before."""
        changes: dict[str, Any] = {"quote": quote_text(quote), "service": quote.service}
        how = workflow.value if workflow is not None else None
        more = {"requirement": requirement, "workflow": how, "due_at": due_at}
        changes |= {name: value for name, value in more.items() if value is not None}
        if order.status is S.DRAFT:
            changes["status"] = S.QUOTED.value
        elif order.status in CLOSED:
            raise refused(order, "不能再报价")
        after = self._change(connection, order, changes, now)
        if after is not None:
            self._note(connection, order.id, "quoted", _priced(quote), actor, now)
        return after

    # Statuses ------------------------------------------------------------------------------

    def set_status(
        self,
        connection: Connection,
        order: OrderRow,
        status: OrderStatus,
        *,
        actor: str,
        now: float,
        due_at: float | None = None,
        detail: Mapping[str, Any] | None = None,
        designer: str | None = None,
        workflow: Workflow | None = None,
        lease: tuple[str, float] | None = None,
    ) -> OrderRow | None:
        """``due_at``: when a runner has to look next, None: it has not. ``designer``, ``workflow``:
        who and how from now on, None: as before. ``lease``: who works on it, and until when. Raises
        InvalidInput (409) for what may not follow."""
        changes = _moved(status, due_at)
        if lease is not None:
            changes |= {"lease_owner": lease[0], "lease_until": lease[1]}
        if designer is not None:
            changes["designer"] = designer
        if workflow is not None:
            changes["workflow"] = workflow.value
        known = {"designer": designer, "workflow": workflow}
        noted = {name: value for name, value in known.items() if value is not None}
        return self._follow(
            connection, order, status, changes, actor, now, noted | dict(detail or {})
        )

    def confirm(
        self,
        connection: Connection,
        order: OrderRow,
        *,
        actor: str,
        now: float,
        due_at: float | None = None,
    ) -> OrderRow | None:
        return self.set_status(
            connection,
            order,
            S.CONFIRMED,
            actor=actor,
            now=now,
            due_at=due_at,
            detail=_priced(order.quote),
        )

    def deliver(
        self,
        connection: Connection,
        order: OrderRow,
        deliverables: Sequence[str],
        *,
        actor: str,
        now: float,
    ) -> OrderRow | None:
        """The earlier deliverables of a rework stay in its events."""
        changes = _moved(S.DELIVERED, None) | {"deliverables": json_list(deliverables)}
        detail = {"deliverables": list(deliverables)}
        return self._follow(connection, order, S.DELIVERED, changes, actor, now, detail)

    def accept(
        self, connection: Connection, order: OrderRow, *, actor: str, now: float
    ) -> OrderRow | None:
        return self.set_status(connection, order, S.ACCEPTED, actor=actor, now=now)

    def rework(
        self,
        connection: Connection,
        order: OrderRow,
        note: str,
        *,
        actor: str,
        now: float,
        due_at: float | None = None,
        workflow: Workflow | None = None,
    ) -> OrderRow | None:
        """``note``: what is to be better; ``workflow``: how from now on, None: as before."""
        changes = _moved(S.REWORK, due_at)
        if workflow is not None:
            changes["workflow"] = workflow.value
        detail = {"note": note}
        return self._follow(connection, order, S.REWORK, changes, actor, now, detail)

    def cancel(
        self, connection: Connection, order: OrderRow, reason: str, *, actor: str, now: float
    ) -> OrderRow | None:
        changes, detail = _moved(S.CANCELLED, None), {"reason": reason}
        return self._follow(connection, order, S.CANCELLED, changes, actor, now, detail)

    def set_designer(
        self, connection: Connection, order: OrderRow, designer: str, *, actor: str, now: float
    ) -> OrderRow | None:
        after = self._change(connection, order, {"designer": designer}, now)
        if after is not None:
            self._note(connection, order.id, "note", {"designer": designer}, actor, now)
        return after

    # Notes ---------------------------------------------------------------------------------

    def note_tried(
        self,
        connection: Connection,
        order: OrderRow,
        tried: Mapping[str, Any],
        *,
        actor: str,
        now: float,
        due_at: float | None = None,
    ) -> OrderRow | None:
        """``tried``: plain JSON, e.g. what, outcome and reason; the designer is shown the newest
        `MAX_TRIED`."""
        kept = [*order.tried, dict(tried)][-MAX_TRIED:]
        changes = {"tried": json_list(kept), "attempts": order.attempts + 1, "due_at": due_at}
        after = self._change(connection, order, changes, now)
        if after is not None:
            self._note(connection, order.id, "tried", dict(tried), actor, now)
        return after

    def note(
        self,
        connection: Connection,
        order_id: int,
        kind: str,
        detail: Mapping[str, Any],
        *,
        actor: str,
        now: float,
    ) -> None:
        """An event that changes nothing: somebody was told something, a person wrote a note."""
        self._note(connection, order_id, kind, dict(detail), actor, now)

    # What is due by itself -----------------------------------------------------------------

    def claim_due(
        self,
        connection: Connection,
        *,
        owner: str,
        now: float,
        lease_s: float,
        limit: int,
        statuses: Collection[OrderStatus] = tuple(OrderStatus),
    ) -> list[OrderRow]:
        """Due orders that nobody works on, taken under a lease. It leaves their version alone: what
        is changed meanwhile makes the work's own change fail."""
        rows = self._claim(
            connection,
            owner=owner,
            now=now,
            lease_s=lease_s,
            limit=limit,
            order="due_at, id",
            condition=" AND status IN :statuses",
            params={"statuses": [status.value for status in statuses]},
        )
        return sorted(map(order_of, rows), key=lambda one: (one.due_at or now, one.id))

    def look_again(
        self, connection: Connection, order_id: int, owner: str, *, due_at: float | None
    ) -> bool:
        """Give one lease back, to look again at ``due_at``; False if it is somebody else's."""
        done = connection.execute(
            text(
                "UPDATE image_tasks SET due_at = :due_at, lease_owner = NULL, lease_until = 0"
                " WHERE id = :id AND lease_owner = :owner"
            ),
            {"id": order_id, "owner": owner, "due_at": due_at},
        )
        return done.rowcount > 0

    def give_back(self, connection: Connection, order_id: int, owner: str) -> None:
        """One lease, if it is still ``owner``'s; it is due when it is due."""
        _GIVE_BACK.run(connection, {"id": order_id, "owner": owner})

    # ---------------------------------------------------------------------------------------

    def _open(self, connection: Connection, column: str, value: str) -> list[OrderRow]:
        statement = text(
            f"SELECT {ORDER_COLUMNS} FROM image_tasks WHERE {column} = :value"  # noqa: S608
            f" AND {OPEN_ORDER} ORDER BY id"
        )
        rows = connection.execute(statement, {"value": value})
        return [order_of(tuple(row)) for row in rows]

    def _follow(
        self,
        connection: Connection,
        order: OrderRow,
        status: OrderStatus,
        changes: Mapping[str, Any],
        actor: str,
        now: float,
        detail: Mapping[str, Any],
    ) -> OrderRow | None:
        if not may_follow(order.status, status):
            raise refused(order, f"不能变为「{STATUSES[status]}」")
        after = self._change(connection, order, changes, now)
        if after is None:
            return None
        kind = "confirmed" if status is S.CONFIRMED else "status"
        noted = {"before": order.status, "after": status} | dict(detail)
        self._note(connection, order.id, kind, noted, actor, now)
        _count_deal(connection, after, actor, now)
        return after

    def _change(
        self, connection: Connection, order: OrderRow, changes: Mapping[str, Any], now: float
    ) -> OrderRow | None:
        sets = ", ".join(f"{column} = :{column}" for column in changes)
        row = connection.execute(
            text(
                f"UPDATE image_tasks SET {sets}, version = version + 1, updated_at = :now_text"  # noqa: S608
                " WHERE id = :row_id AND version = :row_version AND status = :row_status"
                f" RETURNING {ORDER_COLUMNS}"
            ),
            dict(changes)
            | {
                "now_text": iso(now),
                "row_id": order.id,
                "row_version": order.version,
                "row_status": order.status.value,
            },
        ).first()
        return order_of(tuple(row)) if row else None

    def _note(
        self,
        connection: Connection,
        order_id: int,
        kind: str,
        detail: dict[str, Any],
        actor: str,
        now: float,
        *,
        private: Mapping[str, Any] | None = None,
    ) -> None:
        """``private``: the customer's words, which belong to the order and to no audit log."""
        add_event(connection, order_id, kind, detail | dict(private or {}), actor, iso(now))
        record(
            connection,
            at=iso(now),
            actor=actor,
            action=f"order.{kind}",
            subject=str(order_id),
            detail=detail,
        )


def _count_deal(connection: Connection, order: OrderRow, actor: str, now: float) -> None:
    """What was handed over is bought, until it is called off after all."""
    key = f"order:{order.id}"
    if order.status in (S.DELIVERED, S.ACCEPTED):
        total = order.quote.total if order.quote is not None else 0
        bought(connection, key, order.contact_id, total, order_id=order.id, by=actor, now=now)
    elif order.status in (S.CANCELLED, S.DECLINED, S.FAILED):
        called_off(connection, key, now=now)


def has_open(connection: Connection, conversation_id: str) -> bool:
    return _HAS_OPEN.first(connection, {"id": conversation_id}) is not None


def record_of(connection: Connection, contact_id: str, *, since: str) -> tuple[int, int]:
    """Orders of a customer that were delivered, and those called off after they were confirmed,
    both touched ``since`` (ISO 8601) or later."""
    row = _RECORD.first(connection, {"contact_id": contact_id, "since": since})
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _moved(status: OrderStatus, due_at: float | None) -> dict[str, Any]:
    """Whoever worked on it in the old status has nothing to hold any more."""
    return {"status": status.value, "due_at": due_at, "lease_owner": None, "lease_until": 0.0}


def _priced(quote: Quote | None) -> dict[str, Any]:
    return {} if quote is None else {"service": quote.service, "total": quote.total}


def _joined(before: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*before, *more)))
