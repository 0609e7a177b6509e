"""`kefu` as a process of its own."""

import subprocess
import sys
from pathlib import Path

_START = "from api.cli.main import app; app()"


def run_kefu(*arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
    """In the current folder and environment."""
    return subprocess.run(
        [sys.executable, "-c", _START, *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def started_kefu(*arguments: str) -> "subprocess.Popen[bytes]":
    """The same without waiting; the caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-c", _START, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def console_script() -> Path:
    return Path(sys.executable).with_name("kefu")
