"""Printed commands, run as they are printed."""

import json
import re
import shutil
import subprocess
from typing import Any

PRINTED_ADDRESS = "http://localhost:6060"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def run_curl(command: str, url: str) -> dict[str, Any]:
    """The answer to a printed ``curl …``, sent to the service at ``url`` instead."""
    assert PRINTED_ADDRESS in command
    assert shutil.which("curl"), "these tests need curl: apt-get install curl"
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace(PRINTED_ADDRESS, url)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def times_aside(value: Any) -> Any:
    """``value`` with every local time replaced by the word time."""
    if isinstance(value, dict):
        return {name: times_aside(item) for name, item in value.items()}
    if isinstance(value, list):
        return [times_aside(item) for item in value]
    return "time" if isinstance(value, str) and _TIME.fullmatch(value) else value
