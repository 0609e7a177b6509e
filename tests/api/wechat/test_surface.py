"""GET /api/wechat, /api/wechat/messages and /api/wechat/jsapi, as seed 002 prints them."""

import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from tests.api.service import Service, running_service
from tests.api.wechat.test_passive import Shop, platform_on_a_thread
from tests.engine.wechat.account import APP_ID, SECRET, TOKEN, callback, event, text
from tools.wx.crypto import jsapi_signature

KEY = {"X-API-Key": "the-key-of-staff"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        platform_on_a_thread() as platform,
        running_service(
            tmp_path_factory.mktemp("surface"),
            wechat_token=SecretStr(TOKEN),
            appid=APP_ID,
            appsecret=SecretStr(SECRET),
            wechat_api_base=platform.url,
            api_key=KEY["X-API-Key"],
        ) as service,
    ):
        yield Shop(service, platform)


def test_the_platform_finds_the_address_without_our_key(shop: Shop) -> None:
    query, _ = callback(text(""), at=time.time())
    answer = shop.service.client.get("/api/wechat", params=query | {"echostr": "437512094"})
    assert (answer.status_code, answer.text) == (200, "437512094")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("signature", ["", "0" * 40, "签名"])
def test_whoever_cannot_sign_gets_no_echo(shop: Shop, signature: str) -> None:
    query, _ = callback(text(""), at=time.time())
    query |= {"echostr": "437512094", "signature": signature}
    answer = shop.service.client.get("/api/wechat", params=query)
    assert (answer.status_code, answer.text) == (403, "")


def test_records_are_pages_for_staff_only(shop: Shop) -> None:
    for number in range(3):
        asked = text(f"你好{number}", "o-records")
        query, body = callback(asked, at=time.time())
        answer = shop.service.client.post("/api/wechat", params=query, content=body)
        assert b"<Content>" in answer.content
    query, body = callback(event("subscribe", "o-other"), at=time.time())
    assert shop.service.client.post("/api/wechat", params=query, content=body).is_success
    path = "/api/wechat/messages"
    assert shop.service.client.get(path).status_code == 401
    found = shop.service.client.get(path, params={"user_id": "o-records"}, headers=KEY).json()
    assert (found["total"], found["page"], found["limit"]) == (6, 1, 10)
    assert [one["role"] for one in found["messages"]] == ["ai", "user"] * 3
    assert found["messages"][-1]["content"] == "你好0"
    assert {one["user_id"] for one in found["messages"]} == {"o-records"}
    second: dict[str, str | int] = {"user_id": "o-records", "page": 2, "limit": 4}
    paged = shop.service.client.get(path, params=second, headers=KEY).json()
    assert paged["messages"] == found["messages"][4:]
    everyone = shop.service.client.get(path, headers=KEY).json()
    assert everyone["total"] == 7


def test_a_page_gets_what_wx_config_needs_and_the_ticket_is_kept(shop: Shop) -> None:
    page = "https://shop.example/a?b=c%20d"
    found = [
        shop.service.client.get(
            "/api/wechat/jsapi", params={"url": f"{page}#top"}, headers=KEY
        ).json()
        for _ in range(2)
    ]
    for one in found:
        assert set(one) == {"appId", "timestamp", "nonceStr", "signature", "url"}
        assert (one["appId"], one["url"]) == (APP_ID, page)
        number = len(shop.platform.calls)
        tickets = [f"ticket-{n}" for n in range(1, number + 1)]
        signed = {
            jsapi_signature(
                ticket, noncestr=one["nonceStr"], timestamp=int(one["timestamp"]), url=page
            )
            for ticket in tickets
        }
        assert one["signature"] in signed
    assert found[0]["nonceStr"] != found[1]["nonceStr"]
    assert len(shop.platform.paths("/cgi-bin/ticket/getticket")) == 1


@pytest.mark.parametrize("query", [{}, {"url": ""}, {"url": "no address"}])
def test_a_page_without_address_is_refused(shop: Shop, query: dict[str, str]) -> None:
    answer = shop.service.client.get("/api/wechat/jsapi", params=query, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["field"] == "url"


def test_without_an_account_the_addresses_say_what_is_missing(service: Service) -> None:
    assert service.client.post("/api/wechat", content=b"<xml/>").status_code == 404
    answer = service.client.get("/api/wechat/jsapi", params={"url": "https://a.b/c"})
    assert answer.status_code == 409
    assert "APPID" in answer.json()["msg"]
