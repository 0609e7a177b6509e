"""Does a message agree to a keyword, or only mention it? And what does it say besides?

The rule for operators is in ``docs/triggers.md``; the tables here are its words. All of them are
compared with letters as `domain.trigger_text` folds them: simplified, lower case, no punctuation.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from functools import cached_property, lru_cache
from typing import NamedTuple

import regex as re  # type: ignore[import-untyped]

from domain.trigger_text import Break, Clause, Reading, read_message, read_plain

# Loops over these words are possessive (*+): what a customer writes must not cost exponential time.
_INTERJECTION = "嗷|嗯|恩|哦|噢|喔|哎呀|哎|唉|诶|欸|额|呃|啊|呀|哇|哈|嘿|呵|嘻|唔|emm+|em|hi|hello"
_PARTICLE = "的|了|吧|呀|啊|哈|呢|哦|噢|喔|啦|嘞|咧|呗|哟|哒|滴|捏|嘿|哇|咯|哩"
_THANKS = (
    "(?:非常|十分|太)?(?:多谢|感谢|感恩|谢谢|谢啦|谢了|谢)(?:你们|您们|你|您|老板|亲|啦|了|哈|啊|呀|哦)*+"
    "|(?:麻烦|辛苦)(?:你们|您们|你|您|了|啦|老师|大家)++|thankyou|thanks?|thx|3q|please|pls"
)
_GREETING = "(?:早上|上午|中午|下午|晚上)好|早安|晚安|您好|你好|大家好|再见|拜拜|bye"
_ADDRESS = "亲爱的|亲亲|亲|老板|老师|客服|小姐姐|美女|帅哥|宝子|宝|姐|哥"
_NO_PROBLEM = "没(?:有)?(?:什么|啥)?(?:问题|意见|毛病)|没(?:什么|啥)?(?:事|关系|错)"
_YES = (
    f"好(?:的|滴|哒|嘞|呀|啊|吧|啦|了|哦)|ok+(?:ay|ey|y)?|yes|嗯|可以|收到|明白|知道|了解|同意|{_NO_PROBLEM}"
    "|就?这么(?:定|办)|不错|行|好|对|是|确认|挺好|很好|太好|真棒|哈哈"
)
_CALM = (
    "不(?:好意思|客气|用谢|用客气|着急|急|用急|用着急|要紧|介意|用担心|担心)|慢慢来|抱歉|静候佳音"
    "|(?:我|那我|我们)?(?:等(?:着|你们|您们|你|您|的|好消息|消息|通知|回复|结果)++|期待|坐等)"
)
_LINK = (
    "那就|那么|那|就|都|也|先|这样|我觉得|我看|感觉|我这边|这边|我们|咱们|我"
    "|(?:这|那)(?:个|样|张|版|款|种)(?:图|方案)?"
)
_GO_AHEAD = (
    "(?:请|你们|您们|你|您)?(?:就|先|可以|直接|现在|快|赶紧)*+(?:发送|发(?!货|票)|做|弄|开始|安排|来|继续|定|拍|画|改)"
    "(?:过来|给我|我|一下|出来|看看|下|吧|了|呗|啊|哈|呀|哦)*+"
)


_SOON = (
    "(?:我|先|再|一会儿?|等会儿?|待会儿?|晚点|稍后|现在|马上|就|去){1,6}+"
    "(?:看看|看一?下|付款|付|下单|拍|转|回复你?|联系你)(?:了|哈|啊|吧|哦)*+"
    "|稍等(?:我?看看|一?下)?|等一?下|等等|不是"
)


def _loop(*alternatives: str) -> re.Pattern[str]:
    return re.compile(f"(?:{'|'.join(alternatives)})*+")


_PLAIN_HEAD = _loop(_INTERJECTION, _THANKS, _GREETING, _ADDRESS, _CALM, _YES, _PARTICLE, _LINK)
_PLAIN_TAIL = _loop(_PARTICLE, _INTERJECTION, _THANKS, _ADDRESS, _CALM, _YES)
_FILLER = _loop(
    *(_INTERJECTION, _THANKS, _GREETING, _ADDRESS, _SOON, _CALM, _GO_AHEAD, _YES, _PARTICLE),
    _LINK,
)
_POLITE_START = _loop(_INTERJECTION, _THANKS, _GREETING, _CALM, "亲(?:爱的|亲)?(?!自|手|子|友)")
_POLITE_END = re.compile(f"(?:{_THANKS})$")
_PARTICLES = _loop(_PARTICLE)
_CALM_ALONE = _loop(_CALM, _THANKS, _INTERJECTION, _PARTICLE)

# 没问题 and 不错 deny nothing; neither does 别 in 特别 nor 非 in 非常.
_HARMLESS = re.compile(
    f"{_NO_PROBLEM}|{_CALM}|不(?:错|过|仅|但|管|论|断|久|少|得不|愧)|差不多"
    "|无(?:所谓|妨|论|线|损|缝)|非常|(?:特|分|个|区|级|识|类|性|告|道|鉴)别|别(?:人|的|墅|名|家)|未来|未免"
)
_NEGATION = re.compile(
    "不|没|未|别|勿|莫|非|无|甭|拒绝|禁止|谢绝|取消|唔(?=好|使|得|可|想|要|同)|冇|never|not|dont|cant|wont"
    "|isnt|^no$|假装|才怪"
)
_RESTART = re.compile("(?:但是|但|不过|所以|后来|然后|那就)(?=.)")

_WH = (
    "什么|甚么|啥|怎|咋|谁|哪|何时|何处|如何|为何|干嘛|难道|(?<!好)几(?:个|张|点|天|时|号|块|次|件|种|位)"
    "|多(?:少|久|大|长|贵|快|高|远)"
)
_ANYTHING = re.compile(f"(?:{_WH}).{{0,6}}?(?:都|也)|随便.{{0,6}}?(?:都|也)?")
_A_NOT_A = r"(?=[^不没])(\w{1,2})[不没]\1"
_QUESTION = re.compile(f"{_WH}|{_A_NOT_A}|请问|想问|问一?下|咨询|想知道|是否|能否|可否|还是[不没]")
_QUESTION_END = re.compile("(?:吗|嘛|(?<![什甚怎那这多])么|否|没有?|不|不是)[呢啊呀哦]?$")
_QUESTION_ALONE = re.compile(
    "(?:了|的|啊|呀)*+(?:吗|嘛|么|否|不|没有?|(?:是|对|行|好|可以)(?:吗|么|吧|嘛)|不(?:是|对|好|行|可以)"
    "|是不是|对不对|好不好|行不行|可不可以)[啊呀呢哦]?"
)
_TAG = re.compile("(?:是|对|真的?|确定|没错|是这样)(?:吗|么|吧|嘛)|是不是|对不对|真的假的")

# If, until, perhaps, as they say: the keyword is talked of, not said.
_SUPPOSED = re.compile(
    "如果|要是|假如|假设|若|倘|万一|除非|只要|只有|^(?:那|就|我)*等(?![于级等下一会])|等(?:我|你|您|他|她|我们|老板"
    "|领导|朋友)|以为|好像|似乎|可能(?!性)|也许|或许|大概|估计|希望|但愿|最好|才$"
    "|(?:你|您|们|客服|店家|商家|之前|上次|刚才|昨天|本来|原来)(?:都|也|还)?(?:说|讲|答应|告诉我|写)[了过的是着]*$"
)
_SUPPOSED_AFTER = re.compile(
    "的?话|才怪|就怪|个(?:屁|鬼|头)|不?得?(?:不了|得了|不到|不成|不起)|失败|的?时候?(?!间)|之?后(?!天|面)|以[后前]|之前|前(?!天|台|面)"
)
_INTENDED = re.compile(
    "准备|打算|计划|马上|等下|等会|待会|一会|明天|后天|过几天|下周|月底|回头|想|如何|才能|快要|即将|应该|[去要]$"
)

_OWN = (
    "我们|我|你们|您们|你|您|请|这个|这次|今天|现在|目前|暂时|先(?!等)|还是|真的|所以|但是|但|不过|可是|那|就"
    "|都|也"
)
_REFUSAL = re.compile(
    f"(?:{_INTERJECTION}|{_OWN})*+(?:"
    "不(?:(?:用|要|需要|必|想要|想|考虑|合作|方便|同意|可以|能|行)?(?:再)?(?:发货|发|做|弄|麻烦|要|买|寄|下单|拍|付|定)?)"
    "|别(?:再)?(?:发货|发|弄|做|寄)?|算了|免了|没兴趣|不感兴趣|取消|拒绝|没想好"
    "|(?:先|再)*(?:看看|看一?下)再说|再(?:说|看看?|想想|想一想|考虑考虑|考虑一?下|商量一?下|比较一?下)|考虑(?:一下|下|考虑)?|想想|想一想"
    "|改天|改日|下次|以后再说|先等一?等|先等一?下|nope|no)"
    f"(?:给我|过来|文件|东西|订单|图|单|我|一下|下|再说|先|{_THANKS}|{_PARTICLE})*+"
)

_UNDOING = re.compile(
    f"(?:{_OWN}|又|刚刚?|后来|已经?|想)*+(?:取消|退)(?:了|掉|款|货|订单|{_PARTICLE})*+"
)

_STANDS_FIRST = frozenset(
    (
        *("好的", "好滴", "好哒", "好嘞", "好呀", "好啊", "好吧", "好的呢", "行的", "行吧"),
        *("对的", "是的", "嗯嗯", "恩恩", "okok"),
    )
)
_ACCEPTS = _STANDS_FIRST | {
    *(
        "ok",
        "okay",
        "yes",
        "收到",
        "明白",
        "明白了",
        "知道了",
        "了解",
        "了解了",
        "没问题",
        "可以的",
    ),
    *("成交", "就这样", "就这么定", "没错"),
}
_NOUN_AFTER = re.compile(
    "图|方案|设计|质量|素材|产品|东西|模板|案例|作品|服务|建议|想法|主意|推荐|选择|效果|评价|体验|例子|办法|方法|店"
    "|衣服|礼物|开始|名字|消息|习惯|心情|地方|一面|那(?:个|款|张|种)"
)
_NEW_START = re.compile(
    "怎|咋|什么|啥|为|何时|多(?:久|少|长)|几|哪|谁|能|可以|可不|请|麻烦|帮|谢|辛苦|那|但|不过|还|快|尽快|赶紧|赶快|你|您|我"
    "|会|要|记得|今天|明天|现在|马上|到时|订单|地址|是不是.{2}"
)
_NEW_START_ANY = re.compile(
    "那(?!种|个|样|些|边|款|张|里|天|么|儿|位|家)|谢谢|麻烦(?=你|您|帮|发|给)|但是?|不过|然后|辛苦"
)
_NEW_START_SINGLE = re.compile(f"{_NEW_START_ANY.pattern}|我|你|您")
_PAYS = re.compile("付款|支付|下单|拍下|转账|打款|付钱|付了|付过|付好")
_PAYS_BEFORE = re.compile("(?:待|预|首|代|货到|分期)$")
_PAYS_AFTER = re.compile(
    "码|方式|链接|页面|记录|时间|金额|信息|凭证|二维码|账号|流程|人|截图|的[^吗嘛么呢啊]"
)
_CHOOSES = _loop(_INTERJECTION, _ADDRESS, "回复|扣|回|选择|选|要|打|发|我|就|那")

_JOINS_NEXT = re.compile(
    "(?:不|没|未|别|勿|如果|要是|是否|是不是|有没有|要不要|能不能|可不|等|说|最|更|不太|不是|not|dont)$"
)
_JOINS_LAST = re.compile("(?:了|的)?(?:吗|么|嘛|不|没|否|吧|呢)|的话.*|才怪.*")
_SPEECH_END = re.compile("(?<=[吗呢啊呀哦噢啦嘛])(?=[^的了吗呢啊呀哦噢啦嘛吧哈不没子])")
_ASKS_OPENLY = re.compile(f"{_QUESTION.pattern}|吗|呢|么$")
_REQUEST = re.compile("把|帮|改|换|加|给")
_LOOSE_END = re.compile("(?:就|都|也|那|这样|然后|应该|是)+$")


_REACH = 80
"""Letters on each side of a keyword that are looked at; nobody's clause is longer."""


