"""How orders for work on pictures are called in front of people."""

from domain.orders import OrderStatus, Workflow

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
