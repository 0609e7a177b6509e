"""What a later message changes of the open orders, and of which one. Pure: words in, changes out.

A message is read clause by clause. A clause names an order (「第二张」, 「海报那张」) or takes the
one that the clause before it named; else the only open order, else the only one that it fits.
Where several fit nothing is guessed: the customer is asked.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.orders import Amendment, ChangeKind
from domain.requirements import (
    CONTENT,
    DEADLINE,
    DEADLINE_WORDS,
    RUSH,
    RUSH_WORDS,
    TEXT_OBJECTS,
    clauses_of,
    merge_requirements,
    requirement_lines,
    same_thing,
    topic_of,
)
from domain.text import fold, letters

MAX_CLAUSES = 20
MAX_READ_CHARS = 600
"""Whoever writes more than that changes no order in passing: a person reads it."""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """``service``: as customers know it, e.g. 海报设计. ``words``: what else it may be called by:
    what its pictures show, keywords of its service. ``pictures``: how many it has. ``recent``: it
    was spoken of last; else the newest was."""

    id: int
    service: str
    requirement: str
    words: tuple[str, ...] = ()
    pictures: int = 1
    recent: bool = False

    def named_by(self, word: str) -> bool:
        return word in fold(" ".join((self.service, self.requirement, *self.words)))

    def is_about(self, word: str) -> bool:
        """Whether the work itself is called so, and not a part of it."""
        first = next(iter(requirement_lines(self.requirement)), "")
        return word in fold(" ".join((self.service, first, *self.words)))


@dataclass(frozen=True, slots=True)
class Change:
    order: OpenOrder
    amendment: Amendment


@dataclass(frozen=True, slots=True)
class Amended:
    """``changes`` in the order of the message; of one order or several. ``rest``: what else the
    message wants, a new order."""

    changes: tuple[Change, ...]
    rest: str = ""

    def by_order(self) -> dict[int, list[Amendment]]:
        found: dict[int, list[Amendment]] = {}
        for change in self.changes:
            found.setdefault(change.order.id, []).append(change.amendment)
        return found


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """``amendments`` are clear, which of ``candidates`` they are for is not. Kept by the caller as
    ``pending`` for the customer's answer."""

    candidates: tuple[OpenOrder, ...]
    amendments: tuple[Amendment, ...]


# Words

