"""The house evaluation set: bases and questions that nothing which is shipped was trained on.

The three sample shops with their questions (``tests/knowledge/data``), and the fields of the house
set that training leaves out (`knowledge.simulation.EVALUATED`). See ``docs/retrieval.md``.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from knowledge.documents import load_paths, make_entry
from knowledge.evaluation import Question
from knowledge.evaluation_files import EvaluationSet
from knowledge.simulation import EVALUATED, Field, house_fields

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "knowledge" / "samples"
ASKED = ROOT / "tests" / "knowledge" / "data"
SHOPS = ("campus_store", "charging_pile", "image_design")
FAR = 60
"""Questions of other fields that each of the left-out fields is asked."""


def house_sets() -> list[EvaluationSet]:
    shops = [_shop(name) for name in SHOPS]
    fields = [field for field in house_fields() if field.name in EVALUATED]
    return shops + [_field(field, _elsewhere(field, fields, shops)) for field in fields]


def _shop(name: str) -> EvaluationSet:
    entries = load_paths([SAMPLES / f"{name}.md"]).entries
    by_heading = {entry.question: entry.id for entry in entries}
    lines = (ASKED / f"{name}.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    questions = [
        Question(row["query"], by_heading[row["gold"]] if row["gold"] is not None else None)
        for row in rows
    ]
    return EvaluationSet(name, entries, tuple(questions))


def _field(field: Field, far: list[str]) -> EvaluationSet:
    entries = tuple(
        make_entry(meaning.question, meaning.answer, source=field.name, category=meaning.topic)
        for meaning in field.meanings
    )
    inside = [
        Question(wording, entry.id)
        for entry, meaning in zip(entries, field.meanings, strict=True)
        for wording in meaning.wordings
    ]
    outside = [Question(text, None) for text in (*field.outside, *far)]
    return EvaluationSet(field.name, entries, tuple(inside + outside))


def _elsewhere(field: Field, fields: list[Field], shops: list[EvaluationSet]) -> list[str]:
    """Only what training has not seen: of the other left-out fields and of the shops."""
    found = list(_wordings(other for other in fields if other is not field))
    found += [item.text for shop in shops for item in shop.questions if item.gold is not None]
    return found[:: max(len(found) // FAR, 1)][:FAR]


def _wordings(fields: Iterator[Field]) -> Iterator[str]:
    for field in fields:
        for meaning in field.meanings:
            yield from meaning.wordings
