"""One run: both kinds of load on one deployment that is killed again and again."""

import random
import time
from pathlib import Path

from tests.crash import asked, pushed
from tests.crash.asked import Callers
from tests.crash.deployment import DatabaseKind, Progress, Shape, running_deployment
from tests.crash.pushed import Customers
from tests.crash.records import Verdict, notice_problems, read_records
from tests.sandbox_server import running_sandbox

QUIET_S = 60.0


def run(
    kind: DatabaseKind,
    folder: Path,
    *,
    kills: int,
    seed: int,
    progress: Progress,
    load: int = 12,
    shape: Shape | None = None,
) -> Verdict:
    """Kill and restart under load; when all is quiet, compare what everybody has seen.

    ``load``: how many callers wait for answers, and about as many messages a second are pushed.
    """
    started = time.monotonic()
    extra = ["--seed", str(seed)]
    with (
        running_sandbox(journal_file=folder / "journal.jsonl", extra=extra) as sandbox,
        running_deployment(kind, folder, sandbox, shape=shape) as deployment,
    ):
        customers = Customers(sandbox, seed + 1, rate=load)
        callers = Callers([service.url for service in deployment.services], seed + 2, load)
        customers.start()
        callers.start()
        try:
            deployment.kill_at_random(kills, random.Random(seed), progress)
        finally:
            customers.stop()
            callers.stop()
        progress("waiting until all is quiet")
        customers.await_accepted()
        deployment.await_quiet(QUIET_S)
        callers.ask_again()
        deployment.stop()
        url, notices = deployment.database_url, sandbox.notices()
        written = customers.verdict(read_records(url, pushed.CHANNEL))
        called = callers.verdict(read_records(url, asked.CHANNEL))
        untold = notice_problems(url, len(notices))
    counts = {
        **written.counts,
        **called.counts,
        "notices to staff": len(notices),
        "kills": deployment.kills,
        "kills while starting": deployment.kills_while_starting,
        "processes that stood still and went on": deployment.freezes,
        "starts": deployment.starts,
        "seconds": round(time.monotonic() - started),
    }
    return Verdict([*written.problems, *called.problems, *untold], counts)
