"""Seed 000's first example, and ways to change it."""

from typing import Any
from zoneinfo import ZoneInfo

from tools.tianwang.protocol import TaskOrder

SHANGHAI = ZoneInfo("Asia/Shanghai")
SEED: dict[str, Any] = {
    "task_id": "TASK_20260227_001",
    "type": "send_file_after_reply",
    "customer": {"id": "customer_123", "name": "小明"},
    "trigger": {
        "type": "specified_customer_reply",
        "customer_id": "customer_123",
        "customer_name": "小明",
        "keyword": "好的",
        "exact_match": False,
    },
    "action": {"type": "send_message", "message": "这是您要的文件"},
    "priority": "normal",
    "timeout_hours": 24,
    "created_by": "设计师 lz",
}


def without(order: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name not in names}


def order(**changes: Any) -> TaskOrder:
    return TaskOrder.model_validate(SEED | changes)


def triggered_by(**trigger: Any) -> TaskOrder:
    return order(trigger=trigger)
