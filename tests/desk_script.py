"""The desk script on several operating-system processes over one database.

    python -m tests.desk_script [--database postgresql|sqlite] [--processes 2] [SITUATION …]

Every situation of ``tests/engine/desk_turns/situations`` is played on a database of its own; its
steps go to the processes in turn, which know of each other only by the rows. A restart ends the
process and begins another one. Exit status 1 where a transcript differs.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.databases import fresh_postgres_database, open_database, postgres_server
from tests.engine.desk_turns.posts import LocalPost, Values, local_post, policy_of
from tests.engine.desk_turns.stage import MONDAY_10, Situation, Stage, situations
from tests.sandbox_server import SandboxServer, running_sandbox


@dataclass(frozen=True, slots=True)
class Addresses:
    webhook_url: str
    staff_url: str


# In a process of the deployment -----------------------------------------------------------------


async def _serve() -> None:
    """Acts by commands on the standard input, a line each, and answers on the standard output."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        opening = json.loads(line)
        peers = Addresses(opening["webhook_url"], opening["staff_url"])
        policy, owner, now = policy_of(opening["desk"]), opening["owner"], opening["now"]
        async with local_post(opening["url"], peers, policy, owner=owner, now=now) as post:
            _answer({"id": 0, "result": {}})
            await _obey(post, reader)
        _answer({"id": 0, "result": {}})


async def _obey(post: LocalPost, reader: asyncio.StreamReader) -> None:
    """Until an empty line, or the end."""
    acts = []
    while (line := await reader.readline()).strip():
        acts.append(asyncio.create_task(_act(post, json.loads(line))))
    for act in acts:  # nobody waits any more for what a held search would still say
        act.cancel()
    await asyncio.gather(*acts, return_exceptions=True)


async def _act(post: LocalPost, command: Values) -> None:
    number = command.pop("id")
    try:
        result = await post.do(command.pop("what"), **command)
    except Exception as error:
        _answer({"id": number, "failed": f"{type(error).__name__}: {error}"})
        return
    _answer({"id": number, "result": result})


def _answer(values: Values) -> None:
    print(json.dumps(values, ensure_ascii=False), flush=True)


# Who plays --------------------------------------------------------------------------------------


class RemotePost:
    """A process of a deployment, for one situation after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Values]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def begin(cls) -> "RemotePost":
        pipe = asyncio.subprocess.PIPE
        serve = (sys.executable, "-m", "tests.desk_script", "--serve")
        return cls(await asyncio.create_subprocess_exec(*serve, stdin=pipe, stdout=pipe))

    async def open(self, opening: Values) -> None:
        await self._say(0, json.dumps(opening))

    async def close(self) -> None:
        await self._say(0, "")

    async def do(self, what: str, **values: Any) -> Values:
        number = next(self._numbers)
        command = {"id": number, "what": what, **values}
        return await self._say(number, json.dumps(command, ensure_ascii=False))

    async def end(self) -> None:
        """In order, as a restart of the service does it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def _say(self, number: int, line: str) -> Values:
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()
        return await self._waiting[number]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            waiting = self._waiting.pop(answer["id"], None)
            if waiting is None or waiting.done():
                continue
            if "failed" in answer:
                waiting.set_exception(RuntimeError(answer["failed"]))
            else:
                waiting.set_result(answer["result"])
        for waiting in self._waiting.values():
            waiting.cancel()


@dataclass
class Deployment:
    """``opening``: what each process is told at the start of a situation, beside its name and the
    time."""

    posts: list[RemotePost]
    opening: Values = field(default_factory=dict)

    async def open(self, opening: Values) -> None:
        self.opening = opening
        await asyncio.gather(*(self._open(at, MONDAY_10) for at in range(len(self.posts))))

    async def close(self) -> None:
        await asyncio.gather(*(post.close() for post in self.posts))

    async def _open(self, number: int, now: float) -> None:
        await self.posts[number].open(self.opening | {"owner": f"p{number}", "now": now})

    async def restart(self, number: int, now: float) -> None:
        await self.posts[number].end()
        self.posts[number] = await RemotePost.begin()
        await self._open(number, now)


async def _play(
    situation: Situation, url: str, sandbox: SandboxServer, deployment: Deployment
) -> str:
    """What differs from the transcript; empty if nothing does."""
    sandbox.reset()
    with open_database(url) as database:
        await deployment.open(
            {
                "url": url,
                "webhook_url": sandbox.webhook_url,
                "staff_url": sandbox.staff_url,
                "desk": situation.desk,
            }
        )
        stage = Stage(situation, database, sandbox, deployment.posts, deployment.restart)
        shown, end = await stage.play()
        await deployment.close()
    for number, (lines, step) in enumerate(zip(shown, situation.steps, strict=True)):
        if lines != step["then"]:
            return f"step {number}: {lines} instead of {step['then']}"
    return "" if end == situation.end else f"it ends with {end} instead of {situation.end}"


async def _play_all(
    wanted: Sequence[Situation],
    sandbox: SandboxServer,
    fresh: Callable[[], contextlib.AbstractContextManager[str]],
    processes: int,
) -> int:
    """How many went otherwise than they are written."""
    failed = 0
    deployment = Deployment([await RemotePost.begin() for _ in range(processes)])
    for situation in wanted:
        with fresh() as url:
            wrong = await _play(situation, url, sandbox, deployment)
        failed += bool(wrong)
        verdict = f"FAILED {wrong}" if wrong else situation.name
        print(f"{situation.file.stem}: {verdict}", flush=True)
    for post in deployment.posts:
        await post.end()
    return failed


@contextlib.contextmanager
def _databases(kind: str) -> Iterator[Callable[[], contextlib.AbstractContextManager[str]]]:
    """Makes a context of a new database's URL."""
    if kind == "postgresql":
        with postgres_server() as server:
            yield lambda: fresh_postgres_database(server)
        return
    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()
        yield lambda: contextlib.nullcontext(f"sqlite:///{Path(folder) / f'{next(numbers)}.db'}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.desk_script")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("situations", nargs="*", metavar="SITUATION")
    options = parser.parse_args(arguments)
    if options.serve:
        asyncio.run(_serve())
        return 0
    chosen = options.situations
    wanted = [one for one in situations() if not chosen or one.file.stem in chosen]
    started = time.monotonic()
    with running_sandbox() as sandbox, _databases(options.database) as fresh:
        failed = asyncio.run(_play_all(wanted, sandbox, fresh, options.processes))
    took = time.monotonic() - started
    print(
        f"{len(wanted) - failed} of {len(wanted)} situations as written, {options.database},"
        f" {options.processes} processes, {took:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
