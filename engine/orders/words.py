"""What staff and designers read of orders."""

import re
from collections.abc import Sequence

from domain.order_words import CHANGES, order_line
from domain.orders import Amendment
from storage.orders import OrderRow, sender_of

MAX_SHOWN_LINES = 12
MACHINE = "自动处理"
RESULTS = {
    "done": "完成",
    "found": "找到",
    "nothing": "没有找到",
    "failed": "失败",
    "rejected": "不合格",
    "interrupted": "中断",
    "given_up": "转设计师",
}
"""How an attempt ended, as `tools.pictures.workflow` and the runner note it."""


def notice(order: OrderRow, lines: Sequence[str]) -> str:
    about = [f"订单:{order.id} {order.title}", f"客户:{sender_of(order.contact_id)}"]
    about += [f"设计师:{order.designer}"] if order.designer else []
    return "\n".join([*about, *lines])


def amended_notice(order: OrderRow, amendments: Sequence[Amendment]) -> str:
    changes = [f"{CHANGES[one.kind]}:{one.requirement}" for one in amendments]
    return notice(order, [*changes, "现在的要求:", *_lines(order), "请按新的要求处理"])


def description(order: OrderRow, note: str = "", addresses: Sequence[str] = ()) -> str:
    """For the designer: why (on the first line, which notices repeat), what is wanted, what was
    tried, and the ``addresses`` of the pictures."""
    parts = [_why(order, note)]
    parts += [f"服务:{order.quote.service_name}"] if order.quote else []
    parts += ["要求:", *_lines(order)]
    parts += [f"返工:{note}"] if note else []
    parts += [f"已尝试:{_tried(one)}" for one in order.tried]
    parts += [f"图片:{address}" for address in addresses]
    return "\n".join([*parts, f"订单:{order.id}"])


_WANTED = re.compile(r"^要求:\n(?:- .*\n)+", re.MULTILINE)


def described_anew(description: str, order: OrderRow, addresses: Sequence[str] = ()) -> str:
    """The same with what is wanted now, and with pictures that came later."""
    wanted = "\n".join(["要求:", *_lines(order), ""])
    before, _, end = _WANTED.sub(lambda _: wanted, description, count=1).rpartition("\n")
    shown = [f"图片:{address}" for address in addresses]
    more = [line for line in shown if line not in description.splitlines()]
    return "\n".join([before, *more, end])


def _why(order: OrderRow, note: str) -> str:
    reasons = [str(one["reason"]) for one in order.tried if one.get("reason")]
    if note:
        return f"客户要求返工:{note.splitlines()[0]}"
    return reasons[-1] if reasons else summary(order)


def _lines(order: OrderRow) -> list[str]:
    lines = order.requirement.splitlines()
    more = len(lines) - MAX_SHOWN_LINES
    shown = [f"- {line}" for line in lines[:MAX_SHOWN_LINES]]
    return [*shown, f"- 另有 {more} 条，见订单"] if more > 0 else shown


def _tried(tried: dict[str, object]) -> str:
    said = (value for value in tried.values() if isinstance(value, str))
    return " ".join(text for one in said if (text := RESULTS.get(one, one)))


def summary(order: OrderRow) -> str:
    """One line."""
    service = order.quote.service_name if order.quote else ""
    return order_line(service, order.workflow, order.requirement, order.status)