class Verdict(Enum):
    AFFIRMED = auto()
    DENIED = auto()
    ASKED = auto()
    MENTIONED = auto()


class Span(NamedTuple):
    start: int
    end: int


class Keyword(NamedTuple):
    """``text`` as written; ``key``: its letters, or its emoji where it has none; ``seams``: where
    it has spaces or punctuation itself.
    """

    text: str
    key: str
    is_words: bool
    seams: frozenset[int]


class _Said(NamedTuple):
    """A keyword in its clause."""

    keyword: Keyword
    span: Span
    scope: Clause
    head: str
    tail: str
    is_fact: bool


@lru_cache(maxsize=65_536)
def keyword_of(text: str) -> Keyword:
    reading = read_plain(text)
    seams = (at for at, kind in reading.breaks.items() if kind >= Break.SPACE)
    key = reading.letters or reading.emoji or reading.signs
    return Keyword(text, key, bool(reading.letters), frozenset(seams))


class Agreement(NamedTuple):
    """``keyword``: the first in the task's order that is agreed to; ``spans``: of all that are."""

    keyword: Keyword
    spans: tuple[Span, ...]


class _Told(NamedTuple):
    span: Span
    keyword: Keyword
    verdict: Verdict


class Speech:
    """A message that keywords are looked for in."""

    def __init__(self, text: str) -> None:
        self.reading: Reading = read_message(text)

    def contains(self, keyword: Keyword) -> bool:
        if not keyword.key:
            return False
        reading = self.reading
        if keyword.is_words:
            return keyword.key in reading.letters
        return keyword.key in reading.emoji or keyword.key in reading.signs

    def equals(self, keyword: Keyword) -> bool:
        reading = self.reading
        whole = reading.letters or reading.emoji or reading.signs
        return bool(keyword.key) and keyword.key == whole

    def agreement(self, keywords: Sequence[Keyword], *, is_fact: bool) -> Agreement | None:
        """Where the message says one of ``keywords`` in earnest; None: nowhere, or it takes it
        back. ``is_fact``: it reports something (a payment), which no refusal undoes.
        """
        met = [keyword for keyword in keywords if self.contains(keyword)]
        told = [
            _Told(span, keyword, self._verdict(keyword, span, is_fact=is_fact))
            for keyword in met
            if keyword.is_words
            for span in self._found(keyword)
        ]
        if self._takes_back([one.span for one in told], is_fact=is_fact):
            return None
        decided = [one for one in told if one.verdict in (Verdict.AFFIRMED, Verdict.DENIED)]
        if not decided:
            shown = next((one for one in met if not one.is_words and self._shows(one)), None)
            return Agreement(shown, ()) if shown else None
        if max(decided, key=lambda one: one.span).verdict is Verdict.DENIED:
            return None
        said = [one for one in decided if one.verdict is Verdict.AFFIRMED]
        return Agreement(said[0].keyword, tuple(one.span for one in said))

    def rest(self, spans: Sequence[Span]) -> str:
        """What is said besides ``spans``, politeness left out."""
        own: dict[int, list[Span]] = {}
        for span in spans:
            for at in self._touched(span):
                own.setdefault(at, []).append(span)
        kept: list[Clause] = []
        for at, phrase in enumerate(self.phrases):
            kept += self._besides(phrase, own[at]) if at in own else self._substances[at]
        return self._written(kept)

    @cached_property
    def phrases(self) -> tuple[Clause, ...]:
        """Clauses, with those that a space tore apart joined and those that lack a comma split."""
        joined: list[Clause] = []
        for clause in self.reading.clauses:
            if joined and self._is_torn(joined[-1], clause):
                clause = Clause(joined.pop().start, clause.end, clause.asked)
            joined.append(clause)
        return tuple(phrase for clause in joined for phrase in self._split(clause))

    def _is_torn(self, last: Clause, clause: Clause) -> bool:
        if self.reading.breaks.get(clause.start) is not Break.SPACE:
            return False
        if _JOINS_NEXT.search(self._words(last)):
            return True
        return _JOINS_LAST.fullmatch(self._words(clause)) is not None

    def _split(self, clause: Clause) -> Iterator[Clause]:
        words = self._words(clause)
        cuts = [clause.start + found.start() for found in _SPEECH_END.finditer(words)]
        starts = [clause.start, *(cut for cut in cuts if clause.start < cut < clause.end)]
        for start, end in zip(starts, [*starts[1:], clause.end], strict=True):
            yield Clause(start, end, clause.asked and end == clause.end)

    def _words(self, clause: Clause) -> str:
        return self.reading.letters[clause.start : clause.end]

    def _found(self, keyword: Keyword) -> Iterator[Span]:
        """Places of ``keyword``; one that is said several times over counts as one."""
        letters, key = self.reading.letters, keyword.key
        at = letters.find(key)
        while at >= 0:
            end = at + len(key)
            while letters.startswith(key, end) and not key.isdecimal():
                end += len(key)
            if self._is_in_one_piece(keyword, Span(at, end)):
                yield Span(at, end)
            at = letters.find(key, end)

    def _is_in_one_piece(self, keyword: Keyword, span: Span) -> bool:
        """Punctuation in it is allowed where the keyword has it, and where nothing is attached:
        「好 的」, not 「你好,的确」.
        """
        breaks = self.reading.breaks
        length = len(keyword.key)
        torn = [
            at
            for at in range(span.start + 1, span.end)
            if breaks.get(at, Break.NONE) >= Break.SPACE
            and (at - span.start) % length
            and (at - span.start) % length not in keyword.seams
        ]
        return not torn or (
            self._is_edge(span.start)
            and self._is_edge(span.end)
            and not any(self.reading.is_asked(at) for at in torn)
        )

    def _is_edge(self, at: int) -> bool:
        return at in (0, len(self.reading.letters)) or at in self.reading.breaks

    def _verdict(self, keyword: Keyword, span: Span, *, is_fact: bool) -> Verdict:
        scope, after = self._scope(span)
        letters = self.reading.letters
        if not self._is_own_word(span):
            return Verdict.MENTIONED
        if after is not None and _TAG.fullmatch(self._words(after)):
            return Verdict.ASKED
        start, end = max(scope.start, span.start - _REACH), min(scope.end, span.end + _REACH)
        head = _RESTART.split(_HARMLESS.sub("", letters[start : span.start]))[-1]
        tail = _HARMLESS.sub("", letters[span.end : end])
        return _judged(_Said(keyword, span, scope, head, tail, is_fact))

    def _scope(self, span: Span) -> tuple[Clause, Clause | None]:
        """The phrases that ``span`` touches, as one, and the one after them."""
        touched = self._touched(span)
        first, last = self.phrases[touched[0]], self.phrases[touched[-1]]
        after = self.phrases[touched[-1] + 1] if touched[-1] + 1 < len(self.phrases) else None
        return Clause(first.start, last.end, last.asked), after

    def _touched(self, span: Span) -> range:
        """Numbers of the phrases that ``span`` is in."""
        starts = self._starts
        return range(bisect_right(starts, span.start) - 1, bisect_left(starts, span.end))

    @cached_property
    def _starts(self) -> list[int]:
        return [phrase.start for phrase in self.phrases]

    def _is_own_word(self, span: Span) -> bool:
        """Latin letters and digits of a keyword must not go on beyond it."""
        return not self._goes_on(span.start) and not self._goes_on(span.end)

    def _goes_on(self, at: int) -> bool:
        letters = self.reading.letters
        if at in (0, len(letters)) or self.reading.breaks.get(at, Break.NONE) > Break.NONE:
            return False
        return (letters[at - 1] + letters[at]).isascii()

    def _takes_back(self, spans: Sequence[Span], *, is_fact: bool) -> bool:
        """Is there a phrase that undoes what is said, other than by one of the keywords?"""
        undoing = self._undoings if is_fact else self._refusals
        return bool(undoing) and not undoing <= {at for one in spans for at in self._touched(one)}

    @cached_property
    def _refusals(self) -> frozenset[int]:
        return self._phrases_like(_REFUSAL)

    @cached_property
    def _undoings(self) -> frozenset[int]:
        return self._phrases_like(_UNDOING)

    def _phrases_like(self, pattern: re.Pattern[str]) -> frozenset[int]:
        return frozenset(
            at
            for at, phrase in enumerate(self.phrases)
            if not phrase.asked
            and pattern.fullmatch(self._words(phrase))
            and not _CALM_ALONE.fullmatch(self._words(phrase))
        )

    def _shows(self, keyword: Keyword) -> bool:
        """An emoji agrees where the phrase before it neither denies nor asks; punctuation counts
        only as the whole message.
        """
        emoji = self.reading.emoji_at
        ends = {phrase.end: phrase for phrase in self.phrases}
        if any(keyword.key in shown and self._is_calm(ends.get(at)) for at, shown in emoji.items()):
            return True
        return not self.reading.letters and keyword.key in self.reading.signs

    def _is_calm(self, phrase: Clause | None) -> bool:
        if phrase is None:
            return True
        words = self._words(phrase)
        denies = _NEGATION.search(_HARMLESS.sub("", words))
        return not (phrase.asked or denies or _ASKS_OPENLY.search(words))

    @cached_property
    def _substances(self) -> list[list[Clause]]:
        return [self._substance(phrase) for phrase in self.phrases]

    def _substance(self, phrase: Clause) -> list[Clause]:
        words = self._words(phrase)
        if not words or (_FILLER.fullmatch(words) and not phrase.asked):
            return []
        begin = _POLITE_START.match(words)
        start = phrase.start + (begin.end() if begin else 0)
        thanks = _POLITE_END.search(self.reading.letters[start : phrase.end])
        end = start + thanks.start() if thanks else phrase.end
        return [Clause(start, end, phrase.asked)] if start < end else []

    def _besides(self, phrase: Clause, spans: Sequence[Span]) -> list[Clause]:
        """Of the phrase that holds the keyword: what is before it, after it, or all of it."""
        first = max(phrase.start, min(spans).start)
        last = min(phrase.end, max(one.end for one in spans))
        before = self.reading.letters[phrase.start : first]
        head = _LOOSE_END.sub("", before)
        tail_words = _without_particles(self.reading.letters[last : phrase.end])
        after = self._substance(Clause(phrase.end - len(tail_words), phrase.end, phrase.asked))
        tail = after[0] if after and _has_weight(self._words(after[0])) else None
        if _FILLER.fullmatch(head) or not (len(head) > 4 or _REQUEST.search(head)):
            return [tail] if tail else []
        if tail:
            return [phrase]
        return self._substance(Clause(phrase.start, phrase.start + len(head), False))

    def _written(self, kept: Sequence[Clause]) -> str:
        if not kept:
            return ""
        parts = []
        for at, clause in enumerate(kept):
            if at:
                parts.append(self._between(kept[at - 1], clause))
            parts.append(self.reading.original(clause.start, clause.end))
        last = kept[-1]
        if last.asked and not _ASKS_OPENLY.search(self._words(last)):
            parts.append("?")
        return "".join(parts).strip()

    def _between(self, left: Clause, right: Clause) -> str:
        reading = self.reading
        if left.end == right.start and "\ufffc" not in reading.gaps.get(right.start, ""):
            return reading.text[
                reading.positions[left.end - 1] + 1 : reading.positions[right.start]
            ]
        return ","


