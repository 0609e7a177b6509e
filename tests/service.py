"""The real service as a process of its own: started, killed, frozen and started again.

>>> from tests.service import running_service

Helpers block; on an event loop call them with ``asyncio.to_thread``.
"""

import atexit
import contextlib
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from engine.settings import load_settings
from tests.filling import fill_with_samples

ROOT = Path(__file__).resolve().parent.parent
READY_S = 120.0
STOP_S = 30.0
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "OMP_NUM_THREADS")
_COMMAND = "from api.cli.main import app; app()"
# Under the ephemeral range: while the service is down, a client's own port can never be taken for
# it (Linux lets a socket connect to itself), nor can it be lost to another program.
_PORTS = range(20_000, 32_000)


SERVE = ("serve", "--samples")
WORKER = ("worker",)
_OVERSLEPT = {"StorageError", "StaleTurn", "TimeoutError"}
"""What a process that stood still logs with a stack trace: its connections are gone, its deadlines
are over."""


class Service:
    """``url`` stays the same over restarts. ``log`` is what every start has printed so far.
    ``command``: of `kefu`."""

    def __init__(
        self,
        data_dir: Path,
        port: int,
        env: Mapping[str, str],
        log_file: Path,
        command: Sequence[str] = SERVE,
    ) -> None:
        self.data_dir, self.port, self._arguments = data_dir, port, command
        self.url = f"http://127.0.0.1:{port}"
        self.starts = 0
        self._froze = False
        self._env, self._log_file = dict(env), log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start without waiting until it is ready."""
        assert not self.alive
        command = [sys.executable, "-c", _COMMAND, *self._arguments, "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data-dir", str(self.data_dir)]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.data_dir,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.starts += 1

    def await_ready(self, timeout: float = READY_S) -> None:
        ends = time.monotonic() + timeout
        with httpx.Client(base_url=self.url, timeout=5.0, trust_env=False) as client:
            while time.monotonic() < ends:
                if not self.alive:
                    raise RuntimeError("the service ended while starting:\n" + self.log()[-4_000:])
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").status_code == 200:
                        return
                time.sleep(0.02)
        raise RuntimeError(f"the service is not ready after {timeout} s:\n" + self.log()[-4_000:])

    def start(self) -> None:
        self.launch()
        self.await_ready()

    def kill(self) -> None:
        """End the process the hard way (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=STOP_S)

    def restart(self) -> None:
        """Start again, after a SIGKILL if it still runs; returns once it is ready."""
        self.kill()
        self.start()

    def stop(self) -> int:
        """End the process politely (SIGTERM); returns its exit code."""
        assert self._process is not None
        if self.alive:
            self._process.terminate()
        return self._process.wait(timeout=STOP_S)

    def freeze(self) -> None:
        self._froze = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        return self._log_file.read_text("utf-8", "replace") if self._log_file.exists() else ""

    def faults(self) -> list[str]:
        """Lines of the log with a stack trace, but for what standing still explains."""
        lines = [line for line in self.log().splitlines() if "Traceback" in line]
        if not self._froze:
            return lines
        return [line for line in lines if _last_error(line) not in _OVERSLEPT]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _last_error(line: str) -> str:
    """The exception that a logged trace ends with, without its module's name."""
    found = re.findall(r"\\n([A-Za-z_][\w.]*)(?=: |\\n)", line)
    return found[-1].rpartition(".")[2] if found else ""


@contextlib.contextmanager
def running_service(
    data_dir: Path,
    *,
    sandbox_url: str | None = None,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
    command: Sequence[str] = SERVE,
    name: str = "",
) -> Iterator[Service]:
    """A ready service with the sample knowledge; ends with the block.

    ``data_dir`` is filled unless it exists. ``env`` adds settings; none come from outside. A block
    that ends well fails all the same if the service has logged a stack trace. ``name``: of its log,
    where several have one folder.
    """
    if not data_dir.exists():
        shutil.copytree(sample_data(), data_dir)
    settings = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    settings |= {"PYTHONPATH": str(ROOT), "KEFU_LOG_LEVEL": "WARNING", "KEFU_ALERTS": "false"}
    settings |= {"KEFU_SANDBOX_URL": sandbox_url} if sandbox_url else {}
    settings |= dict(env or {})
    log_file = data_dir.with_name(f"{name or data_dir.name}.log")
    service = Service(data_dir, port or free_port(), settings, log_file, command)
    try:
        service.start()
        yield service
        if service.alive:
            service.thaw()
            service.stop()
        assert not service.faults(), "\n".join(service.faults())[-4_000:]
    finally:
        service.kill()


def free_port() -> int:
    for _ in range(100):
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


@functools.cache
def sample_data() -> Path:
    """A data folder with schema and sample knowledge, built once a process: starts get quick."""
    folder = Path(tempfile.mkdtemp(prefix="kefu-samples-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fill_with_samples(load_settings(env_files=None, data_dir=folder, database_url=None))
    return folder
