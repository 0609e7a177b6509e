"""``make tianwang-demo``: seed 000's three scenarios, played against the real service."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.demo.stage import (
    PATIENCE_S,
    JsonObject,
    Stage,
    check,
    perform,
    running_servers,
)
from tests.demo.stage import Scenario as StageScenario

SECRET = "callback-secret"
GREETING_IN_S = 2.0
BEIJING = timezone(timedelta(hours=8))


class TianwangStage(Stage):
    """With Tianwang, which hands over tasks and is called back."""

    def hand_over(self, scenario: str, *, in_seconds: float = 60.0, **task: Any) -> JsonObject:
        """Tianwang sends one of seed 000's tasks; returns the task as it was sent."""
        order = {"scenario": scenario, "task": task, "in_seconds": in_seconds}
        answer = self.sandbox.post("/_sandbox/tianwang/send", order)
        sent: JsonObject = answer["sent"]
        expected = {
            "code": 200,
            "message": "任务接收成功",
            "data": {"task_id": sent["task_id"], "status": "pending"},
        }
        check(answer["answer"] == expected, f"任务没有被接收:{answer['answer']}")
        return sent

    def status(self, task_id: str) -> JsonObject:
        response = self.client.get(f"/api/task/status/{task_id}")
        check(response.status_code == 200, f"查询任务失败:{response.text}")
        data: JsonObject = response.json()["data"]
        return data

    def ended(self, task_id: str) -> JsonObject:
        """The task, once it has come to an end."""
        ends = time.monotonic() + PATIENCE_S
        while (task := self.status(task_id))["status"] in ("pending", "triggered"):
            check(time.monotonic() < ends, f"任务一直是 {task['status']} 状态")
            time.sleep(0.05)
        return task

    def callbacks(self, task_id: str, *, at_least: int = 1) -> list[JsonObject]:
        path = "/_sandbox/tianwang/callbacks"
        page = self.sandbox.get(path, task_id=task_id, at_least=at_least, wait=PATIENCE_S)
        found: list[JsonObject] = page["callbacks"]
        check(len(found) >= at_least, f"天网只收到 {len(found)} 个回调")
        return found


Scenario = StageScenario[TianwangStage]


@contextmanager
def running_stage(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[TianwangStage]:
    """Callbacks are signed."""
    secret = {"TIANWANG_CALLBACK_SECRET": SECRET}
    with running_servers(folder, secret | dict(env or {})) as (service, sandbox, client):
        sandbox.put("/_sandbox/tianwang/secret", {"secret": SECRET})
        yield TianwangStage(service, sandbox, client)


def reply(stage: TianwangStage) -> Iterator[str]:
    """场景一:客户说「好的」后发送文件"""
    task = stage.hand_over("reply")
    customer, message = task["customer"]["id"], task["action"]["message"]
    yield f"天网下发任务 {task['task_id']}:等 {customer}(小明)说「好的」"
    stage.customer_says(customer, "好的吗?", sender_name="小明")
    asked = len(stage.shown_to(customer, at_least=1))
    check(stage.status(task["task_id"])["status"] == "pending", "反问也触发了任务")
    yield "客户反问「好的吗?」:任务没有触发"
    stage.customer_says(customer, "好的", sender_name="小明")
    check(stage.shown_to(customer, at_least=asked + 1)[asked:] == [message], "客户收到的不对")
    yield f"客户说「好的」,收到一条消息:{message}"
    yield from _completed(stage, task)
    check(stage.shown_to(customer, at_least=asked + 1)[asked:] == [message], "客户收到不止一次")


def payment(stage: TianwangStage) -> Iterator[str]:
    """场景二:客户付款后发送教程"""
    task = stage.hand_over("payment")
    customer, message = task["customer"]["id"], task["action"]["message"]
    yield f"天网下发任务 {task['task_id']}:等 {customer}(小红)付款(默认关键词)"
    stage.customer_says("stranger", "已付款", sender_name="路人")
    check(stage.status(task["task_id"])["status"] == "pending", "别人付款也触发了任务")
    yield "别的客户说「已付款」:任务没有触发"
    stage.customer_says(customer, "已付款", sender_name="小红")
    check(stage.shown_to(customer, at_least=1) == [message], "客户收到的不对")
    yield f"客户说「已付款」,收到一条消息:{message}"
    yield from _completed(stage, task)


def greeting(stage: TianwangStage) -> Iterator[str]:
    """场景三:定时发送问候"""
    customer = "customer_789"
    stage.customer_says(customer, "你好", sender_name="小刚")
    before = len(stage.shown_to(customer, at_least=1))
    yield "客户先打过招呼:系统由此知道在哪里能找到他"
    task = stage.hand_over("greeting", in_seconds=GREETING_IN_S)
    message, due = task["action"]["message"], task["trigger"]["time"]
    yield f"天网下发任务 {task['task_id']}:{due} 发送问候"
    greeted = stage.messages(customer, at_least=before + 1)[before:]
    late = greeted[0]["received_at"] - _epoch(due)
    check([shown["text"] for shown in greeted] == [message], "客户收到的不对")
    check(0 <= late < 3, f"消息与约定时间相差 {late:.1f} 秒")
    yield f"到点,客户收到一条消息:{message}"
    yield from _completed(stage, task)


def _completed(stage: TianwangStage, task: JsonObject) -> Iterator[str]:
    task_id = task["task_id"]
    ended = stage.ended(task_id)
    check(ended["status"] == "completed", f"任务没有完成:{ended}")
    yield f"任务状态:completed(触发于 {ended['triggered_at']},完成于 {ended['completed_at']})"
    (callback,) = stage.callbacks(task_id)
    check(callback["status"] == "completed", f"回调说的不对:{callback}")
    check(callback["verified"] is True, "回调没有正确签名")
    yield f"天网收到回调 {callback['event_id']},验签通过"


def _epoch(local: str) -> float:
    moment = datetime.strptime(local, "%Y-%m-%d %H:%M:%S")
    return moment.replace(tzinfo=BEIJING).timestamp()


SCENARIOS: tuple[Scenario, ...] = (reply, payment, greeting)


if __name__ == "__main__":
    sys.exit(perform("天网与客户", SCENARIOS, running_stage))