_LEAD = re.compile(
    r"^(?:对了|对(?=,|$)|哦|噢|嗯+|呃|诶|哎|老板|亲爱的|亲|客服|你好|您好|在吗|不好意思|抱歉|还有|另外|然后|最后"
    r"|麻烦(?:你|您)?(?:们)?|请(?:你|您)?|劳驾|顺便|顺带|能不能|可不可以|可以|能否|能(?=把|帮|给|改|换|加)"
    r"|我(?:还)?(?:想要?|要)?(?=把|改|换|加|再)|帮(?:我|忙)|给我(?=把|改|换|加)|再|也|就|那(?![张个幅款份单])|还是"
    r"|[,:: ])+"
)
_TAIL = re.compile(
    r"(?:谢谢.*|可以吗|行吗|好吗|可以不|行不|好不好|吧|呀|啊|哈|哦|噢|呢|嘛|吗|谢了|[ ?？])+$"
)
_NOTHING = re.compile(
    r"(?:谢谢|感谢|好的?|行|可以|ok|嗯+|收到|没问题|辛苦|知道了|明白|不客气|不用谢|没事|慢慢来|你好|您好|在吗|哈+|"
    r"不用了|不好意思|客气|了|您|你|啦|哈|呢|的|啊|吧|[ ?？])+"
)
_ASKS = re.compile(
    r"多久|多长时间|什么时候|啥时候|几时|何时|几点|几天|进度|好了[吗没不]|[做弄改修]好[了没吗]|做完|怎么样了?|到哪"
    r"|多少|什么价|几块|几元|怎么收|收费|太?贵|便宜|优惠|打折|少[一]?点|怎么[改换弄做加用]|为什么|为啥|是不是|有没有"
    r"|什么意思|看看效果|[能可以]+(?:做?好|弄好|出|完成|拿到?|给我?)吗|已经|刚刚?[才]?(?:改|换|加)了|哪|什么|咋|[改换加修抠做弄]了[吗没]"
)
_MAY_I = re.compile(
    r"(?:还?能不?能?|还?可不?可?以|支持|行)(?:再|帮我)?(?:加急|改|换|修改|取消|加字|调)(?:一?下)?"
    r"(?:颜色|尺寸|文?字|背景|要求)?[吗么嘛不]?[?？]?"
)
_CALLED_OFF = (
    r"(?:算了|不要了|不做了|不弄了|不修了|不改了?做?了|不搞了|不p了|取消(?:订单|掉|了|吧|这单)?|退[了单掉]+|别[做弄修搞]了?"
    r"|不想[做要弄]了?|不用[做弄修]了?|先不[做弄要]了?|不需要了|作废|停[了掉]?)"
)
_CANCEL = re.compile(rf"(?:.{{0,6}}(?:太贵|太慢|来不及|等不及|等太久)了?)?{_CALLED_OFF}+")
_CANCELLED = re.compile(rf"^.{{0,4}}{_CALLED_OFF}$")
_LEFT_ALONE = re.compile(r"(?:不用|不要|别|不必)(?:再)?[改动换弄修变]了?|不变|不动")
_NEVER_MIND = re.compile(r"算了")
_NEGATED = re.compile(
    r"(?:不要|不用|不必|别|不需要|无需|取消|先不|不)(?:再|给我|帮我|用)?"
    r"(?:加急|加|添|换|改|做|修|抠|写|放|弄|调|[裁剪]|p|去|翻|旋转|放大|缩小|美白|磨皮|瘦|印|排版)"
    r"|不着?急了?$|^.{1,8}(?:不用|不要|别)(?:做|弄|改|加|换|动|修|管|写|放)了?$"
)
_WITHOUT = re.compile(r"(?:不要|去掉|去除|删掉|删除|删了|抹掉|p掉|擦掉|不带|不留)")
_SETS = re.compile(
    r"(?:改|换|变|调|做|弄|设|处理|缩|放|裁|剪|p|描|写)(?:成|为|到|回|一下|下|个|用)"
    r"|[改换调].*(?:一?[点些]|回来)"
)
_WISH = re.compile(
    r"(?:要|是|用|放|做成?|弄成?|设|得|需要|希望|统一|都|按)(?!不)|一?[点些]$|[大小亮暗深浅淡浓粗细高低宽窄长短圆]一?[点些]"
)
_BETTER = re.compile(
    r"(?:大|小|亮|暗|深|浅|淡|浓|清晰|清楚|粗|细|高|低|宽|窄|长|短|圆|白|黑|红|自然|鲜艳|柔和|正|紧凑|醒目|显眼|好看)"
    r"(?:一?[点些])|一?[点些](?:大|小|亮|暗|深|浅)$"
)
_DOES = (
    r"(?:加|添|改|换|调|修|抠|去|放|写|p(?![a-z])|裁|剪|上个?色|旋转|翻转|锐化|美白|磨皮|瘦|提亮|上色|补|印|贴|删|擦|抹|居中|排"
    r"|做(?!好|完)|弄(?!好|完)|处理|转)"
)
_IMPERATIVE = re.compile(
    rf"(?:把|将).{{1,30}}{_DOES}|^(?:上面|下面|左边|右边|中间|背景|里面|图上?|图片|照片|最后)?(?:也|再|都|还)?(?:要|得)?{_DOES}"
)
_A_LITTLE = re.compile(rf"{_DOES}(?:一下|下|个?色|掉)$")
_MORE = re.compile(
    r"(?:^|[,，])(?:对了|还有|另外|然后|顺便|顺带|最后|[,: ])*(?:再|还(?!是)|也|顺便|顺带|多)"
    r"|再(?=加|把|帮|改|换|给|做|弄|写|放|调|修)|也(?=要|改|换|加)|还要|加上|加[个一]|加点|添|补上|另外|顺便|还有|[放写]上"
)
_PRODUCT = (
    r"(?:图片?|照片|相片|海报|logo|主图|名片|菜单|头像|详情页|证件照|宣传单|传单|易拉宝|包装|展架"
    r"|封面|横幅|订单|单)"
)
_COUNTED = r"[一两二三四五六七八九十几\d]+(?:张|个|幅|款|份|组|套|版)"
_NEW = re.compile(
    rf"(?:另外|还有|再|又|还).{{0,4}}(?:修|抠|做|p|处理|弄|找|要|来)(?:{_COUNTED})(?:{_PRODUCT}|$)"
    rf"|(?:另外|还有|再|又|还|重新)(?:再|还)?(?:有|发|来|要|做|传|弄|下|给你发?|发你|帮我做|想做|想要|需要|定|订)*(?:了)?"
    rf"(?:{_COUNTED})(?:新的?)?(?:不同的?|别的)?{_PRODUCT}|新的?(?:图|单|订单|照片)|再(?:下|来|开)一?单"
    rf"|^(?:帮我|给我|我(?:还)?(?:想|要)|我想要|想要?|要|再)*(?:做|设计|定制|画)(?:一?[个张款套份]|{_COUNTED}).*{_PRODUCT}"
)
_MATERIAL = re.compile(
    r"(?:用|换成|改成|按|照|参考|像|加上|放上?)(?:着)?(?:这|我?发的?)[张个幅]?|这是(?:logo|二维码|素材|参考)"
)

