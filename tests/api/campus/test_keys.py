"""Who may speak as a person, and what customers are told while nobody is there."""

from collections.abc import Iterator
from time import time

import httpx
import pytest

from api.identity import Tokens
from tests.api.envelope import refusal
from tests.api.service import Service, running_service
from tools.registry import Caller, Role

KEY = "campus-key"
SECRET = "a secret of the tests, long enough for HS256"
REPLY = {"user_id": "u-1", "service_msg": "您好"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("campus-locked")
    with running_service(
        folder, api_key=KEY, secret_key=SECRET, service_status="offline"
    ) as running:
        yield running


def _reply_as(locked: Service, caller: Caller) -> httpx.Response:
    token = Tokens(SECRET).issue(caller, now=time(), hours=1)
    headers = {"Authorization": f"Bearer {token}"}
    return locked.client.post("/api/service_reply", json=REPLY, headers=headers)


def test_a_reply_needs_the_key(locked: Service) -> None:
    for path in ("/api/service_reply", "/api/transfer_service", "/api/custom_qa"):
        refusal(locked.client.post(path, json=REPLY), 401)
    refusal(locked.client.get("/api/chat_records", params={"user_id": "u-1"}), 401)


def test_an_agents_token_may_reply_and_is_named(locked: Service) -> None:
    transferred = locked.client.post(
        "/api/transfer_service", json={"user_id": "u-1"}, headers={"X-API-Key": KEY}
    )
    assert transferred.status_code == 200
    assert _reply_as(locked, Caller(Role.AGENT, "小王")).status_code == 200
    listed = locked.client.get("/api/ops/handoffs", headers={"X-API-Key": KEY}).json()["items"]
    assert [(row["status"], row["agent"]) for row in listed] == [("taken", "小王")]


@pytest.mark.parametrize(
    "caller",
    [Caller(Role.CUSTOMER, "mallory", "campus:campus:u-1"), Caller(Role.TIANWANG, "tianwang")],
)
def test_no_customer_and_no_scheduler_speaks_as_a_person(locked: Service, caller: Caller) -> None:
    refusal(_reply_as(locked, caller), 403)


def test_offline_keeps_the_place_and_says_so(locked: Service) -> None:
    answer = locked.client.post(
        "/api/transfer_service", json={"user_id": "u-2"}, headers={"X-API-Key": KEY}
    ).json()
    assert answer == {
        "code": 200,
        "msg": "人工客服当前不在线，已为你登记，上线后依次回复，你当前排队序号：1",
        "queue_num": 1,
        "service_status": "offline",
    }
