"""Whole conversations in which customers add to what they want, change it and call it off."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.delivery import Channel
from tests.engine.orders.amending import Talk, check_step, conversations
from tests.engine.orders.talking import talking
from tests.sandbox_server import SandboxServer

CONVERSATIONS = {one.name: one for one in conversations()}
ON_BOTH = [("sqlite", name) for name in CONVERSATIONS]
ON_BOTH += [("postgresql", name) for name in list(CONVERSATIONS)[::7]]
"""What the databases do differently, few conversations show."""


@pytest.fixture
async def talk(
    database_url: str,
    tmp_path: Path,
    channels: dict[str, Channel],
    sandbox_server: SandboxServer,
) -> AsyncIterator[Talk]:
    async with talking(database_url, tmp_path, channels, sandbox=sandbox_server) as customer:
        yield Talk(customer, sandbox_server)


@pytest.mark.parametrize(("database_url", "name"), ON_BOTH, indirect=["database_url"])
async def test_the_right_order_is_changed_priced_and_told_of(talk: Talk, name: str) -> None:
    for step in CONVERSATIONS[name].steps:
        before, after = await talk.go(step)
        check_step(step, before, after)


def test_there_are_at_least_twenty_five_of_them() -> None:
    assert len(CONVERSATIONS) >= 25
