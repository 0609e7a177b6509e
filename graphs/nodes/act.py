"""The actions of the tasks that this turn's messages fired: each is a call of a tool."""

from typing import Any

from langchain_core.messages import AIMessage

from domain.decisions import Action, EffectKind
from graphs.context import FiredTask, TurnContext
from graphs.memory import summarise
from graphs.showing import show_first
from graphs.state import ConversationState, Update
from storage.effects import said
from tools.perform import Act, perform


async def act(state: ConversationState, context: TurnContext) -> Update:
    """Acts in the tasks' order; where the messages ask for nothing else, that is all."""
    done = [await act_on(fired, context) for fired in context.fired]
    update: Update = {"acts": done}
    content = "\n".join(line for one in done for line in one["said"])
    settled = state["classification"]["settled"]
    if content and settled:
        context.emit("token", {"text": content})
    elif content:
        show_first(content, context)
    if not settled:
        return update
    update |= {
        "decision": _decision(content),
        "risk": {"outcome": "accept", "reasons": ["task"], "missing": [], "priority": "normal"},
        "summary": summarise(state, "任务"),
    }
    if content:
        update["messages"] = [AIMessage(content=content)]
    return update


async def act_on(fired: FiredTask, context: TurnContext) -> dict[str, Any]:
    """Call the tool; its effects wait in ``context.acts`` for the turn's commit."""
    if fired.deferred:
        done = Act(deferred=True)
    else:
        done = await perform(context.services.tools, fired.tool, fired.arguments, fired.call)
    context.acts.append((fired, done))
    lines = [
        said(effect.payload)
        for effect in done.effects
        if effect.kind is EffectKind.MESSAGE
        and effect.payload["to"]["conversation_id"] == context.conversation_id
    ]
    return {"task_id": fired.task_id, "tool": fired.tool, "said": lines, "error": done.error}


def _decision(content: str) -> dict[str, Any]:
    action = Action.REPLY if content else Action.NONE
    return {
        "action": action.value,
        "decision": "task",
        "content": "",
        "confidence": 1.0,
        "citations": [],
        "source": "task",
    }