def _judged(said: _Said) -> Verdict:
    key, head, tail = said.keyword.key, said.head, said.tail
    asked = said.scope.asked
    if (_UNDOING if said.is_fact else _REFUSAL).fullmatch(tail):
        return Verdict.ASKED if asked or _QUESTION_ALONE.fullmatch(tail) else Verdict.DENIED
    if _starts_anew(said):
        tail, asked = "", False
    if asked or _asks(head) or _is_asked_by(key, head, tail):
        return Verdict.ASKED
    if _NEGATION.search(head):
        return Verdict.DENIED
    if _SUPPOSED.search(head) or _SUPPOSED_AFTER.match(tail) or _is_part(said, tail):
        return Verdict.MENTIONED
    return Verdict.AFFIRMED


def _starts_anew(said: _Said) -> bool:
    """Does something new begin behind the keyword, with no comma: 「好的能开发票吗」?"""
    key, tail = said.keyword.key, _without_particles(said.tail)
    if not tail or _turns_around(key, said.tail):
        return False
    if _QUESTION_ALONE.fullmatch(said.tail) or _SUPPOSED_AFTER.match(said.tail):
        return False
    if key in _ACCEPTS:
        return not _NOUN_AFTER.match(tail)
    if said.is_fact or key.startswith("已") or key.endswith("了"):
        return _NEW_START.match(tail) is not None
    start = _NEW_START_SINGLE if len(key) == 1 else _NEW_START_ANY
    return start.match(tail) is not None


