"""nginx with the configuration of deploy/, in front of a service that runs and one that is dead."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.service import Service, running_service
from tests.service import free_port, sample_data

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or "nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("behind")
    with running_service(folder, knowledge=sample_data()) as service:
        yield service


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[httpx.Client]:
    """The first process of its upstream refuses connections, as one that ends does."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    live = service.url.removeprefix("http://")
    configured(folder, port, [f"127.0.0.1:{free_port()}", live])
    with (
        running_nginx(folder),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False) as client,
    ):
        await_front(client)
        yield client


def configured(folder: Path, port: int, processes: list[str]) -> None:
    """The files as they are, but for the addresses, and with places that a test may write to."""
    main = (DEPLOY / "nginx.conf").read_text("utf-8")
    places = "".join(f"    {name}_temp_path {folder / name};\n" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(main.replace("http {\n", f"http {{\n{places}"), "utf-8")
    upstream = (DEPLOY / "upstream.conf").read_text("utf-8")
    servers = iter(processes)
    upstream = re.sub(r"serve-\d:6060", lambda _: next(servers), upstream)
    (folder / "upstream.conf").write_text(upstream, "utf-8")
    served = (DEPLOY / "kefu.conf").read_text("utf-8")
    (folder / "kefu.conf").write_text(served.replace("listen 80;", f"listen 127.0.0.1:{port};"))


def command(folder: Path, more: str = "") -> list[str]:
    # Started by root its workers are nobody, to whom a test's folder is closed.
    more += " user root;" if os.getuid() == 0 else ""
    orders = f"pid {folder / 'pid'}; error_log {folder / 'log'} warn; {more}"
    return [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", orders]


@contextlib.contextmanager
def running_nginx(folder: Path) -> Iterator[None]:
    with subprocess.Popen([*command(folder, "daemon off;")]) as process:
        try:
            yield
        finally:
            process.terminate()


def await_front(client: httpx.Client) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            client.get("/livez")
        except httpx.TransportError:
            assert time.monotonic() < ends
            time.sleep(0.02)
        else:
            return


def message(number: int) -> dict[str, object]:
    sent = {"id": f"n{number}", "chat_id": f"c{number}", "sender": "c", "content": "充电桩怎么安装"}
    return {"agent_id": "nginx", "message": sent}


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    configured(tmp_path, free_port(), ["127.0.0.1:1", "127.0.0.1:2"])
    tested = subprocess.run([*command(tmp_path), "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr


def test_a_message_is_answered_though_one_process_is_away(front: httpx.Client) -> None:
    for number in range(4):
        answer = front.post("/api/v1/messages", json=message(number))
        assert answer.status_code == 200, answer.text
        assert answer.json()["action"] == "reply"


def test_streams_come_as_they_are_made(front: httpx.Client) -> None:
    with front.stream("POST", "/api/v1/messages/stream", json=message(10)) as stream:
        text = "".join(stream.iter_text())
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert text.index("event: node") < text.index("event: result")


def test_figures_are_not_shown_to_the_world(front: httpx.Client, service: Service) -> None:
    assert front.get("/metrics").status_code == 404
    assert service.client.get("/metrics").status_code == 200


def test_what_is_too_large_is_refused_by_the_service_in_its_words(front: httpx.Client) -> None:
    large = front.post("/api/v1/messages", content=b"x" * 2_000_000)
    assert large.status_code == 413
    assert large.headers["content-type"].startswith("application/json")
