"""`langgraph dev` as a developer starts it: the repository's configuration, a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_OFFLINE = {
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "1",
    "LANGSMITH_TRACING": "false",
    "PYTHONUNBUFFERED": "1",
}
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class StudioServer:
    url: str
    process: "subprocess.Popen[bytes]"
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")


@contextmanager
def running_studio(folder: Path, **variables: str) -> Iterator[StudioServer]:
    """A server whose every file lies in ``folder``. It ends, with its children, with the block.

    Of this process's environment only what a program needs to start goes along, so that no key
    of the developer's is used and no provider is asked.
    """
    port = _free_port()
    log_file = folder / "studio.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            _command(port),
            cwd=folder,
            env=_environment(folder, variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = StudioServer(f"http://127.0.0.1:{port}", process, log_file)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        _stop(process)


def _command(port: int) -> list[str]:
    langgraph = str(Path(sys.executable).with_name("langgraph"))
    options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    return [langgraph, "dev", "--config", str(ROOT / "langgraph.json"), *options]


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    data = {"KEFU_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    return {**kept, **_OFFLINE, **data, **variables}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: StudioServer) -> None:
    give_up = time.monotonic() + _START_SECONDS
    with httpx.Client(trust_env=False, timeout=2.0) as client:
        while time.monotonic() < give_up and server.process.poll() is None:
            if _is_ready(client, server.url):
                return
            time.sleep(0.05)
    raise RuntimeError("langgraph dev did not start:\n" + server.log())


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/ok").is_success
    except httpx.TransportError:
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """As with Ctrl-C; whatever is left of its process group afterwards is killed."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _kill_group(process.pid)
        process.wait(timeout=_STOP_SECONDS)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
