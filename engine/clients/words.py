"""What staff reads of clients, and a client that may not sign in."""

WRONG_KEY = "agent_id 或 api_key 不正确，或该客户端已停用"
TOO_MANY = "密钥错误次数过多，请稍后再试"
UNSIGNED = "服务没有设置 SECRET_KEY，不能签发令牌"
OFFLINE_TITLE = "客户端离线：{name}"
OFFLINE = (
    "客户端 {name}（{agent_id}）已 {seconds} 秒没有心跳，最后一次是 {last}。\n"
    "它负责的账号暂时收不到消息，请检查那台电脑、网络和微信。"
)
BACK_TITLE = "客户端恢复：{name}"
BACK = "客户端 {name}（{agent_id}）的心跳恢复了。"
