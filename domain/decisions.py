"""What a turn knows and decides: evidence, quote, risk, decision, effects.

Graph state holds these as plain dicts (`as_dict`), since custom classes in checkpoints are on
their way out of LangGraph.
"""

from dataclasses import dataclass, field, is_dataclass
from enum import StrEnum
from typing import Any, Literal

Route = Literal["answer", "clarify", "handoff"]


class Action(StrEnum):
    """The ``action`` of seed 003's answer. Content is to be shown for REPLY and ESCALATE."""

    REPLY = "reply"
    ESCALATE = "escalate"
    WAIT = "wait"
    """The deadline passed: the answer follows the asynchronous way."""
    NONE = "none"
    """Nothing to send: a person has the conversation, or a later message carries the answer."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One knowledge entry that speaks to the query. ``score`` is 0..1, comparable in one result.

    ``source`` is what a person can look up, e.g. ``charging_pile.md#安装``; ``position`` is where
    in that document, in a reader's words: ``第 3 页``, ``价目表 第 5 行``.
    """

    id: str
    question: str
    answer: str
    source: str
    category: str = ""
    score: float = 0.0
    position: str = ""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """``confidence``: calibrated chance in 0..1 that ``evidence[0]`` answers ``query``."""

    query: str
    confidence: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class QuoteItem:
    """``amount`` in fen (1/100 yuan); negative for a discount."""

    label: str
    amount: int
    reason: str


@dataclass(frozen=True, slots=True)
class Quote:
    """All amounts in fen. ``total`` is the sum of the items, never under ``floor``."""

    service: str
    service_name: str
    items: tuple[QuoteItem, ...]
    total: int
    floor: int
    valid_hours: int
    book_version: str
    quantity: int = 1
    estimate: bool = True
    """True while facts of the picture are missing: the price is a starting price."""


class RiskOutcome(StrEnum):
    ACCEPT = "accept"
    CLARIFY = "clarify"
    DECLINE = "decline"
    HANDOFF = "handoff"


@dataclass(frozen=True, slots=True)
class RiskDecision:
    """``reasons``: machine-readable codes, the most important first; ``missing``: facts to ask."""

    outcome: RiskOutcome
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class EffectKind(StrEnum):
    """What effects become. Payloads, ``to`` being a `tools.registry.Recipient` as dict:

    message: text; from tools also to, type (text, file, image), url, name. handoff: reason,
    priority, target, question; from tools also conversation_id, contact_id, turn_id. notice: title,
    text, priority, reason. tag: contact_id, add, remove. customer: contact_id, changes. schedule:
    due_at (s), to, action, arguments. dispatch: title, description, task_type, priority, designer,
    contact_id. image_task: contact_id, conversation_id, title, requirement, images. order: what a
    turn does to an order (`engine.orders.turns` knows the payloads). desk: what a turn does at the
    human desk: ``do`` leave, asked or mark, with handoff and rating.
    """

    MESSAGE = "message"
    HANDOFF = "handoff"
    NOTICE = "notice"
    UNKNOWN_QUESTION = "unknown_question"
    TAG = "tag"
    CUSTOMER = "customer"
    SCHEDULE = "schedule"
    DISPATCH = "dispatch"
    IMAGE_TASK = "image_task"
    ORDER = "order"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class Effect:
    """A row to be. ``name`` is unique within the turn; with the turn id it makes the key."""

    kind: EffectKind
    name: str
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What policies may know of the customer. ``level``: white, gray or black (seed 003);
    ``last_hour``: messages of the last hour, counted for those whom a limit concerns."""

    contact_id: str = ""
    name: str = ""
    level: str = "gray"
    score: int = 60
    state: str = "new"
    total_messages: int = 0
    tags: tuple[str, ...] = ()
    last_hour: int = 0


def as_dict(value: Any) -> dict[str, Any]:
    """Plain dict of one of the dataclasses above, fit for graph state and JSON.

    Twenty times faster than `dataclasses.asdict`, which copies deeply what is frozen anyway.
    """
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    return as_dict(value) if hasattr(value, "__slots__") and is_dataclass(value) else value
