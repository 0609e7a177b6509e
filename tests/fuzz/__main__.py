"""``python -m tests.fuzz``: minutes of made-up requests against the whole API, others each time."""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import fresh_postgres_database, postgres_server
from tests.fuzz.run import at_random, fuzz
from tests.fuzz.target import running_target


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=40, help="of each operation, at most")
    parser.add_argument("--seed", type=int, help="repeats an earlier run")
    parser.add_argument("--paths", default="^/", help="regular expression (default: all)")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    return parser.parse_args()


@contextmanager
def fresh_database(kind: str) -> Iterator[str]:
    """Its address; empty for the service's own SQLite."""
    if kind == "sqlite":
        yield ""
        return
    with postgres_server() as server, fresh_postgres_database(server) as url:
        yield url


def failed(kind: str, options: argparse.Namespace, seed: int) -> bool:
    print(f"{kind}, --seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kefu-fuzz-") as name,
        fresh_database(kind) as url,
        running_target(Path(name), url) as target,
    ):
        chosen = [*at_random(options.examples, seed), "--include-path-regex", options.paths]
        done = fuzz(target, Path(name), chosen)
    print(done.report, flush=True)
    return done.failed


def main() -> int:
    options = parse()
    seed = random.getrandbits(32) if options.seed is None else options.seed
    both = options.database == "both"
    kinds = ("sqlite", "postgresql") if both else (options.database,)
    bad = [kind for kind in kinds if failed(kind, options, seed)]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
