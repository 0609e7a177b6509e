"""From what was asked and answered to a clean question and answer, and how much it is worth.

Pure. What must not be learned is refused with its reason; personal data never leaves here.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.denials import contradicted
from domain.grounding import Source, ungranted, unsupported
from domain.instructions import gives_orders
from domain.text import clean, fold, letters, one_line
from knowledge.terms import encode, is_strong, strengths, term_keys, wording_key

SourceKind = Literal["agent", "desk", "conversation"]
"""A person in the conversation; a person at the desk who answers for the base; our own answer."""

MAX_QUESTION_CHARS = 200
MAX_ANSWER_CHARS = 2_000
MIN_QUESTION_LETTERS = 3
MIN_ANSWER_LETTERS = 4

_BASE = {"desk": 0.74, "agent": 0.66, "conversation": 0.60}
_SATISFIED = 4.0
_CONVERSATION_CONFIDENCE = 0.75

_DATA = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        "证件或卡号": (r"(?<!\d)\d{6}(?:[ -]?\d{4}){2}\d{3,4}[\dx]?(?!\d)|(?<!\d)\d{15,19}(?!\d)"),
        "电话": r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)",
        "邮箱": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        "单号": (
            r"(?:订单号?|单号|运单|编号)[::是为\s]*[a-z]{0,4}-?\d{6,}"
            r"|(?<![\da-z])(?:sf|yt|zto|jd|jt|ems)[a-z]*\d{8,}|(?<!\d)\d{9,14}(?!\d)"
        ),
        "微信号": r"(?:微信号?|wx|vx|qq)[::是为\s]*[a-z0-9][\w-]{4,19}",
    }.items()
}
_ADDRESS = re.compile(
    r"[\u4e00-\u9fff]{2,8}(?:省|市|区|县|镇|路|街|大道|小区|花园|公寓|村)"
    r"[\u4e00-\u9fff\d]{0,12}?\d+\s*(?:号|弄|栋|幢|单元|室|楼)"
)
_NOBODY = "13800000000"
_STAND_INS: dict[str, Callable[[re.Match[str]], str]] = {
    "证件或卡号": lambda _found: "110101190001010000",
    "电话": lambda _found: _NOBODY,
    "邮箱": lambda _found: "someone@example.com",
    "单号": lambda found: found[0] if _NOBODY in found[0] else re.sub(r"\d", "1", found[0]),
    "微信号": lambda found: re.sub(r"[a-z0-9_-]{5,}$", "kefu00000", found[0], flags=re.IGNORECASE),
    "地址": lambda _found: "某某市某某路1号",
}
_SERVICE_LINE = re.compile(r"(?<!\d)(?:400|800)[- ]?\d{3}[- ]?\d{4}(?!\d)")

_GREETING = re.compile(
    r"^(?:(?:亲爱的|尊敬的|亲亲?|您好|你好|哈喽|嗨|在的|在呢|请问一下|请问|问一下|咨询一下|想问下|想问一下"
    r"|[\u4e00-\u9fff]{1,3}(?:先生|女士|小姐|同学|老师))[呀啊哦呢哈,，.。!！~、 ]*)+"
)
_FAREWELL = re.compile(
    r"(?:(?:还有(?:什么|其他|别的)|有什么)[^。!！?？]{0,16}(?:吗|呢|的)?[?？。!！~]*"
    r"|(?:祝您?|祝你)[^。!！]{1,14}[。!！~]*|(?:感谢|谢谢)[^。!！]{0,14}[。!！~]*|么么哒[~!！]*)$"
)
_FILLER = re.compile(
    r"请?(?:您|你)?(?:稍等|稍候|等一?下|等会|等等)(?:一?下|片刻)?|好的|好滴|好嘞|收到|嗯+|哦+|在的|在呢|明白|了解|知道了"
    r"|(?:我|这边|马上|现在|先|帮您|帮你|为您|给您)*(?:看一?下|看看|查一?下|查看|查查|问一?下|核实一?下|确认一?下|处理一?下)"
    r"|是的|对的?|可以的?|行的?|没问题|不客气|谢谢|抱歉|不好意思|马上|亲|哈+|呢|哦|呀|啊|了|ok|您|你|这边|我|帮"
)
_QUESTION = re.compile(
    r"[?？吗么嘛呢]|什么|啥|怎|如何|咋|多少|多久|多长|多大|多快|几|哪|谁|为何|为什么|为啥|能|可以|可否|是否|有没有|是不是"
    r"|要不要|会不会|支持|需要|想|不了|没有|没|坏|失败|错|问题|流程|方法|条件|区别|价|费"
)
_CLOSED = re.compile(
    r"[吗吧]|么$|是不是|是否|对不对|能不能|可不可以|行不行|有没有|会不会|真的|说过|答应|承诺|听说"
)
_UNSURE = re.compile(r"可能|大概|好像|应该是|不太?清楚|不确定|不知道|我?问问|等通知|再看看|估计")
_CASE = re.compile(
    r"(?:您|你)(?:的|这个|这边的)?(?:订单|快递|包裹|单子|账户|账号|退款|物流)(?:已|现在|正在|显示|目前|是)"
    r"|已经?(?:帮|给|为)(?:您|你)|(?:帮|给|为)(?:您|你)(?:查到|申请了|登记了|备注了|处理了|催了)"
    r"|(?:今天|明天|后天|昨天|刚才|刚刚|今晚|下午|上午)(?!下单|拍)"
)
_TYPES = (
    ("价格咨询", re.compile(r"多少钱|价|费|优惠|便宜|折|贵|券")),
    ("使用咨询", re.compile(r"怎么|如何|咋|不了|坏|故障|报错|失败|设置|连|安装|操作|步骤|没反应")),
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """``refused``: why it must not be learned, "" otherwise. ``cautions``: why only a person may
    let it in."""

    question: str
    answer: str
    refused: str = ""
    cautions: tuple[str, ...] = ()

    @property
    def question_key(self) -> str:
        return key_of(wording_key(self.question))

    @property
    def answer_key(self) -> str:
        return key_of(letters(self.answer))


def key_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def masked(text: str) -> tuple[str, tuple[str, ...]]:
    """``text`` with personal data replaced by its name in brackets, and the kinds that there were.

    A service line (400…) is nobody's own number.
    """
    kinds: list[str] = []
    lines = _SERVICE_LINE.findall(text)
    text = _SERVICE_LINE.sub("\x00", text)
    for kind, pattern in (*_DATA.items(), ("地址", _ADDRESS)):
        text, count = pattern.subn(f"[{kind}]", text)
        kinds += [kind] if count else []
    for line in lines:
        text = text.replace("\x00", line, 1)
    return text, tuple(kinds)


def with_stand_ins(text: str) -> str:
    """``text`` with made-up values in the place of personal data, so that it still reads and is
    understood as before: who keeps a conversation as a test keeps nobody's number."""
    lines = _SERVICE_LINE.findall(text)
    text = _SERVICE_LINE.sub("\x00", text)
    for kind, pattern in (*_DATA.items(), ("地址", _ADDRESS)):
        text = pattern.sub(_STAND_INS[kind], text)
    for line in lines:
        text = text.replace("\x00", line, 1)
    return text


