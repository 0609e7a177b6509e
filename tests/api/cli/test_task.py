"""`kefu task`: the running service is asked over HTTP, and its answers are shown."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import cli
from domain.errors import ConfigurationError, PeerUnavailable
from tests.api.cli.processes import run_kefu
from tests.api.service import Service, running_service
from tests.service import free_port
from tests.tools.tianwang.orders import SEED
from tests.tools.webhook.peer_server import running_peer, status

KEY = "钥匙-k3y"


def run(*arguments: str, said: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["task", *arguments], input=said)


def done(*arguments: str, said: str | bytes | None = None) -> str:
    """Standard output of a command that must succeed."""
    result = run(*arguments, said=said)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


def a_task(**changes: Any) -> dict[str, Any]:
    return SEED | {"task_id": f"T_{uuid.uuid4().hex[:12]}"} | changes


def test_a_task_is_sent_listed_shown_and_cancelled(service: Service, tmp_path: Path) -> None:
    customer = f"c_{uuid.uuid4().hex[:8]}"
    order = a_task(
        customer={"id": customer, "name": "小[明]"}, trigger={"type": "customer_payment"}
    )
    file = tmp_path / "task.json"
    file.write_text("\ufeff" + json.dumps(order, ensure_ascii=False), "utf-8")
    task_id, url = order["task_id"], ("--url", service.url)
    assert done("send", str(file), *url) == f"{task_id}  任务接收成功  待触发\n"
    listed = done("list", "--customer", customer, "--status", "pending", *url)
    assert "共 1 个任务,第 1 页,本页 1 个" in listed
    assert task_id in listed
    assert "小[明]" in listed
    assert "客户付款" in listed
    shown = done("show", task_id, *url)
    assert task_id in shown
    assert "待触发" in shown
    assert "设计师 lz" in shown
    assert done("cancel", task_id, "--reason", "不要了", *url).endswith("任务已取消  已取消\n")
    assert "不要了" in done("show", task_id, *url)


def test_json_is_what_the_service_answered(service: Service) -> None:
    order = a_task()
    url = ("--url", service.url, "--json")
    sent = json.loads(done("send", "-", *url, said=json.dumps(order)))
    assert sent == {
        "code": 200,
        "message": "任务接收成功",
        "data": {"task_id": order["task_id"], "status": "pending"},
    }
    shown = json.loads(done("show", order["task_id"], *url))
    assert shown == service.client.get(f"/api/task/status/{order['task_id']}").json()["data"]
    page = json.loads(done("list", "--page-size", "1", *url))
    assert (len(page["tasks"]), page["page_size"]) == (1, 1)
    assert json.loads(done("cancel", order["task_id"], *url))["status"] == "cancelled"


def test_of_several_tasks_the_good_ones_are_taken_and_the_others_named(service: Service) -> None:
    good, bad = a_task(), a_task(priority="asap")
    result = run("send", "-", "--url", service.url, said=json.dumps([bad, "x", good]))
    assert result.exit_code == 1
    assert result.stdout == f"{good['task_id']}  任务接收成功  待触发\n"
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{bad['task_id']}  priority: ")
    assert second.startswith("-  ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "unknown/id"), "找不到 'unknown/id'"),
        (("cancel", "unknown"), "找不到 'unknown'"),
        (("retry", "unknown"), "找不到 'unknown'"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(
    service: Service, arguments: tuple[str, ...], told: str
) -> None:
    result = run(*arguments, "--url", service.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_has_not_failed_is_not_retried(service: Service) -> None:
    order = a_task()
    done("send", "-", "--url", service.url, said=json.dumps(order))
    result = run("retry", order["task_id"], "--url", service.url)
    assert result.exit_code == 1
    assert "pending" in result.stderr


@pytest.mark.parametrize("said", [b"{", b"", b"\xff\xfe", b'{"x": NaN}', b"[]", b"[" * 100_000])
def test_what_is_no_task_file_is_not_sent(service: Service, said: bytes) -> None:
    before = service.rows("tasks")
    result = run("send", "-", "--url", service.url, said=said)
    assert result.exit_code == 2
    assert "FILE" in result.stderr
    assert service.rows("tasks") == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "no-such-file.json"),
        ("list", "--status", "done"),
        ("list", "--page", "0"),
        ("list", "--page-size", "201"),
        ("list", "--url", "127.0.0.1:6060"),
        ("show",),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_service_that_is_down_is_said_so_with_exit_code_2() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    result = run("list", "--url", address)
    assert isinstance(result.exception, PeerUnavailable)
    process = run_kefu("task", "list", "--url", address)
    assert (process.returncode, process.stdout) == (2, "")
    assert address in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    "answer",
    [
        status(200, "<html>hello</html>"),
        status(200, '"text"'),
        status(404, '{"error": {"code": "not_found"}}'),
        status(503, '{"code": 503, "message": "存储暂时不可用", "data": null}'),
        status(302, "", Location="http://127.0.0.1:1/"),
    ],
)
async def test_another_service_at_the_address_is_not_believed(answer: Any) -> None:
    async with running_peer(answer) as peer:
        result = await asyncio.to_thread(run, "list", "--url", peer.url.removesuffix("/hook"))
    assert isinstance(result.exception, PeerUnavailable)


def test_address_and_key_come_from_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_service(tmp_path / "keyed", api_key=KEY) as service:
        monkeypatch.setenv("KEFU_PUBLIC_URL", service.url)
        assert isinstance(run("list").exception, ConfigurationError)
        monkeypatch.setenv("KEFU_API_KEY", KEY)
        assert done("list") == "共 0 个任务,第 1 页,本页 0 个\n"
