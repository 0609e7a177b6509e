"""``make tianwang-demo``: seed 000's three scenarios, played against the real service.

Each scenario yields a line for each step once that step has been checked.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.demo.stage import Stage, StepFailed, check, running_stage

JsonObject = dict[str, Any]
Scenario = Callable[[Stage], Iterator[str]]
GREETING_IN_S = 2.0
BEIJING = timezone(timedelta(hours=8))


def reply(stage: Stage) -> Iterator[str]:
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


def payment(stage: Stage) -> Iterator[str]:
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


def greeting(stage: Stage) -> Iterator[str]:
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


def _completed(stage: Stage, task: JsonObject) -> Iterator[str]:
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


def play(stage: Stage, scenario: Scenario) -> bool:
    """Whether all of its steps went well; prints each."""
    print(f"\n{scenario.__doc__}", flush=True)
    try:
        for step in scenario(stage):
            print(f"  ✓ {step}", flush=True)
    except StepFailed as error:
        print(f"  ✗ {error}", flush=True)
        return False
    return True


def main() -> int:
    print("正在启动客服系统和沙箱(模拟的天网与客户)……", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="kefu-tianwang-") as folder,
        running_stage(Path(folder)) as stage,
    ):
        print(f"客服系统 {stage.service.url}   沙箱 {stage.sandbox.url}", flush=True)
        played = [play(stage, scenario) for scenario in SCENARIOS]
    print("\n三个场景全部通过。" if all(played) else "\n有场景没有通过。")
    return 0 if all(played) else 1


if __name__ == "__main__":
    sys.exit(main())
