"""``python -m tests.bench.pictures``: text messages while twenty pictures are read.

Text arrives at a fixed rate whether or not the answers before it came (an open loop), so that what
a reading holds up shows as queueing. Each round measures idle, then with twenty pictures sent at
once, each in a conversation of its own, until all are read. Also a part of ``make bench``.
"""

import argparse
import asyncio
import io
import json
import multiprocessing
import shutil
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from tests.bench.ground import prepare, print_machine, questions
from tests.bench.load import Connection, Figures
from tests.bench.servers import Server, full_engine, sandbox
from tests.tools.pictures.drawing import encoded, write
from tests.tools.pictures.making import PICTURES
from tests.tools.pictures.web import running_web

PATH = "/api/v1/messages"
QUIET = {"KEFU_RETRIEVAL_CACHE_SIZE": "0", "KEFU_LOG_LEVEL": "WARNING"}
WRITTEN = ("poster_text_heavy", "poster_text_flood", "letter_page", "menu_long", "flyer_tutoring")
AT_ONCE = 20
RATE = 20.0
CONVERSATIONS = 8
IDLE_S = 30.0
READ_S = 6.0
"""PICTURE_READ_S as it is by default: a picture's answer waits no longer for its text."""
SAMPLE_S = 0.2
GIVE_UP_S = 600.0


def posters(first: int) -> list[bytes]:
    """Twenty pictures full of text, no two alike in any round."""
    return [_numbered(WRITTEN[number % len(WRITTEN)], first + number) for number in range(AT_ONCE)]


def _numbered(name: str, number: int) -> bytes:
    image = Image.open(io.BytesIO(PICTURES[name]())).convert("RGB")
    return encoded(write(image, [f"No.{number:04}"], at=(image.width - 180, 12), size=28))


class Bodies:
    def __init__(self) -> None:
        self._questions, self._run = questions(), uuid.uuid4().hex[:8]

    def text(self, number: int) -> bytes:
        text = self._questions[number % len(self._questions)]
        return self._body(f"writer{number % CONVERSATIONS}", f"t{number}", text, [])

    def picture(self, number: int, url: str) -> bytes:
        attachments = [{"kind": "image", "url": url}]
        return self._body(f"sender{number}", f"p{number}", "这个能做吗", attachments)

    def _body(self, chat: str, ident: str, text: str, attachments: list[dict[str, str]]) -> bytes:
        chat = f"{self._run}-{chat}"
        message: dict[str, Any] = {"id": f"{self._run}-{ident}", "chat_id": chat, "sender": chat}
        message |= {"content": text, "attachments": attachments}
        return json.dumps({"agent_id": "bench", "message": message}).encode()


