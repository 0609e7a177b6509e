"""What is kept of a turn so that it can be opened and run again, written and read."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langgraph.types import Command

from domain.amendments import OpenOrder
from domain.decisions import CustomerFacts, as_dict
from domain.desk import Mode
from domain.messages import Attachment
from domain.orders import OrderStatus, Workflow
from graphs.context import NodeRun, Prompted, TurnContext
from graphs.desk import AtDesk, Returned, Standing
from graphs.state import ConversationState
from storage.inbox import Claim
from storage.orders import OrderRow, quote_from
from storage.reviews import TurnRecord, packed
from tools.models.calls import ChatMessage

log = logging.getLogger(__name__)
MAX_PROMPT_CHARS = 20_000
"""Of one message; the longest that we make is a third of it."""
_ROLES: dict[str, type[BaseMessage]] = {"human": HumanMessage, "ai": AIMessage}
Given = ConversationState | Command[Any]


class RecordTurn(Protocol):
    """`record_turn`."""

    def __call__(
        self, claim: Claim, context: TurnContext, given: Given, *, ended: float
    ) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """A turn as it ran. ``said``: id and text of the message that it began with; ``resume``: the
    word with which it went on instead; ``base``: the checkpoint that it began with, serialised."""

    turn_id: str
    at_ts: float
    now: float
    said: tuple[str, str] | None
    resume: Any
    attachments: tuple[Attachment, ...]
    customer: CustomerFacts
    asks: str
    tasks: tuple[str, ...]
    desk: AtDesk | None
    orders: tuple[OrderRow, ...]
    open_orders: tuple[OpenOrder, ...]
    runs: tuple[NodeRun, ...]
    prompts: tuple[Prompted, ...]
    base_kind: str
    base: bytes | None
    session: int | None = None


def record_turn(
    claim: Claim, context: TurnContext, given: Given, *, ended: float
) -> Mapping[str, Any] | None:
    """What `storage.reviews.keep_record` writes. None for what cannot be written: no turn fails
    because nobody will be able to open it."""
    resume = given.resume if isinstance(given, Command) else None
    said = None if isinstance(given, Command) else given["messages"][-1]
    orders = context.orders
    body = {
        "now": context.now,
        "said": [said.id, str(said.content)] if said is not None else None,
        "resume": resume,
        "attachments": [asdict(one) for one in context.attachments],
        "customer": as_dict(context.customer),
        "asks": context.asks,
        "session": context.session,
        "tasks": [fired.task_id for fired in context.fired],
        "desk": asdict(context.desk) if context.desk is not None else None,
        "orders": [as_dict(row) for row in orders.rows] if orders is not None else [],
        "open_orders": [as_dict(one) for one in orders.open] if orders is not None else [],
        "runs": [[run.name, run.ms, _plain(run.update), run.goes_to] for run in context.runs],
        "prompts": [_prompt(one) for one in context.prompts],
    }
    base = claim.checkpoint
    try:
        written = orjson.dumps(body)
    except TypeError:
        log.exception("turn %s cannot be kept for review", context.turn_id)
        return None
    return packed(
        TurnRecord(
            context.turn_id,
            ended,
            written,
            base.kind if base is not None else "",
            base.body if base is not None else None,
        )
    )


def recorded(row: TurnRecord) -> Recorded:
    body = orjson.loads(row.body)
    said = body["said"]
    return Recorded(
        turn_id=row.turn_id,
        at_ts=row.at_ts,
        now=body["now"],
        said=(said[0], said[1]) if said is not None else None,
        resume=body["resume"],
        attachments=tuple(Attachment(**_known(Attachment, one)) for one in body["attachments"]),
        customer=_customer(body["customer"]),
        asks=body["asks"],
        session=body.get("session"),
        tasks=tuple(body["tasks"]),
        desk=_at_desk(body["desk"]),
        orders=tuple(_order(one) for one in body["orders"]),
        open_orders=tuple(_open_order(one) for one in body["open_orders"]),
        runs=tuple(
            NodeRun(name, ms, _restored(update), tuple(goes_to))
            for name, ms, update, goes_to in body["runs"]
        ),
        prompts=tuple(_prompted(one) for one in body["prompts"]),
        base_kind=row.base_kind,
        base=row.base,
    )


def _plain(update: Mapping[str, Any]) -> dict[str, Any]:
    messages = update.get("messages")
    if messages is None:
        return dict(update)
    return {**update, "messages": [[one.type, one.id, one.content] for one in messages]}


def _restored(update: dict[str, Any]) -> dict[str, Any]:
    if "messages" not in update:
        return update
    return {**update, "messages": [_message(*one) for one in update["messages"]]}


def _message(kind: str, key: str | None, text: str) -> BaseMessage:
    if kind == "remove":
        return RemoveMessage(id=str(key))
    return _ROLES[kind](content=text, id=key)


def _customer(values: Mapping[str, Any]) -> CustomerFacts:
    known = _known(CustomerFacts, values)
    return CustomerFacts(**known | {"tags": tuple(known.get("tags", ()))})


def _at_desk(stored: dict[str, Any] | None) -> AtDesk | None:
    if stored is None:
        return None
    returned = stored["returned"]
    nested = {
        "mode": Mode(stored["mode"]),
        "standing": Standing(**_known(Standing, stored["standing"])),
        "returned": Returned(**_known(Returned, returned)) if returned is not None else None,
    }
    return AtDesk(**_known(AtDesk, stored) | nested)


def _order(stored: dict[str, Any]) -> OrderRow:
    lists = {name: tuple(stored[name]) for name in ("images", "pictures", "tried", "deliverables")}
    quote = stored["quote"]
    return OrderRow(
        **_known(OrderRow, stored)
        | lists
        | {
            "quote": quote_from(quote) if quote is not None else None,
            "status": OrderStatus(stored["status"]),
            "workflow": Workflow(stored["workflow"]),
        }
    )


def _open_order(stored: dict[str, Any]) -> OpenOrder:
    return OpenOrder(**_known(OpenOrder, stored) | {"words": tuple(stored["words"])})


def _known(kind: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A record outlives a release: what that one had and this one has not is left out."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


def _prompt(one: Prompted) -> dict[str, Any]:
    """Pictures are no part of it: they are bytes, and have rows of their own."""
    return {
        "purpose": one.purpose,
        "messages": [[m.role, m.content[:MAX_PROMPT_CHARS]] for m in one.messages],
        "answer": one.answer[:MAX_PROMPT_CHARS] if one.answer is not None else None,
        "refused": one.refused,
    }


def _prompted(one: dict[str, Any]) -> Prompted:
    messages = tuple(ChatMessage(role, content) for role, content in one["messages"])
    return Prompted(one["purpose"], messages, one["answer"], tuple(one["refused"]))
