"""``python -m tests.bench.desk``: the human desk, 50 agents looking on, 500 open conversations.

Customers write at a steady rate; each message is timed from its request to every agent's live
connection, and the queue is read meanwhile. Then each agent has the console's queue open, which
reads itself anew when it hears of something, as `api/console/static/live.js` does: timed until the
page that shows the message is there. Figures go to the terminal as Markdown.
"""

import argparse
import asyncio
import json
import re
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.bench.ground import print_machine
from tests.bench.servers import Server, full_engine

AGENTS, CONVERSATIONS = 50, 500
RATE, SECONDS = 20.0, 20.0
CONSOLE_RATE = 5.0
AT_ONCE_S = 0.25
"""As the console has it: from a refresh to the next at least so long, and as long as the last one
took."""
READS = 100
LIVE_LIMIT_S, PAGE_LIMIT_S = 1.0, 0.2
PASSWORD = secrets.token_urlsafe(16)
KEY = secrets.token_urlsafe(24)
QUIET = {"KEFU_LOG_LEVEL": "WARNING", "KEFU_API_KEY": KEY}
HAND_OVER = "转人工"
SETTLE_S = 5.0
_MARK = re.compile(rb"bench-(\d+)-")


@dataclass(slots=True)
class Live:
    """When each message was sent, and when it came to each agent."""

    sent: dict[int, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=dict)


class Console:
    """An agent's open queue page: what it has heard of is there when a refresh that began later has
    come. ``delays`` of messages until then, ``costs`` of refreshes, in seconds."""

    def __init__(self, url: str, cookie: str, live: Live) -> None:
        self._url, self._cookie, self._live = url, cookie, live
        self._heard: list[int] = []
        self._changed = asyncio.Event()
        self.delays: list[float] = []
        self.costs: list[float] = []

    def hear(self, number: int) -> None:
        self._heard.append(number)
        self._changed.set()

    async def work(self) -> None:
        headers = {"Cookie": self._cookie, "X-Console": "refresh"}
        last = cost = 0.0
        async with httpx.AsyncClient(
            base_url=self._url, trust_env=False, headers=headers, timeout=60.0
        ) as browser:
            while True:
                await self._changed.wait()
                self._changed.clear()
                pause = max(AT_ONCE_S, cost)
                await asyncio.sleep(max(0.0, last + pause - time.perf_counter()))
                heard, self._heard = self._heard, []
                begun = time.perf_counter()
                (await browser.get("/desk?view=open")).raise_for_status()
                last = time.perf_counter()
                cost = last - begun
                self.costs.append(cost)
                self.delays += [last - self._live.sent[number] for number in heard]


@dataclass(frozen=True, slots=True)
class Agent:
    login: str
    cookie: str


def percentile(found: Sequence[float], share: float) -> float:
    ordered = sorted(found)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


# Setting the scene ---------------------------------------------------------------------------


async def employ(client: httpx.AsyncClient, url: str, number: int) -> Agent:
    login = f"agent{number:03}"
    body = {"name": f"客服{number}", "password": PASSWORD, "scopes": ["*"], "max_load": 8}
    (await client.put(f"/api/desk/agents/{login}", json=body)).raise_for_status()
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60.0) as browser:
        signed = await browser.post("/api/desk/login", json={"agent": login, "password": PASSWORD})
        signed.raise_for_status()
        headers = {"X-CSRF-Token": signed.json()["csrf"]}
        shown = await browser.post("/api/desk/presence", json={"status": "online"}, headers=headers)
        shown.raise_for_status()
        return Agent(login, "; ".join(f"{name}={value}" for name, value in browser.cookies.items()))


async def say(client: httpx.AsyncClient, customer: int, text: str) -> None:
    name = f"customer{customer:04}"
    ident = f"{name}-{time.time_ns()}"
    message = {"id": ident, "chat_id": name, "sender": name, "content": text}
    body = {"agent_id": "bench", "message": message, "deadline_s": 0.01}
    (await client.post("/api/v1/messages", json=body)).raise_for_status()