class Callers:
    """As many connections as there are requests under way, each used again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: list[Connection] = []

    async def post(self, body: bytes) -> tuple[int, bytes]:
        connection = self._free.pop() if self._free else Connection(self._url)
        answered = await connection.post(PATH, body)
        self._free.append(connection)
        return answered

    async def close(self) -> None:
        for connection in self._free:
            await connection.close()


class Writers:
    """Text at `RATE`; a latency counts from when the message was due."""

    def __init__(self, callers: Callers, bodies: Bodies) -> None:
        self._callers, self._bodies, self._sent = callers, bodies, 0

    async def during(self, end: asyncio.Event) -> Figures:
        figures, under_way = Figures(), set[asyncio.Task[None]]()
        began = time.perf_counter()
        number = 0
        while not end.is_set():
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._ask(due, figures))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        await asyncio.gather(*under_way)
        figures.seconds = time.perf_counter() - began
        return figures

    async def for_seconds(self, seconds: float) -> Figures:
        end = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, end.set)
        return await self.during(end)

    async def _ask(self, due: float, figures: Figures) -> None:
        self._sent += 1
        status, _ = await self._callers.post(self._bodies.text(self._sent))
        if status == 200:
            figures.latencies.append(time.perf_counter() - due)
        else:
            figures.failures += 1


@dataclass
class Round:
    """``answered``: seconds that each picture's message waited; memory in MiB; ``others``: cores
    that programs besides the benchmark and its servers used, idle and while reading."""

    idle: Figures = field(default_factory=Figures)
    busy: Figures = field(default_factory=Figures)
    answered: list[float] = field(default_factory=list)
    unanswered: int = 0
    all_read_s: float = 0.0
    before: float = 0.0
    peak: float = 0.0
    after: float = 0.0
    others: tuple[float, float] = (0.0, 0.0)

    def ratio(self, share: float) -> float:
        return self.busy.percentile(share) / self.idle.percentile(share)


class Reading:
    """Rounds against one service."""

    def __init__(self, server: Server, data_dir: Path, idle_s: float) -> None:
        self._server, self._rows, self._idle_s = server, data_dir / "kefu.db", idle_s
        self._bodies, self._pictures = Bodies(), 0

    async def rounds(self, count: int) -> list[Round]:
        callers = Callers(self._server.url)
        writers = Writers(callers, self._bodies)
        await writers.for_seconds(5)
        found = [await self._round(callers, writers) for _ in range(count)]
        await callers.close()
        return found

    async def _round(self, callers: Callers, writers: Writers) -> Round:
        """Idle is measured before and after, so that a machine that got busier meanwhile does not
        pass for the reading."""
        round_, first = Round(), self._pictures
        self._pictures += AT_ONCE
        pictures = posters(first)
        idle, reading = Elsewhere(), Elsewhere()
        with idle.measured():
            _add(round_.idle, await writers.for_seconds(self._idle_s / 2))
        round_.before = self._server.memory_mib()
        with watched_memory(self._server.pid) as samples:
            with reading.measured():
                await self._read(callers, writers, pictures, round_)
            round_.peak = max(samples())
        with idle.measured():
            _add(round_.idle, await writers.for_seconds(self._idle_s / 2))
        round_.after = self._server.memory_mib()
        round_.others = (idle.cores, reading.cores)
        return round_

    async def _read(
        self, callers: Callers, writers: Writers, pictures: list[bytes], round_: Round
    ) -> None:
        first = self._pictures - AT_ONCE
        async with shown(pictures) as urls:
            end = asyncio.Event()
            text = asyncio.create_task(writers.during(end))
            began = time.perf_counter()
            senders = [
                asyncio.create_task(self._send(callers, first + n, url, round_))
                for n, url in enumerate(urls)
            ]
            await self._until_read(self._pictures)
            round_.all_read_s = time.perf_counter() - began
            end.set()
            round_.busy = await text
            await asyncio.gather(*senders)

    async def _send(self, callers: Callers, number: int, url: str, round_: Round) -> None:
        began = time.perf_counter()
        status, answer = await callers.post(self._bodies.picture(number, url))
        round_.answered.append(time.perf_counter() - began)
        round_.unanswered += status != 200 or json.loads(answer)["action"] == "wait"

    async def _until_read(self, count: int) -> None:
        async with asyncio.timeout(GIVE_UP_S):
            while _read_so_far(self._rows) < count:  # noqa: ASYNC110 - rows of another process
                await asyncio.sleep(0.25)


def _add(sum_: Figures, more: Figures) -> None:
    sum_.latencies += more.latencies
    sum_.failures += more.failures
    sum_.seconds += more.seconds


def _read_so_far(rows: Path) -> int:
    connection = sqlite3.connect(f"file:{rows}?mode=ro", uri=True)
    try:
        question = "SELECT COUNT(*) FROM pictures WHERE json_extract(facts, '$.text_read')"
        return int(connection.execute(question).fetchone()[0])
    finally:
        connection.close()


class Elsewhere:
    """What other programs of this machine use meanwhile: it is in the latencies, too."""

    def __init__(self) -> None:
        self._used = self._seconds = 0.0

    @property
    def cores(self) -> float:
        return self._used / self._seconds

    @contextmanager
    def measured(self) -> Iterator[None]:
        used, began = _used_elsewhere(), time.perf_counter()
        yield
        self._used += max(0.0, _used_elsewhere() - used)
        self._seconds += time.perf_counter() - began


def _used_elsewhere() -> float:
    """Processor seconds since the machine started."""
    machine, this = psutil.cpu_times(), psutil.Process()
    ours = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(machine) - machine.idle - machine.iowait - sum(sum(each[:4]) for each in ours)


@asynccontextmanager
async def shown(pictures: list[bytes]) -> AsyncIterator[list[str]]:
    """Their addresses, on loopback."""
    async with running_web() as web:
        for number, data in enumerate(pictures):
            web.put(f"/{number}.png", data, headers="Content-Type: image/png\r\n")
        yield [web.url(f"/{number}.png") for number in range(len(pictures))]


@contextmanager
def watched_memory(pid: int) -> Iterator[Callable[[], list[float]]]:
    """In a process of its own: walking a family of processes would hold up the load.

    Yields a function that ends the watch and gives the samples in MiB.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    watcher = context.Process(target=_watch, args=(pid, theirs), daemon=True)
    watcher.start()
    ours.recv()

    def samples() -> list[float]:
        ours.send(None)
        found: list[float] = ours.recv()
        return found

    try:
        yield samples
    finally:
        watcher.terminate()
        watcher.join()


