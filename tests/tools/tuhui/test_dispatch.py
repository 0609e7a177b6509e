"""Seed 001's client, with its names and signatures, against the sandbox's Tuhui."""

import inspect
from collections.abc import AsyncIterator

import httpx
import pytest

from domain.errors import PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tools.tuhui.dispatch import TuhuiDispatchClient, get_tuhui_dispatch_client
from tools.tuhui.protocol import DesignTask, Progress, parse_task

NOBODY = "0" * 8


@pytest.fixture
async def client(sandbox_server: SandboxServer) -> AsyncIterator[TuhuiDispatchClient]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield get_tuhui_dispatch_client(f"{sandbox_server.url}/tuhui", "key", http)


async def test_the_seeds_examples_run_as_printed(client: TuhuiDispatchClient) -> None:
    assert await client.get_online_designers() == ["橘子", "婷婷"]
    task_id = await client.create_task(
        task_name="图片处理 -1234",
        description="客户需要做高清修复",
        task_type="image_process",
        priority=2,
    )
    queue = await client.get_queue()
    assert [task["task_id"] for task in queue["pending_tasks"]["tasks"]] == [task_id]
    assert (queue["pending_tasks"]["count"], queue["suggestion"]) == (1, "橘子")
    notes = "AI 客服自动派单"
    assert await client.assign_task(task_id=task_id, designer_name="橘子", notes=notes) is True
    status = await client.get_task_status(task_id)
    assert (status["status"], status["assigned_to"], status["notes"]) == ("assigned", "橘子", notes)
    assert status["description"] == "客户需要做高清修复"
    assert await client.complete_task(task_id=task_id, notes="客户已确认,效果满意") is True
    assert (await client.get_task_status(task_id))["status"] == "completed"


def test_the_signatures_are_the_seeds() -> None:
    expected = {
        "get_online_designers": [],
        "create_task": ["task_name", "description", "task_type", "priority"],
        "assign_task": ["task_id", "designer_name", "notes"],
        "get_task_status": ["task_id"],
        "complete_task": ["task_id", "notes"],
    }
    for name, names in expected.items():
        given = inspect.signature(getattr(TuhuiDispatchClient, name)).parameters.values()
        positional = [p.name for p in given if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == ["self", *names]


async def test_a_reference_makes_a_repeated_creation_the_same_task(
    client: TuhuiDispatchClient,
) -> None:
    first = await client.create_task("图", "描述", reference="r1")
    assert await client.create_task("图", "描述", reference="r1") == first


async def test_what_fails_raises_and_is_never_an_empty_answer(
    client: TuhuiDispatchClient, sandbox_server: SandboxServer
) -> None:
    with pytest.raises(PeerRejected, match="404"):
        await client.assign_task(NOBODY, "橘子")
    with pytest.raises(PeerRejected, match="404"):
        await client.get_task_status(NOBODY)
    sandbox_server.fault("tuhui", "status", status=503)
    with pytest.raises(PeerUnavailable):
        await client.get_online_designers()
    with pytest.raises(PeerUnavailable):
        await client.complete_task(NOBODY)


@pytest.mark.parametrize(
    ("status", "holder", "progress"),
    [
        ("pending", None, Progress.OPEN),
        ("pending", "橘子", Progress.OPEN),
        ("assigned", "橘子", Progress.OFFERED),
        ("assigned", None, Progress.OPEN),  # to nobody
        ("In-Progress", "橘子", Progress.ACCEPTED),
        ("accepted", None, Progress.OPEN),
        ("rejected", None, Progress.REFUSED),
        ("已拒绝", "橘子", Progress.REFUSED),
        ("completed", None, Progress.COMPLETED),
        ("cancelled", None, Progress.CANCELLED),
        ("under review", "橘子", Progress.OFFERED),  # a word we do not know says nothing
        ("", None, Progress.OPEN),
    ],
)
def test_what_a_status_means(status: str, holder: str | None, progress: Progress) -> None:
    assert DesignTask("t", status, holder).progress is progress


def test_only_web_addresses_are_taken_for_the_designers_files() -> None:
    answer = (
        '{"task_id": "t", "notes": "好了", "files": ["https://a.example/1.png", "/etc/passwd",'
        ' {"url": "http://a.example/2.png"}, 3], "result_url": "https://a.example/3.png"}'
    )
    task = parse_task(answer.encode())
    assert task.notes == "好了"
    assert task.files == tuple(
        f"{scheme}://a.example/{n}.png" for n, scheme in ((1, "https"), (2, "http"), (3, "https"))
    )
