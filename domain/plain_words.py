"""Everyday words that name nothing by themselves: courtesy, grammar, opinion, what one does in any
talk. What customer and shop speak of (goods, services, places, numbers) is not among them."""

_BETWEEN = (
    "你好 您好 请问 麻烦 谢谢 多谢 感谢 抱歉 报歉 不好意思 对不起 没问题 没关系 不客气 不用谢 "
    "不用客气 推荐 建议 我想 我要 想要 想找 想问 帮我 帮您 帮你 给我 给您 给你 告诉 知道 一下 "
    "一家 一个 一款 一些 这家 这个 这些 这款 这种 那个 那些 那款 那种 他家 它家 她家 我们 "
    "你们 您们 他们 它们 咱们 大家 什么 怎么 怎样 怎么样 咋样 多少 哪些 哪里 哪个 哪家 哪款 "
    "哪儿 是否 有没有 能不能 是不是 可不可以 要不要 会不会 周边 附近 旁边 只有 还有 没有 都有 "
    "以及 或者 还是 或是 并且 而且 但是 不过 可是 因为 所以 由于 然后 如果 要是 的话 之后 "
    "以后 之前 时候"
)
BETWEEN = tuple(_BETWEEN.split())
"""What stands before, after or between things that are named."""

GRAMMAR = "你您我了是有去在把给被请"
"""Single characters that part what is named; those common in names (都, 家, 大) are not here."""

PARTICLES = "吗呢吧啊呀哦哟嘛啦么呗嘞哈哇"
"""At the end of a phrase they name nothing; within one they may (酒吧)."""

TALKING = frozenset("想要能不都就好说看还也才很太挺没得着过来出会可点啥这那哪再又先后下")
"""Characters of talk: the more of them, the less a phrase is a name."""

_EMPTY = (
    "可以 可能 应该 需要 希望 觉得 感觉 认为 打算 准备 决定 选择 挑选 考虑 看看 看下 看一下 "
    "看到 查询 查询下 查一下 查下 查到 查看 找到 找个 找一 介绍 提供 满足 符合 完全 非常 真是 "
    "真的 真不错 不错 挺好 很好 太好 太棒 棒 好的 好嘞 好滴 那好 那就 那么 那也行 也行 也好 "
    "也可以 都可以 就行 就好 就可以 行不 好不 可不 看行 看可以 当然 必须 比较 最好 最后 其他 "
    "其它 另外 别的 别处 这样 那样 这里 那里 这儿 那儿 这边 那边 这么 这么多 很多 好多 挺多 "
    "不少 几个 多久 多长 几点 几分 大概 大约 左右 差不多 一般 一共 总共 已经 正在 马上 立即 "
    "立刻 现在 目前 刚才 刚刚 一会 一会儿 稍等 稍后 请稍等 久等 接下来 顺便 既然 虽然 其实 "
    "反正 至少 只要 只是 只能 仅 就是 还是 不是 也是 都是 算是 还想 还要 还需要 还能 再看看 "
    "再帮 帮忙 帮助 帮到 处理 解决 核实 核实下 操作 提示 问题 情况 事情 东西 地方 时间 信息 "
    "方便 清楚 明白 了解 理解 谅解 见谅 放心 满意 开心 愉快 生活愉快 喜欢 感兴趣 好玩 好吃 "
    "合适 适合 辛苦 添麻烦 打扰 耽误 客气 别客气 太客气 举手之劳 哈哈 呵呵 嗯嗯 恩恩 哎呀 哎 "
    "唉 嘿 亲 亲亲 亲爱 亲爱的 再见 拜拜 ok 行 好 嗯 恩 哦 对 收到 记下 记住 记好 听起来 看来 "
    "看上去 相信 确定 确认 自己 朋友 人 个 里 中 上 下 呗 么 啥 多 大 很 太 挺 也 都 就 还 再 "
    "又 才 不 没 能 会 要 想 找 吃 玩 住 到 从 为 与 跟 和 及 等 等等 得 着 过 来 出 让 用 向 "
    "比 被 它 他 她 这 那 哪 几 两 该 此 家 位 点 发 发来 发过来 发给 说 说下 说一下 问 问下 "
    "问问 联系 咨询 回复 回答 地址 电话 号码 电话号码 价格 价钱 评分 类型 要求 条件 需求 名称 "
    "名字 位置 具体 详细 具体地址 联系电话 联系方式 结束 结束后 之类 方面 本来 原来 一直 一起 "
    "一样 同时 分别 特别 尤其 尽快 尽量 耐心 等待 等下 等一下 今后 到时候 此外 首先 其次 不用 "
    "不要 不行 不会 不能 不太 不可 不知道 没事 没有查到 没查到 没找到 查不到 看不到 有点 有些 "
    "有时 好像 可惜 遗憾 哪一 哪一个 吃饭 吃完饭 用餐 就餐 住宿 入住 游玩 游览 玩玩 走走 转转 "
    "溜达 尝尝 休息 逛逛"
)
EMPTY = tuple(_EMPTY.split())
"""What a phrase may begin and end with, or consist of, without naming anything."""
