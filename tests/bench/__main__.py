"""``make bench``: throughput against LangGraph's floor and its dev server, a slow model, growth,
tasks, text beside pictures that are read.

``python -m tests.bench [throughput|model|growth|start|tasks|pictures] …`` runs single parts;
``--seconds N`` sets the length of each measurement. Figures go to the terminal as Markdown.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from tests.bench import pictures, tasks
from tests.bench.ground import prepare, print_machine, questions
from tests.bench.load import Connection, Figures, run_load
from tests.bench.servers import ROOT, Server, bare_graph, full_engine, langgraph_dev, sandbox

CONCURRENCIES = (1, 16, 64)
CONVERSATIONS = 400
MODEL_SECONDS = 0.8
NO_CACHE = {"KEFU_RETRIEVAL_CACHE_SIZE": "0", "KEFU_LOG_LEVEL": "WARNING"}


class Bodies:
    """Request bodies: every message id is new, conversations are shared round robin."""

    def __init__(self) -> None:
        self._questions = questions()
        self._run = uuid.uuid4().hex[:8]

    def platform(self, number: int) -> dict[str, Any]:
        chat = f"{self._run}-{number % CONVERSATIONS}"
        return self.message(chat, f"{self._run}-{number}-{time.time_ns()}", self.text(number))

    def studio(self, number: int) -> dict[str, Any]:
        message = {"role": "user", "content": self.text(number)}
        return {"assistant_id": "conversation", "input": {"messages": [message]}}

    def text(self, number: int) -> str:
        return self._questions[number % len(self._questions)]

    @staticmethod
    def message(chat: str, ident: str, text: str) -> dict[str, Any]:
        return {
            "agent_id": "bench",
            "message": {"id": ident, "chat_id": chat, "sender": chat, "content": text},
        }


def measure(server: Server, path: str, make_body: Any, concurrency: int, seconds: float) -> Figures:
    asyncio.run(
        run_load(server.url, path, make_body, concurrency=concurrency, seconds=min(1.5, seconds))
    )
    return asyncio.run(
        run_load(server.url, path, make_body, concurrency=concurrency, seconds=seconds)
    )


def throughput(folder: Path, seconds: float, rounds: int) -> None:
    """(a) the full engine, (b) the bare graph, (c) `langgraph dev`, interleaved."""
    bodies, path = Bodies(), "/api/v1/messages"
    found: dict[tuple[str, int], list[Figures]] = {}
    for number in range(rounds):
        with full_engine(_copy(folder, f"a{number}"), NO_CACHE) as server:
            for c in CONCURRENCIES:
                figures = measure(server, path, bodies.platform, c, seconds)
                found.setdefault(("a", c), []).append(figures)
        with bare_graph(_copy(folder, f"b{number}"), NO_CACHE) as server:
            for c in CONCURRENCIES:
                figures = measure(server, path, bodies.platform, c, seconds)
                found.setdefault(("b", c), []).append(figures)
        with langgraph_dev(_copy(folder, f"c{number}")) as server:
            for c in CONCURRENCIES:
                figures = measure(server, "/runs/wait", bodies.studio, c, seconds)
                found.setdefault(("c", c), []).append(figures)
    _print_throughput(found)


_NAMES = {"a": "(a) full engine", "b": "(b) bare graph", "c": "(c) `langgraph dev`"}


def _print_throughput(found: dict[tuple[str, int], list[Figures]]) -> None:
    print("\n### Throughput (messages/s; ms; median of the rounds)\n")
    print("| | concurrency | messages/s | p50 | p99 | failures |")
    print("|---|---|---|---|---|---|")
    rate: dict[tuple[str, int], float] = {}
    for (name, c), rounds in sorted(found.items()):
        rate[name, c] = statistics.median(f.rate for f in rounds)
        p50 = statistics.median(f.median() for f in rounds)
        p99 = statistics.median(f.percentile(0.99) for f in rounds)
        failures = sum(f.failures for f in rounds)
        print(
            f"| {_NAMES[name]} | {c} | {rate[name, c]:.0f} | {p50:.1f} | {p99:.1f} | {failures} |"
        )
    print("\n| concurrency | (a) / (b), target 0.6 | (a) / (c), target 3 |")
    print("|---|---|---|")
    for c in CONCURRENCIES:
        print(f"| {c} | {rate['a', c] / rate['b', c]:.2f} | {rate['a', c] / rate['c', c]:.1f} |")


def model(folder: Path, seconds: float) -> None:
    """200 customers who write, wait, read and write again, with a model of 800 ms."""
    questions_ = _model_questions(folder)
    with sandbox() as peers:
        httpx.post(
            f"{peers.url}/_sandbox/model/latency", json={"seconds": MODEL_SECONDS}
        ).raise_for_status()
        env = {"DEEPSEEK_API_KEY": "sk-bench", "KEFU_SANDBOX_URL": peers.url, **NO_CACHE}
        env["KEFU_MODEL_DAILY_TOKENS"] = "0"
        with full_engine(_copy(folder, "model"), env) as server:
            asyncio.run(_customers(server, questions_, 2.0, 1.0))  # SDK imports, connections
            for pause in (4.0, 0.0):
                figures, asked = asyncio.run(_customers(server, questions_, seconds, pause))
                _print_model(figures, asked, pause)


def _model_questions(folder: Path) -> list[str]:
    """Questions that a model answers: sure enough to answer, and no exact wording."""
    found = []
    bodies = Bodies()

    async def ask(url: str) -> None:
        connection = Connection(url)
        for number in range(300):
            body = bodies.message(f"pick{number}", f"pick{number}", bodies.text(number))
            _, answer = await connection.post("/api/v1/messages", json.dumps(body).encode())
            if json.loads(answer)["source"] == "knowledge":
                found.append(bodies.text(number))
        await connection.close()

    with full_engine(_copy(folder, "pick"), NO_CACHE) as server:
        asyncio.run(ask(server.url))
    return found


async def _customers(
    server: Server, texts: list[str], seconds: float, pause: float
) -> tuple[Figures, int]:
    figures, asked = Figures(), 0
    run = uuid.uuid4().hex[:8]
    begins = time.perf_counter()

    async def customer(number: int) -> None:
        nonlocal asked
        chance = random.Random(number)
        connection = Connection(server.url)
        await asyncio.sleep(chance.uniform(0, pause + MODEL_SECONDS))
        turn = 0
        while time.perf_counter() - begins < seconds + pause:
            turn += 1
            text = texts[(number * 31 + turn) % len(texts)]
            body = Bodies.message(f"{run}{number}", f"{run}{number}-{turn}", text)
            started = time.perf_counter()
            status, answer = await connection.post("/api/v1/messages", json.dumps(body).encode())
            took = time.perf_counter() - started
            source = json.loads(answer).get("source")
            if status == 200 and source == "model":
                figures.latencies.append(took)
            elif status != 200:
                figures.failures += 1
            asked += 1
            await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)
        await connection.close()

    await asyncio.gather(*(customer(number) for number in range(200)))
    figures.seconds = time.perf_counter() - begins
    return figures, asked


def _print_model(figures: Figures, asked: int, pause: float) -> None:
    kind = f"{pause:.0f} s to read and type between messages" if pause else "no pause at all"
    ratio = figures.percentile(0.95) / (MODEL_SECONDS * 1000)
    print(f"\n### Model of {MODEL_SECONDS * 1000:.0f} ms, 200 concurrent conversations, {kind}\n")
    print(
        f"{asked} messages, {len(figures.latencies)} answered by the model, "
        f"{asked / figures.seconds:.0f} messages/s; p50 {figures.median():.0f} ms, "
        f"p95 {figures.percentile(0.95):.0f} ms: **{ratio:.2f}** of the model's time "
        f"(target 1.10); failures {figures.failures}"
    )


def growth(folder: Path) -> None:
    """The 1,000th message of a conversation against the 10th, in latency and bytes written."""
    with full_engine(_copy(folder, "growth"), NO_CACHE) as server:
        early, late, new, written = asyncio.run(_grow(server))
    ratio = statistics.median(late) / statistics.median(early)
    young, old, fresh = written
    print("\n### Growth with the length of a conversation (16 conversations in turn)\n")
    print(
        f"p50 of messages 10-40: {statistics.median(early) * 1000:.2f} ms; of messages 970-1000: "
        f"{statistics.median(late) * 1000:.2f} ms; ratio **{ratio:.2f}** (target 1.1). "
        f"Written per message (log, database and sockets): {young / 1000:.0f} kB and "
        f"{old / 1000:.0f} kB; by new conversations in the same, then larger database "
        f"{fresh / 1000:.0f} kB (p50 {statistics.median(new) * 1000:.2f} ms): ratio old to new "
        f"conversation **{old / fresh:.2f}**"
    )


async def _grow(
    server: Server,
) -> tuple[list[float], list[float], list[float], tuple[float, float, float]]:
    """Latencies and bytes of the same 31 x 16 questions: early, late, and in new conversations."""
    talk = _Talk(server)
    early, young = await talk.turns("a", 10, 41, before=10)
    await talk.turns("a", 41, 970)
    late, old = await talk.turns("a", 970, 1001)
    new, fresh = await talk.turns("b", 10, 41, before=10)
    await talk.connection.close()
    return early, late, new, (young, old, fresh)


class _Talk:
    """16 conversations in turn, over one connection."""

    width = 16

    def __init__(self, server: Server) -> None:
        self._server, self._bodies, self._run = server, Bodies(), uuid.uuid4().hex[:8]
        self.connection = Connection(server.url)

    async def turns(
        self, group: str, first: int, last: int, *, before: int = 0
    ) -> tuple[list[float], float]:
        """Latencies of the turns ``first`` to ``last``, and bytes written per message."""
        for turn in range(before):
            await self._turn(group, turn)
        written = self._server.bytes_written()
        latencies = [took for turn in range(first, last) for took in await self._turn(group, turn)]
        return latencies, (self._server.bytes_written() - written) / len(latencies)

    async def _turn(self, group: str, turn: int) -> list[float]:
        found = []
        for chat in range(self.width):
            # The same questions in every stretch (480 turns apart), so that only length differs.
            text = self._bodies.text((turn % 480) * self.width + chat)
            ident = f"{self._run}{group}-{chat}-{turn}"
            body = self._bodies.message(f"{self._run}{group}{chat}", ident, text)
            started = time.perf_counter()
            await self.connection.post("/api/v1/messages", json.dumps(body).encode())
            found.append(time.perf_counter() - started)
        return found


def start(folder: Path) -> None:
    """Start to ready with the sample knowledge indexed, and the memory of the idle service."""
    times, memory = [], 0.0
    for number in range(5):
        with full_engine(_copy(folder, f"start{number}")) as server:
            times.append(server.ready_s)
            time.sleep(3.0)
            memory = server.memory_mib()
    print("\n### Start and memory\n")
    print(
        f"Start to ready: median {statistics.median(times):.2f} s, "
        f"min {min(times):.2f}, max {max(times):.2f} (target 3). "
        f"Resident memory when idle and warm: {memory:.0f} MiB, of which (cumulative imports):\n"
    )
    print("| after importing | MiB |\n|---|---|")
    for name, mib in _memory_steps():
        print(f"| {name} | {mib:.0f} |")


def _memory_steps() -> list[tuple[str, float]]:
    modules = ["sys", "fastapi", "sqlmodel", "langgraph.graph", "numpy", "api.app", "chromadb"]
    code = (
        "import importlib,os,psutil\n"
        f"for m in {modules!r}:\n"
        " importlib.import_module(m)\n"
        " print(m, psutil.Process().memory_info().rss/2**20)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = [line.split() for line in printed.stdout.splitlines()]
    return [(name if name != "sys" else "Python and psutil", float(mib)) for name, mib in lines]


def _copy(folder: Path, name: str) -> Path:
    """A data folder of its own, with the knowledge indexed already."""
    target = folder / name
    shutil.copytree(folder / "seed", target)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("throughput", "model", "growth", "start", "tasks", "pictures")
    parser.add_argument("parts", nargs="*", metavar="part", help=" ".join(parts))
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    chosen = options.parts or parts
    print_machine()
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as name:
        folder = Path(name)
        prepare(folder)
        if "throughput" in chosen:
            throughput(folder, options.seconds, options.rounds)
        if "model" in chosen:
            model(folder, max(options.seconds, 15.0))
        if "growth" in chosen:
            growth(folder)
        if "start" in chosen:
            start(folder)
        if "tasks" in chosen:
            tasks.run(folder, list(tasks.PARTS), options.seconds, options.rounds)
        if "pictures" in chosen:
            pictures.run(folder, options.rounds)


if __name__ == "__main__":
    main()
