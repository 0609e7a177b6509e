"""What docs/campus.md prints is what happens."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import Service, running_service
from tests.api.tianwang.curl import run_curl

PAGE = (Path(__file__).parents[3] / "docs" / "campus.md").read_text("utf-8")
COMMANDS = re.findall(r"^```bash\n(curl .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = re.findall(
    r"^```bash\n(curl .*?)^```\n\n```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("documented")) as running:
        yield running


def _times_aside(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _times_aside(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_times_aside(item) for item in value]
    return "time" if isinstance(value, str) and _TIME.fullmatch(value) else value


def test_every_printed_request_is_answered_as_printed(documented: Service) -> None:
    assert (len(COMMANDS), len(EXAMPLES)) == (5, 4)
    for command, printed in EXAMPLES:
        expected = json.loads(printed)
        told = run_curl(command, documented.url)
        assert _times_aside({name: told[name] for name in expected}) == _times_aside(expected)
    assert run_curl(COMMANDS[-1], documented.url)["code"] == 200


def test_every_printed_variable_is_one_that_is_read() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    table = PAGE.partition("## Settings of seed 002")[2]
    names = re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert len(names) == 9
    assert all(f"`{name}`" in readme for name in names)
