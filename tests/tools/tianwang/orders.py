"""Seed 000's first example, and ways to change it."""

from typing import Any
from zoneinfo import ZoneInfo

from tools.tianwang.protocol import EXAMPLE, TaskOrder

SHANGHAI = ZoneInfo("Asia/Shanghai")
SEED = EXAMPLE


def without(order: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name not in names}


def order(**changes: Any) -> TaskOrder:
    return TaskOrder.model_validate(SEED | changes)


def triggered_by(**trigger: Any) -> TaskOrder:
    return order(trigger=trigger)
