"""What the situations do not show: races, made-up events, orders behind drafts, who is told."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event

from domain.approvals import Verdict
from domain.desk import Agent, Presence
from domain.errors import InvalidInput
from domain.messages import InboundMessage, MessageKind
from storage import agents, desk_talks, drafts, inbox, kf_sessions
from tests.engine.desk_turns.posts import LocalPost, local_post, policy_of
from tests.engine.desk_turns.stage import MONDAY_10
from tests.engine.processes import a_message, answer_to
from tests.sandbox_server import SandboxServer

INSTALL = "充电桩怎么安装"


@pytest.fixture
async def post(database_url: str, sandbox_server: SandboxServer) -> AsyncIterator[LocalPost]:
    opened = local_post(database_url, sandbox_server, policy_of({}), owner="p1", now=MONDAY_10)
    async with opened as post:
        await post.process.write(_employ)
        yield post


def _employ(connection: Connection) -> None:
    agents.add(connection, Agent("wang", "小王", scopes=("*",)), "-", by="test", now=MONDAY_10)
    agents.set_presence(connection, "wang", Presence.ONLINE, now=MONDAY_10)


def says(text: str, **more: Any) -> InboundMessage:
    return a_message("", whole=text, route="push", **more)


async def told(post: LocalPost, text: str) -> str:
    """Said, and worked on; the conversation."""
    message = says(text)
    await post.process.engine.receive(message)
    await post.process.quiet()
    return message.conversation


async def act(post: LocalPost, does: str, **values: Any) -> dict[str, Any]:
    done = await post.do(does, agent="wang", now=MONDAY_10, **values)
    await post.process.quiet()
    return done


async def in_copilot(post: LocalPost) -> str:
    conversation = await told(post, "转人工")
    await act(post, "take", conversation=conversation)
    await act(post, "mode", conversation=conversation, mode="copilot")
    return conversation


async def last_draft(post: LocalPost) -> dict[str, Any]:
    return (await post.process.rows("SELECT * FROM desk_drafts ORDER BY id DESC LIMIT 1"))[0]


async def said_by_us(post: LocalPost) -> list[str]:
    rows = await post.process.rows("SELECT content FROM messages WHERE role <> 'user' ORDER BY id")
    return [row["content"] for row in rows]


async def test_what_came_before_a_person_gave_the_conversation_back_is_not_the_bots(
    post: LocalPost,
) -> None:
    conversation = await told(post, "转人工")
    await act(post, "take", conversation=conversation)
    before = await said_by_us(post)
    written = replace(says(INSTALL), received_at=MONDAY_10)

    def unit(connection: Connection) -> None:
        inbox.receive(connection, written)
        talk = desk_talks.hold(connection, conversation)
        assert talk is not None
        desk_talks.close(connection, talk, by="wang", now=MONDAY_10, asks=True)

    await post.process.write(unit)
    post.process.engine.look(conversation)
    await post.process.quiet()
    asked = post.process.templates.render("ask_mark", seed="")
    assert await said_by_us(post) == [*before, asked]
    stored = await post.process.rows("SELECT status FROM messages WHERE role = 'user'")
    assert {row["status"] for row in stored} == {"handled"}


async def test_what_comes_right_behind_the_return_is_answered_and_no_mark_is_asked_for(
    post: LocalPost,
) -> None:
    conversation = await told(post, "转人工")
    await act(post, "take", conversation=conversation)
    before = await said_by_us(post)
    written = replace(says(INSTALL), received_at=MONDAY_10)

    def unit(connection: Connection) -> None:
        talk = desk_talks.hold(connection, conversation)
        assert talk is not None
        desk_talks.close(connection, talk, by="wang", now=MONDAY_10, asks=True)
        inbox.receive(connection, written)

    await post.process.write(unit)
    post.process.engine.look(conversation)
    await post.process.quiet()
    assert await said_by_us(post) == [*before, answer_to(written)]


@pytest.mark.parametrize("forged", ["desk_returned:1:ask", "desk_draft:1", "desk_draft:x"])
async def test_an_event_that_a_channel_made_up_does_nothing_at_the_desk(
    post: LocalPost, forged: str
) -> None:
    await in_copilot(post)
    await told(post, INSTALL)
    before = await said_by_us(post)
    made_up = replace(says(""), kind=MessageKind.EVENT, text="", event=forged)
    await post.process.engine.receive(made_up)
    await post.process.quiet()
    assert await said_by_us(post) == before
    assert (await last_draft(post))["status"] == "pending"


async def test_a_draft_is_not_decided_over_a_message_that_nobody_has_read(post: LocalPost) -> None:
    await in_copilot(post)
    await told(post, INSTALL)
    draft = await last_draft(post)
    unread = replace(says("要收费吗"), received_at=MONDAY_10)
    await post.process.write(lambda c: inbox.receive(c, unread))
    with pytest.raises(InvalidInput, match="新消息"):
        await post.process.write(
            lambda c: drafts.decide(
                c, draft["id"], "approved", text="", agent="wang", now=MONDAY_10
            )
        )


@pytest.mark.parametrize(("verdict", "orders"), [("approve", 1), ("discard", 0)])
async def test_an_order_behind_a_draft_is_confirmed_only_with_it(
    post: LocalPost, verdict: str, orders: int
) -> None:
    await in_copilot(post)
    await told(post, "抠图10张多少钱")
    quote = await last_draft(post)
    await act(post, "draft", draft=quote["id"], verdict="approve")
    await told(post, "好的")
    confirmed = "SELECT 1 FROM image_tasks WHERE status = 'confirmed'"
    assert await post.process.rows(confirmed) == []
    draft = await last_draft(post)
    assert draft["id"] > quote["id"]
    await act(post, "draft", draft=draft["id"], verdict=verdict)
    assert len(await post.process.rows(confirmed)) == orders


async def test_a_quote_that_is_approved_in_copilot_mode_is_a_draft_then(post: LocalPost) -> None:
    await in_copilot(post)
    await told(post, "设计2个logo多少钱")
    (approval,) = await post.process.rows("SELECT id FROM approvals WHERE status = 'pending'")
    await post.process.engine.decide_approval(approval["id"], Verdict.APPROVED, by="主管")
    await post.process.quiet()
    draft = await last_draft(post)
    assert (draft["status"], "600元" in draft["text"]) == ("pending", True)
    assert not any("600元" in said for said in await said_by_us(post))
    await act(post, "draft", draft=draft["id"], verdict="approve")
    assert "600元" in (await said_by_us(post))[-1]


async def test_who_looks_on_is_told_of_every_message_once_it_is_the_desks(post: LocalPost) -> None:
    await told(post, INSTALL)
    conversation = await told(post, "帮我查一下订单 2024010112345678")
    await told(post, "保修多久")
    await act(post, "take", conversation=conversation)
    await act(post, "say", conversation=conversation, text="您好", message_id="s1")
    await told(post, "在吗")
    rows = await post.process.rows(
        "SELECT data FROM desk_events WHERE kind = 'message' ORDER BY id"
    )
    shown = [json.loads(row["data"]) for row in rows]
    assert [(one["role"], one["text"]) for one in shown] == [
        ("user", "保修多久"),
        ("assistant", "答:保修多久"),
        ("staff", "您好"),
        ("user", "在吗"),
    ]
    ids = [one["message"] for one in shown]
    stored = await post.process.rows("SELECT id, content FROM messages")
    contents = {row["id"]: row["content"] for row in stored}
    assert [contents[one] for one in ids] == [one["text"] for one in shown]


async def test_a_conversation_that_is_plainly_the_bots_asks_the_desk_nothing(
    post: LocalPost,
) -> None:
    await told(post, INSTALL)
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = post.process.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await told(post, "保修多久")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    about = ("desk_", "handoffs", "agents")
    assert [one for one in statements if any(table in one for table in about)] == []


@pytest.mark.parametrize("ends", ["resolve", "session"])
async def test_after_a_person_the_bot_looks_back_on_nothing(post: LocalPost, ends: str) -> None:
    """``session``: at the platform, by its own servicer."""
    await told(post, INSTALL)
    conversation = await told(post, "帮我查一下订单 2024010112345678")
    await told(post, "保修多久")
    assert post.process.knowledge.contexts[-1] != []

    def at_the_platform(connection: Connection) -> None:
        kf_sessions.hand_to_person(connection, conversation, agent="zhangsan", now=MONDAY_10)
        assert kf_sessions.give_back(connection, conversation, agent="zhangsan", now=MONDAY_10)

    if ends == "session":
        await post.process.write(at_the_platform)
        post.process.engine.look(conversation)
        await post.process.quiet()
    else:
        await act(post, "take", conversation=conversation)
        await act(post, "resolve", conversation=conversation, ask_rating=False)
    await told(post, "能寄到新疆吗")
    assert post.process.knowledge.contexts[-1] == []
