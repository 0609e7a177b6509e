"""Every request that seed 000 prints, sent as printed, is answered as printed."""

import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.api.tianwang.curl import run_curl, times_aside
from tests.service import Service, running_service

SHANGHAI = ZoneInfo("Asia/Shanghai")

RECEIVE = """curl -X POST http://localhost:6060/api/task/receive \\
  -H "Content-Type: application/json" \\
  -d '{
    "task_id": "TASK_20260227_001",
    "type": "send_file_after_reply",
    "customer": {
      "id": "customer_123",
      "name": "小明"
    },
    "trigger": {
      "type": "specified_customer_reply",
      "customer_id": "customer_123",
      "customer_name": "小明",
      "keyword": "好的",
      "exact_match": false
    },
    "action": {
      "type": "send_message",
      "message": "这是您要的文件"
    },
    "priority": "normal",
    "timeout_hours": 24,
    "created_by": "设计师 lz"
  }'"""
RECEIVED = """{
  "code": 200,
  "message": "任务接收成功",
  "data": {
    "task_id": "TASK_20260227_001",
    "status": "pending"
  }
}"""
STATUS = "curl http://localhost:6060/api/task/status/TASK_20260227_001"
STATUS_TOLD = """{
  "code": 200,
  "data": {
    "task_id": "TASK_20260227_001",
    "type": "send_file_after_reply",
    "status": "pending",
    "priority": "normal",
    "retry_count": 0,
    "created_at": "2026-02-27T18:00:00",
    "created_by": "设计师 lz",
    "triggered_at": null,
    "completed_at": null,
    "error_message": null
  }
}"""
LIST = 'curl "http://localhost:6060/api/task/list?status=pending&page=1&page_size=10"'
CANCEL = """curl -X POST http://localhost:6060/api/task/cancel \\
  -H "Content-Type: application/json" \\
  -d '{
    "task_id": "TASK_20260227_001",
    "reason": "客户取消订单"
  }'"""
CANCELLED = """{
  "code": 200,
  "message": "任务已取消",
  "data": {
    "task_id": "TASK_20260227_001",
    "status": "cancelled"
  }
}"""
HEALTH = "curl http://localhost:6060/api/health"
HEALTH_TOLD = """{
  "code": 200,
  "message": "OK",
  "data": {
    "timestamp": "2026-02-27T18:00:00",
    "service": "ai-cs-tianwang-bridge"
  }
}"""

