"""What the `kefu kb` commands share: the knowledge of a data folder, and progress bars."""

import asyncio
import contextlib
import getpass
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from api.cli.console import output
from domain.errors import KnowledgeError

if TYPE_CHECKING:
    from rich.progress import Progress

    from engine.bootstrap import Knowledge
    from engine.settings import Settings

T = TypeVar("T")
Report = Callable[[int, int], None]
FOLLOW_S = 60.0
POLL_S = 0.2


def run(settings: "Settings", work: Callable[["Knowledge"], Coroutine[Any, Any, T]]) -> T:
    """``work`` on the knowledge that ``settings`` name, which must be there."""

    async def whole() -> T:
        async with opened(settings) as knowledge:
            return await work(knowledge)

    return asyncio.run(whole())


@contextlib.asynccontextmanager
async def opened(settings: "Settings", *, create: bool = False) -> "AsyncIterator[Knowledge]":
    """Works beside a running service: rows are shared, and the index has one writer."""
    from engine.bootstrap import build_knowledge, open_database

    if not create:
        _must_exist(settings)
    database = await asyncio.to_thread(open_database, settings)
    try:
        knowledge = await asyncio.to_thread(build_knowledge, settings, database)
        try:
            yield knowledge
        finally:
            await knowledge.aclose()
    finally:
        await asyncio.to_thread(database.close)


def _must_exist(settings: "Settings") -> None:
    dsn = settings.database_dsn()
    if dsn.startswith("sqlite:///") and not Path(dsn.removeprefix("sqlite:///")).exists():
        folder = str(settings.data_dir)
        raise KnowledgeError(folder, "这里还没有知识;先导入:kefu kb import PATH(或 --samples)")


async def follow(knowledge: "Knowledge", progress: "Progress") -> int:
    """Until the index has what is committed: brought in here, or waited for where a running
    service writes it. Returns the revisions still missing when that takes too long."""
    report = reporter(progress, "更新索引")
    ends = time.monotonic() + FOLLOW_S
    while True:
        await asyncio.to_thread(knowledge.follower.sync, report)
        lag = await knowledge.lag()
        if not lag or time.monotonic() > ends:
            break
        await asyncio.sleep(POLL_S)
    if knowledge.follower.is_writer:
        await asyncio.to_thread(knowledge.follower.drain)
    return lag


@contextlib.contextmanager
def progress_bar(*, hidden: bool) -> "Iterator[Progress]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    console = output(errors=True)
    shown = not hidden and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        yield progress


def reporter(progress: "Progress", label: str) -> Report:
    task = progress.add_task(label, total=None)

    def report(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    return report


def editor() -> str:
    """Who is named in the history of the knowledge base."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "kefu"


def say_lag(lag: int) -> None:
    if lag:
        typer.echo(f"正在运行的服务还没有跟上,还差 {lag} 处改动;稍后会生效。", err=True)
