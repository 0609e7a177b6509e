"""The service as users run it: uvicorn on a loopback port, here on a thread of the test process."""

import contextlib
import functools
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastapi.dependencies.models
import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from api.app import create_app
from api.serving import Server
from engine.bootstrap import Kefu, build
from engine.settings import PROVIDERS, Settings, load_settings
from storage.sealed import unseal

START_S = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service; ``url`` has no trailing slash."""

    url: str
    kefu: Kefu
    client: httpx.Client
    app: FastAPI

    def rows(self, table: str) -> int:
        """How many rows ``table`` has."""
        with self.kefu.engine.database.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    def write(self, statement: str) -> None:
        with self.kefu.engine.database.engine.begin() as connection:
            connection.execute(text(statement))

    def names(self, where: str = "1 = 1") -> list[str]:
        """Of the customers of conversations, as a reader of the rows with the keys sees them."""
        with self.kefu.engine.database.engine.connect() as connection:
            found = connection.execute(
                text(f"SELECT customer_name FROM conversations WHERE {where} ORDER BY id")
            )
            return [unseal(connection, name) for name in found.scalars()]

    def all_rows(self) -> dict[str, int]:
        """Rows of every table that a request may write."""
        return {table: self.rows(table) for table in WRITTEN_TABLES}

    def ask(self, content: str, *, message_id: str, chat_id: str, **more: Any) -> dict[str, Any]:
        """A message over seed 003's surface; its answer."""
        message = {"id": message_id, "chat_id": chat_id, "sender": chat_id, "content": content}
        body = {"agent_id": "tests", "message": message} | more
        response = self.client.post("/api/v1/messages", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


WRITTEN_TABLES = (
    "messages",
    "conversations",
    "sessions",
    "customers",
    "turns",
    "outbox",
    "effects",
    "handoffs",
    "unknown_questions",
    "model_calls",
    "dead_letters",
    "audit",
)


def settings_for(data_dir: Path, **overrides: Any) -> Settings:
    """Settings that nothing in the environment of the test run can change."""
    keys: dict[str, Any] = {f"{name}_api_key": None for name in PROVIDERS}
    alone = {"llm_api_key": None, "llm_api_base": "", "api_key": None, "database_url": None}
    keys |= {"alerts": False}  # a busy machine is no finding
    chosen = keys | alone | {"data_dir": data_dir, "host": "127.0.0.1", "port": 0} | overrides
    return load_settings(env_files=None, **chosen)


def copy_knowledge(source: Path, data_dir: Path) -> None:
    """A data folder like `sample_data`'s, for a service of its own."""
    shutil.copytree(source, data_dir, dirs_exist_ok=True)


@contextlib.contextmanager
def running_service(
    data_dir: Path, *, knowledge: Path | None = None, **overrides: Any
) -> Iterator[Service]:
    """``knowledge``: a data folder to begin with; without it nothing is known."""
    if knowledge is not None:
        copy_knowledge(knowledge, data_dir)
    with serving(settings_for(data_dir, **overrides)) as service:
        yield service


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    kefu = build(settings)
    app = create_app(kefu)
    server = Server(app, _config(app))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), name="service")
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=30.0, trust_env=False) as client:
            _await_warm(server, thread, kefu)
            yield Service(url, kefu, client, app)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()
        assert not thread.is_alive(), "the service did not stop"
        _forget_endpoints()


def _forget_endpoints() -> None:
    """FastAPI remembers the last 4,096 of the process, and with them whole services."""
    for remembered in vars(fastapi.dependencies.models).values():
        if isinstance(remembered, functools._lru_cache_wrapper):
            remembered.cache_clear()


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )


def _await_warm(server: uvicorn.Server, thread: threading.Thread, kefu: Kefu) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        assert thread.is_alive(), "the service ended while starting"
        if server.started and kefu.warming is not None and kefu.warming.done():
            return
        time.sleep(0.01)
    raise AssertionError(f"the service is not ready after {START_S} s")