TOMORROW = f"{datetime.now(SHANGHAI) + timedelta(days=1):%Y-%m-%d} 09:00:00"
SCENARIOS: list[dict[str, Any]] = [
    {
        "task_id": "TASK_001",
        "type": "send_file_after_reply",
        "customer": {"id": "customer_123", "name": "小明"},
        "trigger": {
            "type": "specified_customer_reply",
            "customer_id": "customer_123",
            "customer_name": "小明",
            "keyword": "好的",
        },
        "action": {"type": "send_message", "message": "这是您要的文件"},
        "priority": "normal",
        "timeout_hours": 24,
        "created_by": "设计师 lz",
    },
    {
        "task_id": "TASK_002",
        "type": "send_tutorial_after_payment",
        "customer": {"id": "customer_456", "name": "小红"},
        "trigger": {"type": "customer_payment"},
        "action": {"type": "send_message", "message": "感谢购买!这是使用教程:..."},
        "created_by": "设计师 lz",
    },
    {
        "task_id": "TASK_003",
        "type": "send_greeting",
        "customer": {"id": "customer_789"},
        "trigger": {"type": "time_reach", "time": TOMORROW},
        "action": {"type": "send_message", "message": "早上好!有什么可以帮您?"},
        "created_by": "设计师 lz",
    },
]
TRIGGERS: list[dict[str, Any]] = [
    {
        "type": "specified_customer_reply",
        "customer_id": "customer_123",
        "customer_name": "小明",
        "keyword": "好的",
        "exact_match": False,
    },
    {"type": "customer_reply", "keyword": "好的"},
    {"type": "customer_keyword", "keywords": ["好的", "可以", "行"]},
    {"type": "customer_payment", "keywords": ["已付款", "拍下了", "已下单"]},
    {"type": "time_reach", "time": TOMORROW},
]
COLUMNS = """
    task_id specified_customer_id specified_customer_name type customer_name customer_id
    trigger_type trigger_keyword trigger_keywords action_type action_file_url action_message
    priority timeout_hours status retry_count max_retry created_at created_by triggered_at
    completed_at error_message result
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("seed") / "data") as running:
        yield running


def _send(service: Service, order: dict[str, Any]) -> dict[str, Any]:
    printed = json.dumps(order, ensure_ascii=False, indent=2)
    command = RECEIVE.partition("-d '")[0] + f"-d '{printed}'"
    return run_curl(command, service.url)


def test_the_curl_examples_from_receiving_to_cancelling(service: Service) -> None:
    assert run_curl(RECEIVE, service.url) == json.loads(RECEIVED)
    told = run_curl(STATUS, service.url)
    assert times_aside(told) == times_aside(json.loads(STATUS_TOLD))
    assert list(told["data"]) == list(json.loads(STATUS_TOLD)["data"])
    created = datetime.fromisoformat(told["data"]["created_at"]).replace(tzinfo=SHANGHAI)
    assert abs(time.time() - created.timestamp()) < 60
    page = run_curl(LIST, service.url)
    assert page["code"] == 200
    assert page["data"]["total"] == 1
    (listed,) = page["data"]["tasks"]
    assert told["data"].items() <= listed.items()
    assert run_curl(RECEIVE, service.url) == json.loads(RECEIVED)
    assert run_curl(CANCEL, service.url) == json.loads(CANCELLED)
    assert run_curl(CANCEL, service.url) == json.loads(CANCELLED)
    assert run_curl(LIST, service.url)["data"]["total"] == 0
    ended = run_curl(STATUS, service.url)["data"]
    assert ended["status"] == "cancelled"
    assert ended["error_message"] == "客户取消订单"
    assert ended["completed_at"]


def test_the_health_example(service: Service) -> None:
    told, printed = run_curl(HEALTH, service.url), json.loads(HEALTH_TOLD)
    assert times_aside(told).items() >= times_aside(printed).items()


@pytest.mark.parametrize("order", SCENARIOS, ids=lambda order: str(order["task_id"]))
def test_the_tasks_of_the_three_scenarios_are_taken(
    service: Service, order: dict[str, Any]
) -> None:
    assert _send(service, order) == {
        "code": 200,
        "message": "任务接收成功",
        "data": {"task_id": order["task_id"], "status": "pending"},
    }


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: str(trigger["type"]))
def test_the_trigger_examples_are_taken(service: Service, trigger: dict[str, Any]) -> None:
    order = SCENARIOS[0] | {"task_id": f"TASK_{trigger['type']}", "trigger": trigger}
    assert _send(service, order)["message"] == "任务接收成功"


def test_the_printed_date_of_the_third_scenario_has_passed(service: Service) -> None:
    late = {"type": "time_reach", "time": "2026-02-28 09:00:00"}
    answer = _send(service, SCENARIOS[2] | {"task_id": "TASK_LATE", "trigger": late})
    assert (answer["code"], answer["data"]) == (422, None)
    assert answer["message"].startswith("trigger.time: ")
    assert "天" in answer["message"]


def test_a_task_that_will_fail_fails_and_can_be_retried(service: Service) -> None:
    soon = f"{datetime.now(SHANGHAI) + timedelta(seconds=2):%Y-%m-%d %H:%M:%S}"
    order = SCENARIOS[2] | {"task_id": "TASK_FAILS", "customer": {"id": "never_wrote"}}
    order |= {"trigger": {"type": "time_reach", "time": soon}, "max_retry": 0}
    _send(service, order)
    status = STATUS.replace("TASK_20260227_001", "TASK_FAILS")
    ends = time.monotonic() + 60
    while (told := run_curl(status, service.url)["data"])["status"] != "failed":
        assert time.monotonic() < ends, told
        time.sleep(0.1)
    assert told["error_message"]
    again = _send(service, order)  # its time is past now, but it is the task that is known
    assert (again["code"], again["data"]["status"]) == (200, "failed")
    cancel = CANCEL.replace("TASK_20260227_001", "TASK_FAILS")
    refused = run_curl(cancel, service.url)
    assert refused["code"] == 409
    assert "failed" in refused["message"]
    retried = run_curl(cancel.replace("/cancel", "/retry"), service.url)
    assert retried == {
        "code": 200,
        "message": "任务已重新执行",
        "data": {"task_id": "TASK_FAILS", "status": "triggered"},
    }


# The seed's troubleshooting on the database file


@pytest.fixture(scope="module")
def database(service: Service) -> Path:
    """With one task in each of three states, whatever other tests do."""
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        for task_id in ("SQL_PENDING", "SQL_CANCELLED"):
            answer = client.post("/api/task/receive", json=SCENARIOS[0] | {"task_id": task_id})
            assert answer.status_code == 200
        client.post("/api/task/cancel", json={"task_id": "SQL_CANCELLED", "reason": "r"})
    return service.data_dir / "kefu.db"


def _rows(database: Path, statement: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database, timeout=10) as connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


def test_the_table_has_the_seeds_columns_and_they_are_filled(database: Path) -> None:
    known = [row[1] for row in _rows(database, "PRAGMA table_info(tasks)")]
    assert known[: len(COLUMNS.split())] == COLUMNS.split()
    (row,) = _rows(database, "SELECT * FROM tasks WHERE task_id='SQL_PENDING'")
    told = dict(zip(COLUMNS.split(), row, strict=False))
    assert told.pop("created_at")
    assert told == {
        "task_id": "SQL_PENDING",
        "specified_customer_id": "customer_123",
        "specified_customer_name": "小明",
        "type": "send_file_after_reply",
        "customer_name": "小明",
        "customer_id": "customer_123",
        "trigger_type": "specified_customer_reply",
        "trigger_keyword": "好的",
        "trigger_keywords": None,
        "action_type": "send_message",
        "action_file_url": None,
        "action_message": "这是您要的文件",
        "priority": "normal",
        "timeout_hours": 24,
        "status": "pending",
        "retry_count": 0,
        "max_retry": 3,
        "created_by": "设计师 lz",
        "triggered_at": None,
        "completed_at": None,
        "error_message": None,
        "result": None,
    }


def test_the_newest_tasks_by_sql(database: Path) -> None:
    rows = _rows(
        database,
        "SELECT task_id, type, status, created_at FROM tasks ORDER BY created_at DESC LIMIT 10;",
    )
    assert 2 <= len(rows) <= 10
    assert [row[3] for row in rows] == sorted((row[3] for row in rows), reverse=True)


def test_waiting_and_failed_tasks_and_their_numbers_by_sql(database: Path) -> None:
    pending = _rows(database, "SELECT * FROM tasks WHERE status='pending';")
    assert "SQL_PENDING" in {row[0] for row in pending}
    assert "SQL_CANCELLED" not in {row[0] for row in pending}
    failed = _rows(database, "SELECT task_id, error_message FROM tasks WHERE status='failed';")
    assert all(error for _, error in failed)
    counts = dict(_rows(database, "SELECT status, COUNT(*) as count FROM tasks GROUP BY status;"))
    assert counts["pending"] == len(pending)
    assert counts["cancelled"] >= 1


def test_a_task_set_to_pending_by_sql_waits_again(service: Service, database: Path) -> None:
    _rows(database, "UPDATE tasks SET status='pending' WHERE task_id='SQL_CANCELLED';")
    told = run_curl(STATUS.replace("TASK_20260227_001", "SQL_CANCELLED"), service.url)
    assert told["data"]["status"] == "pending"


@pytest.mark.parametrize(
    ("statement", "told"),
    [(".schema tasks", "CREATE TABLE tasks"), ("SELECT 1;", "1")],
)
def test_the_shell_commands_of_the_troubleshooting(
    database: Path, statement: str, told: str
) -> None:
    assert shutil.which("sqlite3"), "this test needs sqlite3's shell: apt-get install sqlite3"
    done = subprocess.run(
        ["sqlite3", str(database), statement],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert told in done.stdout