# References

_DIGITS = {char: n for n, char in enumerate("零一二三四五六七八九十")} | {"两": 2}
_NUMBERED = re.compile(
    r"(?:第|图)([一二两三四五六七八九十]|\d{1,2})(?:[张个幅款份单项](?:图片?|照片|订单)?|(?=[的把要不改换,]|$))"
    r"|图(\d{1,2})(?![\d张个])"
)
_BY_ID = re.compile(
    r"(?:订单|单号|编号|任务)(?:号|是|为|[: #])*(\d{1,18})|(\d{1,18})号(?:订单|单|任务)"
    r"|#(\d{1,18})"
)
_NEWEST = re.compile(
    r"(?:上一|最后一|最后那|最近|最新|刚才|刚刚|刚发|刚下|刚做|后面那|后一)(?:的|那|这)?[张个幅款份单]?(?:图片?|照片|订单)?"
)
_OLDEST = re.compile(
    r"(?:最早|最开始|一开始|最先|最初|最前面)(?:的|那|发的)*[张个幅款份单]?(?:图片?|照片|订单)?"
)
_OTHER = re.compile(
    r"(?:另外?一|另外那|别的那|之前那|前面那|前一|之前的那|上上)[张个幅款份单](?:图片?|照片|订单)?"
)
_ALL = re.compile(
    rf"全都|(?:这|那)?(?:{_COUNTED}|全部|所有|每[一]?[张个]?)(?:的?(?:图片?|照片|订单))?都|(?:全部|所有|统统)(?:的?(?:图片?|照片|订单))?|都(?=改|换|不|要|加|做|取消)"
)
_THAT = re.compile(r"那[张个幅款份单副](?:图片?|照片|订单)?")
_POINTS = re.compile(r"[这那][张个幅款份单](?:图片?|照片|订单)?|这边|它")
_NOUNS = (
    "海报", "logo", "主图", "详情页", "名片", "菜单", "包装", "证件照", "头像", "易拉宝", "传单",
    "宣传单", "banner", "横幅", "展架", "封面", "老照片", "旧照片", "合影", "全家福", "结婚照",
    "婚纱照", "产品图", "商品图", "白底图", "长图", "邀请函", "优惠券", "抠图", "修复", "矢量",
    "精修", "找图", "找原图", "排版", "高清", "修图", "去水印", "上色", "线稿",
)  # fmt: skip
_TAKES_OBJECT = re.compile(
    r"(?:加|放|添|贴|印|成|为|去|删|写|换|改|做|用)(?:一|个|上|掉|除|的|张|下|我们?)*$"
)
_BEFORE_THAT = re.compile(r"([\u4e00-\u9fffa-z0-9]{1,8})$")
_AFTER_THAT = re.compile(r"[的]?([\u4e00-\u9fffa-z0-9]{1,6})")
_TOGETHER = re.compile(r"[和跟与、].+都")
_POINTS_OUT = re.compile(r"(?:我|刚才|不是)*(?:说|指|要改)的?是?")
"""「我说的是第一张图」: no more than which one."""
_CHOOSES = re.compile(r"(?:我?(?:说|指|要)?的?是|是|要|改|选|就)*|(?:说的|指的)")
_NOT_A_NAME = frozenset(
    {"我", "你", "就", "是", "把", "的", "要", "对", "说", "刚才", "之前", "图", "图片"}
)


