"""The run as two tables: what became of each series, and how it went from minute to minute."""

import statistics
from collections.abc import Callable, Sequence

from tests.soak.sampling import MIB, Sample, percentile
from tests.soak.traffic import Answered, Day
from tests.soak.verdict import Limit, Verdict, judge

LIMITS: dict[str, tuple[str, Limit]] = {
    "memory of the process (USS)": ("MiB", Limit(share=0.06, amount=12)),
    "memory of the process (RSS)": ("MiB", Limit(share=0.06, amount=12)),
    "memory of its children (USS)": ("MiB", Limit(share=0.10, amount=24)),
    "open files": ("", Limit(share=0.10, amount=6)),
    "threads": ("", Limit(share=0.10, amount=3)),
    "write-ahead log": ("MiB", Limit(share=0.25, amount=8, most=64)),
    "database, bytes per message": ("KiB", Limit(share=0.10)),
    "other files (index, pictures)": ("MiB", Limit(share=0.10, amount=8)),
    "checkpoints per conversation": ("", Limit(share=0.02, most=2)),
    "bytes of a conversation's checkpoints": ("KiB", Limit(share=0.05)),
    "turn, p50": ("ms", Limit(share=0.30, amount=15)),
    "turn, p95": ("ms", Limit(share=0.40, amount=60)),
    "caller waits, p50": ("ms", Limit(share=0.30, amount=20)),
    "caller waits, p95": ("ms", Limit(share=0.40, amount=80)),
}
"""What each may rise over the whole run and count as flat. Latencies are those of a machine that
does other things too."""

Series = list[tuple[float, float]]


def series(
    samples: Sequence[Sample], answered: Sequence[Answered], run: float
) -> dict[str, Series]:
    minutes = _minutes(samples, run)
    waits = [(at, [one.seconds for one in answered if at - 60 < one.at <= at]) for at in minutes]
    found: dict[str, Series] = {
        "memory of the process (USS)": _of(samples, lambda one: one.uss / MIB),
        "memory of the process (RSS)": _of(samples, lambda one: one.rss / MIB),
        "memory of its children (USS)": _of(samples, lambda one: one.children / MIB),
        "open files": _of(samples, lambda one: one.open_files),
        "threads": _of(samples, lambda one: one.threads),
        "write-ahead log": _of(samples, lambda one: one.wal / MIB),
        "database, bytes per message": _per_message(samples),
        "other files (index, pictures)": _of(samples, lambda one: one.other_files / MIB),
        "checkpoints per conversation": _of(samples, lambda one: one.most_checkpoints),
        "bytes of a conversation's checkpoints": _of(
            samples, lambda one: one.checkpoint_bytes / max(one.conversations, 1) / 1024
        ),
    }
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        found[f"turn, {name}"] = [
            (one.at, value * 1000)
            for one in samples
            if (value := one.turn_p50 if share == 0.5 else one.turn_p95) is not None
        ]
        found[f"caller waits, {name}"] = [
            (at, value * 1000)
            for at, values in waits
            if (value := percentile(values, share)) is not None
        ]
    return found


def _of(samples: Sequence[Sample], value: Callable[[Sample], float]) -> Series:
    return [(one.at, value(one)) for one in samples]


def _per_message(samples: Sequence[Sample]) -> Series:
    """What the messages of about a minute added: rows are kept, so the file grows with them, and
    must not grow faster than they do."""
    found = []
    window = max(1, min(12, len(samples) // 6))
    for before, after in zip(samples, samples[window:], strict=False):
        messages = after.messages - before.messages
        if messages:
            grown = after.database + after.wal - before.database - before.wal
            found.append((after.at, grown / messages / 1024))
    return found


def _minutes(samples: Sequence[Sample], run: float) -> list[float]:
    step = min(60.0, run / 8)
    return [step * number for number in range(1, int(run / step) + 1)] if samples else []


def verdicts(samples: Sequence[Sample], day: Day, run: float) -> list[Verdict]:
    found = series(samples, day.answered, run)
    return [
        judge(name, unit, found[name], limit, run=run) for name, (unit, limit) in LIMITS.items()
    ]


def verdict_table(found: Sequence[Verdict]) -> str:
    lines = [
        "| | first | median | last | highest | rise in the run | allowed | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        figures = (one.first, one.median, one.last, one.highest, one.rise, one.allowed)
        shown = " | ".join(f"{figure:,.1f}" for figure in figures)
        unit = f", {one.unit}" if one.unit else ""
        lines.append(f"| {one.name}{unit} | {shown} | {'flat' if one.flat else '**not flat**'} |")
    return "\n".join(lines)


def minute_table(samples: Sequence[Sample], day: Day, run: float) -> str:
    lines = [
        "| min | messages | USS MiB | children MiB | files | database MiB | WAL MiB"
        " | checkpoint KiB | turn p50/p95 ms | caller p50/p95 ms | CPU % | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for minute, at in enumerate(_minutes(samples, run), 1):
        step = min(60.0, run / 8)
        inside = [one for one in samples if at - step < one.at <= at]
        if inside:
            waits = [one.seconds for one in day.answered if at - step < one.at <= at]
            lines.append(_minute_line(minute, inside, waits))
    return "\n".join(lines)


def _minute_line(minute: int, samples: Sequence[Sample], waits: list[float]) -> str:
    last = samples[-1]
    p50 = [one.turn_p50 for one in samples if one.turn_p50 is not None]
    p95 = [one.turn_p95 for one in samples if one.turn_p95 is not None]
    turn = "/".join(f"{statistics.median(v) * 1000:.0f}" if v else "–" for v in (p50, p95))
    found = [percentile(waits, share) for share in (0.5, 0.95)]
    caller = "/".join("–" if value is None else f"{value * 1000:.0f}" for value in found)
    size = last.checkpoint_bytes / max(last.conversations, 1) / 1024
    cells = (
        f"{minute}",
        f"{last.messages:,}",
        f"{statistics.median(one.uss for one in samples) / MIB:.0f}",
        f"{statistics.median(one.children for one in samples) / MIB:.0f}",
        f"{last.open_files}",
        f"{last.database / MIB:.1f}",
        f"{last.wal / MIB:.1f}",
        f"{size:.1f}",
        turn,
        caller,
        f"{statistics.median(one.cpu_percent for one in samples):.0f}",
        f"{last.load:.1f}",
    )
    return "| " + " | ".join(cells) + " |"
