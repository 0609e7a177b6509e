"""A little to adapt with, of fields that the shipped model does not know: seconds, not minutes."""

import json
from dataclasses import replace
from pathlib import Path

from knowledge.simulation import EVALUATED, Field, house_fields, pairs_of, training_fields
from knowledge.training import Pair

MEANINGS, WORDINGS = 80, 3


def few_pairs(meanings: int = MEANINGS, wordings: int = WORDINGS) -> list[Pair]:
    fields = [field for field in house_fields() if field.name in EVALUATED]
    short = [
        replace(
            field,
            meanings=tuple(
                replace(meaning, wordings=meaning.wordings[:wordings])
                for meaning in field.meanings[: meanings // len(fields)]
            ),
        )
        for field in fields
    ]
    return pairs_of(short)


def small_house() -> list[Field]:
    """Passages, and one field of questions."""
    return [
        replace(field, meanings=field.meanings[:15], outside=field.outside[:10])
        for field in training_fields()
        if field.name in ("passages", "insurance")
    ]


def write_pairs(path: Path, pairs: list[Pair]) -> Path:
    rows = [{"a": pair.a, "b": pair.b, "label": int(pair.same)} for pair in pairs]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path
