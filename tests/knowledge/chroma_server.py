"""A Chroma server of its own."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.service import free_port


@contextlib.contextmanager
def running_chroma(folder: Path) -> Iterator[str]:
    """Its URL. What it holds is in ``folder``."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([*command, *address], stdout=log) as run,
    ):
        try:
            _await_port(port, time.monotonic() + 30)
            yield f"http://127.0.0.1:{port}"
        finally:
            run.terminate()


def _await_port(port: int, deadline: float) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
