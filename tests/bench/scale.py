"""``python -m tests.bench.scale``: one, two and four processes on one PostgreSQL and Chroma server,
with a model that takes 300 ms.

Each shape gets a database of its own on a server whose commits are on disk, and one data folder for
all its processes. The callers are shared out evenly; each sends its next message when the last one
is answered. Two loads: so many callers per process, where waiting for the model is what limits, and
so many in all, where the machine is. Load, model, PostgreSQL and Chroma run on the same cores.
"""

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.bench.ground import prepare, print_machine, questions
from tests.bench.load import Connection, Figures, run_load
from tests.bench.servers import Server, full_engine, sandbox, worker
from tests.databases import fresh_postgres_database, postgres_server
from tests.knowledge.chroma_server import running_chroma

MODEL_SECONDS = 0.3
PER_PROCESS, IN_ALL = 16, 128
CONVERSATIONS = 400
WARM_S = 2.0
PATH = "/api/v1/messages"


@dataclass(frozen=True, slots=True)
class Shape:
    """``doors`` take messages; with ``workers`` they leave the turns to those."""

    doors: int
    workers: int = 0

    @property
    def name(self) -> str:
        if not self.workers:
            return f"{self.doors} x `kefu serve`"
        return f"{self.doors} x `kefu serve` (api) + {self.workers} x `kefu worker`"


SHAPES = (Shape(1), Shape(2), Shape(4), Shape(2, 2))


@dataclass(frozen=True, slots=True)
class Measured:
    """``cores``: processor time of our processes, and of everything, in cores."""

    figures: Figures
    cores: float
    machine: float


class Bodies:
    """Questions that the model answers; every message is new, conversations are shared."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts, self._run = texts, uuid.uuid4().hex[:8]
        self._number = 0

    def __call__(self, _number: int) -> dict[str, Any]:
        self._number += 1
        chat = f"{self._run}-{self._number % CONVERSATIONS}"
        text = self._texts[self._number * 31 % len(self._texts)]
        return body(chat, f"{self._run}-{self._number}", text)


def body(chat: str, ident: str, text: str) -> dict[str, Any]:
    message = {"id": ident, "chat_id": chat, "sender": chat, "content": text}
    return {"agent_id": "bench", "message": message}


@contextlib.contextmanager
def running(
    shape: Shape, folder: Path, env: dict[str, str], chroma: str
) -> Iterator[tuple[list[Server], list[Server]]]:
    with (
        contextlib.ExitStack() as stack,
        postgres_server(durable=True) as server,
        fresh_postgres_database(server) as url,
    ):
        env = {**env, "KEFU_DATABASE_URL": url, "KEFU_CHROMA_URL": chroma}
        env["KEFU_ROLE"] = "api" if shape.workers else "all"
        # One after the other: the first fills the database.
        doors = [stack.enter_context(full_engine(folder, env)) for _ in range(shape.doors)]
        workers = [stack.enter_context(worker(folder, env)) for _ in range(shape.workers)]
        yield doors, workers


def answered_by_model(door: Server) -> list[str]:
    """Of the questions those that are put to the model."""
    found = []

    async def ask() -> None:
        connection = Connection(door.url)
        for number, text in enumerate(questions()[:240]):
            asked = json.dumps(body(f"pick{number}", f"pick{number}", text)).encode()
            _, answer = await connection.post(PATH, asked)
            if json.loads(answer)["source"] == "model":
                found.append(text)
        await connection.close()

    asyncio.run(ask())
    return found


async def load(doors: Sequence[Server], make: Bodies, callers: int, seconds: float) -> Figures:
    each = callers // len(doors)
    loads = (run_load(d.url, PATH, make, concurrency=each, seconds=seconds) for d in doors)
    parts = await asyncio.gather(*loads)
    return Figures(
        [one for part in parts for one in part.latencies],
        sum(part.failures for part in parts),
        max(part.seconds for part in parts),
    )


def measure(
    doors: Sequence[Server], workers: Sequence[Server], make: Bodies, callers: int, seconds: float
) -> Measured:
    asyncio.run(load(doors, make, callers, WARM_S))
    ours = [*doors, *workers]
    before, began = sum(one.cpu_seconds() for one in ours), time.perf_counter()
    psutil.cpu_percent()
    figures = asyncio.run(load(doors, make, callers, seconds))
    machine = psutil.cpu_percent() / 100 * (os.cpu_count() or 1)
    used = sum(one.cpu_seconds() for one in ours) - before
    return Measured(figures, used / (time.perf_counter() - began), machine)


def show(found: dict[tuple[Shape, int], Measured]) -> None:
    print(f"\n### Processes (model of {MODEL_SECONDS * 1000:.0f} ms)\n")
    print(
        "| processes | callers | messages/s | to one process | p50 ms | p95 ms | failures |", end=""
    )
    print(" our cores | machine's cores | messages/s a core of ours |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (shape, callers), one in found.items():
        figures = one.figures
        per_process = callers != IN_ALL
        alone = found[SHAPES[0], PER_PROCESS if per_process else IN_ALL].figures.rate
        print(
            f"| {shape.name} | {callers}{f' ({PER_PROCESS} each)' if per_process else ''} |"
            f" {figures.rate:.0f} | **{figures.rate / alone:.2f}** | {figures.median():.0f} |"
            f" {figures.percentile(0.95):.0f} | {figures.failures} | {one.cores:.2f} |"
            f" {one.machine:.2f} | {figures.rate / one.cores:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    options = parser.parse_args()
    print_machine()
    found: dict[tuple[Shape, int], Measured] = {}
    texts: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kefu-scale-") as name, sandbox() as peers:
        folder = Path(name)
        prepare(folder)
        latency = {"seconds": MODEL_SECONDS}
        httpx.post(f"{peers.url}/_sandbox/model/latency", json=latency).raise_for_status()
        env = {"DEEPSEEK_API_KEY": "sk-bench", "KEFU_SANDBOX_URL": peers.url}
        env |= {"KEFU_MODEL_DAILY_TOKENS": "0", "KEFU_CACHE_MB": "0", "KEFU_LOG_LEVEL": "WARNING"}
        with running_chroma(folder / "chroma") as chroma:
            for shape in SHAPES:
                with running(shape, folder / "seed", env, chroma) as (doors, workers):
                    texts = texts or answered_by_model(doors[0])
                    make = Bodies(texts)
                    for callers in (PER_PROCESS * (shape.workers or shape.doors), IN_ALL):
                        measured = measure(doors, workers, make, callers, options.seconds)
                        found[shape, callers] = measured
    show(found)


if __name__ == "__main__":
    main()
