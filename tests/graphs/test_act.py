"""The act node: tasks' actions before the answer, and alone where nothing else is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from domain.decisions import Effect, EffectKind, as_dict
from domain.errors import PeerUnavailable
from graphs.context import FiredTask, Services, TurnContext
from graphs.conversation import build_conversation_graph
from storage.database import Database
from tools.catalog import catalogue
from tools.registry import STAFF, Caller, Recipient, Role, Tool, ToolCall, ToolOutcome, ToolRegistry

HERE = Recipient("c1", "webhook", "shop", "群", "甲", "webhook:shop:甲", "小明")
ELSEWHERE = replace(HERE, conversation_id="c2", sender_id="乙")
FILE = "文件在这里"


class Nothing(BaseModel):
    pass


def tool(
    name: str, run: Callable[[ToolCall, Any], Awaitable[ToolOutcome]], *, inline: bool = True
) -> Tool[Any]:
    return Tool(name, name, Nothing, Nothing, STAFF, run, inline=inline)


async def says(call: ToolCall, _args: Nothing) -> ToolOutcome:
    assert call.recipient is not None
    payload = {"to": as_dict(call.recipient), "type": "text", "text": FILE}
    return ToolOutcome({}, (Effect(EffectKind.MESSAGE, "message", payload),))


async def breaks(_call: ToolCall, _args: Nothing) -> ToolOutcome:
    raise PeerUnavailable("erp", "away")


async def has_a_bug(_call: ToolCall, _args: Nothing) -> ToolOutcome:
    raise ZeroDivisionError("a bug of ours")


async def must_not_run(_call: ToolCall, _args: Nothing) -> ToolOutcome:
    raise AssertionError("a deferred tool was called in the turn")


TOOLS = (
    tool("say", says),
    tool("break", breaks),
    tool("bug", has_a_bug),
    tool("later", must_not_run, inline=False),
)


def fired(
    tool_name: str, task_id: str = "T1", *, to: Recipient = HERE, deferred: bool = False
) -> FiredTask:
    database = Database(f"sqlite:///{Path('unused.db')}")  # no tool here reads one
    call = ToolCall(Caller(Role.TIANWANG, "tianwang"), f"task:{task_id}:1", 1.0, database)
    return FiredTask(task_id, tool_name, {}, replace(call, recipient=to), {}, deferred=deferred)


@pytest.fixture
def acting(services: Services) -> Services:
    return replace(services, tools=ToolRegistry(catalogue() + TOOLS))


async def run(
    services: Services, text: str, *tasks: FiredTask, asks: str = "", emit: Any = None
) -> tuple[dict[str, Any], TurnContext]:
    """The state after a turn that fired ``tasks``, and its context."""
    context = TurnContext(services, turn_id="t1", conversation_id="c1", fired=tasks, asks=asks)
    context.emit = emit or context.emit
    graph = build_conversation_graph()
    state = await graph.ainvoke({"messages": [HumanMessage(text)]}, context=context)
    return state, context


def path(context: TurnContext) -> list[str]:
    return [name for name, _ in context.nodes]


async def test_where_nothing_else_is_asked_the_action_is_all(acting: Services) -> None:
    state, context = await run(acting, "好的", fired("say"))
    assert path(context) == ["classify", "act"]
    assert [act["said"] for act in state["acts"]] == [[FILE]]
    assert (state["decision"]["action"], state["decision"]["content"]) == ("reply", "")
    assert state["messages"][-1].content == FILE
    assert state["effects"] == []


async def test_what_else_is_asked_is_answered_after_the_action(acting: Services) -> None:
    question = "充电桩质保几年"
    state, context = await run(acting, f"好的,{question}", fired("say"), asks=question)
    assert path(context) == ["classify", "act", "retrieve", "risk_check", "reply"]
    assert state["classification"]["text"] == question
    assert "3 年" in state["decision"]["content"]
    assert FILE not in state["decision"]["content"]


async def test_a_wish_for_a_person_besides_the_trigger_is_heard(acting: Services) -> None:
    state, context = await run(acting, "好的,转人工", fired("say"), asks="转人工")
    assert path(context) == ["classify", "act", "risk_check", "escalate"]
    assert state["decision"]["action"] == "escalate"


async def test_a_picture_besides_the_trigger_is_something_else_that_is_asked(
    acting: Services,
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://files.example/a.png"}}
    content: list[str | dict[str, Any]] = [{"type": "text", "text": "好的"}, picture]
    context = TurnContext(acting, turn_id="t1", conversation_id="c1", fired=(fired("say"),))
    graph = build_conversation_graph()
    await graph.ainvoke({"messages": [HumanMessage(content)]}, context=context)
    assert path(context)[:2] == ["classify", "act"]
    assert path(context)[-1] in ("reply", "escalate")


async def test_tasks_act_in_their_order_and_each_outcome_waits_for_the_commit(
    acting: Services,
) -> None:
    tasks = (fired("say", "T1"), fired("break", "T2"), fired("say", "T3"))
    state, context = await run(acting, "好的", *tasks)
    assert [act["task_id"] for act in state["acts"]] == ["T1", "T2", "T3"]
    assert [task.task_id for task, _ in context.acts] == ["T1", "T2", "T3"]
    assert [act.error for _, act in context.acts] == ["", "erp: away", ""]
    assert state["messages"][-1].content == f"{FILE}\n{FILE}"


@pytest.mark.parametrize(
    ("name", "error"),
    [("break", "erp: away"), ("bug", "ZeroDivisionError: a bug of ours")],
)
async def test_an_action_that_fails_does_not_fail_the_turn(
    acting: Services, name: str, error: str
) -> None:
    state, context = await run(acting, "好的", fired(name))
    ((_, act),) = context.acts
    assert (act.error, act.again, act.effects) == (error, True, ())
    assert (state["decision"]["action"], state["acts"][0]["error"]) == ("none", error)


async def test_a_tool_that_is_gone_or_forbidden_fails_for_good(acting: Services) -> None:
    _, context = await run(acting, "好的", fired("gone"))
    ((_, act),) = context.acts
    assert (act.again, "gone" in act.error) == (False, True)


async def test_a_deferred_action_is_left_to_the_task_runner(acting: Services) -> None:
    state, context = await run(acting, "好的", fired("later", deferred=True))
    ((_, act),) = context.acts
    assert (act.deferred, act.error) == (True, "")
    assert state["decision"]["action"] == "none"


async def test_what_is_said_elsewhere_is_not_shown_here(acting: Services) -> None:
    state, context = await run(acting, "好的", fired("say", to=ELSEWHERE))
    assert state["acts"][0]["said"] == []
    assert len(context.acts[0][1].effects) == 1
    assert state["decision"]["action"] == "none"


async def test_who_watches_the_turn_sees_what_a_task_says(acting: Services) -> None:
    seen: list[tuple[str, str]] = []

    def emit(event: str, data: dict[str, Any]) -> None:
        if event == "token":
            seen.append((event, data["text"]))

    await run(acting, "好的", fired("say"), emit=emit)
    assert seen == [("token", FILE)]


async def test_who_watches_sees_what_a_task_says_before_the_answer(acting: Services) -> None:
    seen: list[str] = []

    def emit(event: str, data: dict[str, Any]) -> None:
        if event == "token":
            seen.append(data["text"])

    question = "充电桩质保几年"
    await run(acting, f"好的,{question}", fired("say"), asks=question, emit=emit)
    assert seen[0] == f"{FILE}\n"
    assert "3 年" in "".join(seen[1:])


async def test_an_answer_that_starts_anew_leaves_what_the_task_said(acting: Services) -> None:
    seen: list[str] = []

    def emit(event: str, data: dict[str, Any]) -> None:
        if event == "restart":
            seen.clear()
        seen.append(data.get("text", ""))

    question = "充电桩质保几年"
    _, context = await run(acting, f"好的,{question}", fired("say"), asks=question, emit=emit)
    context.emit("restart", {})
    context.emit("token", {"text": "另一个回答"})
    assert "".join(seen) == f"{FILE}\n另一个回答"


async def test_a_turn_that_fires_nothing_does_not_pass_the_node(acting: Services) -> None:
    state, context = await run(acting, "充电桩质保几年")
    assert "act" not in path(context)
    assert state["acts"] == []
