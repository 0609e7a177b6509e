"""Names in an answer: quoted, in Latin letters, of persons, of places."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from domain.quantities import folded_text

_QUOTED = re.compile(
    r"《([^》]{2,40})》|「([^」]{2,40})」|『([^』]{2,40})』|“([^”]{2,40})”|\"([^\"]{2,40})\""
)
_LATIN = re.compile(r"(?<![a-z\d])[a-z]{2,}(?![a-z\d])")
_LETTERS = re.compile(r"[a-z]{2,}")
_COMMON = frozenset(
    (
        *("ok", "hi", "hello", "app", "vip", "am", "pm", "no", "rmb", "yuan", "off"),
        *("km", "cm", "mm", "kg", "kw", "kwh", "mb", "gb", "kb", "px"),
    )
)
SURNAMES = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜谢邹喻潘葛范彭鲁韦马苗方俞任袁柳唐罗薛郝"
    "安常于傅康伍余顾孟黄穆萧尹姚邵汪毛戴宋庞熊纪舒项董梁杜阮蓝贾江郭梅林钟徐邱骆高夏蔡田胡凌霍万丁邓石崔"
    "龚程邢裴陆翁段侯武刘龙叶黎白赖卓乔温翟曾关廖"
)
PERSON = re.compile(
    rf"[{SURNAMES}]\w{{0,2}}?"
    r"(?:经理|师傅|老师|主任|总监|设计师|先生|女士|小姐|医生|律师|店长|工程师|总(?![价共计体是之]))"
)
PLACE = re.compile(
    "北京|上海|天津|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南"
    "|四川|贵州|云南|陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门|广州|深圳|杭州|南京|苏州|武汉"
    "|成都|西安|郑州|长沙|青岛|济南|大连|沈阳|哈尔滨|长春|合肥|福州|厦门|宁波|无锡|佛山|东莞|昆明|贵阳|南宁"
    "|石家庄|太原|兰州|乌鲁木齐|拉萨|银川|西宁|呼和浩特|海口|三亚|珠海|温州|义乌|南昌|常州|徐州|烟台"
)
_SIGNS = re.compile(r"[\W_]+")


class _Known(NamedTuple):
    text: str
    plain: str
    words: frozenset[str]


def unknown_names(answer: str, known: Iterable[str]) -> set[str]:
    """Names of ``answer`` that none of the ``known`` texts mentions."""
    text, mentioned = folded_text(answer), [_known(one) for one in known]
    quoted = {name for groups in _QUOTED.findall(text) for name in groups if name}
    found = {
        name for name in quoted if not any(_SIGNS.sub("", name) in one.plain for one in mentioned)
    }
    words = set(_LATIN.findall(text)) - _COMMON
    found |= words.difference(*(one.words for one in mentioned))
    names = {*PERSON.findall(text), *PLACE.findall(text)}
    return found | {name for name in names if not any(name in one.text for one in mentioned)}


@lru_cache(maxsize=512)
def _known(text: str) -> _Known:
    folded = folded_text(text)
    return _Known(folded, _SIGNS.sub("", folded), frozenset(_LETTERS.findall(folded)))
