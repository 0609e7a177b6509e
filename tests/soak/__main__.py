"""``make soak``: eight hours of traffic in SOAK_MINUTES (20) against a real service process.

Customers write on five channels, through the sandbox where a platform brings their messages; some
ask for a person and robots at the desk answer them; some send pictures, which are read; knowledge
is edited all the while; Redis is the second level of the caches. Nothing is restarted. Prints the
report, writes it with --report, and ends with status 1 where a series is not flat.
"""

import argparse
import asyncio
import io
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from engine.bootstrap import open_database
from engine.desk.build import staff_records
from engine.settings import load_settings
from tests.bench.ground import questions
from tests.redis_server import running_redis
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.service import Service, free_port, running_service, sample_data
from tests.soak.report import minute_table, verdict_table, verdicts
from tests.soak.sampling import Sample, Sampler
from tests.soak.traffic import Day
from tests.soak.verdict import WARM_UP_SHARE, Verdict
from tests.tools.pictures.drawing import encoded, write
from tests.tools.pictures.making import PICTURES
from tests.tools.pictures.web import Web, running_web

MINUTES = 20.0
HOURS = 8
CONVERSATIONS_A_SECOND = 1.5
SAMPLE_S = 5.0
SETTLE_S = 10.0
ROBOTS = tuple(f"soak{number}" for number in range(1, 7))
PASSWORD = "soak-robot-password"
WRITTEN = ("menu_short", "logo_flat", "photo_landscape")
DISTINCT_PICTURES = 24
SETTINGS = {
    "DEEPSEEK_API_KEY": "soak",
    "KEFU_MODEL_DAILY_TOKENS": "0",
    # So that they are full before the warm-up ends.
    "KEFU_CACHE_MB": "20",
}


@dataclass
class Soak:
    minutes: float
    rate: float
    seed: int

    @property
    def seconds(self) -> float:
        return self.minutes * 60


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    minutes = float(os.environ.get("SOAK_MINUTES", MINUTES))
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--rate", type=float, default=CONVERSATIONS_A_SECOND)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--report", type=Path, help="write the report into this file")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    soak = Soak(given.minutes, given.rate, given.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kefu-soak-")))
        redis = stack.enter_context(running_redis())
        port = free_port()
        sandbox = stack.enter_context(running_sandbox(f"http://127.0.0.1:{port}"))
        data_dir = folder / "data"
        # The process that is measured must not have made the sample knowledge itself.
        subprocess.run(["cp", "-r", str(sample_data()), str(data_dir)], check=True)
        asyncio.run(_add_robots(data_dir))
        service = stack.enter_context(
            running_service(
                data_dir,
                sandbox_url=sandbox.url,
                env=SETTINGS | {"REDIS_URL": redis.url},
                port=port,
            )
        )
        day, samples = asyncio.run(_run(soak, service, sandbox))
        found = verdicts(samples, day, soak.seconds)
    text = report(soak, day, samples, found)
    print(text)
    if given.report:
        given.report.write_text(text, "utf-8")
    return 0 if all(one.flat for one in found) and not day.failures else 1


async def _add_robots(data_dir: Path) -> None:
    settings = load_settings(env_files=None, data_dir=data_dir, database_url=None)
    database = await asyncio.to_thread(open_database, settings)
    try:
        people = staff_records(settings, database)
        for login in ROBOTS:
            admin = people.local_admin()
            await people.put_agent(admin, login, role="agent", max_load=100, password=PASSWORD)
    finally:
        await asyncio.to_thread(database.close)


async def _run(soak: Soak, service: Service, sandbox: SandboxServer) -> tuple[Day, list[Sample]]:
    for login in ROBOTS:
        robot: dict[str, Any] = {"login": login, "password": PASSWORD, "habit": "answer"}
        robot |= {"answers": 1, "reply_s": 0.2}
        await asyncio.to_thread(sandbox.post, "/_sandbox/agents/robots", robot)
    async with running_web() as web:
        day = Day(
            service.url,
            sandbox.url,
            questions(),
            _pictures(web),
            random.Random(soak.seed),
        )
        sampler = Sampler(service.pid, service.data_dir, started=day.started)
        samples: list[Sample] = []
        sampling = asyncio.create_task(_sample(sampler, samples))
        try:
            await day.go_on(soak.seconds, rate=soak.rate)
            await asyncio.sleep(SETTLE_S if soak.minutes >= MINUTES else 0.0)
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            await day.aclose()
    return day, [one for one in samples if one.at <= soak.seconds]


async def _sample(sampler: Sampler, samples: list[Sample]) -> None:
    while True:
        began = time.monotonic()
        samples.append(await asyncio.to_thread(sampler.take))
        if len(samples) % 12 == 0:
            last = samples[-1]
            print(
                f"{last.at:6.0f} s  {last.messages:7,} messages  {last.uss / 2**20:6.0f} MiB"
                f"  {last.open_files} files  load {last.load:.1f}",
                file=sys.stderr,
                flush=True,
            )
        await asyncio.sleep(max(0.5, SAMPLE_S - (time.monotonic() - began)))


def _pictures(web: Web) -> list[str]:
    """No two alike; customers send some of them again."""
    found = []
    for number in range(DISTINCT_PICTURES):
        image = Image.open(io.BytesIO(PICTURES[WRITTEN[number % len(WRITTEN)]]())).convert("RGB")
        body = encoded(write(image, [f"No.{number:04}"], at=(20, 20), size=28))
        web.put(f"/{number}.png", body, headers="Content-Type: image/png\r\n")
        found.append(web.url(f"/{number}.png"))
    return found


def report(soak: Soak, day: Day, samples: list[Sample], found: list[Verdict]) -> str:
    last = samples[-1]
    verdict = "flat" if all(one.flat for one in found) else "NOT FLAT"
    failures = "\n".join(f"- {line}" for line in day.failures[:20]) or "none"
    return f"""# Soak: {HOURS} hours of traffic in {soak.minutes:g} minutes: {verdict}

`make soak` (`SOAK_MINUTES`, default {MINUTES:g}); {datetime.now(UTC):%Y-%m-%d}, \
{os.cpu_count()} cores that other work shared (the column load), Python \
{sys.version.split()[0]}, one service on SQLite with the sandbox as every peer and Redis as second \
level of the caches.

{day.conversations:,} conversations and {day.said:,} messages of customers in {last.at / 60:.1f} \
minutes on five channels, {last.messages:,} rows of messages with the answers; \
{day.hand_overs:,} asked for a person; {day.pictures_sent:,} pictures; {day.edits:,} edits of the \
knowledge; no restart. Calls that failed: {len(day.failures)}.

A series is flat if the Theil-Sen line through its samples after the first \
{WARM_UP_SHARE:.0%} of the run, drawn out over the whole run, rises by no more than is allowed. \
Rows of messages are kept, so of the database it is the bytes that a message adds that must not \
rise.

{verdict_table(found)}

{minute_table(samples, day, soak.seconds)}

Failures of calls:

{failures}
"""


if __name__ == "__main__":
    sys.exit(main())
