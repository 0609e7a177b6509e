"""What every benchmark stands on: questions, a data folder that is ready, the machine's name."""

import json
import os
import random
import sys
from pathlib import Path

import psutil

from tests.bench.servers import ROOT, full_engine


def questions() -> list[str]:
    """The retrieval test questions of the three sample shops, in a fixed random order."""
    found = []
    for file in sorted((ROOT / "tests" / "knowledge" / "data").glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        found += [line["query"] for line in lines if "query" in line]
    random.Random(7).shuffle(found)
    return found


def prepare(folder: Path) -> None:
    """Make ``folder / "seed"``, a data folder with the knowledge indexed and no rows."""
    with full_engine(folder / "seed"):
        pass
    for leftover in (folder / "seed").glob("kefu.*"):
        leftover.unlink()


def print_machine() -> None:
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load on the same machine")
    print(f"memory {psutil.virtual_memory().total / 2**30:.0f} GiB, one service process")
