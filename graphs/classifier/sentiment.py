"""How a customer feels, from word lists; a negation before a word takes it back."""

import re

from domain.intents import Sentiment
from domain.text import fold

MAX_CHARS = 2_000

_POSITIVE = """
谢谢 感谢 多谢 谢啦 满意 好评 很喜欢 好喜欢 超喜欢 真喜欢 我喜欢 喜欢这 不错 很好 真好 太好了
好看 漂亮 完美 给力 厉害 很棒 太棒 真棒 好棒 超棒 棒棒 点赞 很赞 超赞 真赞 靠谱 很专业 真专业
耐心 贴心 开心 高兴 惊喜 优秀 好用 值得 辛苦了 辛苦啦 没毛病 爱了 爱你 么么哒 哈哈 嘻嘻 超出预期
放心了 牛逼 帮大忙 暖心 速度快 真快 nice perfect great awesome thanks thank thx 😊 😄 😁 😍 🥰
👍 ❤ 🌹 🎉 [微笑] [玫瑰] [强] [愉快]
"""

_NEGATIVE = """
投诉 举报 差评 垃圾 骗子 骗人 骗钱 受骗 上当 坑人 坑钱 坑爹 太坑 真坑 好坑 黑店 奸商 黑心 失望
生气 气死 气炸 火大 恼火 烦死 好烦 很烦 真烦 无语 恶心 恶劣 过分 太差 很差 真差 差劲 极差 好差
最差 太烂 真烂 好烂 烂透 糟糕 破玩意 什么破 破店 敷衍 耍我 耍人 耍猴 忽悠 欺骗 欺诈 欺负
虚假宣传 难看 太丑 好丑 真丑 难用 后悔 倒霉 滚蛋 滚开 给我滚 傻逼 妈的 tmd 卧槽 尼玛 有病 受够
忍无可忍 不耐烦 不像话 不专业 不喜欢 没人管 没人理 没人回 没人处理 没人搭理 不理人 爱答不理
阴阳怪气 推卸 推来推去 踢皮球 拖着 太慢 好慢 慢死 等半天 浪费 受不了 个说法 什么态度 什么服务
什么玩意 搞什么 难受 伤心 崩溃 急死 郁闷 心寒 拉黑 曝光你 再也不来 再也不买 terrible awful worst
😡 🤬 😠 👎 😤 💩 [发怒] [抓狂] [咒骂] [弱] [难过]
"""

_NEGATORS = """
不 没 没有 不太 不怎么 不是 并不 不算 不会 不够 别 未 毫不 谈不上 算不上 一点都不 一点也不
"""

_TURN = re.compile(r"(?<!不)但是|可是|不过|然而|(?<!不)但")


def _any_of(words: str) -> str:
    return "|".join(map(re.escape, sorted(fold(words).split(), key=len, reverse=True)))


_WORD = re.compile(
    rf"(?P<negated>(?:{_any_of(_NEGATORS)})(?:很|太|怎么|特别|非常|那么|这么|再|要|觉得|让我)?)?"
    rf"(?:(?P<positive>{_any_of(_POSITIVE)})|(?P<negative>{_any_of(_NEGATIVE)}))"
)


def sentiment(text: str) -> Sentiment:
    """Feeling of the message, of which the first 2,000 characters are read. What follows a
    「但是」 counts double.
    """
    before, *after = _TURN.split(fold(text[:MAX_CHARS]))
    balance = _balance(before) + 2 * sum(map(_balance, after))
    if balance == 0:
        return Sentiment.NEUTRAL
    return Sentiment.POSITIVE if balance > 0 else Sentiment.NEGATIVE


def _balance(clause: str) -> int:
    return sum(map(_weight, _WORD.finditer(clause)))


def _weight(word: re.Match[str]) -> int:
    """「不满意」 is as bad as 「失望」, but 「不垃圾」 is no praise."""
    if word["positive"]:
        return -1 if word["negated"] else 1
    return 0 if word["negated"] else -1
