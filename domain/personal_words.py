"""Words that tell names of persons from what only looks like one."""

RARE_SURNAMES = "祁佟滕殷阎颜柯耿焦裘缪鲍岑冉柴娄甄晏瞿温易施甘尤米莫祝桂贺"
"""Beside those of `domain.names`: there a name too many is worse than one too few."""

_NOT_NAMES = """
    高兴 安静 安全 方便 常常 马上 白色 金色 黄色 黄金 江湖 何时 任何 许多 石头
    程序 时候 夏天 龙猫 花费 毛病 严重 万一 宋体 温度 温柔 计划 余额 余款 方案
    方法 方式 方形 高清 高级 高度 常规 常见 安装 安心 安排 白底 白天 金额 蓝色
    蓝牙 蓝底 姜黄 毛衣 毛巾 石材 水平 项目 项链 纪念 季度 夏季 康复 汤圆 童装
    童鞋 韩版 唐装 秦岭 包装 陈列 陈旧 范围 范本 成本 于是 何必 邮寄 张开 章程
    任务 谢谢 周末 周一 周二 周三 周四 周五 周六 周日 周期 周年 周边 万元 元宵
    高铁 金属 金融 黄河 江南 江苏 江西 安徽 贺卡 贺年 云南 宁波 宁夏 莫名 严格
    许可 田园 孔雀 史上 路由 路过 车票 雷达 钱包 林业 梅花 杨梅
"""
NOT_NAMES = frozenset(_NOT_NAMES.split())
"""They begin like a name."""

_PLAIN_WORDS = """
    客户 客服 资料 规则 问题 订单 对话 摘要 称呼 最近 已知 信息 回答 店铺 顾客
    买家 卖家 用户 游客 匿名 微信 微信用户 价格 数字 时间 内容 输出 格式 编号
    资料里 句子 身份 折扣 赔偿 服务 照片 图片 修复 设计 你好 您好 谢谢 快递 地址
    电话 手机 姓名 先生 女士 小姐 老板 老师 亲 可以 什么 怎么 多少 system
    user json no ok no_answer answer guest
    customer wechat
"""
PLAIN_WORDS = frozenset(_PLAIN_WORDS.split())
"""Somebody may be called so; to hide them would blank half of every prompt."""
