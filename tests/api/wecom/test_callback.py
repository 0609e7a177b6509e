"""WeCom's customers and the service, over real sockets: the bell, the pull, the answer."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from domain.errors import StorageError
from engine.settings import SANDBOX_WECOM
from sandbox.wecom import callbacks as sandbox_callbacks
from sandbox.wecom.app_messages import AGENT_ID
from tests.api.service import Service, running_service
from tests.databases import fresh_postgres_database
from tests.sandbox.wecom import KF, Wecom
from tests.sandbox_server import SandboxServer
from tools.wx import envelope
from tools.wx.crypto import CallbackKeys

PATH = "/wecom/callback"
KEYS = CallbackKeys(SANDBOX_WECOM.token, SANDBOX_WECOM.aes_key, SANDBOX_WECOM.corp_id)
BELL = (
    f"<xml><ToUserName><![CDATA[{SANDBOX_WECOM.corp_id}]]></ToUserName>"
    "<CreateTime>{at}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    "<Event><![CDATA[kf_msg_or_event]]></Event><Token><![CDATA[]]></Token>"
    f"<OpenKfId><![CDATA[{KF}]]></OpenKfId></xml>"
)


@contextlib.contextmanager
def serving(
    sandbox: SandboxServer, folder: Path, knowledge: Path | None, **overrides: Any
) -> Iterator[tuple[Service, Wecom]]:
    """The service as the sandbox's WeCom knows it."""
    given = {"sandbox_url": sandbox.url, "debounce_async_s": 0.0} | overrides
    with running_service(folder, knowledge=knowledge, **given) as service:
        sandbox.set_target(service.url)
        yield service, Wecom(sandbox)


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def scalar(service: Service, sql: str) -> Any:
    with service.kefu.engine.database.engine.connect() as connection:
        return connection.execute(text(sql)).scalar()


def pending(service: Service) -> int:
    """Deliveries that are not settled."""
    return int(scalar(service, "SELECT count(*) FROM outbox WHERE status = 'pending'"))


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


def signed(plain: str, **changed: str) -> tuple[dict[str, str], bytes]:
    """Query and body of a callback; ``changed`` in the query."""
    at = str(int(time.time()))
    sealed = KEYS.seal(plain.replace("{at}", at).encode(), timestamp=at, nonce="12345")
    body = f"<xml><Encrypt><![CDATA[{sealed.encrypt}]]></Encrypt></xml>".encode()
    query = {"msg_signature": sealed.msg_signature, "timestamp": at, "nonce": "12345"}
    return query | changed, body


def test_the_sandbox_s_company_is_the_one_that_the_settings_know() -> None:
    assert SANDBOX_WECOM.corp_id == sandbox_callbacks.CORP_ID
    assert SANDBOX_WECOM.token == sandbox_callbacks.TOKEN
    assert SANDBOX_WECOM.aes_key == sandbox_callbacks.ENCODING_AES_KEY
    assert SANDBOX_WECOM.agent_id == str(AGENT_ID)


def test_a_customer_who_rings_the_bell_is_answered(served: tuple[Service, Wecom]) -> None:
    service, wecom = served
    wecom.say("wmOne", "你好")
    until(lambda: len(wecom.texts("wmOne")) >= 2)
    until(lambda: pending(service) == 0)
    said, answered = wecom.texts("wmOne")
    assert said == "你好"
    assert answered
    assert wecom.state("wmOne") == 1
    assert service.rows("messages") == 2
    kept = service.client.get("/health").json()["parts"]["wecom_kf"]
    assert [one["open_kfid"] for one in kept] == [KF]
    assert "token" not in kept[0]


def test_the_address_is_verified_and_callbacks_are_read_in_both_forms(
    served: tuple[Service, Wecom],
) -> None:
    service, wecom = served
    until(lambda: wecom.play("callback/verify", {})["ok"] is True)
    wecom.set("callback", as_json=True)
    wecom.say("wmOne", "你好")
    until(lambda: len(wecom.texts("wmOne")) >= 2)
    wecom.play("enter", {"customer": "wmNew"})
    until(lambda: len(wecom.texts("wmNew")) == 1)
    assert service.rows("kf_accounts") == 2


def test_what_is_not_from_wecom_is_refused_with_an_empty_body(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    # Another key than ours would be asked for, if a signature did not stand for it.
    with serving(sandbox_server, tmp_path, None, api_key="k" * 20) as (service, _):
        url = service.url + PATH
        query, body = signed(BELL)
        with httpx.Client(trust_env=False) as client:
            assert client.post(url, params=query, content=body).status_code == 200
            assert client.post(url, params=query, content=body).content == b""
            wrong = query | {"msg_signature": "0" * 40}
            old = query | {"timestamp": str(int(time.time()) - 3_600)}
            for params, content, status in (
                (wrong, body, 403),
                (old, body, 403),
                ({}, body, 403),
                (query, b"<xml>", 400),
                (query, b"<!DOCTYPE x><xml><Encrypt>a</Encrypt></xml>", 400),
            ):
                answer = client.post(url, params=params, content=content)
                assert (answer.status_code, answer.content) == (status, b"")
            assert client.get(url, params=wrong | {"echostr": "YQ=="}).status_code == 403


def test_a_bell_is_answered_at_once_while_a_pull_takes_long(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    with serving(sandbox_server, tmp_path, None) as (service, wecom):
        until(lambda: scalar(service, "SELECT max(pulled_ts) FROM kf_accounts") > 0)
        sandbox_server.fault("wecom", "latency", count=1, request_kind="kf/sync_msg", seconds=3)
        wecom.say("wmOne", "你好")
        until(lambda: scalar(service, "SELECT max(lease_until) FROM kf_accounts") > 0)
        slowest = 0.0
        for _ in range(20):
            query, body = signed(BELL)
            began = time.monotonic()
            assert service.client.post(PATH, params=query, content=body).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 2.5
        sandbox_server.clear_faults("wecom")
        until(lambda: len(wecom.texts("wmOne")) >= 2)


def test_other_events_are_handed_over_once_each(
    sandbox_server: SandboxServer, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = []

    async def hear(fields: dict[str, Any]) -> None:
        heard.append(fields)
        if len(heard) == 1:
            raise StorageError("the first time it fails")

    with serving(sandbox_server, tmp_path, None) as (service, _):
        assert service.kefu.wecom is not None
        assert service.kefu.wecom.callbacks is not None
        service.kefu.wecom.callbacks.on("change_external_tag", hear)
        plain = BELL.replace("kf_msg_or_event", "change_external_tag").replace("{at}", "1700000000")
        statuses = []
        for _ in range(4):
            query, body = signed(plain)
            statuses.append(service.client.post(PATH, params=query, content=body).status_code)
        assert statuses == [503, 200, 200, 200]
        assert [one["OpenKfId"] for one in heard] == [KF, KF]
        query, body = signed(plain.replace("change_external_tag", "nobody_knows"))
        assert service.client.post(PATH, params=query, content=body).status_code == 200


def test_without_its_settings_there_is_no_such_address(service: Service) -> None:
    query, body = signed(BELL)
    answer = service.client.post(PATH, params=query, content=body)
    assert answer.status_code == 404
    assert envelope.is_json(answer.content)
