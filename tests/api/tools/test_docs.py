"""What docs/tools.md prints is what happens."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.tools.callers import MING, token
from tests.api.tools.conftest import Tooled
from tools.catalog import catalogue
from tools.registry import Role, Tool

PAGE = (Path(__file__).parents[3] / "docs" / "tools.md").read_text("utf-8")
PRINTED_URL = "http://127.0.0.1:6060"


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_printed_call_is_answered_as_printed(tooled: Tooled) -> None:
    command = block("bash").replace(PRINTED_URL, tooled.service.url)
    assert json.loads(run("bash", "-c", command.replace("curl", "curl -s"))) == json.loads(
        block("json")
    )


def test_the_printed_client_lists_and_calls(tooled: Tooled) -> None:
    program = block("python").replace(PRINTED_URL, tooled.service.url)
    said = run(sys.executable, "-c", program.replace('"…"', repr(token(MING))))
    assert "get_conversation 查看" in said
    assert "桌布" in said


@pytest.mark.parametrize("tool", catalogue(), ids=lambda tool: str(tool.name))
def test_every_tool_is_in_the_table_with_who_may_use_it(tool: Tool[Any]) -> None:
    shown = f"`{tool.name}`"
    row = next(line for line in PAGE.splitlines() if line.startswith("|") and shown in line)
    names, _, customers = (cell.strip() for cell in row.strip("|").split("|"))
    first_only = customers.startswith("the first") and not names.startswith(shown)
    assert (Role.CUSTOMER in tool.roles) is (bool(customers) and not first_only)
