"""What a run of the graph is handed: the shared services, and the facts of this turn."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Literal, Protocol

from domain.decisions import CustomerFacts, Retrieval
from domain.messages import Attachment
from domain.pictures import PictureFacts
from domain.pricing import PriceBook
from domain.risk import RiskPolicy
from domain.rules import RuleSet
from graphs.classifier.model import IntentClassifier
from graphs.desk import AtDesk, DeskTalk, Stand
from graphs.focus import ContextPolicy
from graphs.orders import OrdersInTalk
from graphs.templates import Templates
from tools.models.calls import ChatMessage, ModelCall
from tools.models.gateway import ModelGateway
from tools.perform import Act
from tools.registry import ToolCall, ToolRegistry


class Searches(Protocol):
    """`knowledge.retrieval.Retriever`, or what stands in for it."""

    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval: ...


class Looks(Protocol):
    """`tools.pictures.intake.Pictures`, or what stands in for it."""

    async def look(
        self, source: str, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts: ...


class Chats(Protocol):
    """`tools.qingyunke.client.Qingyunke`, or what stands in for it."""

    async def say(self, words: str) -> str:
        """Raises PeerError."""


@dataclass(frozen=True, slots=True)
class MoodPolicy:
    """``model``: one is asked about doubtful texts, for ``deadline_s`` at most. ``turns``: after as
    many negative messages in a row the bot does what ``does`` says."""

    model: bool = False
    deadline_s: float = 2.0
    turns: int = 2
    does: Literal["off", "offer", "handoff"] = "offer"


@dataclass(frozen=True, slots=True)
class Services:
    """Built once by the composition root and shared by all turns."""

    classifier: IntentClassifier
    rules: RuleSet
    retriever: Searches
    price_book: PriceBook
    templates: Templates
    risk_policy: RiskPolicy
    models: ModelGateway | None = None
    model_deadline_s: float = 15.0
    zone: tzinfo = UTC
    tools: ToolRegistry = field(default_factory=ToolRegistry)
    pictures: Looks | None = None
    picture_deadline_s: float = 6.0
    chatter: Chats | None = None
    desk: DeskTalk = field(default_factory=DeskTalk)
    mood: MoodPolicy = field(default_factory=MoodPolicy)
    talk: ContextPolicy = field(default_factory=ContextPolicy)


@dataclass(frozen=True, slots=True)
class RuleAct:
    """What the call of a rule's action did; ``key`` names it for good."""

    rule: str
    key: str
    tool: str
    act: Act


MakeRuleCall = Callable[[str, str], ToolCall]
"""The call of a rule's action: of the rule, under the key."""


@dataclass(frozen=True, slots=True)
class FiredTask:
    """A task that this turn's messages fire: its action is a call of ``tool``, made in the turn
    unless it is ``deferred``. ``cause``: what fired it, for its row and the audit log."""

    task_id: str
    tool: str
    arguments: dict[str, Any]
    call: ToolCall
    cause: dict[str, Any]
    max_retry: int = 3
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class Prompted:
    """What a model was told. ``answer``: its words before they were checked, None: none came;
    ``refused``: what spoke against them."""

    purpose: str
    messages: tuple[ChatMessage, ...]
    answer: str | None = None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What a node gave, and where it went; ``goes_to`` is empty where the graph's edges say it."""

    name: str
    ms: float
    update: dict[str, Any]
    goes_to: tuple[str, ...] = ()


Emit = Callable[[str, dict[str, Any]], None]
"""Receives progress: (event, data) with events node, token, restart."""


def _silent(_event: str, _data: dict[str, Any]) -> None:
    return None


@dataclass(slots=True)
class TurnContext:
    """``nodes`` and ``calls`` are filled by the run: (node, ms) in order, and model calls; so are
    ``runs``, the same nodes with what they gave, and ``prompts``.

    ``streams``: somebody watches, so a model is asked to stream its answer to ``emit``. ``fired``:
    tasks that the messages fire, in the order in which they act; ``asks``: what the messages say
    besides; ``acts``: what the run did for them. ``rule_call``: None where rules call no tools
    (Studio, re-runs); ``rule_acts``: what those that were called did. ``orders``: None where
    none are kept (Studio).
    ``desk``: None while the conversation is plainly the bot's; ``stand`` reads how the queue would
    be for it (None: nobody knows).
    """

    services: Services
    turn_id: str = ""
    conversation_id: str = ""
    channel: str = ""
    account: str = ""
    customer: CustomerFacts = field(default_factory=CustomerFacts)
    session: int | None = None
    attachments: tuple[Attachment, ...] = ()
    now: float = field(default_factory=time.time)
    emit: Emit = _silent
    streams: bool = False
    fired: tuple[FiredTask, ...] = ()
    asks: str = ""
    acts: list[tuple[FiredTask, Act]] = field(default_factory=list)
    rule_call: MakeRuleCall | None = None
    rule_acts: list[RuleAct] = field(default_factory=list)
    orders: OrdersInTalk | None = None
    desk: AtDesk | None = None
    stand: Stand | None = None
    nodes: list[tuple[str, float]] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    runs: list[NodeRun] = field(default_factory=list)
    prompts: list[Prompted] = field(default_factory=list)
