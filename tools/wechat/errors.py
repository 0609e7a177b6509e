"""Error codes of WeChat official accounts (reference wechat_official.md, sections 6, 7 and 11) with
what an operator does about them."""

from tools.wx.errors import ErrorTable, Fault

PEER = "wechat"

BUSY = -1
BAD_SECRET_OR_TOKEN, BAD_TOKEN, EXPIRED_TOKEN = 40001, 40014, 42001
TOO_OFTEN, TOO_OFTEN_A_MINUTE, TOO_MANY_AT_ONCE = 45009, 45011, 45033
WINDOW_CLOSED, QUOTA_SPENT, SENT_ALREADY = 45015, 45047, 45065
REFUSED_BY_USER = 43101

_BLOCKED_S = 60.0

_COMMON = {
    BUSY: Fault("微信繁忙，稍后自动重试", again=True, after_s=1.0, spread_s=1.0),
    TOO_OFTEN: Fault(
        "接口调用次数超限，稍后自动重试；当日额度用完可在公众平台「接口权限」里清零",
        again=True,
        after_s=_BLOCKED_S,
        spread_s=5.0,
    ),
    TOO_OFTEN_A_MINUTE: Fault(
        "调用过于频繁，一分钟后自动重试", again=True, after_s=_BLOCKED_S, spread_s=5.0
    ),
    TOO_MANY_AT_ONCE: Fault("微信并发超限，稍后自动重试", again=True, after_s=0.5, spread_s=1.0),
}
_ACCESS = {
    BAD_SECRET_OR_TOKEN: Fault("AppSecret 不正确或 access_token 无效，请核对 APPSECRET"),
    40002: Fault("grant_type 不正确，请反馈给开发者"),
    40013: Fault("AppID 不正确，请更新 APPID"),
    BAD_TOKEN: Fault("access_token 无效，已自动更换；反复出现请检查是否有别的程序也在获取 token"),
    40125: Fault("AppSecret 不正确，请在公众平台重置并更新 APPSECRET"),
    40163: Fault("授权码已被使用"),
    40164: Fault("服务器 IP 不在白名单里，请在公众平台「基本配置 → IP白名单」加入括号里的 IP"),
    40200: Fault("此类账号不支持该消息类型"),
    40243: Fault("AppSecret 已被冻结，请在公众平台解冻"),
    41001: Fault("调用缺少 access_token，请反馈给开发者"),
    41002: Fault("缺少 AppID，请设置 APPID"),
    41004: Fault("缺少 AppSecret，请设置 APPSECRET"),
    EXPIRED_TOKEN: Fault("access_token 已过期，已自动更换；反复出现请检查服务器时钟"),
    42007: Fault("授权已失效，请在公众平台重新授权"),
    48001: Fault("公众号没有此接口的权限，请确认账号已认证并在「接口权限」里开通"),
    48003: Fault("公众号没有同意相关协议，请登录公众平台同意"),
    48004: Fault("此接口已被封禁，请登录公众平台查看站内信"),
    50001: Fault("用户没有授权此接口"),
    50002: Fault("用户受限，可能违规或已注销"),
    50005: Fault("用户没有关注公众号"),
    65400: Fault("没有开通新版客服功能，请在公众平台添加「客服功能」插件"),
    89503: Fault("本次调用需要管理员在手机上确认服务器 IP，请联系公众号管理员"),
    89506: Fault("管理员拒绝了此 IP 的调用，24 小时内不能再试"),
    89507: Fault("管理员拒绝了此 IP 的调用，1 小时内不能再试"),
}
_CONTENT = {
    40003: Fault("OpenID 不正确，可能属于别的公众号"),
    40007: Fault("media_id 无效或已超过 3 天，请重新上传"),
    40008: Fault("不支持的消息类型"),
    40033: Fault("请求里含有不支持的字符，请反馈给开发者"),
    40035: Fault("参数不正确，详见括号里的说明"),
    40037: Fault("模板 ID 不正确，请在公众平台「模板消息」里核对"),
    40165: Fault("小程序页面路径不正确"),
    45001: Fault("媒体文件过大：图片 10 MB，语音 2 MB，视频 10 MB，缩略图 64 KB"),
    45002: Fault("消息内容过长（文本请控制在 2048 字节内）"),
    45003: Fault("标题过长"),
    45004: Fault("描述过长"),
    45005: Fault("链接过长"),
    45006: Fault("图片链接过长"),
    45007: Fault("语音超过 60 秒"),
    45008: Fault("图文消息条数超限"),
    46001: Fault("媒体文件不存在"),
    46003: Fault("菜单不存在"),
    46004: Fault("用户不存在"),
    47001: Fault("请求格式不正确，请反馈给开发者"),
    47003: Fault("模板参数与模板不符，请核对模板里的字段"),
    61451: Fault("参数不正确，详见括号里的说明"),
}
_CONTENT |= dict.fromkeys((40004, 40005), Fault("媒体文件类型不正确"))
_CONTENT |= dict.fromkeys((40006, *range(40009, 40013)), Fault("媒体文件大小不符合规定"))
_CONTENT |= dict.fromkeys((41003, *range(41005, 41010)), Fault("缺少参数，详见括号里的说明"))
_CONTENT |= dict.fromkeys(range(44001, 44005), Fault("媒体文件或消息内容为空"))
_REACH = {
    43004: Fault("用户没有关注公众号"),
    43019: Fault("用户在黑名单里，请先移出黑名单"),
    REFUSED_BY_USER: Fault("用户拒绝接收此类通知"),
    WINDOW_CLOSED: Fault("用户来信已超过 48 小时或已取消关注，需等用户再次来信"),
    QUOTA_SPENT: Fault("客服消息条数已达上限，需等用户再次来信"),
    SENT_ALREADY: Fault("同一条消息已发送过"),
    48002: Fault("用户拒收公众号消息"),
    **dict.fromkeys(
        (45072, 45080, 45081), Fault("「正在输入」状态不能这样设置，用户 30 秒内没有来信或状态重复")
    ),
}

WECHAT_ERRORS = ErrorTable(
    faults=_COMMON | _ACCESS | _CONTENT | _REACH,
    refresh=frozenset({BAD_SECRET_OR_TOKEN, BAD_TOKEN, EXPIRED_TOKEN}),
    unknown="微信拒绝了请求（错误码 {errcode}），原因可查公众平台文档「全局返回码」",
    says_ok=False,
)
