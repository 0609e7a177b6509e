"""What the message says of open orders is done: changed, called off, accepted, sent back, told of.

What the rest of the message asks is answered afterwards, behind what is said here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from domain.decisions import Action, Effect, EffectKind, Quote, as_dict
from domain.orders import Amendment, ChangeKind, OrderStatus, may_follow
from domain.pricing import approval_reasons
from domain.requirements import merged
from graphs.context import TurnContext
from graphs.heard import amendments_in
from graphs.memory import remembered
from graphs.order_words import OrderWords
from graphs.orders import (
    MAX_REQUIREMENT_CHARS,
    OrdersInTalk,
    line_of,
    numbered,
    order_effect,
)
from graphs.showing import show_first
from graphs.state import ConversationState, Update
from storage.orders import OrderRow

MAX_SHOWN_ORDERS = 9


@dataclass(slots=True)
class _Done:
    """``offer``: the new price of an order that waits for a yes; ``asked``: for `asked_which`;
    ``person``: why a person has to go on, and what the customer is told of it."""

    said: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    offer: Quote | None = None
    asked: dict[str, Any] | None = None
    person: tuple[str, str] | None = None

    def do(self, what: str, order: OrderRow, **payload: Any) -> None:
        known = {"order_id": order.id, "version": order.version}
        self.effects.append(order_effect(len(self.effects), what, **known, **payload))


@dataclass(frozen=True, slots=True)
class _Turn:
    state: ConversationState
    context: TurnContext
    orders: OrdersInTalk

    @property
    def words(self) -> OrderWords:
        return OrderWords(self.context.services.templates, self.context.turn_id)

    def render(self, template: str, **fields: str) -> str:
        return self.context.services.templates.render(template, seed=self.context.turn_id, **fields)


async def order(state: ConversationState, context: TurnContext) -> Update:
    """Gives ``ordered``; where nothing else is asked, ``decision`` and the rest of an answer."""
    orders, heard = context.orders, state["classification"]["orders"]
    assert orders is not None
    before = state.get("ordered") or {}
    done = _Done(said=list(before.get("said", ())))
    turn = _Turn(state, context, orders)
    _DO[heard["kind"]](turn, heard, done)
    if heard.get("progress"):
        _progress(turn, heard, done)
    kept: Update = {
        "asked_which": done.asked,
        "ordered": {
            "said": done.said,
            "effects": [*before.get("effects", ()), *map(as_dict, done.effects)],
            "person": done.person is not None,
        },
    }
    if done.offer is not None:
        kept |= {"open_quote": as_dict(done.offer), "bargain": None}
    if done.person is not None:
        if done.said:
            show_first(_new(done, before), context)
        return kept | {"risk": _for_a_person(*done.person)}
    if heard["rest"]:
        show_first(_new(done, before), context)
        return kept
    context.emit("token", {"text": _new(done, before)})
    content = "\n".join(done.said)
    return kept | _whole_answer(state, done, content, kept["ordered"]["effects"])


def _new(done: _Done, before: dict[str, Any]) -> str:
    """What was not shown yet."""
    return "\n".join(done.said[len(before.get("said", ())) :])


def _whole_answer(
    state: ConversationState, done: _Done, content: str, effects: list[dict[str, Any]]
) -> Update:
    message = Effect(EffectKind.MESSAGE, "reply", {"text": content})
    asks = done.asked is not None
    kind = "clarify" if asks else ("quote" if done.offer is not None else "order")
    return {
        "ordered": {},
        "decision": {
            "action": Action.REPLY.value,
            "decision": kind,
            "content": content,
            "confidence": 1.0,
            "citations": [],
            "source": "order",
        },
        "quote": as_dict(done.offer) if done.offer is not None else None,
        "risk": {
            "outcome": "clarify" if asks else "accept",
            "reasons": ["order"],
            "missing": ["order"] if asks else [],
            "priority": "normal",
        },
        "effects": [as_dict(message), *effects],
        **remembered(state, content, kind),
    }


def _for_a_person(reason: str, template: str) -> dict[str, Any]:
    return {
        "outcome": "handoff",
        "reasons": [reason],
        "missing": [],
        "priority": "normal",
        "approval": [],
        "template": template,
    }


# What is heard ----------------------------------------------------------------------------------


def _amend(turn: _Turn, heard: dict[str, Any], done: _Done) -> None:
    material = [one["sha256"] for one in turn.state.get("pictures") or []]
    for order_id, amendments in amendments_in(heard).items():
        row = turn.orders.row(order_id)
        called_off = [one for one in amendments if one.kind is ChangeKind.CANCEL]
        if called_off:
            _cancel(turn, row, called_off, done)
            continue
        _change(turn, row, amendments, material, done)
        material = []


def _cancel(turn: _Turn, row: OrderRow, said: list[Amendment], done: _Done) -> None:
    if not may_follow(row.status, OrderStatus.CANCELLED):
        # What was delivered has been paid for, as a rule: a person settles that.
        done.person = ("order_cancel", "handoff")
        return
    done.do("cancel", row, reason="；".join(one.requirement for one in said))
    done.said.append(turn.words.say("order_cancelled", row))


def _change(
    turn: _Turn, row: OrderRow, amendments: list[Amendment], material: list[str], done: _Done
) -> None:
    requirement = merged(row.requirement, amendments)
    if not requirement:
        done.asked = {
            "amendments": [[ChangeKind.CANCEL.value, one.requirement] for one in amendments],
            "candidates": [row.id],
        }
        done.said.append(turn.words.say("ask_cancel_order", row))
        return
    if len(requirement) > MAX_REQUIREMENT_CHARS:
        done.person = ("order_requirements", "handoff")
        return
    quote, dearer = _new_price(turn, row, requirement)
    if dearer:
        done.person = ("order_price", "handoff_value")
    images = turn.state["classification"]["images"] if material else []
    done.do(
        "amend",
        row,
        amendments=[[one.kind.value, one.requirement] for one in amendments],
        requirement=requirement,
        quote=as_dict(quote) if quote is not None else None,
        pictures=material,
        images=images,
    )
    now = None if dearer else quote or row.quote
    done.said.append(turn.words.amended(row, amendments, now=now, before=row.quote))
    if quote is not None and row.status is OrderStatus.QUOTED:
        done.said.append(turn.render("order_offer"))
        done.offer = quote


def _new_price(turn: _Turn, row: OrderRow, requirement: str) -> tuple[Quote | None, bool]:
    """The new price, and whether a person has to approve it before anybody is told of it."""
    quote = turn.orders.requote(row, requirement)
    if quote is None or (row.quote is not None and quote.total <= row.quote.total):
        return quote, False
    needed = bool(approval_reasons(turn.context.services.price_book, quote))
    return (None, True) if needed else (quote, False)


def _which(turn: _Turn, heard: dict[str, Any], done: _Done) -> None:
    rows = [turn.orders.row(order_id) for order_id in heard["candidates"]]
    done.asked = {name: heard[name] for name in ("amendments", "candidates")}
    done.said.append(turn.render("ask_which_order", options=numbered([*map(line_of, rows)])))


def _accept(turn: _Turn, heard: dict[str, Any], done: _Done) -> None:
    for row in map(turn.orders.row, heard["orders"]):
        done.do("accept", row)
        done.said.append(turn.words.say("order_accepted", row))


def _rework(turn: _Turn, heard: dict[str, Any], done: _Done) -> None:
    for row in map(turn.orders.row, heard["orders"]):
        done.do("rework", row, note=turn.state["classification"]["text"][:500])
        done.said.append(turn.words.say("order_rework", row))


def _progress(turn: _Turn, _heard: dict[str, Any], done: _Done) -> None:
    did = {str(one.payload["order_id"]): str(one.payload["do"]) for one in done.effects}
    rows = (_after(row, did.get(str(row.id), "")) for row in turn.orders.rows[-MAX_SHOWN_ORDERS:])
    lines = [f"· 订单 {row.id} {line_of(row)}" for row in rows if row is not None]
    if lines:
        done.said.append(turn.render("order_progress", orders="\n".join(lines)))


def _after(row: OrderRow, did: str) -> OrderRow | None:
    """As it is once this turn has done that; None: there is nothing to tell of it any more."""
    if did == "cancel":
        return None
    back = did == "amend" and row.status is OrderStatus.DELIVERED
    return replace(row, status=OrderStatus.REWORK) if back else row


_DO: dict[str, Callable[[_Turn, dict[str, Any], _Done], None]] = {
    "amend": _amend,
    "which": _which,
    "accept": _accept,
    "rework": _rework,
    "progress": _progress,
}