@dataclass(frozen=True, slots=True)
class _Meant:
    """``orders``: those that the words name; ``clause``: the words without the name. ``part``: the
    name is part of what is said, ``picture``: it is one picture of an order."""

    orders: tuple[OpenOrder, ...]
    clause: str
    noun: str = ""
    part: bool = False
    picture: bool = False


def amendment_of(
    text: str,
    open_orders: Sequence[OpenOrder],
    *,
    has_picture: bool = False,
    pending: Sequence[Amendment] = (),
) -> Amended | Ambiguous | None:
    """``open_orders`` as we listed them, the oldest first. ``has_picture``: one came
    with the message. ``pending``: of the `Ambiguous` that we have just asked about. None: the
    message changes no order (a question, thanks, a new order)."""
    if not open_orders or len(text) > MAX_READ_CHARS:
        return None
    clauses = clauses_of(text)[:MAX_CLAUSES]
    if pending and (chosen := _chosen(clauses, open_orders)):
        return Amended(tuple(Change(order, one) for order in chosen for one in pending))
    clauses, rest = _without_new_orders(clauses)
    if has_picture and not _speaks_of_earlier(clauses, open_orders):
        return None
    found = list(_read(clauses, open_orders))
    return _decided(found, open_orders, rest) if found else None


def choice_of(text: str, candidates: Sequence[OpenOrder]) -> OpenOrder | None:
    """Which of ``candidates`` an answer to «which one?» means: 「第二个」, 「2」, 「海报那张」."""
    chosen = _chosen(clauses_of(text)[:MAX_CLAUSES], candidates)
    return chosen[0] if len(chosen) == 1 else None


# One clause


@dataclass(frozen=True, slots=True)
class _Read:
    kind: ChangeKind
    requirement: str
    meant: _Meant | None


def _read(clauses: Sequence[str], orders: Sequence[OpenOrder]) -> Iterable[_Read]:
    named: _Meant | None = None
    # 「算了」 alone calls off; before a change it is no more than a change of mind.
    said = [one for one in clauses if not _NEVER_MIND.fullmatch(letters(one))] or clauses
    for original in said:
        meant = _meant(original, orders)
        if meant.orders:
            named = meant
        kind = _kind(meant, original, orders)
        if kind is None:
            continue
        requirement = _requirement(original, meant)
        yield _Read(kind, requirement, named)


def _kind(meant: _Meant, original: str, orders: Sequence[OpenOrder]) -> ChangeKind | None:
    folded = fold(original)
    plain = _TAIL.sub("", _LEAD.sub("", fold(meant.clause), count=1) if meant.clause else "")
    bare = letters(plain)
    if _MAY_I.fullmatch(letters(_POINTS.sub("", folded))):
        return None
    if _CANCEL.fullmatch(_bare(bare)) or (meant.noun and _CANCELLED.search(bare)):
        return ChangeKind.CANCEL
    if meant.orders and _POINTS_OUT.fullmatch(bare):
        return ChangeKind.CHANGE
    if not bare or _NOTHING.fullmatch(bare):
        return None
    if _asks(folded) or _LEFT_ALONE.fullmatch(bare):
        return None
    if _NEGATED.search(plain):
        return _withdrawal(plain, orders)
    return _addition_or_change(folded, plain)


