"""What docs/tianwang.md prints is what happens."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from domain.errors import PeerUnavailable
from tests.api.service import Service, running_service
from tests.api.tianwang.curl import run_curl, times_aside
from tests.service import free_port
from tests.tools.tianwang.test_callbacks import BODY, EVENT
from tools.tianwang.client import CallbackClient
from tools.tianwang.protocol import CallbackEvent

PAGE = (Path(__file__).parents[3] / "docs" / "tianwang.md").read_text("utf-8")
SECRET = "documented-secret"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


EXAMPLES = re.findall(
    r"^```bash\n(curl .*?)^```\n\n```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("documented")) as running:
        yield running


def test_every_printed_request_is_answered_as_printed(service: Service) -> None:
    assert len(EXAMPLES) == len(_blocks("bash")) == 8
    for command, printed in EXAMPLES:
        told, expected = times_aside(run_curl(command, service.url)), json.loads(printed)
        if command.strip().endswith("/api/health"):
            told = {name: told[name] for name in expected}
        assert told == times_aside(expected), command


def test_the_printed_callback_has_the_fields_of_a_callback() -> None:
    (printed,) = [json.loads(block) for block in _blocks("json") if "event_id" in block]
    assert list(printed) == list(CallbackEvent.__slots__)


def test_the_printed_sql_runs_on_the_database_file(service: Service) -> None:
    statements = [part for block in _blocks("sql") for part in block.split(";") if part.strip()]
    assert len(statements) == 7
    connection = sqlite3.connect(service.kefu.settings.data_dir / "kefu.db", timeout=10)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# The printed receiver


@contextmanager
def _receiver(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    (source,) = _blocks("python")
    script, port = tmp_path / "receiver.py", free_port()
    script.write_text(source, "utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"TIANWANG_CALLBACK_SECRET": SECRET, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/callback"
        ends = time.monotonic() + 60
        while True:
            try:
                httpx.post(url, trust_env=False)
                break
            except httpx.TransportError:
                assert time.monotonic() < ends
                time.sleep(0.05)
        yield url, process
    finally:
        process.kill()
        process.communicate()


async def test_the_printed_receiver_counts_signed_events_once_and_nothing_else(
    tmp_path: Path,
) -> None:
    with _receiver(tmp_path) as (url, process):
        async with httpx.AsyncClient(trust_env=False) as http:
            genuine = CallbackClient(url, SECRET, http)
            await genuine.deliver(EVENT.event_id, BODY)
            await genuine.deliver(EVENT.event_id, BODY)
            for doubtful in (
                CallbackClient(url, "another-secret", http),
                CallbackClient(url, None, http),
                CallbackClient(url, SECRET, http, clock=lambda: time.time() - 301),
            ):
                with pytest.raises(PeerUnavailable) as caught:
                    await doubtful.deliver(EVENT.event_id, BODY.replace(b"_1", b"_2"))
                assert caught.value.status == 401
        process.kill()
        told, _ = process.communicate(timeout=10)
    assert told.splitlines() == ["TASK_001 completed None"]
