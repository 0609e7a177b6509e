"""A customer names a price: what was meant, and what the shop answers. Pure.

Only the price book's policy decides. Nothing ends under the quote's floor or above the quote.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.decisions import Quote, QuoteItem
from domain.pricing import NegotiationPolicy, format_yuan
from domain.quantities import DISCOUNT, MONEY, PLAIN, Quantity, folded_text, numbers_of
from domain.tiers import limits_of

LABEL = "议价优惠"
_MAX_YUAN = 1_000_000
_LEAST_BARE = 5
"""「1行吗」 picks an option or counts; 「1块行吗」 is a price."""
_MAX_CHARS = 300
"""Nobody haggles at greater length."""


class OfferKind(StrEnum):
    AMOUNT = "amount"
    """「50行吗」: a price for all of it, or for each."""
    LESS = "less"
    """「便宜10块」: so much less."""
    SHARE = "share"
    """「打个八折」: a share of the price."""
    ROUND = "round"
    """「抹个零」: without the small change."""
    LOWER = "lower"
    """「便宜点」, 「太贵了」, 「最低多少」: less, without saying how much."""


@dataclass(frozen=True, slots=True)
class CounterOffer:
    """``amount`` in fen; ``percent``: of the price that is to be paid; ``each``: of one item."""

    kind: OfferKind
    words: str
    amount: int | None = None
    percent: int | None = None
    each: bool = False

    def asked(self, quote: Quote) -> int | None:
        """The total that the customer wants to pay, in fen; None: just less."""
        if self.kind is OfferKind.AMOUNT and self.amount is not None:
            return self.amount * (quote.quantity if self.each else 1)
        if self.kind is OfferKind.LESS and self.amount is not None:
            return max(0, quote.total - self.amount * (quote.quantity if self.each else 1))
        if self.kind is OfferKind.SHARE and self.percent is not None:
            return quote.total * self.percent // 100
        if self.kind is OfferKind.ROUND:
            return _without_change(quote.total)
        return None


def _without_change(total: int) -> int | None:
    """63 yuan are 60, 23.50 are 23; a round sum has no change to drop."""
    for unit in (100, 1_000):
        if total % unit:
            return total - total % unit
    return None


# ---- what the customer said ----

_QUOTED = re.compile(r"「[^「」]*」|“[^“”]*”|『[^『』]*』|\"[^\"]*\"|'[^']*'|《[^《》]*》")
_CLAUSE_END = re.compile(r"[;!?。、\n]|,(?!\d{3})")

_FINE = re.compile(r"成(?=吗|么|不(?!了|品|功))")
"""50成吗 is no share of fifty tenths."""

_AGREED = (
    r"(?:行(?!李|业|程|楷|书|距)|可以|ok|可不可以|能不能|成(?:吗|不|么|交)|好吗|好不好|能(?:不能)?做|做不做|做吗"
    r"|做不|接吗|接不接|接不|卖吗|卖不卖|干吗|干不干|弄吗|弄不弄|拍吗|出吗|怎么样|咋样|如何|同意|得了|算了"
    r"|就(?:做|定|拍|付|下单|成交|行|可以|要|搞|买)|给做|给弄|包了|合适|差不多|吧|呗|嘛|一口价|不行(?:就|的话)"
    r"|能(?:弄|搞定|搞|整|修|出)(?:吗|不|么|好)|算吧|不能再多|封顶|到顶"
    r"|(?:我|直接|马上|现在|立马|立刻){1,3}(?:就)?(?:下单|拍|做|付|定|买|转|要))"
)
_AFTER = re.compile(
    r"[,。!?~ ]*(?:(?:一|每)[张个幅款套份]|我|你|您|那|帮我|全部"
    r"|总共|一起|左右|以内|以下|之内|的话|给|都)*"
    r"[,。!?~ ]*" + _AGREED
)
_END = re.compile(r"[,。!?~ ]*(?:(?:一|每)[张个幅款套份])?[吗呢啊呀哈了嘛,。!?~ ]*$")
_EACH_BEFORE = re.compile(r"(?:一|每|单)(?:张|个|幅|款|套|份)(?:图|照片)?[^\d,。!?]{0,4}$")
_EACH_AFTER = re.compile(r" ?/? ?(?:一|每)?(?:张|个|幅|款|套|份)")
_BEFORE = re.compile(
    r"(?:给你|给您|我给|我出|只出|出价?|最多|顶多|撑死|(?:预算|心理价位?|价位)(?:只有|就|是|在)?|我?只有|那就|就按|就算|就给|就|算|按"
    r"|便宜到|少到|降到|减到|优惠到|能不能|可不可以|可以|能|一口价|打包价?|只能|只想出?|只付|只给|也就|还价|还到|砍到"
    r"|收|总共|一共|总价|凑个?整?)[个你您我都是给到:\s]{0,3}$"
)
_ELSEWHERE = re.compile(
    r"别家|别人|别的|人家|隔壁|其他|其它|另一家|另外一家|有一?家|淘宝|拼多多|某宝|pdd|闲鱼|网上|同行|上次|上回|之前|以前|朋友"
)
_CHARGED = re.compile(r"(?:才|只要|只|就|都|卖|收|做|问|报价?|要|给)[我的了个是要收卖做报]{0,3}$")
_LESS = re.compile(
    r"(?<![最至多不])(?:便宜|优惠|少收?|立?减|降|让|抹掉?|砍|去掉?)(?:个|了|我|点|你|掉|下)?$"
)
_NOT_AN_OFFER = re.compile(
    r"(?:宽度?|高度?|长度?|边长|尺寸|大小|分辨率|像素|dpi|ppi|字号|透明度|亮度|清晰度|对比度|饱和度|锐度"
    r"|比例|边距|间距|圆角|压缩?|缩放?|缩小|放大|单号|订单号?|编号|尾号|电话|手机号?|微信|qq|密码|型号|版本"
    r"|页码?|第|no|色号|年龄|质量|[宽高])[为是到成:. ]{0,2}$"
)
_PAPERWORK = re.compile(
    r"退|赔|付了|付过|已付|转了|转过|给了|花了|充了|定金|订金|押金|运费|邮费|发票"
)
_IN_PICTURE = re.compile(
    r"(?:改成|改为|改到|换成|换为|写着?|写上|写成|加上|加个|印|标着?|标上|打上|显示|从|把|全场|原价|售价|图[里上中]|上面)"
    r"[的是价格钱有]{0,4}$"
)
_TO_PICTURE = re.compile(r" ?(?:的?(?:字|数字|价格|标签|字样|文案)|改|换|去掉|删|抹)")
_ON_A_POSTER = re.compile(
    r" ?的?(?:海报|图|活动|促销|字|标签|banner|横幅|宣传|传单|主图|券|优惠券|大促|广告)"
)
_LOOSE_END = re.compile(r"[a-z\d_%./×*:\-]")
_STARTS = re.compile(r"[a-z\d_./×*:\-#]$")

_SHARES = {"半价": 50, "对折": 50, "一半": 50}
_HALF = re.compile(r"(?:打|给|算|便宜|少|砍|优惠)?[个了]?(半价|对折|一半)")

_ASK = (
    r"(?<![\u4e00-\u9fff])(?:能不能|可不可以|能|可以|还能|再|给我?|帮我|麻烦|老板|亲"
    r"|价格?|价钱|钱|你们?|就|这)*"
)
_LOWER = re.compile(
    r"便宜(?:一?[点些]|一?下|吗|么|不|啊$|呗|嘛|几|多少)|(?:再|能|可以|给|算|要|还|最)便宜(?!的)"
    r"|优惠(?:一?[点些下]|吗|不|么|力度|价|多少)|(?:能|可以|给|再)优惠"
    r"|(?:有|没有?|什么|啥)(?:什么|啥)?(?:优惠|折扣|活动价)(?!券|卷)"
    rf"|{_ASK}(?:少收?|低|降|让|减)一?[点些下](?=[钱价利吧呗吗不么嘛啊呢可行好,。!?]|$)"
    rf"|{_ASK}(?:少|降|减)(?=[吗不么,。!?]|$)|降价|降点价|让利|让点利"
    r"|打(?:个|点|一?下|些|不打|几)?折(?!页|扣?店)|折扣(?:吗|不|多少|价)|给个?(?:折扣|实惠|友情|最低)"
    r"|(?:讲|还|砍|议)(?:个|下|一下|点)?价|小刀|[能可](?:以)?刀|刀一?[刀点下]|底价|一口价多少"
    r"|最低(?:价|多少(?![分像张天个k兆])|几[块元]|能(?:多少|给|到)|要多少钱|给|可以(?:多少|到)|什么价|是?多少钱)"
    r"|最少(?:要|给|是|得)?(?:多少(?:钱|[?吧呢]|$)|几[块元])"
    r"|(?:太|好|有点|有些|这么|也太|真|挺|蛮|那么|是不是|偏|略|老|死|忒|略微|贼)(?:小|点儿?|些)?贵|贵(?:了|啦|死|得|哦|哎|呀|啊)|不便宜"
    r"|(?:价格?|价钱|报价|收费|要价)[^,。!?]{0,3}高"
    r"|(?:价格?|价钱)[^,。!?]{0,4}(?:谈|商量|协商|动|松)|这么多钱|(?<![\u4e00-\u9fff])贵[啊呀哦]?(?=[,。!?]|$)"
    r"|超(?:出|过)?(?:我的?)?预算|没那么多(?:钱|预算)|吃不消|买不起"
)
_ROUND = re.compile(
    r"抹(?:个|掉|去|一?下|了)?(?:这个)?零|去(?:个|掉)?零头|零头(?:抹|去|不要|免|算了|就)|凑(?:个)?整|取(?:个)?整"
)
_NOT_LOWER = re.compile(
    r"不(?:算|怎么|太|是很|觉得|嫌)?贵|不是(?:嫌|觉得|说)?[^,。]{0,3}贵|贵不贵|(?:不用|不需要|无需|不必|别)(?:再)?(?:便宜|优惠|打折|少|减|降)"
    r"|贵(?:姓|公司|店|司|州|宾|族|妇|阳|重|金属)|便宜没好货|名贵|昂贵|珍贵|富贵|高贵|尊贵|宝贵"
    r"|打折(?:海报|图|活动|促销|广告|标签|字样|券|banner)|贵的(?:那|版|一|套|款)"
)


def counter_offer(text: str) -> CounterOffer | None:
    """What ``text`` says to a price that was quoted; None where it does not haggle.

    Ask only while a quote is open: 「50行吗」 is a price only then.
    """
    said = _QUOTED.sub(lambda match: "。" * len(match[0]), folded_text(text[:_MAX_CHARS]))
    said = _FINE.sub("行", said)
    amounts = [offer for one in numbers_of(said).quantities if (offer := _offer_of(one, said))]
    if amounts:
        return amounts[-1]
    return _unnumbered(said)


def _unnumbered(said: str) -> CounterOffer | None:
    said = _NOT_LOWER.sub(lambda match: "。" * len(match[0]), said)
    half = _HALF.search(said)
    if half and _agreed_or_done(said, half.end()):
        return CounterOffer(OfferKind.SHARE, half[0], percent=_SHARES[half[1]])
    if found := _ROUND.search(said):
        return CounterOffer(OfferKind.ROUND, found[0])
    if found := _LOWER.search(said):
        return CounterOffer(OfferKind.LOWER, found[0])
    return None


def _offer_of(one: Quantity, said: str) -> CounterOffer | None:
    before, clause = said[max(0, one.start - 14) : one.start], _clause(said, one)
    if _IN_PICTURE.search(before) or _TO_PICTURE.match(said, one.end):
        return None
    words = said[max(0, one.start - 4) : one.end + 6].strip(" ,。!?")
    if one.kind == DISCOUNT:
        return _share(one, said, words)
    value = _yuan(one, said)
    if value is None or _PAPERWORK.search(clause):
        return None
    each = bool(_EACH_BEFORE.search(before) or _EACH_AFTER.match(said, one.end))
    if _LESS.search(before):
        return CounterOffer(OfferKind.LESS, words, round(value * 100), each=each)
    if _is_price(one, said, before, clause):
        return CounterOffer(OfferKind.AMOUNT, words, round(value * 100), each=each)
    return None


def _share(one: Quantity, said: str, words: str) -> CounterOffer | None:
    percent = round(one.value)
    if not 10 <= percent < 100 or _ON_A_POSTER.match(said, one.end):
        return None
    return CounterOffer(OfferKind.SHARE, words, percent=percent)


def _yuan(one: Quantity, said: str) -> float | None:
    """The number as yuan, where it can be any: no size, no order number, no part of a word."""
    if one.kind not in (MONEY, PLAIN) or not 0 < one.value <= _MAX_YUAN:
        return None
    if one.kind == PLAIN:
        whole = one.written.partition(".")[0]
        if (
            len(whole) > 6
            or one.value < _LEAST_BARE
            or _STARTS.search(said, 0, one.start)
            or _joined(said, one.end)
        ):
            return None
    return one.value


def _joined(said: str, end: int) -> bool:
    return bool(_LOOSE_END.match(said, end)) and not said.startswith("ok", end)


def _is_price(one: Quantity, said: str, before: str, clause: str) -> bool:
    if _NOT_AN_OFFER.search(before):
        return False
    elsewhere = [match.end() for match in _ELSEWHERE.finditer(said, 0, one.start)]
    if elsewhere and (elsewhere[-1] == one.start or _CHARGED.search(before)):
        return True
    if _AFTER.match(said, one.end):
        return True
    if _BEFORE.search(before):
        return one.kind == MONEY or bool(_END.match(said, one.end))
    alone = _END.sub("", said[one.end :]) == "" and not said[: one.start].strip(" ,。!?那")
    return alone and (one.kind == MONEY or "?" in said[one.end :] or "吗" in said[one.end :])


def _agreed_or_done(said: str, end: int) -> bool:
    return bool(_AFTER.match(said, end) or _END.match(said, end))


def _clause(said: str, one: Quantity) -> str:
    starts = [match.end() for match in _CLAUSE_END.finditer(said, 0, one.start)]
    end = _CLAUSE_END.search(said, one.end)
    return said[starts[-1] if starts else 0 : end.start() if end else len(said)]


# ---- what the shop answers ----


class Answer(StrEnum):
    ACCEPT = "accept"
    COUNTER = "counter"
    FLOOR = "floor"
    """What is offered now is the lowest there is."""
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Negotiated:
    """``quote`` is what holds now: its items sum to its total, which is not under its floor.

    ``asked``: the total that the customer named, in fen. ``reason``: for people, in Chinese.
    """

    kind: Answer
    quote: Quote
    asked: int | None
    round_no: int
    reason: str

    @property
    def total(self) -> int:
        return self.quote.total

    @property
    def items(self) -> tuple[QuoteItem, ...]:
        return self.quote.items


def answer(
    quote: Quote,
    offer: CounterOffer,
    round_no: int,
    policy: NegotiationPolicy,
    level: str = "gray",
) -> Negotiated:
    """``round_no`` counts the counter-offers to this quote, this one included.

    ``quote`` may be the one offered in the round before: discounts do not pile up.
    """
    asked = offer.asked(quote)
    if asked is not None and asked >= quote.total:
        reason = f"客户出价 {format_yuan(asked)}，不低于报价"
        return Negotiated(Answer.ACCEPT, quote, asked, round_no, reason)
    barred = not limits_of(level).discounts
    if barred or round_no > policy.rounds:
        reason = "黑名单客户议价" if barred else f"议价已超过 {policy.rounds} 轮"
        return Negotiated(Answer.PERSON, quote, asked, round_no, reason)
    best = _best(quote, policy.step(round_no))
    if asked is not None and asked >= best:
        reason = f"客户出价 {format_yuan(asked)}，在可让价范围内"
        return Negotiated(Answer.ACCEPT, discounted(quote, asked), asked, round_no, reason)
    kind = Answer.FLOOR if best == quote.floor else Answer.COUNTER
    reason = f"第 {round_no} 轮最多让到 {format_yuan(best)}"
    return Negotiated(kind, discounted(quote, best), asked, round_no, reason)


def discounted(quote: Quote, total: int) -> Quote:
    """``quote`` at ``total``, as one line 「议价优惠」 that takes the place of an earlier one.

    Raises ValueError where that would be under the floor or above the price before discounts.
    """
    original = undiscounted(quote)
    if not original.floor <= total <= original.total:
        raise ValueError(f"{total} is not between {original.floor} and {original.total} fen")
    if total == original.total:
        return original
    off = total - original.total
    item = QuoteItem(LABEL, off, f"议价后{format_yuan(original.total)}优惠为{format_yuan(total)}")
    return replace(original, items=(*original.items, item), total=total)


def undiscounted(quote: Quote) -> Quote:
    items = tuple(item for item in quote.items if item.label != LABEL)
    return replace(quote, items=items, total=sum(item.amount for item in items))


def _best(quote: Quote, percent: int) -> int:
    """The lowest total of this step: whole yuan where that still is a discount, never under the
    floor and never above what was offered before."""
    full = undiscounted(quote).total
    exact = full - full * percent // 100
    whole = -(-exact // 100) * 100
    best = whole if whole < full else exact
    return min(max(best, quote.floor), quote.total)
