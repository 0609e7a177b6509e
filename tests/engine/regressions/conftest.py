"""A replayer on the sample knowledge, shared: each conversation is a customer of its own."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.regressions.replay import Played, Replayer
from engine.regressions.script import scripts_of
from engine.regressions.stage import replaying_alone
from engine.settings import Settings, load_settings
from tests.service import sample_data

T = TypeVar("T")
Play = Callable[[str], list[Played]]


@pytest.fixture(scope="package")
def settings() -> Settings:
    """Of a data folder with the sample knowledge, which nobody may change."""
    return load_settings(env_files=None, data_dir=sample_data(), database_url=None)


@pytest.fixture(scope="package")
def run(
    settings: Settings,
) -> Iterator[Callable[[Callable[[Replayer], Coroutine[Any, Any, T]]], T]]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        replayer = runner.run(stack.enter_async_context(replaying_alone(settings)))
        yield lambda work: runner.run(work(replayer))
        runner.run(stack.aclose())


@pytest.fixture
def play(
    run: Callable[[Callable[[Replayer], Coroutine[Any, Any, Any]]], Any], tmp_path: Path
) -> Play:
    """The conversations of a text, pictures being looked for in the test's own folder."""

    def played(text: str) -> list[Played]:
        scripts = scripts_of("a.yaml", text.encode(), tmp_path)

        async def work(replayer: Replayer) -> list[Played]:
            return (await replayer.play_all(scripts)).played

        found: list[Played] = run(work)
        return found

    return played
