"""What is killed: one service on SQLite, or several processes on one PostgreSQL.

With workers the doors (`kefu serve`, KEFU_ROLE=api) leave all turns to them, all have one data
folder and one Chroma server, and some are frozen instead of killed.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from tests.databases import fresh_postgres_database, postgres_server
from tests.knowledge.chroma_server import running_chroma
from tests.sandbox_server import SandboxServer
from tests.service import SERVE, WORKER, Service, running_service

DatabaseKind = Literal["sqlite", "postgresql"]
PROCESSES: Mapping[DatabaseKind, int] = {"sqlite": 1, "postgresql": 2}
STARTING_SHARE = 0.2
"""Of the kills, those that strike while the process is starting."""
SOONEST_S, LATEST_S = 0.05, 2.5
STARTING_S = 1.5
SETTINGS = {
    "KEFU_WEBHOOK_SECRET": "crash-test-secret",
    "KEFU_DEBOUNCE_ASYNC_S": "0.2",
    "KEFU_OUTBOX_BACKOFF_BASE_S": "0.2",
    "KEFU_OUTBOX_BACKOFF_MAX_S": "2",
    "KEFU_OUTBOX_MAX_ATTEMPTS": "100",
    "KEFU_LEASE_S": "3",
    "KEFU_SWEEP_S": "0.5",
}
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Shape:
    """``workers``: beside two doors, on PostgreSQL. ``freezes``: how often a process stands still
    for ``freeze_s`` seconds while the others go on."""

    workers: int = 0
    freezes: int = 0
    freeze_s: float = 60.0


@dataclass
class Deployment:
    """``services`` take messages, ``workers`` work beside them. ``database_url``: where the rows
    are, for whoever looks at them afterwards."""

    services: list[Service]
    database_url: str
    workers: list[Service] = field(default_factory=list)
    shape: Shape = field(default_factory=Shape)
    freezes: int = 0
    kills: int = 0
    kills_while_starting: int = 0
    restarts: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        return self.services[0].url

    @property
    def processes(self) -> list[Service]:
        return [*self.services, *self.workers]

    @property
    def starts(self) -> int:
        return sum(service.starts for service in self.processes)

    def kill_at_random(
        self,
        kills: int,
        chance: random.Random,
        progress: Progress,
        on_kill: Callable[[], object] = lambda: None,
        *,
        before: Callable[[Service], object] = lambda _service: None,
        restart_share: float = 0.0,
    ) -> None:
        """SIGKILL ``kills`` times, each time a process at a moment that ``chance`` picks; while it
        is dead, ``on_kill`` may look around, and ``before`` may while it still lives.
        ``restart_share``: how often it is asked to end instead, which is no kill.

        Raises RuntimeError if a process does not come back.
        """
        latest = LATEST_S
        frozen_at = sorted(chance.sample(range(kills), self.shape.freezes))
        while self.kills < kills:
            if frozen_at and self.kills >= frozen_at[0]:
                del frozen_at[0]
                self._freeze(chance.choice(self.processes), progress)
            service = chance.choice(self.processes)
            if restart_share and chance.random() < restart_share:
                time.sleep(chance.uniform(SOONEST_S, latest))
                before(service)
                self._restart(service)
                continue
            if chance.random() < STARTING_SHARE:
                self._kill(service)
                service.launch()
                time.sleep(chance.uniform(0.0, STARTING_S))
                self.kills_while_starting += 1
            else:
                time.sleep(chance.uniform(SOONEST_S, latest))
            before(service)
            self._kill(service)
            on_kill()
            began = time.monotonic()
            service.start()
            # On a machine that is slow just now the first turn takes as long as the start; ten
            # kills before its end would make a dead letter of it, as they should.
            latest = max(LATEST_S, 2 * (time.monotonic() - began))
            progress(f"{self.kills} of {kills} kills")

    def _freeze(self, service: Service, progress: Progress) -> None:
        """It wakes with everything that it held: leases that ran out, a transaction, a socket."""
        service.freeze()
        progress(f"a process stands still for {self.shape.freeze_s:g} s")
        time.sleep(self.shape.freeze_s)
        service.thaw()
        self.freezes += 1

    def _restart(self, service: Service) -> None:
        service.stop()
        service.start()
        self.restarts += 1

    def _kill(self, service: Service) -> None:
        service.kill()
        self.kills += 1

    def await_quiet(self, timeout: float) -> None:
        """Until no message is unread and nothing waits for delivery."""
        ends = time.monotonic() + timeout
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            while (left := _backlog(client.get(f"{self.url}/metrics").text)) != 0:
                if time.monotonic() > ends:
                    raise RuntimeError(f"{left} rows still wait after {timeout} s of quiet")
                time.sleep(0.1)

    def stop(self) -> None:
        for service in self.processes:
            service.stop()


def _backlog(metrics: str) -> float:
    """Unread conversations and pending deliveries, from the Prometheus text."""
    kinds = ("conversations_unread", "deliveries_pending")
    wanted = tuple(f'kefu_backlog{{kind="{kind}"}}' for kind in kinds)
    lines = [line for line in metrics.splitlines() if line.startswith(wanted)]
    assert len(lines) == len(kinds), metrics
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextlib.contextmanager
def running_deployment(
    kind: DatabaseKind,
    folder: Path,
    sandbox: SandboxServer,
    more_settings: Mapping[str, str] | None = None,
    *,
    shape: Shape | None = None,
) -> Iterator[Deployment]:
    """Processes in ``folder``, configured to the sandbox; the first one is its target."""
    shape = shape or Shape()
    sandbox.set_webhook_secret(SETTINGS["KEFU_WEBHOOK_SECRET"])
    with contextlib.ExitStack() as stack:
        url, settings = (
            f"sqlite:///{folder / 'data0' / 'kefu.db'}",
            {**SETTINGS, **(more_settings or {})},
        )
        if kind == "postgresql":
            server = stack.enter_context(postgres_server())
            url = stack.enter_context(fresh_postgres_database(server))
            settings["KEFU_DATABASE_URL"] = url
        if shape.workers:
            settings["KEFU_CHROMA_URL"] = stack.enter_context(running_chroma(folder / "chroma"))
            settings["KEFU_ROLE"] = "api"

        def started(name: str, command: Sequence[str]) -> Service:
            data = folder / ("data" if shape.workers else name)
            return stack.enter_context(
                running_service(
                    data, sandbox_url=sandbox.url, env=settings, command=command, name=name
                )
            )

        services = [started(f"data{n}", SERVE) for n in range(PROCESSES[kind])]
        workers = [started(f"worker{n}", WORKER) for n in range(shape.workers)]
        deployment = Deployment(services, url, workers, shape)
        sandbox.set_target(deployment.url)
        yield deployment
