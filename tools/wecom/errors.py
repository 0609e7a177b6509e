"""WeCom's error codes (reference wecom.md, section 2) with what an operator does about them."""

from tools.wx.errors import ErrorTable, Fault

PEER = "wecom"

BUSY = -1
BAD_SECRET, BAD_MEDIA_ID = 40001, 40007
BAD_TOKEN, EXPIRED_TOKEN = 40014, 42001
TOO_OFTEN, TOO_MANY_AT_ONCE = 45009, 45033
BAD_WELCOME_CODE, WELCOMED_ALREADY, WELCOME_IN_USE = 41050, 41051, 41096
BAD_TAG, TAG_EXISTS, NO_RELATION = 40068, 40071, 84061
KF_QUOTA_SPENT, KF_WINDOW_CLOSED, KF_BAD_SYNC_TOKEN = 95001, 95002, 95007
KF_SESSION_ENDED, KF_NO_SERVICER, KF_BAD_TRANSITION = 95013, 95014, 95016
KF_BAD_STATE, KF_SERVICER_STOPPED = 95018, 95019

_BLOCKED_S = 60.0
"""Who exceeds a minute's limit is refused for a minute."""

_COMMON = {
    BUSY: Fault("企业微信繁忙，稍后自动重试", again=True, after_s=1.0, spread_s=1.0),
    6000: Fault("数据同时被别处修改，稍后自动重试", again=True, after_s=1.0, spread_s=1.0),
    TOO_OFTEN: Fault(
        "调用过于频繁，一分钟后自动重试；经常出现请减少群发或联系企业微信提高上限",
        again=True,
        after_s=_BLOCKED_S,
        spread_s=5.0,
    ),
    TOO_MANY_AT_ONCE: Fault(
        "企业微信并发超限，稍后自动重试", again=True, after_s=0.5, spread_s=1.0
    ),
}
_ACCESS = {
    BAD_SECRET: Fault(
        "应用 Secret 不正确，请在管理后台查看该应用的 Secret 并更新 WECOM_AGENT_SECRET"
    ),
    40091: Fault("Secret 属于别的企业或应用，请核对 WECOM_CORP_ID 与 WECOM_AGENT_SECRET"),
    40013: Fault("企业 ID 不正确，请在「我的企业」页查看并更新 WECOM_CORP_ID"),
    BAD_TOKEN: Fault("access_token 无效，已自动更换；反复出现请检查是否有别的程序共用此应用"),
    EXPIRED_TOKEN: Fault("access_token 已过期，已自动更换；反复出现请检查服务器时钟"),
    40056: Fault("应用的 AgentID 不正确，请更新 WECOM_AGENT_ID"),
    40082: Fault("Secret 无效，请在管理后台重新查看并更新 WECOM_AGENT_SECRET"),
    41001: Fault("调用缺少 access_token，请反馈给开发者"),
    41002: Fault("缺少企业 ID，请设置 WECOM_CORP_ID"),
    41004: Fault("缺少应用 Secret，请设置 WECOM_AGENT_SECRET"),
    48001: Fault("应用没有调用此接口的权限，请在管理后台为应用开通"),
    48002: Fault("应用没有调用此接口的权限，请在管理后台「可调用接口的应用」里加入本应用"),
    48007: Fault("客服账号没有授权给本应用，请在「微信客服 → API」里把账号授权给本应用"),
    50001: Fault("网页地址不在可信域名内，请在应用设置里添加可信域名"),
    50002: Fault("成员不在应用的可见范围内，请在管理后台调整可见范围"),
    50003: Fault("应用已被停用，请在管理后台启用"),
    60011: Fault("应用没有权限访问该成员或部门，请调整可见范围"),
    60020: Fault("服务器 IP 不在可信 IP 里，请在应用详情页「企业可信IP」加入本服务器的出口 IP"),
    301002: Fault("应用没有权限操作该 AgentID，请核对 WECOM_AGENT_ID"),
}
_CONTENT = {
    40003: Fault("成员 UserID 不存在，请核对"),
    40004: Fault("媒体文件类型不正确"),
    40005: Fault("媒体类型参数不正确"),
    40006: Fault("媒体文件大小不符合规定"),
    BAD_MEDIA_ID: Fault("media_id 无效或已超过 3 天，请重新上传"),
    40008: Fault("不支持的消息类型"),
    40058: Fault("参数不合规定，详见括号里的说明"),
    40063: Fault("必填参数为空"),
    40201: Fault("消息被企业微信反垃圾机制拦截，请检查内容"),
    43004: Fault("对方没有绑定微信"),
    44001: Fault("媒体文件为空"),
    44004: Fault("消息内容为空"),
    45001: Fault("媒体文件过大：图片 10 MB，语音 2 MB，视频 10 MB，文件 20 MB"),
    45002: Fault("消息内容过长（文本最多 2048 字节）"),
    45007: Fault("语音超过 60 秒"),
    45008: Fault("图文消息超过 8 条"),
    45029: Fault("返回内容过大，请缩小查询范围"),
    46004: Fault("成员不存在，请核对 UserID"),
    60111: Fault("成员不存在，请核对 UserID"),
    81013: Fault("接收人全部无效或不在可见范围内，请核对 UserID 与可见范围"),
    82001: Fault("接收人全部无效，请核对 UserID 与可见范围"),
    86001: Fault("群聊 ID 不正确"),
    86003: Fault("群聊不存在"),
    86008: Fault("群聊不是本应用创建的"),
    830002: Fault("文件超过 20 MB，不能一次下载"),
}
_CONTACTS = {
    BAD_TAG: Fault("标签 ID 不正确，标签可能已被删除"),
    TAG_EXISTS: Fault("标签名已存在"),
    40096: Fault("客户的 external_userid 不正确"),
    41035: Fault("缺少客户的 external_userid"),
    41048: Fault("没有可以发送的客户"),
    41049: Fault("缺少 welcome_code"),
    BAD_WELCOME_CODE: Fault("欢迎语凭证无效或已超过 20 秒，不再补发"),
    WELCOMED_ALREADY: Fault("已与客户聊过或已发过欢迎语，不再重复发送"),
    41053: Fault("客户没有同意会话存档"),
    41054: Fault("成员没有激活企业微信，请让其先登录一次"),
    WELCOME_IN_USE: Fault(
        "另一个应用正在发送欢迎语，稍后自动重试", again=True, after_s=1.0, spread_s=1.0
    ),
    NO_RELATION: Fault("该成员与客户不是好友，可能已被删除"),
    84074: Fault("没有客户联系权限，请在「客户联系 → 权限配置」里加入成员并授权本应用"),
} | dict.fromkeys(range(41037, 41046), Fault("「联系我」参数不正确，详见括号里的说明"))
_KF = {
    95000: Fault("客服账号 open_kfid 不正确"),
    KF_QUOTA_SPENT: Fault("客户每次来信后最多回复 5 条，需等客户再次来信"),
    KF_WINDOW_CLOSED: Fault("客户来信已超过 48 小时，需等客户再次来信"),
    95003: Fault("未认证企业的接待客户数已达上限，请完成企业认证"),
    95004: Fault("客服账号不存在，可能已被删除或属于别的企业"),
    95005: Fault("客服账号数量已达上限"),
    95006: Fault("客服账号名称不合规定"),
    KF_BAD_SYNC_TOKEN: Fault("拉取消息的凭证已过期，将改为不带凭证拉取"),
    95008: Fault("菜单消息最多 10 项"),
    95009: Fault("菜单项类型不正确"),
    95011: Fault("此接口不能用于独立版微信客服，请在企业微信里使用微信客服"),
    95012: Fault("此接口不能用于企业微信版微信客服"),
    KF_SESSION_ENDED: Fault("会话已结束，需等客户再次来信"),
    KF_NO_SERVICER: Fault("该成员不是接待人员或没有激活企业微信，请在「微信客服」里添加"),
    95015: Fault("该账号已有原生接待配置，请先在管理后台改为 API 管理"),
    KF_BAD_TRANSITION: Fault("会话当前状态不允许这样变更"),
    95017: Fault("微信客服 API 开关已关闭，请在「微信客服 → API」里开启"),
    KF_BAD_STATE: Fault("会话当前状态不允许发送，可能正由人工接待或已结束"),
    KF_SERVICER_STOPPED: Fault("接待人员已停止接待"),
    95022: Fault("客服账号操作被拒绝，详见括号里的说明"),
    95023: Fault("客服账号操作被拒绝，详见括号里的说明"),
    95026: Fault("创建客服账号已达上限"),
    95027: Fault("创建客服账号已达上限"),
    95030: Fault("该客服账号不允许发送此类型的消息"),
    95031: Fault("客户 48 小时内没有来信，需等客户再次来信"),
    95032: Fault("客服消息被拒绝，详见括号里的说明"),
}

WECOM_ERRORS = ErrorTable(
    faults=_COMMON | _ACCESS | _CONTENT | _CONTACTS | _KF,
    # Not 40001: here it means the secret, and another token would be refused in the same way.
    refresh=frozenset({BAD_TOKEN, EXPIRED_TOKEN}),
    unknown="企业微信拒绝了请求，原因可查 https://open.work.weixin.qq.com/devtool/query?e={errcode}",
    says_ok=True,
)
