"""WeCom's customers and the service, over real sockets: the bell, the pull, the answer."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.settings import SANDBOX_WECOM
from sandbox.wecom import callbacks as sandbox_callbacks
from sandbox.wecom.app_messages import AGENT_ID
from tests.api.service import Service, running_service
from tests.databases import fresh_postgres_database
from tests.sandbox.wecom import Wecom
from tests.sandbox_server import SandboxServer

ANSWER = "7 天"


@contextlib.contextmanager
def serving(
    sandbox: SandboxServer, folder: Path, knowledge: Path | None, **overrides: Any
) -> Iterator[tuple[Service, Wecom]]:
    """The service as the sandbox's WeCom knows it."""
    given = {"sandbox_url": sandbox.url, "debounce_async_s": 0.0, "tuhui_url": ""} | overrides
    with running_service(folder, knowledge=knowledge, **given) as service:
        sandbox.set_target(service.url)
        yield service, Wecom(sandbox)


def until(done: Any, seconds: float = 15.0) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest,
    sandbox_server: SandboxServer,
    tmp_path: Path,
    knowledge_folder: Path,
) -> Iterator[tuple[Service, Wecom]]:
    if request.param == "sqlite":
        with serving(sandbox_server, tmp_path, knowledge_folder) as found:
            yield found
        return
    with (
        fresh_postgres_database(request.getfixturevalue("postgres_url")) as url,
        serving(sandbox_server, tmp_path, None, database_url=url) as found,
    ):
        yield found


def test_the_sandbox_s_company_is_the_one_that_the_settings_know() -> None:
    assert SANDBOX_WECOM.corp_id == sandbox_callbacks.CORP_ID
    assert SANDBOX_WECOM.token == sandbox_callbacks.TOKEN
    assert SANDBOX_WECOM.aes_key == sandbox_callbacks.ENCODING_AES_KEY
    assert SANDBOX_WECOM.agent_id == str(AGENT_ID)


def test_a_customer_who_rings_the_bell_is_answered(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    wecom.say("wmOne", "你好")
    until(lambda: len(wecom.texts("wmOne")) >= 2)
    until(lambda: not pending(service))
    said, answered = wecom.texts("wmOne")
    assert said == "你好"
    assert answered
    assert wecom.state("wmOne") == 1
    assert service.rows("messages") == 2


def pending(service: Service) -> int:
    from sqlalchemy import text

    with service.kefu.engine.database.engine.connect() as connection:
        return int(
            connection.execute(
                text("SELECT count(*) FROM outbox WHERE status = 'pending'")
            ).scalar_one()
        )
