"""Each situation at the human desk, from both sides, as its transcript has it: one process on
SQLite, two on PostgreSQL, which take the steps in turn.

``KEFU_WRITE_TRANSCRIPTS=1`` writes the transcripts anew, to be read before they are kept.
"""

import asyncio
import contextlib
import os

import pytest

from storage.database import Database
from tests.databases import open_database
from tests.engine.desk_turns.posts import LocalPost, Post, Values, local_post, policy_of
from tests.engine.desk_turns.stage import MONDAY_10, Situation, Stage, situations, written
from tests.sandbox_server import SandboxServer

_WRITES = os.environ.get("KEFU_WRITE_TRANSCRIPTS") == "1"


class Deployment:
    """Processes over one database, which can be ended and begun again."""

    def __init__(self, url: str, sandbox: SandboxServer, desk: Values, processes: int) -> None:
        self._url, self._sandbox, self._policy = url, sandbox, policy_of(desk)
        self._running: list[contextlib.AsyncExitStack] = []
        self.posts: list[Post] = []
        self._processes = processes

    async def __aenter__(self) -> "Deployment":
        for number in range(self._processes):
            self._running.append(contextlib.AsyncExitStack())
            self.posts.append(await self._begin(number, MONDAY_10))
        return self

    async def __aexit__(self, *_: object) -> None:
        for running in self._running:
            await running.aclose()

    async def _begin(self, number: int, now: float) -> LocalPost:
        post = local_post(self._url, self._sandbox, self._policy, owner=f"p{number}", now=now)
        return await self._running[number].enter_async_context(post)

    async def restart(self, number: int, now: float) -> None:
        await self._running[number].aclose()
        self._running[number] = contextlib.AsyncExitStack()
        self.posts[number] = await self._begin(number, now)


async def _played(
    situation: Situation, url: str, database: Database, sandbox: SandboxServer, processes: int
) -> tuple[list[list[str]], Values]:
    async with Deployment(url, sandbox, situation.desk, processes) as deployment:
        stage = Stage(situation, database, sandbox, deployment.posts, deployment.restart)
        return await stage.play()


@pytest.mark.parametrize("situation", situations(), ids=lambda one: one.file.stem)
async def test_a_situation_goes_as_its_transcript_has_it(
    situation: Situation, database_url: str, sandbox_server: SandboxServer
) -> None:
    processes = 1 if database_url.startswith("sqlite") else 2
    with open_database(database_url) as database:
        shown, end = await _played(situation, database_url, database, sandbox_server, processes)
    if _WRITES:
        text = written(situation, shown, end)
        await asyncio.to_thread(situation.file.write_text, text, "utf-8")
        return
    assert shown == [step.get("then") for step in situation.steps]
    assert end == situation.end