def _without_particles(text: str) -> str:
    particles = _PARTICLES.match(text)
    return text[particles.end() :] if particles else text


def _asks(head: str) -> bool:
    return _QUESTION.search(_ANYTHING.sub("", head)) is not None


def _is_asked_by(key: str, head: str, tail: str) -> bool:
    """可以 in 可不可以 and 好 in 好不好 are asked as much as 好的 in 好的吗."""
    if _QUESTION_END.search(tail) or _asks(tail) or _turns_around(key, tail):
        return True
    return re.search(f"{_A_NOT_A}|有没", head[-3:] + key[:2]) is not None


def _turns_around(key: str, tail: str) -> bool:
    return re.match(rf"[不没]{re.escape(key[:1])}", tail) is not None


def _is_part(said: _Said, tail: str) -> bool:
    """Is the keyword but a part of another word or of a wider statement?"""
    key, head = said.keyword.key, said.head
    if head.endswith("就") and not _is_plain(head):
        return True  # 便宜点就可以 is a condition
    if key.isascii() and (key.isdecimal() or len(key) == 1):
        return not (_CHOOSES.fullmatch(head) and _PLAIN_TAIL.fullmatch(tail))
    if len(key) == 1:
        return not (_is_plain(head) and _PLAIN_TAIL.fullmatch(tail)) or _greets(key, head)
    if key in _STANDS_FIRST:
        return not _is_plain(head) or _NOUN_AFTER.match(tail) is not None
    if said.is_fact or _PAYS.search(key):
        return any((_PAYS_BEFORE.search(head), _PAYS_AFTER.match(tail), _INTENDED.search(head)))
    return False


def _is_plain(head: str) -> bool:
    """Nothing but yes, thanks and the like, after a statement of its own if there is one."""
    return _PLAIN_HEAD.fullmatch(re.sub("^.*[了啦]", "", head)) is not None


def _greets(key: str, head: str) -> bool:
    return key == "好" and re.search(f"(?:{_ADDRESS})$", head) is not None


def _has_weight(words: str) -> bool:
    return len(words) > 2 or _ASKS_OPENLY.search(words) is not None
