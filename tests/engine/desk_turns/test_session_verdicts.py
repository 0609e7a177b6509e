"""What the desk and the customer say of a talk stands with the session that it was in."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection

from domain.desk import Agent, Presence
from storage import agents
from tests.engine.desk_turns.posts import LocalPost, local_post, policy_of
from tests.engine.desk_turns.stage import MONDAY_10
from tests.engine.processes import a_message
from tests.sandbox_server import SandboxServer


@pytest.fixture
async def post(database_url: str, sandbox_server: SandboxServer) -> AsyncIterator[LocalPost]:
    opened = local_post(database_url, sandbox_server, policy_of({}), owner="p1", now=MONDAY_10)
    async with opened as post:
        await post.process.write(_employ)
        yield post


def _employ(connection: Connection) -> None:
    agents.add(connection, Agent("wang", "小王", scopes=("*",)), "-", by="test", now=MONDAY_10)
    agents.set_presence(connection, "wang", Presence.ONLINE, now=MONDAY_10)


async def said(post: LocalPost, text: str) -> str:
    message = a_message("", whole=text, route="push")
    await post.process.engine.receive(message)
    await post.process.quiet()
    return message.conversation


async def act(post: LocalPost, does: str, **values: Any) -> None:
    await post.do(does, agent="wang", now=MONDAY_10, **values)
    await post.process.quiet()


async def session(post: LocalPost) -> tuple[str, int | None]:
    (row,) = await post.process.rows(
        "SELECT conversation_outcome, satisfaction_score FROM sessions"
    )
    return row["conversation_outcome"], row["satisfaction_score"]


@pytest.mark.parametrize("outcome", ["solved", "unsolved"])
async def test_the_agents_verdict_and_the_customers_mark_are_the_sessions(
    post: LocalPost, outcome: str
) -> None:
    conversation = await said(post, "转人工")
    assert await session(post) == ("transferred", None)
    await act(post, "take", conversation=conversation)
    await act(post, "resolve", conversation=conversation, outcome=outcome)
    # The bot has asked for a mark since: that turn says nothing of the outcome.
    assert await session(post) == (outcome, None)
    await said(post, "4分")
    assert await session(post) == (outcome, 4)


async def test_a_talk_that_goes_on_is_with_a_person_again(post: LocalPost) -> None:
    conversation = await said(post, "转人工")
    await act(post, "take", conversation=conversation)
    await act(post, "resolve", conversation=conversation, outcome="solved", ask_rating=False)
    await act(post, "reopen", conversation=conversation)
    assert await session(post) == ("transferred", None)
