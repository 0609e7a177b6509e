"""Where personal data stands in a text: telephones, identity and bank numbers, mail and account
names, number plates, addresses and names of persons.

Unlike `domain.personal` it takes no more than it must: order numbers, prices, sizes, dates and
products stay, because what is found is put back later and the words around it have to make sense.
Everything is looked for in a shadow of the text, sign by sign: half width, lower case, Chinese
digits as 0 to 9, without signs of no width.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from domain.names import PLACE, SURNAMES
from domain.personal_words import NOT_NAMES, PLAIN_WORDS, RARE_SURNAMES

_HAN = "\u4e00-\u9fff"
_DIGITS = {sign: str(value) for value, sign in enumerate("零一二三四五六七八九")}
_DIGITS |= {"〇": "0", "幺": "1", "两": "2"}
_DIGITS |= {sign: str(value) for value, sign in enumerate("零壹贰叁肆伍陆柒捌玖")}
_BLANK = "\0"
_NO_WIDTH = frozenset("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad")
_SEP = r"[\s\-—–.·_,、/]{1,2}"
_NO_DIGIT_BEFORE = r"(?<![a-z\d])(?<!\d[.\-_/])"
_NO_DIGIT_AFTER = r"(?![a-z\d])(?![.\-_/]\d)"
_ORDER_WORD = re.compile(
    r"(?:订单|单号|单据|运单|快递单|物流|流水|编号|货号|型号|批次|sku|order|no\.?|款号|条码|取件码|任务)"
    r"(?:编?号|id|码)?[\s:#.。,，]{0,3}(?:是|为)?[\s:]?$"
)


class Span(NamedTuple):
    start: int
    end: int
    kind: str


class Kind:
    """What is found, as it is called in a placeholder."""

    PHONE = "手机"
    LANDLINE = "电话"
    IDENTITY = "证件"
    CARD = "银行卡"
    MAIL = "邮箱"
    ACCOUNT = "账号"
    PLATE = "车牌"
    ADDRESS = "地址"
    NAME = "姓名"


KINDS = (
    *(Kind.PHONE, Kind.LANDLINE, Kind.IDENTITY, Kind.CARD, Kind.MAIL),
    *(Kind.ACCOUNT, Kind.PLATE, Kind.ADDRESS, Kind.NAME),
)

_MAIL = re.compile(r"[a-z\d][a-z\d._%+\-]{0,63}\s?@\s?[a-z\d\-]+(?:\.[a-z\d\-]+)+")
_PHONE = re.compile(
    rf"{_NO_DIGIT_BEFORE}(?:(?:\+|00)?86{_SEP}|(?:\+|00)86|86(?=1[3-9]\d{{9}}))?"
    rf"1[3-9]\d(?:\d{{8}}|{_SEP}\d{{8}}|{_SEP}\d{{4}}{_SEP}\d{{4}}|{_SEP}\d{{3}}{_SEP}\d{{5}}"
    rf"|\d{{4}}{_SEP}\d{{4}}|\d{_SEP}\d{{4}}{_SEP}\d{{3}}|\d{_SEP}\d{{3}}{_SEP}\d{{4}}"
    rf"|\d{{3}}{_SEP}\d{{5}}|\d{{2}}{_SEP}\d{{3}}{_SEP}\d{{3}}){_NO_DIGIT_AFTER}"
    rf"|{_NO_DIGIT_BEFORE}1{_SEP}[3-9](?:{_SEP}\d){{9}}{_NO_DIGIT_AFTER}"
)
_ABROAD = re.compile(rf"(?<![\w+])\+\d{{1,3}}(?:[\s\-()]{{0,2}}\d){{6,12}}{_NO_DIGIT_AFTER}")
_LANDLINE = re.compile(
    rf"{_NO_DIGIT_BEFORE}[(]?0(?:10|2\d|[3-9]\d{{2}})[)]?[\s\-—–]{{0,2}}[2-8]\d{{2,3}}"
    rf"[\s\-]?\d{{4}}(?:\s?(?:-|转|分机)\s?\d{{1,6}})?{_NO_DIGIT_AFTER}"
)
_CALLED_ON = re.compile(
    r"(?:电话|座机|手机|联系方式|来电|致电|号码|打给我|拨打)(?:号码?)?[\s:,]{0,3}(?:是|为|改成|换成)?"
    rf"[\s:]{{0,2}}(\d[\d\s\-]{{5,14}}\d){_NO_DIGIT_AFTER}"
)
_IDENTITY = re.compile(
    r"(?<![a-z\d])(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91)\d{4}[\s\-]?"
    r"(?:(?:18|19|20)\d{2}[\s\-]?(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[\s\-]?\d{3}[\dx]"
    r"|\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3})(?![a-z\d])"
)
_PAPERS = re.compile(
    r"(?:身份证|证件|护照|通行证|社保|医保|驾驶证|驾照|税号|军官证|居留证)"
    r"(?:号码?|编号|卡)?[\s:,]{0,3}(?:是|为)?[\s:]{0,2}([a-z]{0,2}\d[\da-z\s\-]{5,20}[\da-z])(?![a-z\d])"
)
_CARD = re.compile(r"(?<![a-z\d])[3-6]\d{3}(?:[\s\-]?\d{4}){2,3}[\s\-]?\d{1,7}(?![a-z\d])")
_ACCOUNT_NO = re.compile(
    r"(?:银行卡|卡号|储蓄卡|信用卡|借记卡|账户|帐户|银行账号|打款到|汇款到|开户)(?:号码?)?"
    rf"[{_HAN}]{{0,6}}?[\s:,]{{0,3}}(?:是|为)?[\s:]{{0,2}}(\d[\d\s\-]{{8,26}}\d)(?![a-z\d])"
)
_ON_CARD = re.compile(r"卡(?:号码?|上|里|是|为|[\s:]){0,4}(\d{4}(?:[\s\-]?\d){11,15})(?![a-z\d])")
_ACCOUNT = re.compile(
    r"(?:微信|威信|薇信|微|wechat|weixin|wx|vx|v信|(?<![a-z])v(?![a-z])|支付宝|抖音|小红书|微博|telegram|whatsapp"
    r"|旺旺|淘宝)(?:账?号|id|名|码)?[\s:,]{0,3}(?:是|为|叫|加|我)?[\s:@]{0,2}"
    r"([a-z\d][a-z\d_\-]{4,29})(?![a-z\d])"
)
_QQ = re.compile(
    r"(?:qq|扣扣|企鹅|球球)(?:号码?|邮箱)?[\s:,]{0,3}(?:是|为|加)?[\s:]{0,2}(\d{5,12})(?!\d)"
)
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领][a-hj-np-z][\s·.\-]?"
    r"(?=[a-hj-np-z\d]*\d)[a-hj-np-z\d]{4,5}[a-hj-np-z\d挂学警港澳领](?![a-z\d])"
)

_NUMBER = r"[a-z\d零〇一二三四五六七八九十百甲乙丙丁]"
_ROOM = "号院|号楼|号|栋|幢|座|单元|室|房|弄|户"
_DOOR = re.compile(
    rf"第?{_NUMBER}{{1,6}}(?:\s?[\-—–]\s?{_NUMBER}{{1,5}}){{0,3}}\s?(?:{_ROOM}|楼|层|门|组|队|段|期)"
    r"|[东南西北a-z]区"
    rf"|{_NUMBER}{{1,4}}(?:[\-—–]{_NUMBER}{{1,5}}){{1,3}}(?!{_NUMBER})"
)
_ROOM_DOOR = re.compile(rf"{_ROOM}|-\s?\d{{3,4}}$")
_LAST_ROOM = re.compile(r"\d{3,4}(?![a-z\d])")
_PART = rf"[{_HAN}a-z\d]"
_WIDE = "省|自治区|特别行政区|市|自治州|地区|盟"
_AREA = "新区|开发区|高新区|区|县|旗|镇|乡|街道|社区"
_ROAD = "大街|大道|公路|路|街|巷|弄|胡同"
_SITE = (
    "村|屯|庄|小区|花园|公寓|家园|新村|苑|城|府|庭|湾|广场|大厦|大楼|中心|写字楼|园区|科技园|产业园|工业园|宿舍"
    "|学院|大学|学校|中学|小学|医院|公司|酒店"
)
_STEP = re.compile(
    rf"(?P<wide>(?:{PLACE.pattern})[省市]?)|(?P<name>{_PART}{{1,10}}?)\s?"
    rf"(?:(?P<site>{_SITE})|(?P<area>{_AREA})|(?P<road>{_ROAD})|(?P<city>{_WIDE}))"
)
_LEAD = re.compile(
    "^.*(?:[在到至往是为寄发送给去]|地址|住址|改成|换成|我家|我们|你们|请问|帮我|麻烦)(?=.|$)"
)
_TOLD = re.compile(
    r"(?:地址|住址|收货信息)\s?(?::|改成|改为|改到|换成|换到|是|为|在)[\s:,]{0,3}"
    rf"(?P<detail>[{_HAN}a-z\d\-—–#()\s]{{4,60}}+)(?!\0)"
)
_NOT_TOLD = re.compile(
    "怎么|如何|哪|什么|吗|呢|可以|能不能|错|修改|不对|不详|发给|告诉|多少|是否|有没有|没有|不知|已经|需要|请|信息|管理|同一|那种|不是|一样"
)
_SUFFIX = re.compile(rf"{_SITE}|{_ROAD}")
"""After a name that ends like another site: 澜庭 and then 公寓."""
_GAP = re.compile(r"\s{0,2}")
_LEAST = {"road": 2}
"""Signs of a name: 道路 and 马路 are none."""

_CALLS = ((_PHONE, Kind.PHONE), (_ABROAD, Kind.PHONE), (_LANDLINE, Kind.LANDLINE))
_ON_PARCELS = frozenset((Kind.PHONE, Kind.LANDLINE, Kind.ADDRESS))

_COMPOUND = "欧阳|司马|上官|诸葛|司徒|东方|夏侯|皇甫|尉迟|公孙|慕容|令狐|宇文|长孙|端木|百里|南宫"
_SURNAMES = SURNAMES + RARE_SURNAMES
_NO_GIVEN = (
    "的你您我他她它们是在想要有和跟与给对就也都还不没吗呢吧啊呀了着过地得电手号住收请麻来去到买卖这那什么怎先女老师总经"
    "：，。、谢订单发寄货问说叫让把被把可以能会"
)
_NO_CALLED = "么不忘错码哪谁己个本里处及其丢看弄咋人名字好仙关联同区式方"
_GIVEN = rf"(?:(?![{_NO_GIVEN}])[{_HAN}])"
_NAME = (
    rf"(?:(?:{_COMPOUND}){_GIVEN}{{1,2}}|[{_SURNAMES}]{_GIVEN}{{1,2}}"
    rf"|{_GIVEN}{{1,5}}·{_GIVEN}{{1,6}})"
)
_LATIN_NAME = r"[a-z]{2,15}(?:[ .][a-z]{1,15}){0,2}(?![a-z])"
_INTRODUCED = re.compile(
    r"(?:我叫|我的名字|本人|名叫|叫做|真名|全名|姓名|名字|收[件货]人|寄件人|联系人|签收人|户主|持卡人|开户名|户名|署名|落款|昵称"
    r"|客户名|收方|乘客|房客|申请人|法人|经办人|负责人|对接人|付款人|汇款人|代收人|买家)[\s:,]{0,3}"
    r"(?:是|叫|为|改成|改为|换成|写成|填成|写|填)?[\s:]{0,2}"
    rf"(?P<name>{_NAME}|{_LATIN_NAME}|(?:(?![{_NO_CALLED}]){_GIVEN}){{2,3}}(?=[\s,，。.;；!！?？\d]|$))"
)
_I_AM = re.compile(rf"(?:我是|这里是|叫我|我姓名是)(?P<name>{_NAME})(?=[\s,，。.;；!！?？、]|$)")
_CALLED = re.compile(
    rf"(?:(?<![吗名喊])叫|我(?:女儿|儿子|老公|老婆|妈妈?|爸爸?|朋友|同事|同学|老板|[姐哥弟妹]))"
    rf"(?P<name>{_NAME})(?=[\s,，。.;；!！?？、用收买的]|$)"
)
_BOUGHT = re.compile(
    rf"(?:是|由|给|替|帮)(?P<name>(?:{_COMPOUND}|[{_SURNAMES}]){_GIVEN}{{2}})(?=[买下订拍付收签])"
)
_TITLED = re.compile(
    rf"(?P<name>{_NAME}|[{_SURNAMES}])(?:先生|女士|小姐|太太|同学|阿姨|叔叔|大哥|大姐)"
)
_SIGNED = re.compile(rf"(?<![{_HAN}])(?P<name>{_NAME})\s?(?:收|签收|亲启|代收)(?![{_HAN}])")
_OWNS = re.compile(
    rf"(?P<name>{_NAME})(?=的(?:电话|手机|号码|地址|身份证|证件|银行卡|快递|包裹|订单|会员|名字))"
)
_ALONE = re.compile(rf"(?<![{_HAN}a-z\d])(?P<name>{_NAME})(?![{_HAN}a-z\d])")


def find(text: str, *, names: Iterable[str] = ()) -> list[Span]:
    """Spans of ``text`` from left to right, none within another. ``names``: what this customer is
    called, wherever it stands."""
    return _Reading(text).spans(names)


class _Reading:
    """What is claimed is blanked, so that no later pattern reads across it.

    ``words`` and ``numbers`` are the text sign for sign, in ``numbers`` with Chinese digits as
    digits; ``at``: where each sign stands in the text.
    """

    def __init__(self, text: str) -> None:
        signs = [(index, sign) for index, sign in enumerate(text) if sign not in _NO_WIDTH]
        self._at = [index for index, _ in signs]
        self.words = _plain_text(sign for _, sign in signs)
        self.numbers = "".join(_DIGITS.get(sign, sign) for sign in self.words)
        self._found: list[Span] = []

    def spans(self, names: Iterable[str]) -> list[Span]:
        """In order of certainty: a sign belongs to the first that claims it."""
        self._whole(_MAIL, Kind.MAIL)
        if any(sign.isdigit() for sign in self.numbers):
            self._read_numbers()
        self._group(_ACCOUNT, Kind.ACCOUNT)
        self._read_known(names)
        self._read_addresses()
        for pattern in (_INTRODUCED, _I_AM, _CALLED, _BOUGHT, _TITLED, _SIGNED, _OWNS):
            self._read_persons(pattern)
        self._read_names_beside()
        return [
            Span(self._at[start], self._at[end - 1] + 1, kind)
            for start, end, kind in sorted(self._found)
        ]

    def _claim(self, start: int, end: int, kind: str) -> None:
        if end > start:
            self._found.append(Span(start, end, kind))
            blank = _BLANK * (end - start)
            self.words = self.words[:start] + blank + self.words[end:]
            self.numbers = self.numbers[:start] + blank + self.numbers[end:]

    def _whole(self, pattern: re.Pattern[str], kind: str) -> None:
        for found in pattern.finditer(self.numbers):
            self._claim(*found.span(), kind)

    def _group(self, pattern: re.Pattern[str], kind: str) -> None:
        for found in pattern.finditer(self.numbers):
            self._claim(*found.span(1), kind)

    def _read_numbers(self) -> None:
        self._whole(_IDENTITY, Kind.IDENTITY)
        self._group(_PAPERS, Kind.IDENTITY)
        self._group(_ACCOUNT_NO, Kind.CARD)
        self._group(_ON_CARD, Kind.CARD)
        for found in _CARD.finditer(self.numbers):
            if _is_card(found[0]) and not self._is_order(found):
                self._claim(*found.span(), Kind.CARD)
        self._whole(_PLATE, Kind.PLATE)
        self._group(_QQ, Kind.ACCOUNT)
        for pattern, kind in _CALLS:
            for found in pattern.finditer(self.numbers):
                if not self._is_order(found):
                    self._claim(*found.span(), kind)
        self._group(_CALLED_ON, Kind.LANDLINE)

    def _is_order(self, found: re.Match[str]) -> bool:
        before = self.numbers[max(0, found.start() - 16) : found.start()]
        return _ORDER_WORD.search(before) is not None

    def _read_known(self, names: Iterable[str]) -> None:
        plain = {_plain_text(name).strip() for name in names}
        for name in sorted(filter(_tells, plain), key=len, reverse=True):
            for found in re.finditer(re.escape(name), self.words):
                if not (name.isascii() and _within_word(self.words, found)):
                    self._claim(*found.span(), Kind.NAME)

    def _read_addresses(self) -> None:
        """From the district on: province and city tell nobody where somebody lives, and are what
        delivery times hang on."""
        for start, end in _addresses(self.words):
            self._claim(start, end, Kind.ADDRESS)
        for found in _TOLD.finditer(self.words):
            if not _NOT_TOLD.search(found["detail"]):
                start, end = _trimmed(self.words, *found.span("detail"))
                self._claim(start, end, Kind.ADDRESS)

    def _read_persons(self, pattern: re.Pattern[str]) -> None:
        for found in pattern.finditer(self.words):
            if found["name"] not in NOT_NAMES:
                self._claim(*found.span("name"), Kind.NAME)

    def _read_names_beside(self) -> None:
        """A name that stands alone beside a telephone or an address, as on a parcel."""
        near = [one for one in self._found if one.kind in _ON_PARCELS]
        for found in _ALONE.finditer(self.words) if near else ():
            if found["name"] in NOT_NAMES:
                continue
            if any(_is_beside(self.words, one, *found.span("name")) for one in near):
                self._claim(*found.span("name"), Kind.NAME)


def _plain_text(signs: Iterable[str]) -> str:
    """One sign for one sign; what would become several, or none, stays."""
    return "".join(sign.lower() if sign.isascii() else _plain(sign) for sign in signs)


@lru_cache(maxsize=8_192)
def _plain(sign: str) -> str:
    plain = unicodedata.normalize("NFKC", sign).lower()
    return plain if len(plain) == 1 else sign


def _is_card(number: str) -> bool:
    """Luhn; 16 to 19 digits, as all networks that issue in China have them, 15 for Amex."""
    digits = [int(sign) for sign in number if sign.isdigit()]
    if len(digits) not in range(15, 20):
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _addresses(words: str) -> Iterator[tuple[int, int]]:
    at = 0
    while (step := _STEP.search(words, at)) is not None:
        chain = _Chain(words, step)
        if chain.is_address:
            yield _trimmed(words, chain.start, chain.end)
        at = max(chain.end, step.end())


class _Chain:
    """Steps from the wide to the narrow that follow each other, then doors."""

    def __init__(self, words: str, first: re.Match[str]) -> None:
        self._words, self._kinds = words, set[str]()
        self._doors: list[str] = []
        self.start, self.end = -1, first.start()
        self._take(first)
        self._follow()

    @property
    def is_address(self) -> bool:
        if self.start < 0:
            return False
        narrow = bool(self._kinds & {"road", "site"})
        if self._doors and narrow:
            return bool(self._kinds & {"road", "area"}) or any(
                _ROOM_DOOR.search(door) for door in self._doors
            )
        if "road" in self._kinds:
            return bool(self._kinds & {"area", "city"})
        return (narrow and "area" in self._kinds) or len(self._doors) > 1

    def _follow(self) -> None:
        while True:
            at = self._after_gap()
            door = _DOOR.match(self._words, at)
            if door is None and self._doors:
                door = _LAST_ROOM.match(self._words, at)
            if door is not None:
                self._doors.append(door[0])
                self._reach(door.start(), door.end())
            elif self.start >= 0 and (more := _SUFFIX.match(self._words, self.end)) is not None:
                self.end = more.end()
            elif (step := _STEP.match(self._words, at)) is not None:
                self._take(step)
            else:
                return

    def _after_gap(self) -> int:
        gap = _GAP.match(self._words, self.end)
        return gap.end() if gap else self.end

    def _take(self, step: re.Match[str]) -> None:
        kind = step.lastgroup or ""
        self.end = step.end()
        if kind in ("wide", "city"):
            self._kinds.add("city")
            return
        lead = _LEAD.match(step["name"])
        start = step.start() + (lead.end() if lead else 0)
        if start + _LEAST.get(kind, 1) <= step.start() + len(step["name"]):
            self._kinds.add(kind)
            self._reach(start, step.end())

    def _reach(self, start: int, end: int) -> None:
        self.start = start if self.start < 0 else self.start
        self.end = end


def _trimmed(words: str, start: int, end: int) -> tuple[int, int]:
    part = words[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def _tells(name: str) -> bool:
    """A name of one sign, or a plain word, would hide half of every sentence."""
    plain = name in NOT_NAMES or name in PLAIN_WORDS
    return len(name) >= 2 and not plain and any(map(str.isalpha, name))


def _within_word(words: str, found: re.Match[str]) -> bool:
    around = words[: found.start()][-1:] + words[found.end() :][:1]
    return any(sign.isascii() and sign.isalnum() for sign in around)


def _is_beside(words: str, span: Span, start: int, end: int) -> bool:
    between = words[end : span.start] if end <= span.start else words[span.end : start]
    return len(between) <= 8 and not re.sub(r"[\s,:;、|/收电话手机号码是]", "", between)
