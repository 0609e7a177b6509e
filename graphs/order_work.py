"""The work on an order that needs no person, as a graph of its own: find, process, or hand over.

What is found or made and passes its checks is delivered; a failure, a time-out or a bad result goes
to a designer, with what was tried.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from typing_extensions import TypedDict

from domain.decisions import as_dict
from domain.errors import InvalidInput, KefuError, PeerError
from domain.orders import Workflow
from domain.pictures import PictureFacts
from graphs.seen import facts_from
from tools.pictures.workflow import (
    GiveUp,
    Made,
    Outcome,
    Tried,
    WorkflowOrder,
    Workshop,
    find_pictures,
    process_pictures,
)

log = logging.getLogger(__name__)


class WorkState(TypedDict, total=False):
    """In: ``workflow`` (find, process, design), ``service``, ``requirements``, and ``sources`` of
    the customer's pictures (http(s)://…, picture:{sha256}) or their ``facts``; ``words`` to search
    for. Out: ``outcome`` (delivered, designer), ``made``: sha256 and bytes of each picture,
    ``said``: lines for the customer, ``reason`` why it goes to a designer, ``tried``.
    """

    workflow: str
    service: str
    requirements: list[str]
    sources: list[str]
    facts: list[dict[str, Any]]
    words: list[str]

    outcome: str
    made: list[dict[str, Any]]
    said: list[str]
    reason: str
    tried: list[Tried]


class Looks(Protocol):
    async def __call__(self, source: str, *, read_text: bool = True) -> PictureFacts: ...


@dataclass(slots=True)
class WorkContext:
    """``made`` and ``tried`` are filled by the run, and read also where that is broken off."""

    shop: Workshop
    look: Looks | None = None
    made: list[bytes] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)


Update = dict[str, Any]
WorkGraph = CompiledStateGraph[WorkState, Any, WorkState, WorkState]
MakeContext = Callable[[], WorkContext]
_FIRST = {
    Workflow.FIND: "find_image",
    Workflow.PROCESS: "process_image",
    Workflow.DESIGN: "hand_over",
}


def build_work_graph(make_context: MakeContext | None = None) -> WorkGraph:
    """``make_context``: for Studio, which passes none."""
    graph = StateGraph(WorkState, context_schema=WorkContext if make_context is None else None)

    def add(name: str, node: Callable[..., Awaitable[Update | Command[str]]], *to: str) -> None:
        async def run(state: WorkState, runtime: Runtime[Any]) -> Update | Command[str]:
            context = make_context() if make_context is not None else runtime.context
            try:
                return await node(state, context)
            except GiveUp as end:
                return _given_up(end.reason, context)
            except KefuError as error:
                return _given_up(_reason(error), context)
            except Exception as error:  # the order must reach a person, whatever broke
                log.exception("work on a picture failed in %s", name)
                return _given_up(f"处理时出错({type(error).__name__})", context)

        graph.add_node(name, run, destinations=to or None)

    add("look", _look, "find_image", "process_image", "hand_over")
    add("find_image", _find_image, "deliver", "hand_over")
    add("process_image", _process_image, "deliver", "hand_over")
    add("deliver", _deliver)
    add("hand_over", _hand_over)
    graph.add_edge(START, "look")
    graph.add_edge("deliver", END)
    graph.add_edge("hand_over", END)
    return graph.compile()


async def run(order: WorkflowOrder, shop: Workshop) -> Outcome:
    """Never raises but when cancelled: a failure is an outcome with its reason."""
    context = WorkContext(shop)
    given: WorkState = {
        "workflow": order.workflow.value,
        "service": order.service,
        "requirements": list(order.requirements),
        "facts": [as_dict(one) for one in order.facts],
        "words": list(order.words),
    }
    try:
        async with asyncio.timeout(shop.timeout):
            ended = await _graph().ainvoke(given, context=context)
    except TimeoutError:
        reason = f"{shop.timeout:g} 秒内没有做完"
        return Outcome("designer", tried=tuple(context.tried), reason=reason)
    if ended["outcome"] == "delivered":
        made, said = tuple(context.made), tuple(ended["said"])
        return Outcome("delivered", made, said, tuple(context.tried))
    return Outcome("designer", tried=tuple(context.tried), reason=ended["reason"])


@cache
def _graph() -> WorkGraph:
    return build_work_graph()


# Nodes ------------------------------------------------------------------------------------------


async def _look(state: WorkState, context: WorkContext) -> Command[str]:
    facts = state.get("facts")
    if facts is None:
        look, sources = context.look, state.get("sources") or []
        assert look is not None, "sources need somebody who looks at them"
        facts = [as_dict(await look(source, read_text=False)) for source in sources]
    first = _FIRST[Workflow(state["workflow"])]
    reason = "需要设计师完成" if first == "hand_over" else ""
    return Command(update={"facts": facts, "reason": reason}, goto=first)


async def _find_image(state: WorkState, context: WorkContext) -> Command[str]:
    return _made(await find_pictures(_order(state), context.shop, context.tried), context)


async def _process_image(state: WorkState, context: WorkContext) -> Command[str]:
    return _made(await process_pictures(_order(state), context.shop, context.tried), context)


def _made(made: Made, context: WorkContext) -> Command[str]:
    context.made[:] = made.pictures
    shown = [
        {"sha256": hashlib.sha256(one).hexdigest(), "bytes": len(one)} for one in made.pictures
    ]
    update = {"made": shown, "said": list(made.said), "tried": list(context.tried)}
    return Command(update=update, goto="deliver")


def _given_up(reason: str, context: WorkContext) -> Command[str]:
    return Command(update={"reason": reason, "tried": list(context.tried)}, goto="hand_over")


async def _deliver(_state: WorkState, _context: WorkContext) -> Update:
    return {"outcome": "delivered"}


async def _hand_over(_state: WorkState, _context: WorkContext) -> Update:
    return {"outcome": "designer", "made": [], "said": []}


def _order(state: WorkState) -> WorkflowOrder:
    return WorkflowOrder(
        Workflow(state["workflow"]),
        state.get("service", ""),
        tuple(state.get("requirements", ())),
        tuple(facts_from(state["facts"])),
        tuple(state.get("words", ())),
    )


def _reason(error: KefuError) -> str:
    return error.reason if isinstance(error, InvalidInput | PeerError) else str(error)
