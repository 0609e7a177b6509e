"""Two doors and two workers on one PostgreSQL, one data folder and one Chroma server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.crash.deployment import Deployment, Shape, running_deployment
from tests.e2e.test_exactly_once import ask, assert_once, told
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.service import Service

MODEL_S = 1.5
SETTINGS = {
    # No lease runs out within a test: what goes on elsewhere was handed back.
    "KEFU_LEASE_S": "120",
    "KEFU_DEEPSEEK_API_KEY": "any",
    "KEFU_INDEX_POLL_S": "0.2",
    "KEFU_DRAIN_S": "2",
}
ASKS_THE_MODEL = "小区没有固定车位能装充电桩吗"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxServer
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("workers")
    with running_deployment("postgresql", folder, sandbox, SETTINGS, shape=Shape(2)) as deployment:
        one, two = deployment.services
        _await(lambda: _processes(one)["workers"] == _processes(two)["workers"] == 2)
        yield deployment


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client:
        yield client


def _processes(service: Service) -> dict[str, Any]:
    health = httpx.get(f"{service.url}/health", trust_env=False, timeout=10.0).json()
    found: dict[str, Any] = health["parts"]["processes"]
    return found


def _await(done: Callable[[], object], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_doors_leave_the_work_and_workers_show_that_they_do_it(deployment: Deployment) -> None:
    doors = [_processes(one) for one in deployment.services]
    workers = [_processes(one) for one in deployment.workers]
    assert {one["role"] for one in doors} == {"api"}
    assert {one["role"] for one in workers} == {"all"}
    assert {one["wakeups"] for one in [*doors, *workers]} == {"ok"}
    for one in deployment.processes:
        assert httpx.get(f"{one.url}/livez", trust_env=False).status_code == 200


async def test_a_message_that_both_doors_get_is_answered_once(
    deployment: Deployment, client: httpx.AsyncClient
) -> None:
    chats = [f"shared{n}" for n in range(10)]
    asked = [(chat, one.url) for chat in chats for one in deployment.services for _ in range(3)]
    answers = await asyncio.gather(*(ask(client, url, f"{chat}-0", chat) for chat, url in asked))
    for at in range(0, len(answers), 6):
        assert all(told(a) == told(answers[at]) for a in answers[at : at + 6])
        assert sum(not a["duplicate"] for a in answers[at : at + 6]) == 1
    for chat in chats:
        await asyncio.to_thread(assert_once, deployment.database_url, chat)


async def test_knowledge_that_one_door_is_given_is_known_to_all_though_its_writer_dies(
    deployment: Deployment, client: httpx.AsyncClient
) -> None:
    one, two = deployment.services
    await _teach(client, one, "玉兰厅几点关灯", "玉兰厅晚上十点关灯")
    for number, door in enumerate((one, two)):
        await _until_known(client, door, f"lamp{number}", "玉兰厅几点关灯", "玉兰厅晚上十点关灯")
    writer = next(one for one in deployment.processes if _writes(one))
    await asyncio.to_thread(writer.kill)
    await asyncio.to_thread(writer.start)
    await _teach(client, two, "桂花厅几点关灯", "桂花厅晚上九点关灯")
    await _until_known(client, one, "lamp2", "桂花厅几点关灯", "桂花厅晚上九点关灯")


def _writes(service: Service) -> bool:
    """The process that holds the index folder: its number stands in the folder's lock."""
    holder = (service.data_dir / "knowledge" / "kefu.lock").read_text("ascii").strip()
    return holder == str(service.pid)


async def _teach(client: httpx.AsyncClient, door: Service, question: str, answer: str) -> None:
    body = {"question": question, "answer": answer}
    taught = await client.post(f"{door.url}/api/knowledge/entries", json=body)
    assert taught.is_success, taught.text


async def _until_known(
    client: httpx.AsyncClient, door: Service, chat: str, question: str, answer: str
) -> None:
    async with asyncio.timeout(60):
        for number in range(1_000):
            found = await ask(client, door.url, f"{chat}-{number}", f"{chat}{number}", question)
            if answer in found["content"]:
                return


async def test_a_worker_that_is_told_to_end_finishes_or_hands_back(
    deployment: Deployment, sandbox: SandboxServer, client: httpx.AsyncClient
) -> None:
    """Twenty turns wait for the model when it is told; each is answered once, none after a lease
    of two minutes."""
    sandbox.script(reply="[1] 请联系物业安装。", latency=MODEL_S, times=20)
    chats = [f"ending{n}" for n in range(20)]
    door, leaving = deployment.services[0], deployment.workers[0]
    asking = [
        asyncio.create_task(ask(client, door.url, f"{chat}-0", chat, ASKS_THE_MODEL))
        for chat in chats
    ]
    await asyncio.to_thread(_await, lambda: len(sandbox.journal("model/deepseek")) >= 10)
    ended = await asyncio.to_thread(leaving.stop)
    answers = await asyncio.wait_for(asyncio.gather(*asking), 30)
    assert ended in (0, -15)
    assert {answer["action"] for answer in answers} <= {"reply", "escalate", "clarify"}
    for chat in chats:
        await asyncio.to_thread(assert_once, deployment.database_url, chat)
    await asyncio.to_thread(_await, lambda: _processes(door)["workers"] == 1)
    await asyncio.to_thread(leaving.start)
    await asyncio.to_thread(_await, lambda: _processes(door)["workers"] == 2)


async def test_a_door_that_ends_says_so_and_still_answers_until_the_balancer_has_noticed(
    deployment: Deployment, client: httpx.AsyncClient
) -> None:
    door = deployment.services[1]
    stopping = asyncio.create_task(asyncio.to_thread(door.stop))
    async with asyncio.timeout(60):
        while True:
            health = await client.get(f"{door.url}/health")
            if health.status_code == 503:
                break
    assert health.json()["status"] == "draining"
    assert (await client.get(f"{door.url}/livez")).status_code == 200
    answer = await ask(client, door.url, "draining-0", "draining")
    assert answer["action"] == "reply"
    assert await stopping in (0, -15)
    with contextlib.suppress(httpx.TransportError):
        assert not (await client.get(f"{door.url}/livez")).is_success
    await asyncio.to_thread(door.start)
