"""A customer's words without what tells who that is, for a listener that must not know.

Whatever may be personal goes: it errs on the side of taking too much. No digit, no foreign word and
no numeral of several signs is left, so that no telephone, order, identity or account number, mail
or web address can be; names and places go by how Chinese writes them.
"""

import re
import unicodedata
from collections.abc import Iterable

from domain.names import PERSON, PLACE, SURNAMES
from domain.text import clean

_HAN = "\u4e00-\u9fff"
_NUMERALS = "零〇一二两三四五六七八九十百千万亿幺壹贰叁肆伍陆柒捌玖拾"
_WRITTEN = re.compile(rf"\S*(?:@|://|www\.)\S*|(?:[^\W{_HAN}][.\-+/#:\s]*)+", re.IGNORECASE)
_SPOKEN_NUMBER = re.compile(rf"[{_NUMERALS}](?:[\s\-—,，.。、]*[{_NUMERALS}]){{2,}}")
_LIVES = re.compile(r"(?:我住|住在|家住|住址|我家在|家在|位于|坐标)[^,。!?;~\n]{1,60}")
_INTRODUCED = re.compile(
    r"(?:我叫|名叫|叫做|我姓|姓名|名字|收[件货]人|联系人|昵称|网名|称呼|署名|落款)"
    rf"\W{{0,2}}(?:是|叫|为|我)?\W{{0,2}}[{_HAN}·]{{1,6}}"
)
_AFFECTIONATE = re.compile(rf"(?:我是|我叫|叫我|喊我)[{_HAN}]{{1,4}}(?=\W|$)|[小阿老][{SURNAMES}]")
_CALLED = re.compile(
    rf"[{SURNAMES}][{_HAN}]{{0,2}}?(?:同学|学长|学姐|大哥|哥|姐|叔|阿姨|大爷|大妈|老板)"
)
_BARE_NAME = re.compile(
    rf"(?:欧阳|司马|上官|诸葛|司徒|东方|夏侯|皇甫|尉迟|公孙|慕容|[{SURNAMES}])[{_HAN}]{{1,2}}"
)
_ADDRESS = re.compile(
    rf"[{_HAN}]{{1,8}}?(?:省|自治区|市|区|县|镇|乡|村|街道|大街|路|街|巷|弄|胡同|小区|社区|花园|大厦|广场"
    r"|公寓|苑|栋|幢|楼|单元|室|宿舍|寝室|大学|学院|中学|小学|学校|幼儿园|医院|公司)"
)
_NO_NAME = re.compile(
    "高兴|高考|高中|高级|安静|安全|安心|安慰|方便|方法|方式|常常|常见|马上|白天|白色|金色|黄色|江湖|于是|何时|何必"
    "|任何|任性|任务|许多|许愿|石头|程序|程度|水平|时候|夏天|夏日|龙猫|熊猫|花费|毛病|严重|严格|谢谢|谢啦|谢了"
    "|孔雀|顾虑|孟婆|万一|宋朝|唐朝|秦朝|唐诗|宋词|汪汪|童话|钟头|林子|路过|葛优|温柔|温度|温暖|武功|武器|祝你|祝我"
    "|郝|毛毛雨|雷雨|雷电|史上|席位|戴上|戴着|康复|余下|元旦|计划|郭|苏醒"
    "|(?<=[提最太很挺身])高|(?<=[地对双大南北东西])方|(?<=[平非经正日往])常|(?<=[由关对属在至等终过])于"
    "|(?<=[如为几])何|(?<=[信责担])任|(?<=[明表])白|(?<=[现资基])金|(?<=[也允])许|(?<=[开])花"
)


def without_personal_data(text: str, *, names: Iterable[str] = ()) -> str:
    """What is left of ``text``, spaces where something was; ``names``: what else to take out, such
    as the customer's own."""
    rest = unicodedata.normalize("NFKC", clean(text))
    for name in sorted(filter(None, names), key=len, reverse=True):
        rest = re.sub(
            re.escape(unicodedata.normalize("NFKC", name)), " ", rest, flags=re.IGNORECASE
        )
    for pattern in (_LIVES, _WRITTEN, _SPOKEN_NUMBER, _INTRODUCED, _AFFECTIONATE, PERSON, _CALLED):
        rest = pattern.sub(" ", rest)
    rest = _without_bare_names(rest)
    for pattern in (PLACE, _ADDRESS):
        rest = pattern.sub(" ", rest)
    return " ".join(rest.split())


def _without_bare_names(text: str) -> str:
    """A surname and what follows, but for common words that begin or end like one."""
    innocent = {at for found in _NO_NAME.finditer(text) for at in range(*found.span())}
    parts, at = [], 0
    for found in _name_ends(text, innocent):
        parts += [text[at : found[0]], " "]
        at = found[1]
    return "".join([*parts, text[at:]])


def _name_ends(text: str, innocent: set[int]) -> list[tuple[int, int]]:
    spans, at = [], 0
    while (found := _BARE_NAME.search(text, at)) is not None:
        if found.start() in innocent:
            at = found.start() + 1
            continue
        spans.append(found.span())
        at = found.end()
    return spans
