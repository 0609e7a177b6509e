"""The conversation graph: one page that reads like its picture."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from domain.spans import span
from graphs.context import NodeRun, TurnContext
from graphs.nodes.act import act
from graphs.nodes.approve import approve
from graphs.nodes.classify import classify
from graphs.nodes.desk import desk
from graphs.nodes.draft import draft
from graphs.nodes.escalate import escalate
from graphs.nodes.look import look
from graphs.nodes.order import order
from graphs.nodes.price_estimate import price_estimate
from graphs.nodes.reply import reply
from graphs.nodes.retrieve import retrieve
from graphs.nodes.risk_check import risk_check
from graphs.routing import (
    after_act,
    after_approve,
    after_classify,
    after_escalate,
    after_look,
    after_order,
    after_reply,
    after_risk_check,
)
from graphs.state import ConversationState, Update

Node = Callable[[ConversationState, TurnContext], Awaitable[Update]]
Route = Callable[[ConversationState], str | list[str]]
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

    def add(node: Node, route: Route | None = None, to: tuple[str, ...] | None = None) -> None:
        graph.add_node(node.__name__, _observed(node, make_context, route), destinations=to)

    paths = ("retrieve", "price_estimate", "risk_check")
    add(classify, after_classify, to=("act", "desk", "look", "order", *paths))
    add(act, after_act, to=("desk", "look", "order", "draft", *paths, END))
    add(look, after_look, to=("order", *paths))
    add(order, after_order, to=(*paths, "escalate", "desk", "draft", END))
    add(retrieve)
    add(price_estimate)
    add(risk_check, after_risk_check, to=("approve", "reply", "escalate", "desk"))
    add(approve, after_approve, to=("reply", "escalate", "desk"))
    add(reply, after_reply, to=("draft", END))
    add(escalate, after_escalate, to=("draft", END))
    add(draft)
    add(desk)

    graph.add_edge(START, "classify")
    graph.add_edge("retrieve", "risk_check")
    graph.add_edge("price_estimate", "risk_check")
    graph.add_edge("draft", END)
    graph.add_edge("desk", END)
    return graph.compile(checkpointer=checkpointer)


def _observed(node: Node, make_context: MakeContext | None, route: Route | None) -> Any:
    """Hand the node its context, time it, tell whoever watches the run, and say where it goes on.

    A ``route`` leaves as a Command with the node's update: conditional edges would have LangGraph
    read the state anew for each, a tenth of a run.
    """
    name = node.__name__

    async def run(state: ConversationState, runtime: Runtime[Any]) -> Update | Command[str]:
        context = runtime.context
        if make_context is not None and not isinstance(context, TurnContext):
            context = make_context(context)
        context.emit("node", {"name": name, "status": "start"})
        started = time.perf_counter()
        with span(f"node {name}", {"kefu.node": name}):
            update = await node(state, context)
        ms = round((time.perf_counter() - started) * 1000, 3)
        context.nodes.append((name, ms))
        context.emit("node", {"name": name, "status": "end", "ms": ms})
        if route is None:
            context.runs.append(NodeRun(name, ms, update))
            return update
        goto = route({**state, **update})  # type: ignore[typeddict-item]
        goes_to = (goto,) if isinstance(goto, str) else tuple(goto)
        context.runs.append(NodeRun(name, ms, update, goes_to))
        return Command(update=update, goto=goto)

    run.__name__ = name
    return run