async def hand_over(client: httpx.AsyncClient, count: int) -> None:
    """``count`` customers ask for a person, sixteen at a time."""
    turns = asyncio.Semaphore(16)

    async def ask(customer: int) -> None:
        async with turns:
            await say(client, customer, HAND_OVER)

    await asyncio.gather(*(ask(customer) for customer in range(count)))
    ends = time.perf_counter() + 120
    while await open_conversations(client) < count:
        if time.perf_counter() > ends:
            raise RuntimeError(f"{await open_conversations(client)} of {count} were handed over")
        await asyncio.sleep(0.5)


async def open_conversations(client: httpx.AsyncClient) -> int:
    counts = (await client.get("/api/desk/queue", params={"view": "open", "limit": 1})).json()
    return int(counts["counts"]["open"])


# Measuring -----------------------------------------------------------------------------------


async def look_on(
    url: str, agent: Agent, live: Live, connected: asyncio.Event, hear: Callable[[int], None]
) -> None:
    """An agent's live connection, read as cheaply as can be: this process shares the machine."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)
    head = (
        f"GET /api/desk/events HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {agent.cookie}\r\n\r\n"
    )
    writer.write(head.encode())
    try:
        while line := await reader.readline():
            if line.startswith(b"event: hello"):
                connected.set()
            elif line.startswith(b"data: ") and (found := _MARK.search(line)) is not None:
                number, now = int(found[1]), time.perf_counter()
                if number in live.sent:
                    live.delays.append(now - live.sent[number])
                    live.seen[number] = live.seen.get(number, 0) + 1
                    hear(number)
    finally:
        writer.close()


async def write(
    client: httpx.AsyncClient, live: Live, conversations: int, rate: float, seconds: float
) -> None:
    """Customers who are waiting or with a person write on."""
    begun, tasks = time.perf_counter(), set[asyncio.Task[None]]()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        live.sent[number] = time.perf_counter()
        text = f"bench-{number}- 还在吗，麻烦看一下我的订单"
        tasks.add(asyncio.create_task(say(client, number * 7 % conversations, text)))
    await asyncio.gather(*tasks)


async def read(url: str, agent: Agent, path: str, count: int) -> list[float]:
    """One after another, as a browser asks; the whole time at the client, so more than the
    server's."""
    found = []
    headers = {"Cookie": agent.cookie}
    async with httpx.AsyncClient(base_url=url, trust_env=False, headers=headers) as browser:
        for _ in range(count):
            begun = time.perf_counter()
            (await browser.get(path, timeout=60.0)).raise_for_status()
            found.append(time.perf_counter() - begun)
    return found


PAGES = {
    "queue, waiting": "/api/desk/queue?view=waiting",
    "queue, mine": "/api/desk/queue?view=mine",
    "queue, open": "/api/desk/queue?view=open",
    "queue, all": "/api/desk/queue?view=all",
    "queue, search": "/api/desk/queue?view=open&search=customer01",
    "console, queue page": "/desk",
    "console, open queue page": "/desk?view=open",
}


