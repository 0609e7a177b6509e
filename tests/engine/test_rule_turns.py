"""What rules do in a turn: through tools, in the turn's own commit, once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from domain.rules import RuleSet
from engine.delivery import Channel
from tests.engine.processes import Process, Tasks, a_message, answer_to, running_process, shown
from tests.sandbox_server import SandboxServer
from tools.catalog.arguments import Arguments, Result
from tools.registry import STAFF, Tool, ToolCall, ToolOutcome

ASKED = "充电桩特价怎么安装"


def rules_of(*then: Mapping[str, Any], **more: Any) -> RuleSet:
    one = {"id": "sale", "name": "特价", "when": {"text": {"words": ["特价"]}}, "then": list(then)}
    words = {"category": "complaint", "action": "handoff", "words": ["投诉"]}
    return RuleSet.parse(yaml.safe_dump({"rules": [words], "triggers": [one | more]}))


TAG = {"tag": ["特价"]}
SAY = {"tool": "send_message", "arguments": {"message": "{{customer.name}}您好,特价今日有效"}}
NOTICE = {"tool": "notify_staff", "arguments": {"message": "{{rule.name}}:{{conversation.id}}"}}


async def tags(process: Process) -> list[str]:
    return [row["tag"] for row in await process.rows("SELECT tag FROM customer_tags")]


async def fired(process: Process) -> list[tuple[str, str, str]]:
    found = await process.rows("SELECT rule_id, kind, error FROM rule_firings ORDER BY rule_id")
    return [(row["rule_id"], row["kind"], row["error"]) for row in found]


async def test_a_turn_that_is_run_again_acts_once(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    rules = rules_of(TAG, SAY, NOTICE)
    async with running_process(database_url, channels=channels, rules=rules) as process:
        process.knowledge.fail("特价", times=2)
        await process.engine.receive(a_message("", whole=ASKED, route="push"))
        texts = await asyncio.to_thread(shown, sandbox_server, at_least=2)
        await process.quiet()
        assert texts == ["您好,特价今日有效", f"答:{ASKED}"]
        assert len(process.knowledge.searched) == 3
        assert await tags(process) == ["特价"]
        assert await fired(process) == [("sale", "trigger", "")]
        effects = await process.rows("SELECT kind FROM effects ORDER BY kind")
        assert [row["kind"] for row in effects] == ["message", "notice", "tag"]
        notices = await asyncio.to_thread(sandbox_server.notices, at_least=1, wait=5)
        assert len(notices) == 1


async def test_a_caller_that_waits_gets_what_the_rule_says_and_the_answer_in_one_response(
    database_url: str,
) -> None:
    async with running_process(database_url, rules=rules_of(SAY)) as process:
        message = a_message("", whole=ASKED)
        answer = await process.engine.ask(message)
        assert answer["content"] == f"您好,特价今日有效\n{answer_to(message)}"
        assert (answer["rules"], answer["tasks"]) == (["sale"], [])
        assert await process.count("outbox") == 0


async def test_a_tool_that_fails_is_written_down_and_the_customer_is_answered(
    database_url: str,
) -> None:
    gone = {"tool": "get_customer", "arguments": {"customer_id": "web:shop:nobody"}}
    async with running_process(database_url, rules=rules_of(gone, TAG)) as process:
        message = a_message("", whole=ASKED)
        assert (await process.engine.ask(message))["content"] == answer_to(message)
        ((_, _, error),) = await fired(process)
        assert "nobody" in error
        assert await tags(process) == ["特价"]


class _Asked(Arguments):
    about: str


class _Answered(Result):
    done: bool


class _Peer:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.called = asyncio.Event()

    async def run(self, call: ToolCall, args: _Asked) -> ToolOutcome:
        self.heard.append(args.about)
        self.called.set()
        return ToolOutcome({"done": True})


async def test_a_tool_that_talks_to_a_peer_is_called_behind_the_turn_once(
    database_url: str, channels: dict[str, Channel]
) -> None:
    peer = _Peer()
    tool = Tool("call_peer", "call", _Asked, _Answered, STAFF, peer.run, inline=False)
    rules = rules_of({"tool": "call_peer", "arguments": {"about": "{{rule.word}}"}})
    async with running_process(
        database_url, channels=channels, tasks=Tasks(tools=(tool,)), rules=rules
    ) as process:
        process.knowledge.fail("特价", times=1)
        answer = await process.engine.ask(a_message("", whole=ASKED))
        assert answer["content"] == f"答:{ASKED}"
        assert process.work is not None
        process.work.runner.due(0.0)
        async with asyncio.timeout(60):
            await peer.called.wait()
        await process.quiet()
        assert peer.heard == ["特价"]


@pytest.mark.parametrize(("urgency", "priority"), [("normal", "normal"), ("high", "high")])
async def test_a_rule_hands_over_with_its_priority(
    database_url: str, urgency: str, priority: str
) -> None:
    async with running_process(database_url, rules=rules_of({"handoff": urgency})) as process:
        answer = await process.engine.ask(a_message("", whole=ASKED))
        assert (answer["action"], answer["risk"]["reasons"]) == ("escalate", ["rule"])
        (row,) = await process.rows("SELECT reason, priority FROM handoffs")
        assert row == {"reason": "rule", "priority": priority}
        assert await fired(process) == [("sale", "trigger", "")]


async def test_words_that_hand_over_go_before_a_rules_reply_and_its_tags_are_added(
    database_url: str,
) -> None:
    rules = rules_of({"reply": "特价从简"}, TAG)
    async with running_process(database_url, rules=rules) as process:
        answer = await process.engine.ask(a_message("", whole="特价是假的,我要投诉"))
        assert (answer["action"], answer["risk"]["reasons"]) == ("escalate", ["complaint"])
        assert "特价从简" not in answer["content"]
        assert await tags(process) == ["特价"]
        assert await fired(process) == [("complaint", "words", ""), ("sale", "trigger", "")]


async def test_while_a_person_has_the_conversation_rules_keep_quiet(database_url: str) -> None:
    async with running_process(database_url, rules=rules_of(TAG, SAY)) as process:
        await process.engine.ask(a_message("", whole="你好"))
        await process.write(
            lambda c: c.exec_driver_sql("UPDATE conversations SET mode = 'human'").rowcount
        )
        answer = await process.engine.ask(a_message("", whole=ASKED))
        assert (answer["action"], answer["content"]) == ("none", "")
        assert (await tags(process), await fired(process)) == ([], [])


async def test_what_a_rule_says_fires_no_rule(database_url: str) -> None:
    rules = rules_of({"reply": "特价特价"}, pause_minutes=0)
    async with running_process(database_url, rules=rules) as process:
        answer = await process.engine.ask(a_message("", whole=ASKED))
        assert answer["content"] == "特价特价"
        await process.quiet()
        assert (await process.count("turns"), len(await fired(process))) == (1, 1)


async def test_what_a_customer_is_called_is_never_read_for_fields(database_url: str) -> None:
    rules = rules_of({"reply": "{{customer.name}}您好,{{rule.id}}"})
    async with running_process(database_url, rules=rules) as process:
        named = replace(a_message("", whole="特价{{rule.id}}"), sender_name="{{rule.name}}")
        answer = await process.engine.ask(named)
        assert answer["content"] == "{{rule.name}}您好,sale"
