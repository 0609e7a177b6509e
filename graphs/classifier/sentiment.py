"""How a customer feels, from words and turns of phrase; a negation before a word takes it back.

What a picture or a text that is ordered shall say is not how the customer feels, nor is a word of
thanks behind a request. Measured on tests/graphs/data/sentiment_*.jsonl, see docs/rules.md.
"""

import re
from dataclasses import dataclass

from domain.intents import Sentiment
from domain.text import fold

MAX_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Feeling:
    """``strong``: clearly angry. ``doubtful``: the words contradict each other, or the tone says
    more than they do."""

    sentiment: Sentiment
    strong: bool = False
    doubtful: bool = False


_POSITIVE = """
谢谢 感谢 多谢 谢啦 满意 好评 很喜欢 好喜欢 超喜欢 真喜欢 我喜欢 喜欢这 不错 很好 真好 太好了
好看 漂亮 完美 给力 厉害 很棒 太棒 真棒 好棒 超棒 棒棒 点赞 很赞 超赞 真赞 点个赞 靠谱 很专业 真专业
这么专业 你们专业 耐心 贴心 用心 开心 高兴 惊喜 感动 优秀 好用 值得 辛苦了 辛苦啦 没毛病 爱了 爱你
么么哒 哈哈 嘻嘻 超出预期 放心了 省心 安心 牛逼 帮大忙 多亏 暖心 速度快 真快 很快 挺好 挺不错 蛮好
绝了 杠杠的 没得说 没话说 满分 五星 信得过 物美价廉 一如既往 负责任 很负责 大气 舒服 神奇 扎实
一模一样 心服口服 没谁了 愉快 一直信得过 推荐给 都说好 太还原 回复及时 回复很及时
nice perfect great awesome good thanks thank thx 666
😊 😄 😁 😍 🥰 👍 ❤ 🌹 🎉 [微笑] [玫瑰] [强] [愉快]
"""
_PRAISING = (
    r"(?:效果|质量|手艺|做工|服务|体验|态度|速度|颜色|配色|修得|做得|装得|讲得|反应)"
    r".{0,4}(?:太好|真好|很好|好极|好，|不错|可以啊|理想|清楚|快|漂亮|太像|真像)",
    r"比(?:我|别家|想象|预期|图片|原来).{0,8}(?:好|强|快)",
    r"(?:没|没有|不|从没)让(?:我|人)失望",
    r"没选错|选对了",
    r"(?:完全)?就是我(?:想)?要的",
    r"帮.{0,3}(?:大忙|省了)",
    r"(?:已经|都|全|搞定|问题)?(?:解决了|搞定了)|一切正常|没出过问题",
    r"合不拢嘴|爱死(?:这|你|了)",
    r"(?:这么|又)便宜.{0,4}好",
    r"第[二三四五]次(?:下单|来|买|光顾)",
    r"(?:^|[,。!])(?:赞|棒|绝|可以可以)(?:$|[,。!])",
)
_NEGATIVE = """
垃圾 差评 上当 坑爹 太坑 真坑 好坑 失望 生气 恼火 烦死 好烦 很烦 真烦 无语 恶劣 过分 太差 很差 真差
差劲 极差 好差 最差 太烂 真烂 好烂 糟糕 破玩意 什么破 破店 敷衍 忽悠 难看 太丑 好丑 真丑 难用 后悔
倒霉 不耐烦 不像话 不专业 不喜欢 没人管 没人理 没人回 没人接 没人处理 没人搭理 不理人 爱答不理
阴阳怪气 推卸 推来推去 踢皮球 拖着 太慢 好慢 慢死 等半天 浪费 受不了 个说法 什么态度 什么服务
什么玩意 搞什么 难受 伤心 崩溃 急死 郁闷 心寒 拉黑 离谱 闹心 费劲 答非所问 没动静 没下文 没进展
老样子 放我鸽子 形同虚设 没诚意 纠缠 天天跳闸 糊成 太累 贵得要命 准话 丢脸
terrible awful worst 😤 👎 😠 💩 [弱] [难过]
"""
_COMPLAINING = (
    r"等(?:了)?.{0,4}(?:天|小时|半天|上午|下午|很久|好久|周|月|礼拜|个钟)(?:了)?",
    r"等得.{0,3}(?:久|烦|累)",
    r"催(?:了|过|你们).{0,6}|花儿都谢",
    r"(?:怎么|为什么|为啥|咋)(?:还|总|老|一直)?(?:没|不|又)(?!能|可以|支持|是|用|要).{0,8}",
    r"(?:还|一直|到现在|都)(?:是)?(?:没有?|不)(?:人|见|给|发|到|来|回|动静|处理|解决|弄|出|更新|好)",
    r"没解决|没弄好|没做到|没处理好|不对啊",
    r"说好.{0,10}(?:呢|现在|又|没|却|几点)|答应.{0,8}(?:没|又)|答应的",
    r"又(?:坏|错|卡|延|拖|等|要等|要加|来这套|不行|充不)",
    r"(?:第[二三四五]|[两二三四五]|好几|几|多少)(?:次|遍)(?:了|还|都|也|返工|才|没)|返工",
    r"(?:到底|究竟).{0,8}(?:没|不|谁|什么|怎么|几|有没有)",
    r"是不是忘|人就不理|联系.{0,4}没人|电话.{0,8}没人",
    r"这也(?:敢|叫|算)|这叫.{0,6}[?]|就这(?:水平|效果|服务)",
    r"(?:修|做|装|磨|画|弄|p|拼|印)得?.{0,6}(?:像鬼|跟鬼|歪|跟假|假人|认不出|不像|难看|什么样)",
    r"一点都不(?:像|好|行)|(?:差|错)(?:得)?(?:太|很|好)?远|不是一回事|八竿子",
    r"(?:质量|服务|态度|效率|速度).{0,4}(?:不行|差|低|慢|能不能好)|真不行|好一点(?:吗|吧)?$",
    r"才(?:用|买|装).{0,6}(?:就|又).{0,2}(?:坏|不)",
    r"(?:要|找|养)你们(?:干嘛|干什么|有什么用)|白(?:等|花|跑|交)",
    r"我都说了|说了(?:几|多少|好多)|每次(?:都|问)",
    r"说了(?:不|别|要).{0,6}(?:还|又)",
    r"(?:你们|你|客服).{0,4}(?:忘|不理|看没看|不行|太低|骗我)|骗我",
    r"一会儿说.{0,8}一会儿说|现在又(?:要|说)|少发了|尺寸又",
    r"呵呵|可真(?:行|是)|真行,|真服了|服了(?:你|，|,)|真有你们|还得谢谢你们|谢谢你们(?:啊|让)",
    r"不想再|退了吧|很难办",
)
_ANGRY = (
    r"投诉|举报|报警|起诉|曝光|12315|消协|工商局|律师函|法院见",
    r"骗子|骗钱|诈骗|坑人|坑钱|坑死|受骗|骗人|欺骗|欺诈|虚假宣传|奸商|黑店|黑心|无良|坑蒙拐骗",
    r"气死|气炸|气得|火大|烂透|恶心|受够|忍无可忍|忍你们|忍.{0,3}很久|欺人太甚|欺负|耍我|耍人|耍猴",
    r"(?:^|[,。!\s])(?:滚|操)(?:$|[,。!\s蛋开])|滚蛋|滚开|给我滚|傻逼|妈的|他妈|tmd|卧槽|尼玛|有病"
    r"|不要脸|不得好死",
    r"垃圾(?:店|公司|服务|中的垃圾|玩意|商家|东西)|(?:等着|绝对|给你们?|必须).{0,3}差评",
    r"再也不(?:来|买)|不会再来|别再给我|大家.{0,3}别买",
    r"(?:叫|让|喊).{0,4}(?:经理|老板|负责人|他)(?:来|出来)|必须给我.{0,2}说法",
    r"(?:立刻|马上|立马|赶紧|现在就).{0,3}退(?:钱|款)|退(?:钱|款)!|退款退款",
    r"😡|🤬|\[发怒\]|\[抓狂\]|\[咒骂\]",
)
_NEGATORS = """
不 没 没有 不太 不怎么 不是 并不 不算 不会 不够 别 未 毫不 谈不上 算不上 一点都不 一点也不 不想
不要 不用 不是来 不是要 没打算 不打算
"""
_NOT_FELT = re.compile(
    '[“「『"《][^”」』"》]{0,200}[”」』"》]'
    "|(?:文案|标题|上面|图片?里?|海报|横幅|贺卡)?(?:写|印|打|加)(?:上|着|个|成|一句)?[:：].{0,100}"
    "|(?:文案|标题|海报)(?:上|里)?写.{0,100}"
    "|(?:做|画|要|设计|来)(?:一?[张个份幅套])?[^,。!?]{0,10}(?:表情包?|海报|宣传图|模板|感谢信|说明|流程图|调查表)"
    "|满意度(?:调查)?|感谢信|表扬信|垃圾(?:分类|桶|袋|处理)|投诉(?:率|分析|数据|的?流程|电话|渠道)"
    "|差评(?:怎么回|返现|回复|率)|怎么(?:回复|处理)差评|(?:生气|发怒|愤怒|难过|伤心|开心|高兴)的(?:表情|样子|图|熊猫)"
    "|(?:开心|高兴|好看|漂亮|完美)(?:一?点|些)|最(?:好看|漂亮|差)|好看(?:的|吗)|漂亮(?:的|吗)"
    "|(?:感谢|谢谢)(?:惠顾|光临|支持)|没(?:有|什么)?(?:其他|别的)?问题|好用吗|质量(?:好|怎么样|可以)吗"
    "|(?:怎么|为什么)(?:没|不)有|有没有|(?<!还)(?<!都)(?<!也)没有?(?:坏|过期)|能不能|是不是(?!忘)|可不可以"
)
_COURTESY = re.compile(r"[?？]|吗|麻烦|帮我|请|能否|可以.{0,6}么|怎么|多少|查一?下|看一?下")
_THANKS = re.compile("谢谢|感谢|多谢|谢啦|thanks|thank|thx|辛苦了|辛苦啦")
_LOUD = re.compile(
    r"[!?！？]{2,}|\.{3,}|。{2,}|…|呵呵|哦,|难道|凭什么|什么意思|至于|还真|倒是|可以(?:的)?,|厉害了"
    r"|再说|算了|随便|爱.{1,2}不|有意思|长见识|佩服"
)
_TURN = re.compile(r"(?<!不)但是|可是|不过|然而|(?<!不)但")


