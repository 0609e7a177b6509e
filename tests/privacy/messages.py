"""The 300 messages of `personal_300.jsonl`, as tests read them."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("personal_300.jsonl")


@dataclass(frozen=True, slots=True)
class Personal:
    """``values`` must reach nobody; ``kept`` must reach the model. ``called``: the customer's
    name as the channel tells it, often empty."""

    id: str
    text: str
    values: tuple[str, ...]
    kept: tuple[str, ...]
    called: str


def personal_messages() -> list[Personal]:
    rows = (json.loads(line) for line in FILE.read_text("utf-8").splitlines())
    return [
        Personal(one["id"], one["text"], tuple(one["values"]), tuple(one["kept"]), one["called"])
        for one in rows
    ]


def found_in(text: str, messages: list[Personal]) -> set[str]:
    """Values that ``text`` holds, written as they were or without spaces and dashes."""
    squeezed = _squeezed(text)
    values = {value for one in messages for value in one.values}
    return {value for value in values if value in text or _squeezed(value) in squeezed}


def _squeezed(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum())
