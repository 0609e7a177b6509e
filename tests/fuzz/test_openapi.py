"""Whatever Schemathesis makes of the OpenAPI document is answered with a documented status, type
and shape, never with a 5xx, and leaves no stack trace in the service's log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.run import deterministic, fuzz
from tests.fuzz.target import Target, running_target

EXAMPLES = 5
LEARNING = "/api/knowledge/(unknown|suggestions)"
KNOWLEDGE = "/api/knowledge/(?!unknown|suggestions)"
REST = "/(?!api/knowledge/)"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


@pytest.fixture(scope="module")
def tested() -> list[int]:
    """Of each part, how many operations got requests."""
    return []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("paths", [REST, LEARNING, KNOWLEDGE])
def test_everything_made_from_the_description_is_answered_as_described(
    target: Target, tested: list[int], tmp_path: Path, paths: str
) -> None:
    chosen = [*deterministic(EXAMPLES), "--include-path-regex", f"^{paths}"]
    done = fuzz(target, tmp_path, chosen)
    assert not done.failed, done.report
    assert 0 < done.selected == done.tested, done.report
    tested.append(done.tested)


def test_no_operation_was_left_out(target: Target, tested: list[int]) -> None:
    if len(tested) < 3:
        pytest.skip("not all parts ran and passed")
    assert sum(tested) == target.operations()
