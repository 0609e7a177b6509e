"""The real service with simulated peers and something of everything in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fuzz.document import JsonObject, sharpened
from tests.fuzz.rows import fill
from tests.sandbox_server import running_sandbox
from tests.service import running_service

ENDLESS = ("/api/desk/events",)
"""Streams that last as long as somebody reads them: tests/api/test_described.py has them."""


@dataclass(frozen=True, slots=True)
class Target:
    """``known``: ids that exist, by the name of the parameter or member that takes them."""

    url: str
    known: dict[str, list[Any]]
    document: JsonObject

    def operations(self) -> int:
        return sum(len(methods) for methods in self.document["paths"].values())


@contextmanager
def running_target(folder: Path, database_url: str = "") -> Iterator[Target]:
    """A block that ends well fails all the same if the service has logged a stack trace.

    ``database_url``: an empty database; without it the service has its own.
    """
    data, env = folder / "service", {"DATABASE_URL": database_url} if database_url else {}
    if database_url:
        data.mkdir()  # the prepared folder's index belongs to another database
    with (
        running_sandbox() as sandbox,
        running_service(data, sandbox_url=sandbox.url, env=env) as service,
        httpx.Client(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        known = fill(client)
        document = client.get("/openapi.json").raise_for_status().json()
        for path in ENDLESS:
            del document["paths"][path]
        tools = client.get("/api/tools").raise_for_status().json()["tools"]
        yield Target(service.url, known, sharpened(document, tools))