def safe_wording(text: str) -> str:
    """A customer's words fit to be kept as a wording: one line, no personal data, no greeting."""
    plain, _ = masked(one_line(_halved(text)))
    plain = re.sub(r"\[(?:证件或卡号|电话|邮箱|单号|微信号|地址)\]", "", plain)
    return (_GREETING.sub("", plain).strip() or plain.strip())[:MAX_QUESTION_CHARS]


def _halved(text: str) -> str:
    """Digits and Latin letters in their plain form, so that full-width numbers are found."""
    table = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF5B))}
    return clean(text).translate(table)


def lesson_of(question: str, answer: str, source: SourceKind) -> Lesson:
    question, answer = _halved(question), _halved(answer)
    asked, asked_kinds = masked(_essence(question))
    said, said_kinds = masked(_without_courtesies(answer))
    address_only = said_kinds == ("地址",)
    if address_only:  # where the shop is: knowledge, if a person says so
        said = _without_courtesies(answer)
    lesson = Lesson(safe_wording(asked) or asked, said)
    refused = _refusal(lesson, question, answer, asked_kinds, () if address_only else said_kinds)
    if refused:
        return Lesson(lesson.question, masked(said)[0], refused=refused)
    return Lesson(
        lesson.question, said, cautions=_cautions(question, said, source, address=address_only)
    )


def _essence(question: str) -> str:
    """The sentences that ask, of a message of several."""
    text = _GREETING.sub("", one_line(question)) or one_line(question)
    if len(text) <= 60:
        return text
    parts = [part for part in re.split(r"(?<=[。！？!?；;])", text) if letters(part)]
    asking = [part for part in parts if _QUESTION.search(part)]
    return "".join(asking or parts)[:MAX_QUESTION_CHARS]


def _without_courtesies(answer: str) -> str:
    text = _GREETING.sub("", clean(answer))
    return _FAREWELL.sub("", text.strip()).strip() or text.strip()


