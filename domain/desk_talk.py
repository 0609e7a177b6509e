"""What customers say to the human desk: a mark after a talk, that they wait no longer, the same
question again. Pure.
"""

import re
from datetime import datetime
from difflib import SequenceMatcher

from domain.text import letters

MAX_READ_CHARS = 200
_WEEKDAYS = "一二三四五六日"
MARKS = range(1, 6)
_ALIKE = 0.9
_CODES = re.compile(r"[0-9a-z]+")

_POLITE = (
    r"(?:好|行|可以|嗯+|恩|哦+|噢|啊|呀|哈+|的|了|啦|吧|呢|哟|谢谢|多谢|感谢|谢|辛苦|你们?|您|客服|老师|亲|再见|拜拜|thanks?"
    r"|thankyou|thx)*"
)
_LEAD = (
    r"(?:我|就|给|打|评|选|你们?|您|客服|个|一个|回复|服务|这次|本次"
    r"|人工|分数|评分|评价|是|满分|对)*"
)
_NUMERALS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5}
_FIGURE = r"(?P<figure>[1-5一二两三四五])(?:分|星|颗星|星级|星好评|分好评)?"
_VERY = r"(?:非常|十分|特别|很|超级|太|挺|最|相当|极其|极度|超|蛮)"
_WORDS: tuple[tuple[str, int], ...] = (
    (rf"{_VERY}不(?:太)?满意|差评|{_VERY}(?:差|烂|糟糕|失望)", 1),
    (r"不(?:太|怎么|是很|够)?满意|没有?(?:让我)?满意|不好|不行|失望|较差|差", 2),
    (r"一般般?|还行|还可以|凑合|马马虎虎|普通|中等", 3),
    (rf"{_VERY}(?:满意|好|棒|赞|专业|给力|耐心)|好评|完美|太棒|满分|点赞", 5),
    (r"(?:比较|基本|还算|还)?满意|不错|挺好|可以的|较好", 4),
)
_WORD = "|".join(f"(?P<w{at}>{pattern})" for at, (pattern, _) in enumerate(_WORDS))
_MARK = re.compile(f"{_POLITE}{_LEAD}(?:{_FIGURE}|{_WORD}){_POLITE}")
_CLAUSE = re.compile(r"[,，。.!！;；~～\n\s]+")

_LEAVES = re.compile(
    r"(?:那|那就|算了|好的?|行|嗯+|先|请|帮我|我|麻烦)*"
    r"(?:取消(?:排队|转接|转人工|人工|等待)|(?:退出|离开|结束)(?:排队|等待|队列)|不(?:排|等|排队|用等|等待)(?:队)?"
    r"|(?:不用|不要|不需要|无需|不必|别)(?:转|找|叫|排|等|接|再等)?(?:人工|客服|队|排队|转接)?(?:客服|服务)?"
    r"|算了)"
    r"(?:了|啦|吧|哈|啊|呀|呢|谢谢|多谢|您|你|算了|我(?:自己)?(?:再)?(?:看看|想想|问问|解决))*"
)


def mark_of(text: str) -> tuple[int, str] | None:
    """The mark (1 to 5, 5 is best) that ``text`` gives, and what else it says.

    Only a clause that does no more than mark counts, and only the first or the last one: «5 分，
    另外问下怎么发货» marks and asks; «有 5 个吗» asks.
    """
    if len(text) > MAX_READ_CHARS:
        return None
    clauses = [clause for clause in _CLAUSE.split(text) if letters(clause)]
    for at in dict.fromkeys((0, len(clauses) - 1)) if clauses else ():
        mark = _marked(letters(clauses[at]))
        if mark is not None:
            rest = [one for number, one in enumerate(clauses) if number != at]
            said = [one for one in rest if not re.fullmatch(_POLITE, letters(one))]
            return mark, "，".join(said)
    return None


def _marked(clause: str) -> int | None:
    found = _MARK.fullmatch(clause)
    if found is None:
        return None
    figure = found["figure"]
    if figure is not None:
        return _NUMERALS.get(figure) or int(figure)
    return next(mark for at, (_, mark) in enumerate(_WORDS) if found[f"w{at}"] is not None)


def leaves_queue(text: str) -> bool:
    """Whether somebody who waits for a person says no more than that they wait no longer."""
    return len(text) <= MAX_READ_CHARS and _LEAVES.fullmatch(letters(text)) is not None


def is_same_question(one: str, other: str) -> bool:
    """Word for word, or all but; never with other numbers or codes."""
    first, second = letters(one)[:MAX_READ_CHARS], letters(other)[:MAX_READ_CHARS]
    if not first or not second or _CODES.findall(first) != _CODES.findall(second):
        return False
    return first == second or SequenceMatcher(None, first, second).ratio() >= _ALIKE


def opening_words(opens: datetime, now: datetime) -> str:
    """«今天 14:00 », «明天 09:00 » or «11月25日（周三）09:00 », to stand before other words. Both
    in the desk's own time zone."""
    days = (opens.date() - now.date()).days
    if days in (0, 1):
        return f"{'明天' if days else '今天'} {opens:%H:%M} "
    weekday = _WEEKDAYS[opens.weekday()]
    return f"{opens.month}月{opens.day}日（周{weekday}）{opens:%H:%M} "
