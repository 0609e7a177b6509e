"""What staff reads of the desk, and a person who does not have a conversation."""

OVERDUE_TITLE = "客户等待超时：{customer}"
OVERDUE_WAITING = (
    "客户 {customer} 排队等待人工客服已超过 {minutes} 分钟，还没有人接待。\n"
    "问题：{question}\n会话：{conversation}"
)
OVERDUE_TAKEN = (
    "客户 {customer} 等待 {agent} 回复已超过 {minutes} 分钟，目前没有其他坐席可以接手。\n"
    "问题：{question}\n会话：{conversation}"
)
MOVED_TITLE = "会话已改派：{customer}"
MOVED = (
    "{agent} 超过 {minutes} 分钟没有回复客户 {customer}，会话已改派给 {to}。\n"
    "问题：{question}\n会话：{conversation}"
)
NO_QUESTION = "（还没有留言）"