def _bare(clause: str) -> str:
    """Without what a cancellation may be said of."""
    left = _POINTS.sub("", clause)
    return re.sub(
        r"订单|单子|任务|全部|全|我[要想]|我|就|也|还是|都|先(?!不)|这次|图片|(?<!不)图(?!片)",
        "",
        left,
    )


def _asks(folded: str) -> bool:
    return _ASKS.search(folded) is not None and not re.search(r"[改换]成|[改换]为", folded)


def _withdrawal(plain: str, orders: Sequence[OpenOrder]) -> ChangeKind | None:
    if not RUSH_WORDS.search(plain):
        return ChangeKind.WITHDRAW
    # 「不着急」 is politeness where nobody was in a hurry.
    hurried = any(RUSH_WORDS.search(fold(order.requirement)) for order in orders)
    return ChangeKind.WITHDRAW if hurried else None


def _addition_or_change(folded: str, plain: str) -> ChangeKind | None:
    topic = topic_of(plain)
    more = _MORE.search(folded) is not None
    if topic.aspect == RUSH:
        return ChangeKind.ADD
    if topic.aspect == DEADLINE and DEADLINE_WORDS.search(plain):
        wanted = re.search(r"要|给我|交|之?前|改|完成|出", plain)
        away = re.search(r"要(?:去|来|回|开|上|出|用不|不)", plain)
        return ChangeKind.CHANGE if wanted and not away else None
    wish = _WISH if topic.aspect != CONTENT else _SAYS_WHAT
    sets = _SETS.search(plain) or (topic.known and wish.search(plain))
    if _WITHOUT.search(plain) and (topic.known or more):
        return ChangeKind.ADD if more else ChangeKind.CHANGE
    if sets or _BETTER.search(plain) or _CORRECTS.search(plain):
        return ChangeKind.ADD if more and not _SAYS_ANEW.search(plain) else ChangeKind.CHANGE
    if _A_LITTLE.search(plain) and topic.known:
        return ChangeKind.ADD
    if _IMPERATIVE.search(plain) and (topic.known or more):
        return ChangeKind.ADD
    # 「透明底」, 「png格式」: the wish itself.
    named = topic.aspect not in (CONTENT, RUSH, DEADLINE) and len(letters(plain)) <= 10
    return ChangeKind.CHANGE if named and not _JUDGES.search(plain) else None


_JUDGES = re.compile(r"好看|难看|漂亮|不错|可以|[挺很]好|喜欢|满意|不对|没错|没问题")
_SAYS_WHAT = re.compile(r"[\u4e00-\u9fff o](?:写|填|印|是|用|为|:).|要(?:改|换|写|用)")
_CORRECTS = re.compile(r"应该?[是为用写](?!不)")
_SAYS_ANEW = re.compile(r"改回|换回|不是.+[而是]")


def _requirement(original: str, meant: _Meant) -> str:
    """The customer's words without what leads to them; what tells pictures apart stays."""
    words = original if meant.picture or not meant.orders or meant.part else meant.clause
    plain = _TAIL.sub("", words.strip())
    lead = _LEAD.match(plain)
    cut = plain[lead.end() :] if lead else plain
    cut = re.sub(r"^(把|将)?的", r"\1", cut.strip(" ,，:："))
    return cut if letters(cut) else original.strip()


# Which order


def _meant(clause: str, orders: Sequence[OpenOrder]) -> _Meant:
    folded = fold(clause)
    return (
        _by_id(clause, folded, orders)
        or _by_number(clause, folded, orders)
        or _by_words(clause, folded, orders)
        or _by_age(clause, folded, orders)
        or _Meant((), clause)
    )