class Bench:
    """``memory``: MiB of the service at each stage."""

    def __init__(self, server: Server, agents: int, conversations: int) -> None:
        self._server, self._agents, self._conversations = server, agents, conversations
        self._live, self._staff = Live(), list[Agent]()
        self._quiet: dict[str, list[float]] = {}
        self._busy: dict[str, list[float]] = {name: [] for name in PAGES}
        self._memory: dict[str, float] = {}
        self._consoles: list[Console] = []

    async def run(self, rate: float, seconds: float) -> bool:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(
            base_url=self._server.url,
            trust_env=False,
            headers={"X-API-Key": KEY},
            limits=limits,
            timeout=60.0,
        ) as client:
            self._weigh("started")
            for number in range(self._agents):
                self._staff.append(await employ(client, self._server.url, number))
            await hand_over(client, self._conversations)
            self._weigh("with conversations")
            lookers = await self._connect()
            self._weigh("with connections")
            await self._read_in_quiet()
            await self._read_while(write(client, self._live, self._conversations, rate, seconds))
            await end(lookers)
            self._weigh("after")
            await self._open_consoles(client, min(rate, CONSOLE_RATE), seconds)
            self._weigh("after consoles")
        kept = report(self._live, self._quiet, self._busy, self._memory, self._agents)
        return report_consoles(self._consoles) and kept

    async def _open_consoles(self, client: httpx.AsyncClient, rate: float, seconds: float) -> None:
        live = Live()
        self._consoles = [Console(self._server.url, one.cookie, live) for one in self._staff]
        lookers = await self._connect(live, [console.hear for console in self._consoles])
        working = [asyncio.create_task(console.work()) for console in self._consoles]
        await write(client, live, self._conversations, rate, seconds)
        await asyncio.sleep(SETTLE_S)
        for task in working:
            if task.done():
                task.result()  # what went wrong is told, and not only missing
        await end([*lookers, *working])

    def _weigh(self, stage: str) -> None:
        self._memory[stage] = self._server.memory_mib()

    async def _connect(
        self, live: Live | None = None, hears: Sequence[Callable[[int], None]] = ()
    ) -> list[asyncio.Task[None]]:
        gates = [asyncio.Event() for _ in self._staff]
        hears = hears or [lambda _: None for _ in self._staff]
        lookers = [
            asyncio.create_task(look_on(self._server.url, agent, live or self._live, gate, hear))
            for agent, gate, hear in zip(self._staff, gates, hears, strict=True)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(gate.wait() for gate in gates))
        return lookers

    async def _read_in_quiet(self) -> None:
        for name, path in PAGES.items():
            self._quiet[name] = await read(self._server.url, self._staff[0], path, READS)

    async def _read_while(self, writes: Coroutine[None, None, None]) -> None:
        writing = asyncio.create_task(writes)
        while not writing.done():
            for name, path in PAGES.items():
                self._busy[name] += await read(self._server.url, self._staff[1], path, 1)
        await writing
        await asyncio.sleep(SETTLE_S)


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def report_consoles(consoles: Sequence[Console]) -> bool:
    delays = [delay for console in consoles for delay in console.delays]
    costs = [cost for console in consoles for cost in console.costs]
    print("\n### Every agent has the queue open, which reads itself anew\n")
    print("| | count | p50 ms | p95 ms | p99 ms | max ms |\n" + "|---" * 6 + "|")
    for name, found in (("message to page", delays), ("one refresh", costs)):
        shown = [percentile(found, share) for share in (0.5, 0.95, 0.99, 1.0)]
        figures = " | ".join(f"{value * 1000:.0f}" for value in shown)
        print(f"| {name} | {len(found)} | {figures} |")
    return percentile(delays, 0.95) < LIVE_LIMIT_S


def report(
    live: Live,
    quiet: dict[str, list[float]],
    busy: dict[str, list[float]],
    memory: dict[str, float],
    agents: int,
) -> bool:
    wanted, came = len(live.sent) * agents, sum(live.seen.values())
    p95 = percentile(live.delays, 0.95)
    print("\n### Live updates, from the customer's request to each agent\n")
    print(
        "| messages | agents | arrived | p50 ms | p95 ms | p99 ms | max ms |\n" + "|---" * 7 + "|"
    )
    shown = [statistics.median(live.delays), p95, percentile(live.delays, 0.99), max(live.delays)]
    figures = " | ".join(f"{value * 1000:.0f}" for value in shown)
    print(f"| {len(live.sent)} | {agents} | {came} of {wanted} | {figures} |")
    print("\n### Reading, ms at the client (quiet; while customers write)\n")
    print("| page | p50 | p95 | busy p50 | busy p95 |\n|---|---|---|---|---|")
    for name in PAGES:
        cells = [(quiet[name], 0.5), (quiet[name], 0.95), (busy[name], 0.5), (busy[name], 0.95)]
        print(
            f"| {name} | " + " | ".join(f"{percentile(*cell) * 1000:.1f}" for cell in cells) + " |"
        )
    print("\n### Memory of the service, MiB\n")
    print(", ".join(f"{name} {value:.0f}" for name, value in memory.items()))
    slowest = max(percentile(times, 0.95) for times in (*quiet.values(), *busy.values()))
    return came == wanted and p95 < LIVE_LIMIT_S and slowest < PAGE_LIMIT_S


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.desk", description=__doc__)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--rate", type=float, default=RATE, help="messages a second")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    chosen = parser.parse_args()
    print_machine()
    with (
        tempfile.TemporaryDirectory(prefix="kefu-bench-") as folder,
        full_engine(Path(folder) / "data", QUIET) as server,
    ):
        kept = asyncio.run(
            Bench(server, chosen.agents, chosen.conversations).run(chosen.rate, chosen.seconds)
        )
    print(f"\nwithin the bounds: {json.dumps(kept)}")
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
