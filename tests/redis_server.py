"""Debian's Redis, started for a test on a port of its own: killed, frozen, emptied, started again.

Helpers block; on an event loop call them with ``asyncio.to_thread``.
"""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.service import free_port

PROGRAM = "redis-server"
READY_S = 60.0


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which(PROGRAM)
        assert program, f"{PROGRAM} is not installed: make programs"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self._folder), "--loglevel", "warning"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + READY_S
        with self.client() as client:
            while time.monotonic() < ends:
                assert self._process.poll() is None, f"{PROGRAM} ended"
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    return
                time.sleep(0.02)
        raise RuntimeError(f"{PROGRAM} is not ready")

    @contextlib.contextmanager
    def client(self) -> Iterator["redis.Redis"]:
        with redis.Redis.from_url(self.url, socket_timeout=5.0) as client:
            yield client

    def stored(self) -> dict[bytes, bytes]:
        """Every key with its value."""
        with self.client() as client:
            keys = [key for key in client.keys("*") if isinstance(key, bytes)]
            values = [client.get(key) for key in keys]
        return {k: v for k, v in zip(keys, values, strict=True) if isinstance(v, bytes)}

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10.0)
            self._process = None

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextlib.contextmanager
def running_redis() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="kefu-redis-"))
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