def _any_of(words: str) -> str:
    return "|".join(map(re.escape, sorted(fold(words).split(), key=len, reverse=True)))


_NEGATED = (
    rf"(?P<negated>(?:{_any_of(_NEGATORS)})(?:很|太|怎么|特别|非常|那么|这么|再|要|觉得|让我)?)?"
)
_WORD = re.compile(
    rf"{_NEGATED}(?:(?P<angry>{'|'.join(_ANGRY)})"
    rf"|(?P<positive>{'|'.join(_PRAISING)}|{_any_of(_POSITIVE)})"
    rf"|(?P<negative>{'|'.join(_COMPLAINING)}|{_any_of(_NEGATIVE)}))"
)


def feeling(text: str) -> Feeling:
    """Of the message, of which the first 2,000 characters are read. What follows a 「但是」 counts
    double."""
    folded = _NOT_FELT.sub(" ", fold(text[:MAX_CHARS]))
    if _COURTESY.search(folded):
        folded = _THANKS.sub(" ", folded)
    before, *after = _TURN.split(folded)
    tallies = [_tally(before), *(_tally(one, 2) for one in after)]
    good, bad, angry = (sum(one[at] for one in tallies) for at in range(3))
    balance = good - bad
    doubtful = bool(good and bad) or bool(not angry and _LOUD.search(folded))
    if angry and balance < 0:
        return Feeling(Sentiment.NEGATIVE, strong=True)
    if balance == 0:
        return Feeling(Sentiment.NEUTRAL, doubtful=doubtful)
    found = Sentiment.POSITIVE if balance > 0 else Sentiment.NEGATIVE
    return Feeling(found, doubtful=doubtful)


def sentiment(text: str) -> Sentiment:
    return feeling(text).sentiment


def _tally(clause: str, weight: int = 1) -> tuple[int, int, int]:
    """Praise, blame, and anger within it; 「不满意」 is as bad as 「失望」, but 「不垃圾」 is no
    praise."""
    good = bad = angry = 0
    for word in _WORD.finditer(clause):
        if word["positive"]:
            good, bad = (good, bad + weight) if word["negated"] else (good + weight, bad)
        elif not word["negated"]:
            angry += bool(word["angry"])
            bad += weight * (3 if word["angry"] else 1)
    return good, bad, angry
