"""The servers under load, each a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    pid: int
    ready_s: float

    def memory_mib(self) -> float:
        """Resident memory of the process and its children."""
        process = psutil.Process(self.pid)
        family = [process, *process.children(recursive=True)]
        return sum(p.memory_info().rss for p in family) / 2**20

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def bytes_written(self) -> int:
        return int(psutil.Process(self.pid).io_counters().write_chars)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    command: list[str], port: int, health: str, env: dict[str, str] | None = None
) -> Iterator[Server]:
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        running = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            try:
                _await_health(url + health, running)
            except RuntimeError as error:
                log.seek(0)
                raise RuntimeError(f"{error}\n{log.read().decode()[-3000:]}") from None
            yield Server(url, running.pid, time.perf_counter() - started)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()


def _await_health(url: str, running: "subprocess.Popen[bytes]") -> None:
    ends = time.perf_counter() + READY_S
    with httpx.Client(timeout=2.0) as client:
        while time.perf_counter() < ends:
            if running.poll() is not None:
                raise RuntimeError(f"{url}: the process ended with {running.returncode}")
            with contextlib.suppress(httpx.HTTPError):
                if client.get(url).status_code == 200:
                    return
            time.sleep(0.02)
    raise RuntimeError(f"{url} is not ready after {READY_S} s")


def full_engine(
    data_dir: Path, env: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("kefu")), "serve", "--port", str(port)]
    command += ["--data-dir", str(data_dir), "--samples"]
    return process(command, port, "/health", env)


def worker(
    data_dir: Path, env: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("kefu")), "worker", "--port", str(port)]
    command += ["--data-dir", str(data_dir)]
    return process(command, port, "/health", env)


def bare_graph(
    data_dir: Path, env: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.bare", str(port), str(data_dir)]
    return process(command, port, "/health", env)


def langgraph_dev(data_dir: Path) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser"]
    command += ["--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--n-jobs-per-worker", "64"]
    env = {
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "LANGSMITH_TRACING": "false",
        "KEFU_DATA_DIR": str(data_dir),
    }
    return process(command, port, "/ok", env)


def sandbox() -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, "-m", "sandbox", "--port", str(port)]
    return process(command, port, "/_sandbox/health")
