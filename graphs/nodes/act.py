"""The actions of the tasks that this turn's messages fired, and of rules: calls of tools."""

from typing import Any

from domain.decisions import Action, Effect, EffectKind, as_dict
from graphs.context import FiredTask, RuleAct, TurnContext
from graphs.memory import kept_of, remembered
from graphs.showing import show_first
from graphs.state import ConversationState, Update
from storage.effects import said
from tools.perform import Act, perform
from tools.registry import ToolCall

_ACCEPTED = {"outcome": "accept", "missing": [], "priority": "normal"}


async def act(state: ConversationState, context: TurnContext) -> Update:
    """Acts in the tasks' order, then as the rules say; where the messages ask for nothing else, or
    a rule gives the answer, that is all."""
    done = [await act_on(fired, context) for fired in context.fired]
    found = state["classification"]
    triggers = found.get("triggers") or {}
    done += [await act_by_rule(one, context) for one in triggers.get("acts", ())]
    update: Update = {"acts": done}
    content = "\n".join(line for one in done for line in one["said"])
    reply = triggers.get("reply")
    if reply is not None:
        return update | _replied(state, context, content, reply)
    if content and found["settled"]:
        context.emit("token", {"text": content})
    elif content:
        show_first(content, context)
    if not found["settled"]:
        return update
    return update | {
        "decision": _decision(content),
        "risk": _ACCEPTED | {"reasons": ["task"]},
        **kept_of(state, content, "任务"),
    }


def _replied(
    state: ConversationState, context: TurnContext, said: str, reply: dict[str, str]
) -> Update:
    """The answer that a rule gives, behind what tools said."""
    if said:
        show_first(said, context)
    text = reply["text"]
    context.emit("token", {"text": text})
    decision = _decision(text) | {
        "decision": "rule",
        "content": text,
        "source": f"rule:{reply['rule']}",
    }
    message = Effect(EffectKind.MESSAGE, "reply", {"text": text})
    whole = "\n".join(filter(None, [said, text]))
    return {
        "decision": decision,
        "risk": _ACCEPTED | {"reasons": ["rule"]},
        "effects": [as_dict(message)],
        **remembered(state, whole, "rule"),
    }


async def act_by_rule(one: dict[str, Any], context: TurnContext) -> dict[str, Any]:
    """Call the tool, where rules may; its effects wait for the turn's commit."""
    done = Act()
    if context.rule_call is not None:
        call, tools = context.rule_call(one["rule"], one["key"]), context.services.tools
        if one["tool"] in tools and not tools.get(one["tool"]).inline:
            done = _at_once_behind_the_turn(one, call)
        else:
            done = await perform(tools, one["tool"], one["arguments"], call)
        context.rule_acts.append(RuleAct(one["rule"], one["key"], one["tool"], done))
    return {
        "task_id": "",
        "rule": one["rule"],
        "tool": one["tool"],
        "said": _said_here(done, context),
        "error": done.error,
    }


async def act_on(fired: FiredTask, context: TurnContext) -> dict[str, Any]:
    """Call the tool; its effects wait in ``context.acts`` for the turn's commit."""
    if fired.deferred:
        done = Act(deferred=True)
    else:
        done = await perform(context.services.tools, fired.tool, fired.arguments, fired.call)
    context.acts.append((fired, done))
    lines = _said_here(done, context)
    return {"task_id": fired.task_id, "tool": fired.tool, "said": lines, "error": done.error}


def _at_once_behind_the_turn(one: dict[str, Any], call: ToolCall) -> Act:
    """A tool that talks to a peer is a task of ours, tried again where the peer is away."""
    assert call.recipient is not None
    payload = {
        "due_at": call.now,
        "to": as_dict(call.recipient),
        "action": one["tool"],
        "arguments": one["arguments"],
    }
    return Act(effects=(Effect(EffectKind.SCHEDULE, "schedule", payload),))


def _said_here(done: Act, context: TurnContext) -> list[str]:
    return [
        said(effect.payload)
        for effect in done.effects
        if effect.kind is EffectKind.MESSAGE
        and effect.payload["to"]["conversation_id"] == context.conversation_id
    ]


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
