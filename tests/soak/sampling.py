"""What a service process and its folder take, looked at from outside while it works."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Sample:
    """``at``: seconds since the start; sizes in bytes. ``turns``: the median and the 95th
    percentile of those that ended since the last sample, in seconds, None where none did."""

    at: float
    rss: int
    uss: int
    children: int
    open_files: int
    threads: int
    database: int
    wal: int
    other_files: int
    messages: int
    checkpoints: int
    conversations: int
    most_checkpoints: int
    checkpoint_bytes: int
    cpu_percent: float
    load: float
    turns: int
    turn_p50: float | None
    turn_p95: float | None


class Sampler:
    """Over a service on SQLite: its process and its data folder."""

    def __init__(self, pid: int, data_dir: Path, *, started: float) -> None:
        self._process, self._data_dir, self._started = psutil.Process(pid), data_dir, started
        self._process.cpu_percent()
        self._last_turns = time.time()

    def take(self) -> Sample:
        memory = self._process.memory_full_info()
        children = self._process.children(recursive=True)
        messages, checkpoints, turns = self._rows()
        return Sample(
            at=time.perf_counter() - self._started,
            rss=memory.rss,
            uss=memory.uss,
            children=sum(_uss(child) for child in children),
            open_files=self._process.num_fds(),
            threads=self._process.num_threads(),
            database=_size(self._data_dir / "kefu.db"),
            wal=_size(self._data_dir / "kefu.db-wal"),
            other_files=sum(_size(file) for file in self._others()),
            messages=messages,
            checkpoints=checkpoints[0],
            conversations=checkpoints[1],
            most_checkpoints=checkpoints[2],
            checkpoint_bytes=checkpoints[3],
            cpu_percent=self._process.cpu_percent(),
            load=os.getloadavg()[0],
            turns=len(turns),
            turn_p50=percentile(turns, 0.5),
            turn_p95=percentile(turns, 0.95),
        )

    def _others(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self._data_dir):
            yield from (Path(folder) / name for name in names if not name.startswith("kefu.db"))

    def _rows(self) -> tuple[int, tuple[int, int, int, int], list[float]]:
        path = (self._data_dir / "kefu.db").absolute()
        now = time.time()
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            messages = database.execute("SELECT COALESCE(MAX(id), 0) FROM messages").fetchone()[0]
            threads = database.execute(
                "SELECT COUNT(*), COALESCE(SUM(length(body) + length(meta)), 0) FROM checkpoints"
                " WHERE checkpoint_ns = '' GROUP BY thread_id"
            ).fetchall()
            turns = database.execute(
                "SELECT ended_ts - started_ts FROM turns WHERE ended_ts > ?", (self._last_turns,)
            ).fetchall()
        self._last_turns = now
        counts = [count for count, _ in threads]
        stored = sum(size for _, size in threads)
        shape = (sum(counts), len(counts), max(counts, default=0), stored)
        return messages, shape, [row[0] for row in turns]


def _uss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.NoSuchProcess:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def percentile(values: list[float], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
