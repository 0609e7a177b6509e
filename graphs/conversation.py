"""The conversation graph: one page that reads like its picture."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graphs.context import TurnContext
from graphs.nodes.classify import classify
from graphs.nodes.escalate import escalate
from graphs.nodes.price_estimate import price_estimate
from graphs.nodes.reply import reply
from graphs.nodes.retrieve import retrieve
from graphs.nodes.risk_check import risk_check
from graphs.routing import after_classify, after_risk_check
from graphs.state import ConversationState, Update

Node = Callable[[ConversationState, TurnContext], Awaitable[Update]]
MakeContext = Callable[[Any], TurnContext]
Graph = CompiledStateGraph[ConversationState, Any, ConversationState, ConversationState]


def build_conversation_graph(
    *,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    context_schema: type[Any] = TurnContext,
    make_context: MakeContext | None = None,
) -> Graph:
    """``make_context`` turns what Studio passes as context (or None) into a TurnContext."""
    graph = StateGraph(ConversationState, context_schema=context_schema)
    for node in (classify, retrieve, price_estimate, risk_check, reply, escalate):
        graph.add_node(node.__name__, _observed(node, make_context))

    graph.add_edge(START, "classify")
    graph.add_conditional_edges(
        "classify", _routing(after_classify), ["retrieve", "price_estimate", "risk_check"]
    )
    graph.add_edge("retrieve", "risk_check")
    graph.add_edge("price_estimate", "risk_check")
    graph.add_conditional_edges("risk_check", _routing(after_risk_check), ["reply", "escalate"])
    graph.add_edge("reply", END)
    graph.add_edge("escalate", END)
    return graph.compile(checkpointer=checkpointer)


def _routing(route: Callable[[ConversationState], Any]) -> Callable[..., Awaitable[Any]]:
    """A pure routing function as a coroutine: LangGraph sends plain ones through a thread."""

    async def run(state: ConversationState) -> Any:
        return route(state)

    run.__name__ = route.__name__
    return run


def _observed(node: Node, make_context: MakeContext | None) -> Any:
    """Hand the node its context, time it, and tell whoever watches the run."""
    name = node.__name__

    async def run(state: ConversationState, runtime: Runtime[Any]) -> Update:
        context = runtime.context
        if make_context is not None and not isinstance(context, TurnContext):
            context = make_context(context)
        context.emit("node", {"name": name, "status": "start"})
        started = time.perf_counter()
        update = await node(state, context)
        ms = round((time.perf_counter() - started) * 1000, 3)
        context.nodes.append((name, ms))
        context.emit("node", {"name": name, "status": "end", "ms": ms})
        return update

    run.__name__ = name
    return run
