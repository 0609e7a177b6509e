"""Trials as Markdown, for ``docs/retrieval.md``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge.trial import STEPS, Trial, figures_json

COLUMNS = {
    "recall@1": "R@1",
    "recall@3": "R@3",
    "mrr@10": "MRR@10",
    "auroc": "AUROC",
    "precision": "right at threshold",
    "answered_in_scope": "answered in scope",
    "coverage": "answered of all",
    "false_answer_rate": "false answers",
    "wrong_handoff_rate": "wrong handoffs",
    "coverage@90": "cov@90",
    "coverage@80": "cov@80",
    "calibration_error": "ECE",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
}


@dataclass(frozen=True, slots=True)
class Row:
    """``how``: cold, adapted, or with which embeddings."""

    name: str
    how: str
    trial: Trial


def evaluation_markdown(rows: Sequence[Row], note: str) -> str:
    parts = [
        note,
        "### Figures",
        _figures(rows),
        "### Coverage curve",
        "Precision of the surest 10 %, 20 %, … of all questions (out of scope included).",
        _curves(rows),
        "### Reliability",
        "For each tenth of confidence: questions, mean confidence → share that was right.",
        _reliability(rows),
    ]
    return "\n\n".join(parts)


def _figures(rows: Sequence[Row]) -> str:
    head = ["set", "mode", "entries", "questions", *COLUMNS.values()]
    body = []
    for row in rows:
        found = figures_json(row.trial)
        shown = [_shown(key, found[key]) for key in COLUMNS]
        body.append([row.name, row.how, str(found["entries"]), str(found["questions"]), *shown])
    return _table(head, body)


def _curves(rows: Sequence[Row]) -> str:
    head = ["set", "mode", *(f"{100 * step // STEPS} %" for step in range(1, STEPS + 1))]
    return _table(head, ([r.name, r.how, *(f"{p:.2f}" for p in r.trial.curve)] for r in rows))


def _reliability(rows: Sequence[Row]) -> str:
    head = ["set", "mode", *(f"{step / STEPS:.1f}" for step in range(STEPS))]
    body = []
    for row in rows:
        by_bin = {round(part.low * STEPS): part for part in row.trial.figures.bins}
        cells = [
            f"{by_bin[n].questions}: {by_bin[n].confidence:.2f} → {by_bin[n].right:.2f}"
            if n in by_bin
            else ""
            for n in range(STEPS)
        ]
        body.append([row.name, row.how, *cells])
    return _table(head, body)


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if key.endswith("_ms") else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
