"""How orders for work on pictures are called in front of people."""

from collections.abc import Sequence

from domain.decisions import Quote
from domain.orders import Amendment, ChangeKind, OrderStatus, Workflow
from domain.pricing import format_yuan

STATUSES = {
    OrderStatus.DRAFT: "待报价",
    OrderStatus.QUOTED: "已报价",
    OrderStatus.CONFIRMED: "已确认",
    OrderStatus.WORKING: "处理中",
    OrderStatus.WAITING: "等待设计师",
    OrderStatus.DISPATCHED: "设计师处理中",
    OrderStatus.DELIVERED: "已交付",
    OrderStatus.REWORK: "返工中",
    OrderStatus.ACCEPTED: "已验收",
    OrderStatus.CANCELLED: "已取消",
    OrderStatus.DECLINED: "已谢绝",
    OrderStatus.FAILED: "处理失败",
}
WORKFLOWS = {
    Workflow.FIND: "找图",
    Workflow.PROCESS: "自动处理",
    Workflow.DESIGN: "设计师处理",
}
CHANGES = {
    ChangeKind.ADD: "增加",
    ChangeKind.CHANGE: "修改",
    ChangeKind.WITHDRAW: "撤回",
    ChangeKind.CANCEL: "取消",
}


def changes_said(amendments: Sequence[Amendment]) -> str:
    return "；".join(f"{CHANGES[one.kind]}「{one.requirement}」" for one in amendments)


def total_said(quote: Quote) -> str:
    """A starting price says so."""
    return format_yuan(quote.total) + (" 起" if quote.estimate else "")


def price_said(now: Quote | None, before: Quote | None) -> str:
    """A sentence on the price after a change; "" where none is known."""
    if now is None:
        return ""
    if before is None or before.total == now.total:
        return f"价格{'不变，' if before else '为'}{total_said(now)}。"
    return f"价格由 {format_yuan(before.total)} 调整为 {total_said(now)}。"


def order_line(service: str, workflow: Workflow, requirement: str, status: OrderStatus) -> str:
    """One line, e.g. for the question which order is meant."""
    first = next(iter(requirement.splitlines()), "")
    return f"{service or WORKFLOWS[workflow]}：{first[:30]}（{STATUSES[status]}）"