def _by_id(clause: str, folded: str, orders: Sequence[OpenOrder]) -> _Meant | None:
    match = _BY_ID.search(folded)
    if match is None:
        return None
    named = int(next(part for part in match.groups() if part))
    found = tuple(order for order in orders if order.id == named)
    return _Meant(found, _cut(folded, match)) if found else None


def _by_number(clause: str, folded: str, orders: Sequence[OpenOrder]) -> _Meant | None:
    match = _NUMBERED.search(folded)
    if match is None:
        return None
    written = match[1] or match[2]
    number = _DIGITS.get(written) or int(written)
    several = [order for order in orders if order.pictures >= number and order.pictures > 1]
    if len(orders) == 1 and (several or number == 1):
        return _Meant((orders[0],), _cut(folded, match), picture=bool(several))
    if 1 <= number <= len(orders):
        return _Meant((orders[number - 1],), _cut(folded, match))
    return _Meant(tuple(several), clause, picture=True) if len(several) == 1 else None


def _by_words(clause: str, folded: str, orders: Sequence[OpenOrder]) -> _Meant | None:
    """「海报那张」, 「那张全家福」, 「logo的字」; words that name all orders name none."""
    named = [
        _Meant(found, folded[:start] + folded[end:], noun=word, part=part)
        for word, start, end, part in _names(folded)
        if (found := tuple(order for order in orders if order.named_by(word)))
        and (len(found) < len(orders) or len(orders) == 1)
    ]
    if not named:
        return None
    single = {meant.orders[0].id: meant.orders[0] for meant in named if len(meant.orders) == 1}
    if len(single) > 1 and _TOGETHER.search(folded):
        return _Meant(tuple(single.values()), clause, part=True)
    return named[0]


def _names(folded: str) -> Iterable[tuple[str, int, int, bool]]:
    """(word, from, to, whether it is part of what is said)."""
    for that in _THAT.finditer(folded):
        if before := _BEFORE_THAT.search(folded[: that.start()].removesuffix("的")):
            for start in range(len(before[1]) - 1):
                if (word := before[1][start:]) not in _NOT_A_NAME:
                    yield word, before.start(1) + start, that.end(), False
        if after := _AFTER_THAT.match(folded, that.end()):
            for length in range(len(after[1]), 1, -1):
                if _may_name(word := after[1][:length]):
                    yield word, that.start(), after.start(1) + length, False
    for noun in _NOUNS:
        at = folded.find(noun)
        if at >= 0 and not _TAKES_OBJECT.search(folded[:at]):
            yield noun, at, at + len(noun), True


def _may_name(word: str) -> bool:
    """「那张背景换掉」 says nothing of which one."""
    topic = topic_of(word)
    return word not in _NOT_A_NAME and topic.aspect == CONTENT and not topic.objects & TEXT_OBJECTS


def _by_age(clause: str, folded: str, orders: Sequence[OpenOrder]) -> _Meant | None:
    for pattern, found in (
        (_ALL, tuple(orders)),
        (_OTHER, _others(orders) if len(orders) == 2 else ()),
        (_OLDEST, (orders[0],)),
        (_NEWEST, (orders[-1],)),
    ):
        match = pattern.search(folded)
        if match and found:
            return _Meant(found, _cut(folded, match))
    return None


def _others(orders: Sequence[OpenOrder]) -> tuple[OpenOrder, ...]:
    recent = next((order for order in orders if order.recent), orders[-1])
    return tuple(order for order in orders if order is not recent)


def _cut(folded: str, match: re.Match[str]) -> str:
    return folded[: match.start()] + folded[match.end() :]


def _chosen(clauses: Sequence[str], orders: Sequence[OpenOrder]) -> tuple[OpenOrder, ...]:
    """Of an answer that names orders and says nothing else."""
    for clause in clauses:
        folded = fold(clause)
        number = re.fullmatch(
            r"(?:第)?([一二两三四五六七八九]|\d{1,2})(?:号|个|张)?", letters(folded)
        )
        if number:
            at = _DIGITS.get(number[1]) or int(number[1])
            return (orders[at - 1],) if 1 <= at <= len(orders) else ()
        meant = _meant(clause, orders)
        left = letters(_TAIL.sub("", _LEAD.sub("", fold(meant.clause), count=1)))
        if meant.orders and _CHOOSES.fullmatch(re.sub(r"[的图那这张个]", "", left)):
            return meant.orders
    return ()


