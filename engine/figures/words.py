"""What staff reads of alerts."""

from collections.abc import Mapping

from domain.alerts import AlertName

FIRING_TITLE = "告警：{title}"
FIRING = "当前 {value}，超过阈值 {threshold}。{detail}"
RESOLVED_TITLE = "恢复：{title}"
RESOLVED = "当前 {value}（阈值 {threshold}），告警持续了 {minutes} 分钟。"

TITLES: Mapping[AlertName, str] = {
    AlertName.CPU_HIGH: "CPU 使用率过高",
    AlertName.MEMORY_HIGH: "内存使用率过高",
    AlertName.DISK_HIGH: "磁盘空间不足",
    AlertName.RESPONSE_SLOW: "平均响应时间过长",
    AlertName.ANSWERS_LATE: "5 秒内未答复的比例过高",
    AlertName.TOKEN_HIGH: "24 小时 Token 用量过高",
    AlertName.QUEUE_AGE: "消息等待处理过久",
    AlertName.OUTBOX_AGE: "待发消息积压过久",
    AlertName.DEAD_LETTERS: "有处理或投递失败的消息",
    AlertName.PROVIDER_OPEN: "模型服务商不可用",
    AlertName.QUOTA_LOW: "模型每日额度即将用完",
    AlertName.CLIENT_OFFLINE: "有客户端离线",
    AlertName.PROCESS_LOST: "有服务进程失联",
}
UNITS: Mapping[AlertName, str] = {
    AlertName.CPU_HIGH: "%",
    AlertName.MEMORY_HIGH: "%",
    AlertName.DISK_HIGH: "%",
    AlertName.RESPONSE_SLOW: " 毫秒",
    AlertName.ANSWERS_LATE: "%",
    AlertName.TOKEN_HIGH: " Token",
    AlertName.QUEUE_AGE: " 秒",
    AlertName.OUTBOX_AGE: " 秒",
    AlertName.DEAD_LETTERS: " 条",
    AlertName.PROVIDER_OPEN: " 个",
    AlertName.QUOTA_LOW: "%",
    AlertName.CLIENT_OFFLINE: " 个",
    AlertName.PROCESS_LOST: " 个",
}
HOSTS = "主机 {names}。"
PROVIDERS = "服务商 {names}。"
PROCESSES = "进程 {names}。"
LETTERS = "处理失败 {parked} 条，投递失败 {dead} 条，请在「投递」页查看。"
ANSWERS = "最近 10 分钟答复 {answers} 次。"


def amount(name: AlertName, value: float | None) -> str:
    """As people read it, with its unit."""
    if value is None:
        return "未知"
    shown = f"{value:,.1f}".removesuffix(".0")
    return f"{shown}{UNITS[name]}"
