"""A turn run again from one of its nodes: LangGraph's time travel, on a saver of its own.

The thread is built anew in memory: the checkpoint that the turn began with, then what each node
gave up to the chosen one (`update_state` as that node), then the graph goes on by itself. Nothing
that it decides is done: effects are values, and nobody commits them. Tasks are not fired, since
their tools act, and no place in the queue is told, since nobody joins it.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, StateUpdate

from domain.errors import InvalidInput
from domain.intents import DIALOGUE_TYPE, Intent
from engine.reviews.records import Recorded
from graphs.classifier.entities import entities
from graphs.context import NodeRun, TurnContext
from graphs.conversation import Graph, build_conversation_graph
from storage.serde import CheckpointSerializer

FIRST = "classify"
_NOT_KEPT = "这一轮没有经过这个节点"


@dataclass(frozen=True, slots=True)
class Edits:
    """What is to be otherwise than it was; None: as it was. ``level``: the customer's."""

    text: str | None = None
    intent: Intent | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Forked:
    """``state``: as the run left it; ``stopped``: what it would wait for."""

    state: dict[str, Any]
    stopped: str


class _Saver(InMemorySaver):
    """Versions are numbers, as in the checkpoints of `RowCheckpointSaver`."""

    def get_next_version(self, current: Any, channel: None) -> Any:
        return (current or 0) + 1


class Forks:
    """One graph for all re-runs, each on a thread of its own."""

    def __init__(self) -> None:
        self._saver = _Saver(serde=CheckpointSerializer())
        self._graph: Graph = build_conversation_graph(checkpointer=self._saver)

    async def run(self, turn: Recorded, node: str, edits: Edits, context: TurnContext) -> Forked:
        """``context`` gets the earlier steps too. Raises InvalidInput for a node that the turn did
        not pass, or that is no longer there, and for edits that come too late."""
        groups = supersteps(turn.runs)
        at = _group_of(groups, node)
        earlier = [[_edited(run, edits) for run in group] for group in groups[:at]]
        _refuse_late_edits(turn, earlier, node, edits)
        for run in (run for group in earlier for run in group):
            context.nodes.append((run.name, run.ms))
            context.runs.append(run)
        thread = uuid.uuid4().hex
        config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        try:
            given = await self._prepare(config, turn, earlier, edits)
            state = await self._graph.ainvoke(given, config, context=context, durability="exit")
        finally:
            self._saver.delete_thread(thread)
        stops = state.pop("__interrupt__", ())
        return Forked(state, str(stops[0].value.get("kind", "")) if stops else "")

    async def _prepare(
        self,
        config: RunnableConfig,
        turn: Recorded,
        earlier: Sequence[Sequence[NodeRun]],
        edits: Edits,
    ) -> Any:
        """The thread as it stood before the node; returns what the run is given."""
        if turn.base is not None:
            await self._seed(config, turn.base_kind, turn.base)
        if not earlier:
            return Command(resume=turn.resume) if turn.said is None else _said(turn, edits)
        if turn.said is not None:
            await self._graph.aupdate_state(config, _said(turn, edits), as_node="__start__")
        for group in earlier:
            updates = [StateUpdate(_as_given(run), run.name) for run in group]
            await self._graph.abulk_update_state(config, [updates])
        return None

    async def _seed(self, config: RunnableConfig, kind: str, base: bytes) -> None:
        checkpoint = self._saver.serde.loads_typed((kind, base))
        metadata: CheckpointMetadata = {"source": "fork", "step": 0, "parents": {}}
        await self._saver.aput(config, checkpoint, metadata, checkpoint["channel_versions"])

    def knows(self, node: str) -> bool:
        return node in self._graph.nodes


def supersteps(runs: Iterable[NodeRun]) -> list[list[NodeRun]]:
    """Nodes that ran side by side stand together: those that one step went to."""
    groups: list[list[NodeRun]] = []
    beside: frozenset[str] = frozenset()
    for run in runs:
        if groups and run.name in beside and all(run.name != one.name for one in groups[-1]):
            groups[-1].append(run)
            continue
        reached = frozenset(to for one in groups[-1] for to in one.goes_to) if groups else beside
        beside = reached if run.name in reached else frozenset()
        groups.append([run])
    return groups


def _group_of(groups: Sequence[Sequence[NodeRun]], node: str) -> int:
    found = (at for at, group in enumerate(groups) if any(run.name == node for run in group))
    at = next(found, None)
    if at is None:
        passed = "、".join(run.name for group in groups for run in group)
        raise InvalidInput("from_node", f"{_NOT_KEPT}；可选 {passed}")
    return at


def _refuse_late_edits(
    turn: Recorded, earlier: Sequence[Sequence[NodeRun]], node: str, edits: Edits
) -> None:
    classified = any(run.name == FIRST for group in earlier for run in group)
    if edits.intent is not None and not classified:
        raise InvalidInput("intent", f"从 {node} 重跑时意图由它之后的 classify 决定，不能指定")
    if edits.text is not None and turn.said is None:
        raise InvalidInput("text", "这一轮由人工的决定触发，没有客户的话可改")


def _edited(run: NodeRun, edits: Edits) -> NodeRun:
    """What `classify` gave, with other words or another intent."""
    if run.name != FIRST or (edits.text is None and edits.intent is None):
        return run
    found = dict(run.update["classification"])
    if edits.text is not None:
        found |= {"text": edits.text, "entities": entities(edits.text)}
    if edits.intent is not None:
        kind = DIALOGUE_TYPE[edits.intent].value
        found |= {"intent": edits.intent.value, "dialogue_type": kind, "confidence": 1.0}
    return replace(run, update=run.update | {"classification": found})


def _said(turn: Recorded, edits: Edits) -> dict[str, Any]:
    assert turn.said is not None
    key, text = turn.said
    content = text if edits.text is None else edits.text
    return {"messages": [HumanMessage(content=content, id=key)]}


def _as_given(run: NodeRun) -> Any:
    """A node that chose its way left it as a Command with its update."""
    return Command(update=run.update, goto=run.goes_to) if run.goes_to else run.update
