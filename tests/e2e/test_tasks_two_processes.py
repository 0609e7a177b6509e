"""One task, fifty customers who agree at once, two real processes on one PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.crash.deployment import Deployment, running_deployment
from tests.sandbox_server import SandboxServer, running_sandbox

FILE = "这是您要的文件"
CUSTOMERS = 50


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxServer
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("two")
    with running_deployment("postgresql", folder, sandbox) as deployment:
        yield deployment


def order(task_id: str, **trigger: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "type": "send_file_after_reply",
        "customer": {"id": "anybody"},
        "trigger": {"type": "customer_reply", "keyword": "好的"} | trigger,
        "action": {"type": "send_message", "message": FILE},
    }


async def hand_over(client: httpx.AsyncClient, url: str, task: dict[str, Any]) -> None:
    answer = await client.post(f"{url}/api/task/receive", json=task)
    assert answer.status_code == 200, answer.text


async def ask(client: httpx.AsyncClient, url: str, customer: str, text: str) -> dict[str, Any]:
    message = {"id": f"m-{customer}", "chat_id": customer, "sender": customer, "content": text}
    body = {"agent_id": "shop", "message": message}
    answer = await client.post(f"{url}/api/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_one_fires_and_the_others_are_answered(deployment: Deployment) -> None:
    one, two = (service.url for service in deployment.services)
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        for url in (one, two):  # both know what it is to answer
            await ask(client, url, f"warm {url}", "你好")
        await hand_over(client, one, order("T-fifty"))
        answers = await asyncio.gather(
            *(ask(client, (one, two)[n % 2], f"客户{n}", "好的") for n in range(CUSTOMERS))
        )
        status = (await client.get(f"{two}/api/task/status/T-fifty")).json()["data"]
    said = Counter(FILE in answer["content"] for answer in answers)
    assert said == {True: 1, False: CUSTOMERS - 1}
    assert all(answer["action"] == "reply" and answer["content"] for answer in answers)
    assert (status["status"], status["retry_count"]) == ("completed", 0)


async def test_what_one_process_is_handed_the_other_watches_for_at_once(
    deployment: Deployment,
) -> None:
    one, two = (service.url for service in deployment.services)
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        for n in range(5):
            word = f"暗号{n}"
            await hand_over(client, one, order(f"T-word{n}", keyword=word))
            answer = await ask(client, two, f"二{n}", word)
            assert answer["content"] == FILE
