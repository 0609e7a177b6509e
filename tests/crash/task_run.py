"""One run with tasks: Tianwang hands them over, customers say their words, and a process of the
deployment is killed again and again."""

import random
import time
from pathlib import Path

from sqlalchemy import create_engine, text

from storage.database import normalise_url
from tests.crash.deployment import DatabaseKind, Progress, Shape, running_deployment
from tests.crash.handed import Tianwang
from tests.crash.records import Verdict
from tests.crash.task_records import TaskRecords, read_task_records, task_problems
from tests.sandbox_server import SandboxServer, running_sandbox

SECRET = "crash-test-callbacks"
SETTINGS = {
    "TIANWANG_CALLBACK_SECRET": SECRET,
    "KEFU_TASK_CHANNEL": "webhook",
    "KEFU_TASK_ACCOUNT": "shop",
    "KEFU_TASK_BACKOFF_BASE_S": "0.2",
}
QUIET_S = 90.0
_UNDER_WAY = text("SELECT COUNT(*) FROM tasks WHERE status = 'triggered'")
_UNTOLD = text("SELECT COUNT(*) FROM outbox WHERE channel = 'tianwang' AND status = 'pending'")
_UNDELIVERED = text("SELECT COUNT(*) FROM outbox WHERE status = 'pending'")
_PENDING = text("SELECT COUNT(*) FROM tasks WHERE status = 'pending'")


class Look:
    """How many kills struck between a match and its callback, by the rows right after them."""

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(normalise_url(database_url))
        self.acting = self.untold = 0

    def after_a_kill(self) -> None:
        with self._engine.connect() as connection:
            self.acting += bool(connection.scalar(_UNDER_WAY))
            self.untold += bool(connection.scalar(_UNTOLD))

    def await_quiet(self) -> None:
        """Until nothing waits: each word was said, each wait has an end, each end is told. What
        never ends is for the verdict to say."""
        ends = time.monotonic() + QUIET_S
        while self._anything_left() and time.monotonic() < ends:
            time.sleep(0.2)

    def close(self) -> None:
        self._engine.dispose()

    def _anything_left(self) -> bool:
        with self._engine.connect() as connection:
            return any(connection.scalar(sql) for sql in (_PENDING, _UNDER_WAY, _UNDELIVERED))


def run_tasks(
    kind: DatabaseKind,
    folder: Path,
    *,
    kills: int,
    seed: int,
    progress: Progress,
    rate: float = 5.0,
    shape: Shape | None = None,
) -> Verdict:
    """``rate``: tasks handed over a second."""
    started = time.monotonic()
    extra = ["--seed", str(seed)]
    with (
        running_sandbox(journal_file=folder / "journal.jsonl", extra=extra) as sandbox,
        running_deployment(kind, folder, sandbox, SETTINGS, shape=shape) as deployment,
    ):
        sandbox.put("/_sandbox/tianwang/secret", {"secret": SECRET})
        urls = [service.url for service in deployment.services]
        tianwang, look = Tianwang(sandbox, urls, seed + 1, rate=rate), Look(deployment.database_url)
        tianwang.start()
        try:
            deployment.kill_at_random(kills, random.Random(seed), progress, look.after_a_kill)
        finally:
            tianwang.stop()
        progress("waiting until all is quiet")
        _await_accepted(sandbox)
        look.await_quiet()
        look.close()
        deployment.stop()
        records = read_task_records(deployment.database_url, sandbox)
    counts = {
        **_counts(tianwang, records),
        "kills": deployment.kills,
        "kills while starting": deployment.kills_while_starting,
        "processes that stood still and went on": deployment.freezes,
        "kills while an action was under way": look.acting,
        "kills while a callback was due": look.untold,
        "starts": deployment.starts,
        "seconds": round(time.monotonic() - started),
    }
    return Verdict(task_problems(tianwang.handed, records), counts)


def _await_accepted(sandbox: SandboxServer) -> None:
    left = sandbox.outgoing(wait=QUIET_S)
    if left["pending"] or left["failed"]:
        raise RuntimeError(f"the service did not take all messages: {left['pending']} are left")


def _counts(tianwang: Tianwang, records: TaskRecords) -> dict[str, int]:
    ends = [row["status"] for row in records.tasks]
    copies = sum(callback["received"] for callback in records.callbacks)
    return {
        "tasks handed over": len(tianwang.handed),
        "calls repeated because the process was away": tianwang.repeats,
        "words said": sum(len(one.said) for one in tianwang.handed.values()),
        "tasks fired": sum(row["action"] == "task.fire" for row in records.audit),
        **{f"tasks {end}": ends.count(end) for end in sorted(set(ends))},
        "failed tasks tried again by call": tianwang.retries,
        "callbacks": len(records.callbacks),
        "callbacks that came again with the same event id": copies - len(records.callbacks),
        "posts of callbacks": len(records.posts),
    }
