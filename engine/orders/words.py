"""What customers and staff read of orders."""

from collections.abc import Sequence

from domain.decisions import Quote
from domain.order_words import STATUSES, WORKFLOWS
from domain.orders import Amendment, ChangeKind
from domain.pricing import format_yuan
from storage.orders import OrderRow, sender_of

_KINDS = {
    ChangeKind.ADD: "增加",
    ChangeKind.CHANGE: "修改",
    ChangeKind.WITHDRAW: "撤回",
    ChangeKind.CANCEL: "取消",
}
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


def amended(order: OrderRow, before: OrderRow, amendments: Sequence[Amendment]) -> str:
    changes = "；".join(f"{_KINDS[one.kind]}「{one.requirement}」" for one in amendments)
    return f"好的，订单 {order.id} 已更新：{changes}。{_price(order.quote, before.quote)}".rstrip()


def _price(now: Quote | None, before: Quote | None) -> str:
    if now is None:
        return ""
    if before is None or before.total == now.total:
        return f"价格{'不变，' if before else '为'}{_total(now)}。"
    return f"价格由 {format_yuan(before.total)} 调整为 {_total(now)}。"


def _total(quote: Quote) -> str:
    return format_yuan(quote.total) + (" 起" if quote.estimate else "")


def confirmed(order: OrderRow) -> str:
    price = f"，价格 {_total(order.quote)}" if order.quote else ""
    return f"好的，订单 {order.id} 已确认{price}，马上为您处理。"


def delivered(order: OrderRow) -> str:
    return f"您的订单 {order.id} 已处理完成，请查收。满意请回复「满意」，需要修改请直接告诉我～"


def accepted(order: OrderRow) -> str:
    return f"订单 {order.id} 已完成验收，感谢您的支持！"


def reworked(order: OrderRow) -> str:
    return f"好的，订单 {order.id} 已安排修改，完成后马上发给您。"


def cancelled(order: OrderRow) -> str:
    return f"好的，订单 {order.id} 已为您取消。"


def cannot_be_done(order: OrderRow) -> str:
    return f"抱歉，这个我做不了，帮您转接设计师（订单 {order.id}）。"


# To staff and designers


def notice(order: OrderRow, lines: Sequence[str]) -> str:
    about = [f"订单:{order.id} {order.title}", f"客户:{sender_of(order.contact_id)}"]
    about += [f"设计师:{order.designer}"] if order.designer else []
    return "\n".join([*about, *lines])


def amended_notice(order: OrderRow, amendments: Sequence[Amendment]) -> str:
    changes = [f"{_KINDS[one.kind]}:{one.requirement}" for one in amendments]
    return notice(order, [*changes, "现在的要求:", *_lines(order), "请按新的要求处理"])


def description(order: OrderRow, note: str = "") -> str:
    """For the designer: why (on the first line, which notices repeat), what is wanted, what was
    tried, and of which pictures."""
    parts = [_why(order, note)]
    parts += [f"服务:{order.quote.service_name}"] if order.quote else []
    parts += ["要求:", *_lines(order)]
    parts += [f"返工:{note}"] if note else []
    parts += [f"已尝试:{_tried(one)}" for one in order.tried]
    parts += [f"图片:{address}" for address in order.images]
    return "\n".join([*parts, f"订单:{order.id}"])


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
    """One line, e.g. for the question which order is meant."""
    first = next(iter(order.requirement.splitlines()), "")
    service = order.quote.service_name if order.quote else WORKFLOWS[order.workflow]
    return f"{service}：{first[:30]}（{STATUSES[order.status]}）"