def _watch(pid: int, pipe: "Pipe[Any, Any]") -> None:
    server, found = Server("", pid, 0.0), list[float]()
    pipe.send(None)
    while not pipe.poll(SAMPLE_S):
        try:
            found.append(server.memory_mib())
        except psutil.NoSuchProcess:  # a child that ended meanwhile
            continue
    pipe.send(found)


def run(folder: Path, rounds: int, *, idle_s: float = IDLE_S) -> None:
    data_dir = folder / "pictures"
    shutil.copytree(folder / "seed", data_dir)
    with sandbox() as peers:
        env = {"KEFU_SANDBOX_URL": peers.url, **QUIET}
        with full_engine(data_dir, env) as server:
            found = asyncio.run(Reading(server, data_dir, idle_s).rounds(rounds))
    _print(found)


def _print(rounds: list[Round]) -> None:
    print(f"\n### {AT_ONCE} pictures at once, text at {RATE:.0f}/s (ms; MiB of the service)\n")
    print(
        "| round | idle p50 | p99 | reading p50 | p99 | p50 ratio | p99 ratio | all read, s "
        "| slowest answer to a picture, s | memory before | peak | after | not answered "
        "| cores used by others, idle | reading |"
    )
    print("|" + "---|" * 15)
    rows = [_row(one) for one in rounds]
    for number, row in enumerate(rows, 1):
        print(f"| {number} | " + " | ".join(_shown(value) for value in row) + " |")
    medians = [statistics.median(values) for values in zip(*rows, strict=True)]
    print("| median | " + " | ".join(_shown(value) for value in medians) + " |")
    print(
        f"\np99 while reading / idle, median of the rounds: **{medians[5]:.2f}** (target 2); "
        f"answers to pictures wait {READ_S:.0f} s for its text; "
        f"load average {psutil.getloadavg()[0]:.1f}"
    )


def _row(one: Round) -> list[float]:
    return [
        one.idle.median(),
        one.idle.percentile(0.99),
        one.busy.median(),
        one.busy.percentile(0.99),
        one.ratio(0.5),
        one.ratio(0.99),
        one.all_read_s,
        max(one.answered),
        one.before,
        one.peak,
        one.after,
        float(one.idle.failures + one.busy.failures + one.unanswered),
        *one.others,
    ]


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=IDLE_S, help="of each idle measurement")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as name:
        prepare(Path(name))
        run(Path(name), options.rounds, idle_s=options.seconds)


if __name__ == "__main__":
    main()
