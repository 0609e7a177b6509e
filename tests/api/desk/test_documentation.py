"""What docs/desk-api.md prints is what happens."""

import json
import re
from pathlib import Path
from typing import Any

from domain.desk import EventKind
from sandbox.agents import Hiring
from tests.api.desk.seats import employ
from tests.api.service import Service
from tests.api.tianwang.curl import run_curl
from tests.sandbox_server import SandboxServer

PAGE = (Path(__file__).parents[3] / "docs" / "desk-api.md").read_text("utf-8")
COMMANDS = re.findall(r"^```bash\n(curl .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PRINTED = [json.loads(one) for one in re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.DOTALL)]


def shows(told: Any, printed: Any) -> bool:
    """What is printed is there; there may be more."""
    if isinstance(printed, dict):
        return all(name in told and shows(told[name], value) for name, value in printed.items())
    return bool(told == printed)


def test_signing_in_and_reading_the_queue_are_answered_as_printed(
    staffed: Service, tmp_path: Path
) -> None:
    employ(staffed, "lily")
    cookies = str(tmp_path / "cookies.txt")
    for command, printed in zip(COMMANDS[:2], PRINTED, strict=True):
        told = run_curl(command.replace("cookies.txt", cookies), staffed.url)
        assert shows(told, printed), told


def test_the_printed_robot_is_hired(staffed: Service, sandbox_server: SandboxServer) -> None:
    sandbox_server.set_target(staffed.url)
    employ(staffed, "lily")
    command = COMMANDS[2].replace("localhost:6061", "localhost:6060")
    told = run_curl(command, sandbox_server.url)
    assert told["habit"] == "answer"
    done = sandbox_server.get("/_sandbox/agents/robots/lily", did="signed_in", at_least=1, wait=30)
    assert done["done"] == {"signed_in": 1}


def test_every_kind_of_event_and_every_habit_is_told() -> None:
    assert all(f"`{kind}`" in PAGE for kind in EventKind)
    habits = Hiring.model_json_schema()["properties"]["habit"]["enum"]
    assert all(f"| `{habit}` |" in PAGE for habit in habits)
