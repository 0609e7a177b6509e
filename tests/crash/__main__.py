"""``python -m tests.crash``: kill -9 again and again, then count what was lost or repeated."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.crash.deployment import DatabaseKind, Shape
from tests.crash.kf_run import run_kf
from tests.crash.records import Verdict
from tests.crash.run import run
from tests.crash.task_run import run_tasks


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument(
        "--kills", type=int, help="of each database (default 100, of customer service 20)"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument(
        "--tasks", action="store_true", help="Tianwang's tasks instead of customers' questions"
    )
    parser.add_argument(
        "--kf", action="store_true", help="WeChat customer service, with every fault of WeCom"
    )
    parser.add_argument("--customers", type=int, default=50, help="with --kf (default %(default)s)")
    parser.add_argument("--messages", type=int, default=1_000, help="with --kf, in all")
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="on PostgreSQL and a Chroma server: two doors that leave all turns to N kefu worker",
    )
    parser.add_argument(
        "--freezes", type=int, default=0, help="how often a process stands still and goes on"
    )
    parser.add_argument("--freeze-s", type=float, default=60.0, help="for so long (%(default)s)")
    parser.add_argument("--seed", type=int, help="repeats the moments of an earlier run's kills")
    return parser.parse_args()


def progress(text: str) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"  {text:<60}", end=end, file=sys.stderr, flush=True)


def report(name: str, verdict: Verdict) -> None:
    print(f"{name}: {'FAILED' if verdict.problems else 'nothing lost, nothing twice, in order'}")
    for label, count in verdict.counts.items():
        print(f"  {label:<52} {count:>8}")
    for problem in verdict.problems[:20]:
        print(f"  ! {problem}")
    if (more := len(verdict.problems) - 20) > 0:
        print(f"  ! and {more} more")
    sys.stdout.flush()


def _run(options: argparse.Namespace, database: DatabaseKind, folder: Path, seed: int) -> Verdict:
    shape = Shape(options.workers, options.freezes, options.freeze_s)
    if options.kf:
        return run_kf(
            database,
            folder,
            kills=options.kills if options.kills is not None else 20,
            seed=seed,
            progress=progress,
            customers=options.customers,
            messages=options.messages,
            shape=shape,
        )
    runs = run_tasks if options.tasks else run
    kills = options.kills if options.kills is not None else 100
    return runs(database, folder, kills=kills, seed=seed, progress=progress, shape=shape)


def main() -> int:
    options = parse()
    seed = options.seed if options.seed is not None else random.randrange(10_000)
    databases: list[DatabaseKind] = ["sqlite", "postgresql"]
    if options.database != "both" or options.workers:
        databases = ["postgresql" if options.workers else options.database]
    print(f"seed {seed}")
    failed = False
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="kefu-crash-") as folder:
            verdict = _run(options, database, Path(folder), seed)
        report(database, verdict)
        failed = failed or bool(verdict.problems)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
