"""The real service with simulated peers and something of everything in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fuzz.rows import fill
from tests.sandbox_server import running_sandbox
from tests.service import running_service


@dataclass(frozen=True, slots=True)
class Target:
    """``known``: see `tests.fuzz.run.fuzz`. ``paths``: of every operation that is described."""

    url: str
    known: dict[str, list[Any]]
    paths: list[str]


@contextmanager
def running_target(folder: Path) -> Iterator[Target]:
    """A block that ends well fails all the same if the service has logged a stack trace."""
    with (
        running_sandbox() as sandbox,
        running_service(folder / "service", sandbox_url=sandbox.url) as service,
        httpx.Client(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        known = fill(client)
        paths = client.get("/openapi.json").raise_for_status().json()["paths"]
        yield Target(service.url, known, [path for path, methods in paths.items() for _ in methods])