def _refusal(
    lesson: Lesson,
    question: str,
    answer: str,
    asked_kinds: Sequence[str],
    said_kinds: Sequence[str],
) -> str:
    if gives_orders(question) or gives_orders(answer):
        return "含有对机器人的指令"
    if said_kinds:
        return f"答案含个人信息：{'、'.join(said_kinds)}"
    if {"单号", "证件或卡号"} & set(asked_kinds):
        return "只关系到一个订单或一个人"
    if len(letters(lesson.question)) < MIN_QUESTION_LETTERS or not _QUESTION.search(
        fold(lesson.question)
    ):
        return "不像一个问题"
    if len(letters(lesson.answer)) > MAX_ANSWER_CHARS:
        return f"答案超过 {MAX_ANSWER_CHARS} 字"
    if len(_FILLER.sub("", letters(lesson.answer))) < MIN_ANSWER_LETTERS:
        return "答案没有内容"
    return ""


def _cautions(question: str, answer: str, source: SourceKind, *, address: bool) -> tuple[str, ...]:
    """An offer that affirms what the customer's own words bring up may be only an echo of them."""
    found = ["address"] if address else []
    if source != "desk" and _CASE.search(answer):
        found.append("one_case")
    offers = ungranted(answer, ())
    echoed = _CLOSED.search(letters(question)) or offers - ungranted(answer, [question])
    if source != "desk" and offers and echoed:
        found.append("customer_claim")
    return tuple(found)


def type_of(question: str) -> str:
    """Seed 003's kinds: 价格咨询, 使用咨询, 产品咨询."""
    plain = letters(question)
    return next((name for name, pattern in _TYPES if pattern.search(plain)), "产品咨询")


def offers_of(answer: str) -> set[str]:
    """Prices, discounts and promises that ``answer`` makes."""
    return ungranted(answer, ())


def confidence_of(
    lesson: Lesson,
    source: SourceKind,
    *,
    given: float | None,
    satisfaction: float | None,
    count: int,
) -> float:
    """How sure it is that the answer is right for everybody who asks, 0..1.

    ``first`` = what was given, or the source's base (desk 0.74, agent 0.66, our own conversation
    0.60) + quality (-0.35..+0.10) + satisfaction (1..5: -0.10..+0.10). Each further conversation
    with the same answer takes a quarter of what is left to 1:
    ``1 - (1 - first) * 0.75 ** (count - 1)``.

    So one agent's good answer waits for review, and enters when it was given twice or the customer
    was content; a desk's good answer enters. Our own answer (`conversation`) counts only as seed
    003 says: confidence above 0.75 and a content customer.
    """
    if source == "conversation" and (
        (given or 0.0) <= _CONVERSATION_CONFIDENCE or (satisfaction or 0.0) < _SATISFIED
    ):
        return 0.0
    mood = (satisfaction - 3.0) * 0.05 if satisfaction is not None else 0.0
    first = given if given is not None else _BASE[source] + _quality(lesson) + mood
    first = min(max(first, 0.0), 0.95)
    return round(1.0 - (1.0 - first) * 0.75 ** max(count - 1, 0), 4)


def _quality(lesson: Lesson) -> float:
    size = len(letters(lesson.answer))
    quality = 0.04 if 8 <= size <= 300 else (-0.08 if size < 8 else 0.0)
    quality += 0.03 if _speaks_of(lesson.question, lesson.answer) else 0.0
    quality += 0.03 if re.search(r"\d|[。；;\n]|先|然后|点击|进入", lesson.answer) else 0.0
    if _UNSURE.search(lesson.answer):
        quality -= 0.15
    if _CASE.search(lesson.answer):
        quality -= 0.20
    return quality


def _speaks_of(question: str, answer: str) -> bool:
    """Whether the answer repeats a word of the question that is no function word."""
    asked, said = term_keys(encode([question]))[0], term_keys(encode([answer]))[0]
    shared = asked[(is_strong(asked)) & (strengths(asked) == 1.0)]
    return bool(set(shared.tolist()) & set(said.tolist()))


def same_answer(one: str, other: str) -> bool:
    """Whether two answers say the same: numbers, offers and denials agree, and most words."""
    a, b = letters(one), letters(other)
    if a == b:
        return True
    if unsupported(one, [other]) or unsupported(other, [one]):
        return False
    if ungranted(one, [other]) or ungranted(other, [one]):
        return False
    if contradicted(one, [Source("", other)]) or contradicted(other, [Source("", one)]):
        return False
    return _shared_words(a, b) >= 0.6


def _shared_words(one: str, other: str) -> float:
    """Pairs in common, of the shorter text's."""
    first, second = ({text[at : at + 2] for at in range(len(text) - 1)} for text in (one, other))
    return len(first & second) / max(min(len(first), len(second)), 1)
