"""Whatever Schemathesis makes of the OpenAPI document is answered with a documented status, type
and shape, never with a 5xx, and leaves no stack trace in the service's log."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.fuzz.rows import fill
from tests.fuzz.run import deterministic, fuzz
from tests.sandbox_server import running_sandbox
from tests.service import running_service

EXAMPLES = 10
KNOWLEDGE = "^/api/knowledge"


class Target(NamedTuple):
    url: str
    known: dict[str, list[object]]
    operations: list[str]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with (
        running_sandbox() as sandbox,
        running_service(folder / "service", sandbox_url=sandbox.url) as service,
        httpx.Client(base_url=service.url, timeout=30.0, trust_env=False) as client,
    ):
        known = fill(client)
        paths = client.get("/openapi.json").raise_for_status().json()["paths"]
        yield Target(service.url, known, [path for path, methods in paths.items() for _ in methods])


@pytest.mark.parametrize(("kind", "knows"), [("--include", True), ("--exclude", False)])
def test_everything_made_from_the_description_is_answered_as_described(
    target: Target, tmp_path: Path, kind: str, knows: bool
) -> None:
    """In two parts: the knowledge base, and all the rest."""
    selection = [f"{kind}-path-regex", KNOWLEDGE]
    done = fuzz(target.url, tmp_path, [*deterministic(EXAMPLES), *selection], known=target.known)
    assert not done.failed, done.report
    expected = [path for path in target.operations if path.startswith(KNOWLEDGE[1:]) == knows]
    assert done.selected == done.tested == len(expected), done.report
