"""The service as it runs, a model that takes its time, and a platform that hangs up after 5 s."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text as sql

from engine.wechat.intake import Answer
from tests.api.service import Service, running_service
from tests.engine.wechat.account import (
    APP_ID,
    SECRET,
    TOKEN,
    Phone,
    Platform,
    callback,
    running_platform,
    show,
    text,
)
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox

__all__ = ["sandbox_server", "shared_sandbox"]

PATIENCE_S, DELIVERIES = 5.0, 3
QUESTION = "小区没有固定车位能装充电桩吗"
REPLY = "[1] 请联系物业安装，编号{}。"


@dataclass
class Shop:
    service: Service
    platform: Platform


@contextlib.contextmanager
def platform_on_a_thread() -> Iterator[Platform]:
    """Its own loop: the service's is another thread's."""
    loop, ready, ends = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[Platform] = []

    async def play() -> None:
        async with running_platform() as platform:
            found.append(platform)
            ready.set()
            await ends.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(play()), name="platform")
    thread.start()
    ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory,
    knowledge_folder: Path,
    shared_sandbox: SandboxServer,
) -> Iterator[Shop]:
    with (
        platform_on_a_thread() as platform,
        running_service(
            tmp_path_factory.mktemp("wechat"),
            knowledge=knowledge_folder,
            wechat_token=SecretStr(TOKEN),
            appid=APP_ID,
            appsecret=SecretStr(SECRET),
            wechat_api_base=platform.url,
            deepseek_api_key=SecretStr("sk-sandbox"),
            deepseek_base_url=shared_sandbox.model_url("deepseek"),
        ) as service,
    ):
        yield Shop(service, platform)


@contextlib.asynccontextmanager
async def wechat_servers() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        yield client


async def send(
    client: httpx.AsyncClient, shop: Shop, message: Mapping[str, Any], *, first_s: float
) -> Phone:
    """Up to three deliveries. The first connection breaks after ``first_s``."""
    phone = shop.platform.phone(message["FromUserName"])
    for number in range(DELIVERIES):
        query, body = callback(message, at=float(message["CreateTime"]))
        patience = first_s if number == 0 else PATIENCE_S
        try:
            response = await client.post(
                f"{shop.service.url}/api/wechat", params=query, content=body, timeout=patience
            )
        except httpx.TimeoutException:
            continue
        assert response.status_code == 200
        show(phone, Answer(response.content))
        return phone
    phone.errors.append("该公众号暂时无法提供服务，请稍后再试")
    return phone


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_reply_after_1_s_and_one_after_8_s_reach_the_customer_once_each(
    shop: Shop, sandbox_server: SandboxServer, breaks: bool
) -> None:
    """``breaks``: the first delivery's connection, so that the platform delivers again while the
    model thinks."""
    mark = "断" if breaks else "通"
    for name, seconds in (("甲", 1.0), ("乙", 8.0)):
        sandbox_server.script(
            f"{mark}{name}", REPLY.format(f"{mark}{name}"), latency=seconds, times=1
        )
    async with wechat_servers() as client:
        asked = [text(f"{QUESTION}{mark}{name}", f"{mark}{name}") for name in "甲乙"]
        quick, slow = await asyncio.gather(
            send(client, shop, asked[0], first_s=0.9 if breaks else PATIENCE_S),
            send(client, shop, asked[1], first_s=1.0 if breaks else PATIENCE_S),
        )
        await until(lambda: slow.seen)
        await until(lambda: pending(shop) == 0)
    for phone, name in ((quick, "甲"), (slow, "乙")):
        assert len(phone.seen) == 1, phone
        assert f"{mark}{name}" in phone.seen[0]
        assert phone.errors == []
    assert quick.passive, "in time for a response"
    assert slow.pushed, "too late for any"
    assert len(sandbox_server.journal("model/deepseek")) == 2, "one turn each"


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(done):  # noqa: ASYNC110 - another loop's doing
            await asyncio.sleep(0.02)


def pending(shop: Shop) -> int:
    with shop.service.kefu.engine.database.engine.connect() as connection:
        found = connection.execute(sql("SELECT COUNT(*) FROM outbox WHERE status = 'pending'"))
        return int(found.scalar_one())
