"""Server-sent events as a client reads them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx


class Event(NamedTuple):
    name: str
    data: dict[str, Any]


def events(response: httpx.Response) -> Iterator[Event]:
    """The stream's events as they come; comments are left out."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield Event(name, json.loads(line.removeprefix("data: ")))


def said(happened: list[Event]) -> str:
    """What a reader of the tokens has before it at the end."""
    text = ""
    for event in happened:
        if event.name == "token":
            text += event.data["text"]
        elif event.name == "restart":
            text = ""
    return text