# The whole message


def _without_new_orders(clauses: Sequence[str]) -> tuple[list[str], str]:
    for at, clause in enumerate(clauses):
        folded = fold(clause)
        new = _NEW.search(folded)
        if new and not _ALL.search(folded) and not _OTHER.search(_cut(folded, new)):
            return list(clauses[:at]), ",".join(clauses[at:])
    return list(clauses), ""


def _speaks_of_earlier(clauses: Sequence[str], orders: Sequence[OpenOrder]) -> bool:
    """A picture that comes with words is a new order's, unless they say otherwise."""
    return any(_MATERIAL.search(fold(one)) or _meant(one, orders).orders for one in clauses)


def _decided(found: Sequence[_Read], orders: Sequence[OpenOrder], rest: str) -> Amended | Ambiguous:
    changes: list[Change] = []
    wanted_of = {order.id: requirement_lines(order.requirement) for order in orders}
    for read in found:
        amendment = Amendment(read.kind, read.requirement, _position(read.meant, orders))
        chosen = _orders_for(read, amendment, orders)
        if not chosen:
            fitting = _fitting(amendment, orders)
            wanted = tuple(Amendment(one.kind, one.requirement) for one in found)
            return Ambiguous(tuple(fitting if len(fitting) > 1 else orders), wanted)
        for order in chosen:
            settled = _settled(amendment, order, read.meant, wanted_of[order.id])
            wanted_of[order.id] = merge_requirements(wanted_of[order.id], settled)
            changes.append(Change(order, settled))
    return Amended(tuple(changes), rest)


def _position(meant: _Meant | None, orders: Sequence[OpenOrder]) -> int | None:
    if meant is None or len(meant.orders) != 1 or len(orders) == 1:
        return None
    return list(orders).index(meant.orders[0]) + 1


def _orders_for(
    read: _Read, amendment: Amendment, orders: Sequence[OpenOrder]
) -> tuple[OpenOrder, ...]:
    meant = read.meant
    if meant is not None and (len(meant.orders) == 1 or (meant.orders and not meant.noun)):
        return meant.orders
    among = meant.orders if meant is not None else tuple(orders)
    if len(among) == 1:
        return tuple(among)
    fitting = _fitting(amendment, among)
    return tuple(fitting) if len(fitting) == 1 else ()


def _fitting(amendment: Amendment, orders: Sequence[OpenOrder]) -> list[OpenOrder]:
    """Orders that say something of the same thing, or at least of the same object."""
    if amendment.kind is ChangeKind.CANCEL:
        return list(orders)
    topic = topic_of(amendment.requirement)
    close, near = [], []
    for order in orders:
        lines = [topic_of(line) for line in requirement_lines(order.requirement)]
        lines.append(topic_of(order.service))
        if any(topic.known and same_thing(topic, line) for line in lines):
            close.append(order)
        if any(topic.objects & line.objects for line in lines):
            near.append(order)
    return close or near


def _settled(
    amendment: Amendment, order: OpenOrder, meant: _Meant | None, lines: Sequence[str]
) -> Amendment:
    """Calling off a part is no cancellation, withdrawing all that was wanted is one."""
    kind = amendment.kind
    part = meant is not None and (
        meant.picture or (meant.noun != "" and not order.is_about(meant.noun))
    )
    if kind is ChangeKind.CANCEL and part:
        kind = ChangeKind.WITHDRAW
    if kind is ChangeKind.WITHDRAW and not merge_requirements(lines, amendment):
        kind = ChangeKind.CANCEL
    if kind is amendment.kind:
        return amendment
    return Amendment(kind, amendment.requirement, amendment.order_no)
