"""``python -m tests.bench.tasks [messages|matching|timers|burst|receiving] …``: what tasks cost.

Messages with 10,000 pending tasks against none; matching alone; 100,000 waiting timers; 1,000
timers of one second; tasks received over HTTP. Also a part of ``make bench``.
"""

import argparse
import asyncio
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from domain.decisions import CustomerFacts
from domain.tasks import Said, TriggerKind
from domain.triggers import TaskIndex
from engine.tasks.watch import TaskWatch
from storage.database import Database
from storage.inbox import Claim, UnreadMessage
from storage.migrate import migrate
from storage.tasks import NewTask, TaskBook, watch_version
from tests.bench import triggers
from tests.bench.ground import prepare, print_machine, questions
from tests.bench.load import Figures, run_load
from tests.bench.servers import Server, full_engine, sandbox

QUIET = {"KEFU_RETRIEVAL_CACHE_SIZE": "0", "KEFU_LOG_LEVEL": "WARNING"}
PENDING = 10_000
TIMERS = 100_000
BURST = 1_000
CONVERSATIONS = 400
CONCURRENCY = 16
RECEIVE = "/api/task/receive"
SETTLE_S, IDLE_S = 6.0, 20.0
TAG = {"tool": "add_tag", "arguments": {"tags": ["bench"]}}
PARTS = ("messages", "matching", "timers", "burst", "receiving")


# Rows ----------------------------------------------------------------------------------------


@contextmanager
def open_rows(data_dir: Path) -> Iterator[tuple[Database, TaskBook]]:
    database = Database(f"sqlite:///{data_dir / 'kefu.db'}", synchronous="NORMAL")
    migrate(database.engine)
    database.start()
    try:
        yield database, TaskBook(UTC, callbacks=False)
    finally:
        database.close()


def store(database: Database, book: TaskBook, tasks: Iterator[NewTask]) -> None:
    now = time.time()
    with database.engine.begin() as connection:
        for task in tasks:
            book.add(connection, task, actor="bench", now=now)


def watched(number: int, customer: str) -> NewTask:
    """Every other one is for ``customer``, the others for anybody: see `tests.bench.triggers`."""
    trigger = triggers.task(number).trigger
    told = {
        "kind": trigger.kind.value,
        "keywords": trigger.keywords,
        "customer_id": customer if trigger.customer_id else "",
        "customer_name": "",
        "matching": trigger.matching.value,
    }
    return NewTask(
        task_id=f"bench_{number}",
        type="bench",
        trigger_type=trigger.kind.value,
        action_type="add_tag",
        body={"action": TAG, "customer": {"id": customer}, "trigger": told},
        customer_id=customer,
        expires_at=time.time() + 86_400,
    )


def timer(number: int) -> NewTask:
    return NewTask(
        task_id=f"timer_{number}",
        type="bench",
        trigger_type=TriggerKind.TIME_REACH.value,
        action_type="add_tag",
        body={"action": TAG, "customer": {"id": f"customer_{number}"}},
        customer_id=f"customer_{number}",
        fires_at=time.time() + 86_400 + number,
    )


# Messages ------------------------------------------------------------------------------------


class Writing:
    """Bodies of messages by customers of whom each has tasks that wait for it."""

    def __init__(self) -> None:
        self._questions, self._run = questions(), uuid.uuid4().hex[:8]

    @staticmethod
    def customer(number: int) -> str:
        return f"writer{number % CONVERSATIONS}"

    def body(self, number: int) -> dict[str, Any]:
        sender = self.customer(number)
        ident = f"{self._run}-{number}-{time.time_ns()}"
        text = self._questions[number % len(self._questions)]
        message = {"id": ident, "chat_id": sender, "sender": sender, "content": text}
        return {"agent_id": "bench", "message": message}


