"""What a worker shows: to anybody that it lives and works, its figures to who has the key."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from api.cli.serve import server_config
from api.serving import Server
from api.worker import create_worker_app
from engine.bootstrap import build
from tests.api.service import settings_for
from tests.databases import fresh_postgres_database

KEY = "k" * 32


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[httpx.Client]:
    with fresh_postgres_database(postgres_url) as url:
        settings = settings_for(
            tmp_path_factory.mktemp("worker"),
            database_url=SecretStr(url),
            api_key=SecretStr(KEY),
            role="api",
        )
        app = create_worker_app(build(settings, worker=True))
        server = Server(app, server_config(app, "127.0.0.1", 0))
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],), name="worker")
        thread.start()
        ends = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < ends:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=30.0, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(timeout=60)
            listener.close()


def test_it_says_that_it_lives_and_works(worker: httpx.Client) -> None:
    assert worker.get("/livez").json() == {"status": "ok"}
    health = worker.get("/health")
    assert health.status_code == 200
    assert health.json()["parts"]["processes"]["role"] == "all"


def test_its_figures_want_the_key(worker: httpx.Client) -> None:
    assert worker.get("/metrics").status_code == 401
    figures = worker.get("/metrics", headers={"X-API-Key": KEY})
    assert figures.status_code == 200
    assert "kefu_backlog" in figures.text


def test_it_has_no_door_for_customers(worker: httpx.Client) -> None:
    refused = worker.post("/api/v1/messages", json={}, headers={"X-API-Key": KEY})
    assert refused.status_code == 404
