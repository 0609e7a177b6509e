"""``python -m tests.fuzz``: minutes of made-up requests against the whole API, others each time."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import at_random, fuzz
from tests.fuzz.target import running_target


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="of each operation, at most")
    parser.add_argument("--seed", type=int, help="repeats an earlier run")
    parser.add_argument("--paths", default="^/", help="regular expression (default: all)")
    return parser.parse_args()


def main() -> int:
    options = parse()
    seed = random.getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kefu-fuzz-") as folder,
        running_target(Path(folder)) as target,
    ):
        chosen = [*at_random(options.examples, seed), "--include-path-regex", options.paths]
        done = fuzz(target, Path(folder), chosen)
    print(done.report)
    return 1 if done.failed else 0


if __name__ == "__main__":
    sys.exit(main())