def messages(folder: Path, seconds: float, rounds: int) -> None:
    """Two services side by side, loaded in turns: one without tasks, one with 10,000 pending."""
    seeds = (folder / "none", folder / "pending")
    for at in seeds:
        shutil.copytree(folder / "seed", at)
    with open_rows(seeds[1]) as (database, book):
        store(database, book, (watched(n, Writing.customer(n // 2)) for n in range(PENDING)))
    writing = Writing()
    found: tuple[list[Figures], list[Figures]] = ([], [])
    with full_engine(seeds[0], QUIET) as without, full_engine(seeds[1], QUIET) as pending:
        for number in range(rounds + 1):
            for server, figures in zip((without, pending), found, strict=True):
                measured = _load(server, "/api/v1/messages", writing.body, seconds)
                if number:  # the first one warms up
                    figures.append(measured)
    fired = _count(seeds[1], "SELECT COUNT(*) FROM tasks WHERE status <> 'pending'")
    none, many = found
    rates = [b.rate / a.rate for a, b in zip(none, many, strict=True)]
    print(f"\n### Messages while {PENDING:,} tasks wait (concurrency {CONCURRENCY})\n")
    print("| | messages/s | p50 ms | p99 ms | failures |\n|---|---|---|---|---|")
    for name, figures in (("no task", none), (f"{PENDING:,} pending", many)):
        print(f"| {name} | {_medians(figures)} |")
    print(
        f"\nRatio **{statistics.median(rates):.2f}** (median of {rounds} rounds; "
        f"{min(rates):.2f} to {max(rates):.2f}); {fired} tasks were fired by the way"
    )


def _load(server: Server, path: str, make_body: Any, seconds: float) -> Figures:
    return asyncio.run(
        run_load(server.url, path, make_body, concurrency=CONCURRENCY, seconds=seconds)
    )


def _medians(rounds: list[Figures]) -> str:
    rate = statistics.median(f.rate for f in rounds)
    p50 = statistics.median(f.median() for f in rounds)
    p99 = statistics.median(f.percentile(0.99) for f in rounds)
    return f"{rate:.0f} | {p50:.1f} | {p99:.1f} | {sum(f.failures for f in rounds)}"


# Matching ------------------------------------------------------------------------------------


def matching(folder: Path) -> None:
    """The index alone, and what a turn asks of it: the rows still pending of what would fire."""
    chance = random.Random(7)
    index = TaskIndex([triggers.task(number) for number in range(PENDING)])
    said = [triggers.message(chance, number, PENDING) for number in range(5_000)]
    index.matches(Said("", "", "预热 warm-up", 1.0))
    alone = triggers.measured(index.matches, said)
    (folder / "matching").mkdir()
    asked, fires = asyncio.run(_asked(folder / "matching", said))
    print(f"\n### One message against {PENDING:,} pending tasks (target p99 2 ms)\n")
    print("| ms | p50 | p99 | p99 of CPU time | max of CPU time |\n|---|---|---|---|---|")
    print(triggers.line("the index alone", alone))
    clock = statistics.quantiles(asked, n=100)
    print(f"| as a turn asks, with the rows | {clock[49]:.3f} | {clock[98]:.3f} | | |")
    print(f"\n{fires:,} of {len(said):,} messages fire something, and so ask the rows")


async def _asked(data_dir: Path, said: list[Said]) -> tuple[list[float], int]:
    with open_rows(data_dir) as (database, book):
        store(database, book, (watched(n, f"customer_{n}") for n in range(PENDING)))
        watch, taken, fires = TaskWatch(database, book), [], 0
        version = await database.read(watch_version)
        await watch.hits(_claim(said[0], version))
        for one in said:
            claim = _claim(one, version)
            begun = time.perf_counter()
            hits = await watch.hits(claim)
            taken.append((time.perf_counter() - begun) * 1_000)
            fires += bool(hits)
        return taken, fires


def _claim(said: Said, version: int) -> Claim:
    now = time.time()
    message = UnreadMessage(1, "m", said.text, "text", "wait", now)
    return Claim(
        conversation_id="c",
        owner="bench",
        fence=1,
        until=now + 60,
        channel="api",
        account="bench",
        chat_id=said.sender_id,
        sender_id=said.sender_id,
        contact_id=said.contact_id,
        mode="bot",
        session_no=1,
        session_last_ts=now,
        received=1,
        attempts=1,
        failures=0,
        last_error=None,
        messages=(message,),
        more=False,
        customer=CustomerFacts(),
        tasks_version=version,
    )


# Timers --------------------------------------------------------------------------------------


def timers(folder: Path) -> None:
    """Idle services side by side, for the same 20 s: one without timers, one with 100,000."""
    seeds = (folder / "no_timer", folder / "timers")
    for at in seeds:
        shutil.copytree(folder / "seed", at)
    with open_rows(seeds[1]) as (database, book):
        store(database, book, (timer(number) for number in range(TIMERS)))
    with full_engine(seeds[0], QUIET) as without, full_engine(seeds[1], QUIET) as waiting:
        time.sleep(SETTLE_S)
        both = (psutil.Process(without.pid), psutil.Process(waiting.pid))
        before = [_cpu(process) for process in both]
        begun = time.perf_counter()
        time.sleep(IDLE_S)
        took = time.perf_counter() - begun
        shares = [
            (_cpu(process) - spent) / took * 100
            for process, spent in zip(both, before, strict=True)
        ]
        memory = without.memory_mib(), waiting.memory_mib()
        ready = without.ready_s, waiting.ready_s
    print(f"\n### {TIMERS:,} waiting timers, idle over {IDLE_S:.0f} s\n")
    print("| | CPU % of one core | resident MiB | start to ready s |\n|---|---|---|---|")
    print(f"| no timer | {shares[0]:.2f} | {memory[0]:.0f} | {ready[0]:.2f} |")
    print(f"| {TIMERS:,} timers | {shares[1]:.2f} | {memory[1]:.0f} | {ready[1]:.2f} |")
    print(
        f"\nRatio of CPU **{shares[1] / max(shares[0], 0.01):.2f}**, "
        f"for the timers {shares[1] - shares[0]:+.2f} % (target under 1 %); "
        f"of memory **{memory[1] / memory[0]:.2f}**"
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# A burst -------------------------------------------------------------------------------------


def burst(folder: Path) -> None:
    """1,000 timers of one second, each with a message to a customer and a callback, on SQLite."""
    data = folder / "burst"
    shutil.copytree(folder / "seed", data)
    with sandbox() as peers:
        env = {"KEFU_SANDBOX_URL": peers.url, "KEFU_TASK_CHANNEL": "webhook"} | QUIET
        env |= {"KEFU_TASK_ACCOUNT": "shop", "KEFU_LOG_LEVEL": "ERROR"}
        with full_engine(data, env) as server:
            due = float(int(time.time()) + 20)
            handed = _orders(server, BURST, lambda number: _greeting(number, due))
            assert time.time() < due, "the machine was too slow to hand them over in time"
            _await_callbacks(peers, BURST)
            shown = [at - due for at in _shown_at(peers)]
        fired = [at - due for at in _fired_at(data)]
    assert (handed.failures, len(fired), len(shown)) == (0, BURST, BURST)
    print(f"\n### {BURST:,} timers of one second (SQLite; target 5 s for all to fire)\n")
    print("| s after their time | p50 | max |\n|---|---|---|")
    for name, lags in (("fired", fired), ("seen by the customer", shown)):
        print(f"| {name} | {statistics.median(lags):.2f} | {max(lags):.2f} |")


def _greeting(number: int, due: float) -> dict[str, Any]:
    return {
        "task_id": f"burst_{number}",
        "type": "send_greeting",
        "customer": {"id": f"customer_{number}"},
        "trigger": {"type": "time_reach", "time": datetime.fromtimestamp(due, UTC).isoformat()},
        "action": {"type": "send_message", "message": "早上好!有什么可以帮您?"},
    }


def _orders(server: Server, count: int, make_body: Any) -> Figures:
    return asyncio.run(
        run_load(server.url, RECEIVE, make_body, concurrency=CONCURRENCY, count=count)
    )


def _await_callbacks(peers: Server, count: int) -> None:
    wait: dict[str, Any] = {"at_least": count, "wait": 120}
    with httpx.Client(base_url=peers.url, timeout=130.0, trust_env=False) as client:
        found = client.get("/_sandbox/tianwang/callbacks", params=wait).raise_for_status().json()
    statuses = {callback["status"] for callback in found["callbacks"]}
    assert (len(found["callbacks"]), statuses) == (count, {"completed"})


def _shown_at(peers: Server) -> list[float]:
    with httpx.Client(base_url=peers.url, timeout=30.0, trust_env=False) as client:
        chats = [client.get(f"/_sandbox/webhook/chats/customer_{n}").json() for n in range(BURST)]
    return [message["received_at"] for chat in chats for message in chat["messages"]]


def _fired_at(data_dir: Path) -> list[float]:
    with _rows_of(data_dir) as connection:
        rows = connection.execute("SELECT at FROM audit WHERE action = 'task.fire'").fetchall()
    return [datetime.fromisoformat(row[0]).timestamp() for row in rows]


# Receiving -----------------------------------------------------------------------------------


def receiving(folder: Path, seconds: float) -> None:
    """New tasks over HTTP, against messages that are answered on the same service."""
    data = folder / "receiving"
    shutil.copytree(folder / "seed", data)
    run, writing = uuid.uuid4().hex[:8], Writing()

    def order(_number: int) -> dict[str, Any]:
        task = uuid.uuid4().hex
        trigger = {"type": "specified_customer_reply", "customer_id": run, "keyword": "好的"}
        action = {"type": "send_message", "message": "这是您要的文件"}
        customer = {"id": run, "name": "小明"}
        told = {"customer": customer, "trigger": trigger, "action": action}
        return {"task_id": task, "type": "send_file_after_reply", **told}

    with full_engine(data, QUIET) as server:
        _load(server, "/api/v1/messages", writing.body, 2.0)
        taken, answered = [], []
        for _ in range(3):
            answered.append(_load(server, "/api/v1/messages", writing.body, seconds))
            taken.append(_load(server, RECEIVE, order, seconds))
        memory = server.memory_mib()
    stored = _count(data, "SELECT COUNT(*) FROM tasks")
    assert stored >= sum(len(figures.latencies) for figures in taken)
    ratio = statistics.median(t.rate / a.rate for t, a in zip(taken, answered, strict=True))
    print(f"\n### Receiving tasks over HTTP (concurrency {CONCURRENCY})\n")
    print("| | a second | p50 ms | p99 ms | failures |\n|---|---|---|---|---|")
    print(f"| tasks received | {_medians(taken)} |")
    print(f"| messages answered, the same service | {_medians(answered)} |")
    print(f"\nRatio **{ratio:.2f}**; {stored:,} tasks stored, {memory:.0f} MiB resident then")


# ---------------------------------------------------------------------------------------------


@contextmanager
def _rows_of(data_dir: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(data_dir / "kefu.db")
    try:
        yield connection
    finally:
        connection.close()


def _count(data_dir: Path, sql: str) -> int:
    with _rows_of(data_dir) as connection:
        return int(connection.execute(sql).fetchone()[0])


def run(folder: Path, chosen: list[str], seconds: float, rounds: int) -> None:
    """``folder / "seed"``: a data folder with the knowledge indexed."""
    if "messages" in chosen:
        messages(folder, seconds, rounds)
    if "matching" in chosen:
        matching(folder)
    if "timers" in chosen:
        timers(folder)
    if "burst" in chosen:
        burst(folder)
    if "receiving" in chosen:
        receiving(folder, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=" ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="kefu-bench-") as name:
        prepare(Path(name))
        run(Path(name), options.parts or list(PARTS), options.seconds, options.rounds)


if __name__ == "__main__":
    main()
