"""What a requirement of picture work is about, and how requirements change. Pure.

Requirements are lines in the customer's words. Two lines are about the same thing when they set
the same aspect of the same object: 「字改成红色」 and 「把文字改成蓝色」, but not 「背景换成白色」.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.amendment_words import CALLED_OFF, NEGATED, is_made_of
from domain.orders import Amendment, ChangeKind
from domain.text import fold, letters

RUSH, DEADLINE, SIZE, FORMAT, BACKGROUND = "rush", "deadline", "size", "format", "background"
COLOUR, FONT, SCALE, POSITION, COUNT = "colour", "font", "scale", "position", "count"
CONTENT = "content"

_QUOTED = r"“[^”\n]*”|「[^」\n]*」|『[^』\n]*』|\"[^\"\n]*\"|《[^》\n]*》"
_CLAUSE = re.compile(
    rf"(?:{_QUOTED}|(?<=\d)[,.，](?=\d)|[^,，。;；!！?？\n、…~]|(?<=\d)、(?=\d))+[?？]?"
)
_BREAK = re.compile(r"(?<=[\u4e00-\u9fff])[ \t\u3000]+(?=[\u4e00-\u9fff])")
_MARKED = re.compile(_QUOTED)

DAY = r"(?:今天|今晚|今日|明天|明早|明晚|明日|后天|大后天|下?(?:周|星期|礼拜)[一二三四五六日天末])"
_SPAN = r"(?:[\d一二两三四五六七八九十半]+个?(?:小时|钟头|分钟|天|点钟?|号))"
DEADLINE_WORDS = re.compile(
    rf"{DAY}|{_SPAN}(?:之?内|之?前|以前|就?要|左右)|下班前|月底前|截止|交期|工期|晚点(?:给|要)|(?:早|提前)点?给我"
)
RUSH_WORDS = re.compile(
    r"加急|急用|急要|急需|着急|不急|很急|特急|[比较有点挺好]{2}急|挺急|急着|赶时间|尽快|马上要|立刻要|越快越好"
)
_SIZE = re.compile(
    r"\d+ ?(?:[x×*乘]|px|像素) ?\d*|尺寸|分辨率|像素|比例|横版|竖版|横图|竖图|方图|正方形|\d+:\d+"
    r"|\d ?(?:cm|mm|厘米|毫米|公分|寸|dpi)|a[0-6](?![a-z0-9])|[一二两]寸"
)
_FORMAT = re.compile(
    r"(?<![a-z])(?:png|jpe?g|psd|pdf|cdr|svg|eps|tiff?|webp|gif|ai)(?![a-z])|格式|源文件|分层"
)
_BACKGROUND = re.compile(r"背景|底色|[白红蓝黑灰绿黄粉纯透][色明]?底|透明(?:底|的|$)|底图|换底")
_COLOUR = re.compile(
    r"[红橙黄绿青蓝紫黑白灰金银粉棕咖](?:色|的|一点|$)|上个?色|颜色|配色|色调|黑白|彩色|渐变|上色|深一?[点些]|浅一?[点些]"
)
_FONT = re.compile(r"字体|宋体|黑体|楷体|仿宋|隶书|行书|手写体|艺术字|加粗|粗体|斜体|毛笔字")
_SCALE = re.compile(r"[大小粗细]一?[点些号]|放大|缩小|字号|太[大小粗细]")
_POSITION = re.compile(
    r"[靠居往移挪]?(?:左|右|中间|居中|上方|下方|上边|下边|角落)|位置|挪|移到|对齐"
)
_COUNT = re.compile(
    r"[做要出改][成到]?[\d一二两三四五六七八九十]+[张份套版个款](?:吧|就行|就好|就够了?|了)?$"
    r"|^[\d一二两三四五六七八九十]+[张份套版个款]就(?:行|好|可以|够)|数量|张数"
)
_NUMERAL = r"\d{1,4}|[一二两三四五六七八九]?十[一二三四五六七八九]?|[一二两三四五六七八九]"
_COUNTED = re.compile(rf"({_NUMERAL})[张份套版个款]")
_NUMERALS = {char: n for n, char in enumerate("零一二三四五六七八九十")} | {"两": 2}

_PRICE_ASKED = (
    r"(?:(?:那|这样|大概|一共|总共|一般|要|得|需要|是|做|弄|下来|的话|请问|你们|你家|能做吗|可以吗){0,8}"
    r"(?:多少钱?|什么价[格位钱]?|怎么收费|怎么算|几块钱?|收费多少|价格多少|报个?价|贵不贵)"
    r"(?:一?[张个份]|啊|呀|呢|吗|左右|[ ?？]){0,8})"
)
_PRICE_AT_THE_END = re.compile(rf"{_PRICE_ASKED}$")
_IDLE = re.compile(
    rf"{_PRICE_ASKED}|你好|您好|在吗|老板|亲|客服|请问|谢谢|麻烦|你|您|了|啊|哈|这个|这张|这种|那个"
    r"|好[的滴吧]?|嗯|行|可以|ok|对|是的|就这样|这样|那就?|吧|帮我|安排|下单|[ ?？]"
)

_SECOND = re.compile(
    r"(?:再|并且?|然后|顺便|还要|也要|要)?(?=加急|急用|(?:比较|有点|[很挺])急"
    r"|换成?[白红蓝黑绿透纯]|换底|[改做]成?[白红蓝黑绿透][色明]?底)"
)
_WORK = re.compile(
    r"抠|修|清晰|高清|做|设计|处理|去掉|p|找|上色|排版|加字|放大|弄|搞"
    r"|证件照|寸照|产品|商品|头像|主图|海报|logo"
)
_NO_END = frozenset("不别要是想能把用景字底以再需")

_PICTURE = re.compile(r"第([一二两三四五六七八九十\d]+)[张幅个]")
_OBJECTS = {
    "title": r"标题|主题|大字",
    "phone": r"电话|手机号|号码|联系方式|微信号",
    "date": r"日期|时间|年份",
    "price": r"价格|价钱|单价|金额",
    "code": r"二维码|小程序码|条形?码",
    "logo": r"logo|标志|商标|店标|图标",
    "watermark": r"水印",
    "name": r"名字|姓名|店名|人名|公司名",
    "address": r"地址|门牌",
    "person": r"人像|人物|人脸|脸|皮肤|美白|磨皮|瘦脸|痘|眼睛|表情",
    "hair": r"头发|发丝|发型",
    "clothes": r"衣服|服装|裙子|西装|正装|领带",
    "border": r"边框|描边|外框|圆角",
    "shadow": r"阴影|投影|倒影",
    "product": r"产品|商品|瓶子|包装|盒子",
    "light": r"亮度|亮一?[点些]|暗一?[点些]|提亮|调亮|曝光|对比度",
    "sharpness": r"清晰|清楚|锐化|高清|模糊|去噪|降噪",
    "cutout": r"抠",
    "passers": r"路人|杂物|瑕疵|反光",
    "damage": r"折痕|划痕|破损|裂[痕缝]|斑|污渍|缺角|霉点|泛黄|掉色",
    "figure": r"瘦(?!脸)|腿|胳膊|腰|身材|增高|拉长",
    "retouch": r"精修|美颜|滤镜",
    "layout": r"留白|间距|边距|版式|布局",
    "style": r"风格|简约|大气|高端|复古|卡通|手绘|国风|中式|喜庆",
}
_OBJECT_PATTERNS = {name: re.compile(words) for name, words in _OBJECTS.items()}
_TEXT = re.compile(r"(?<!名)字(?!号)|字号|文字|文案|标语|口号|广告语|排版|汉字|英文|一行|落款")
TEXT_OBJECTS = frozenset({"text", "title", "phone", "date", "price", "name", "address"})
_REMOVES = re.compile(r"去掉|去除|去了|删|抹|p掉|擦|弄掉|不要")
_THE_REST = re.compile(r"其[他它余]|别的|剩下")
_RELATIVE = re.compile(r"一?[点些]儿?$|一丢丢$")
_RELAXES = re.compile(r"改|就行|就可以|即可|不急|不用急|不着急|推迟|延")
_ADDS = re.compile(r"加(?!急)|添|补上|排版|[写印贴打]|放(?![在到左右大中])")


@dataclass(frozen=True, slots=True)
class Topic:
    """``aspect`` of ``objects`` (none: of the whole picture) in ``pictures`` (numbers that were
    named, none: in all); ``adds``: it puts something in that was not there; ``relaxes``: the time
    that it gives takes the place of a hurry."""

    objects: frozenset[str]
    aspect: str
    pictures: frozenset[str] = frozenset()
    adds: bool = False
    relaxes: bool = False

    @property
    def known(self) -> bool:
        return bool(self.objects) or self.aspect != CONTENT


def clauses_of(text: str) -> list[str]:
    """Parts between punctuation, which counts for nothing inside quotes; a question keeps its ?."""
    spaced = _BREAK.sub(",", text)
    return [part for match in _CLAUSE.finditer(spaced) if (part := match[0].strip())]


def requirement_lines(text: str) -> list[str]:
    """A requirement as lines, each about one thing; one that has lines already keeps them. What it
    costs and good wishes are no requirements."""
    parts = text.splitlines() if "\n" in text else clauses_of(text)
    said = (_PRICE_AT_THE_END.sub("", part.strip()).rstrip("?？ ") for part in parts)
    return [line for one in said if says_of_work(one) for line in _apart(one)]


def _apart(line: str) -> list[str]:
    """「抠图换白底」 and 「修复加急」 are two things, each of which may change."""
    for match in _SECOND.finditer(line):
        first = line[: match.start()]
        if _WORK.search(fold(first)) and len(letters(first)) > 1 and first[-1] not in _NO_END:
            return [first, line[match.end() :]]
    return [line]


def says_of_work(clause: str) -> bool:
    """Whether ``clause`` is more than a greeting and the question what it costs."""
    said = letters(clause)
    return not is_made_of(_IDLE, said)


def count_in(requirement: str) -> int | None:
    """How many pieces the newest line that says so wants: 「改成6张」."""
    for line in reversed(requirement_lines(requirement)):
        if topic_of(line).aspect == COUNT and (found := _COUNTED.findall(fold(line))):
            return _number(found[-1])
    return None


_PIECE_CALLED_OFF = re.compile(rf"第({_NUMERAL})[张个幅款份].{{0,4}}{CALLED_OFF}")


def called_off_in(requirement: str) -> frozenset[int]:
    """The pieces of several that are not to be made any more: 「第二张不做了」."""
    found = (_PIECE_CALLED_OFF.fullmatch(letters(line)) for line in requirement.splitlines())
    return frozenset(_number(match[1]) for match in found if match)


def _number(written: str) -> int:
    if written.isdecimal():
        return int(written)
    tens, ten, ones = written.rpartition("十")
    high = (_NUMERALS[tens] if tens else 1) * 10 if ten else 0
    return high + (_NUMERALS[ones] if ones else 0)


def topic_of(line: str) -> Topic:
    folded = fold(line)
    plain = fold(_MARKED.sub("“”", folded))
    if _THE_REST.search(plain):
        return Topic(frozenset(), CONTENT)
    objects = frozenset(name for name, pattern in _OBJECT_PATTERNS.items() if pattern.search(plain))
    if _TEXT.search(plain) or (_MARKED.search(folded) and not objects):
        objects |= {"text"}
    adds = _ADDS.search(plain) is not None
    pictures = frozenset(_PICTURE.findall(plain))
    relaxes = _RELAXES.search(plain) is not None
    return Topic(objects, _aspect(plain, objects, adds=adds), pictures, adds, relaxes)


def _aspect(plain: str, objects: frozenset[str], *, adds: bool) -> str:
    content_of = objects & (TEXT_OBJECTS | {"code", "logo", "watermark"})
    if RUSH_WORDS.search(plain):
        return RUSH
    # 「加上日期3月8号」 says what to write, no deadline; 「字改大一点」 no size of the picture.
    checks = (
        (DEADLINE, DEADLINE_WORDS, not content_of),
        (BACKGROUND, _BACKGROUND, not adds),
        (SIZE, _SIZE, not content_of),
        (FORMAT, _FORMAT, True),
        (FONT, _FONT, True),
        (COLOUR, _COLOUR, True),
        (SCALE, _SCALE, True),
        (POSITION, _POSITION, not adds and not _REMOVES.search(plain)),
        (COUNT, _COUNT, True),
    )
    return next((name for name, words, may in checks if may and words.search(plain)), CONTENT)


_OF_THE_WHOLE = frozenset({RUSH, DEADLINE, SIZE, FORMAT, BACKGROUND, COUNT})


def same_thing(new: Topic, old: Topic) -> bool:
    """Whether ``new`` says anew what ``old`` says."""
    if new.pictures != old.pictures:
        return False
    if new.aspect == DEADLINE:
        return old.aspect == DEADLINE or (old.aspect == RUSH and new.relaxes)
    if new.aspect != old.aspect:
        return False
    if new.aspect in _OF_THE_WHOLE:
        return True
    if new.aspect == CONTENT:
        return bool(new.objects & old.objects) and bool(new.objects)
    return bool(new.objects & old.objects) or not new.objects or not old.objects


def merge_requirements(old: Sequence[str], amendment: Amendment) -> list[str]:
    """The lines after ``amendment``. A change takes the place of the line about the same thing, a
    withdrawal takes it away; where there is none, the customer's words become a line."""
    if amendment.kind is ChangeKind.CANCEL:
        return list(old)
    topic = topic_of(amendment.requirement)
    if amendment.kind is ChangeKind.WITHDRAW:
        left: list[str] = []
        for line in old:
            gone = _withdrawn(topic, line, amendment.requirement)
            left += _beside_the_hurry(line) if gone else [line]
        return left if left != list(old) else _with(old, amendment.requirement)
    return _replaced(old, amendment, topic)


def merged(requirement: str, amendments: Sequence[Amendment]) -> str:
    """A whole requirement after ``amendments``, a line each; "" where nothing is left of it."""
    lines = requirement_lines(requirement)
    for amendment in amendments:
        lines = merge_requirements(lines, amendment)
    return "\n".join(lines)


def _replaced(old: Sequence[str], amendment: Amendment, topic: Topic) -> list[str]:
    corrected = _corrected(old, amendment.requirement)
    if corrected is not None:
        return corrected
    # 「再加一行电话」 stands beside 「加上店名」: only what sets something takes another's place.
    more = amendment.kind is ChangeKind.ADD and topic.aspect == CONTENT
    said = fold(amendment.requirement)
    beside = more and (topic.adds or not _REMOVES.search(said))
    relative = _RELATIVE.search(said) is not None
    merged: list[str] = []
    placed = False
    for line in old:
        # 「再淡一点」 leaves it red.
        kept = relative and not _RELATIVE.search(fold(line))
        if beside or kept or not same_thing(topic, topic_of(line)):
            merged.append(line)
            continue
        merged += _beside_the_hurry(line)
        if not placed:
            merged.append(amendment.requirement)
            placed = True
    return merged if placed else _with(merged, amendment.requirement)


_INSTEAD = re.compile(
    rf"(?:把|将)?({_QUOTED}|.{{2,20}}?)(?:改|换)(?:成|为)({_QUOTED}|.{{1,40}})$", re.IGNORECASE
)
_VALUE = re.compile(r"[红橙黄绿青蓝紫黑白灰金银粉棕咖]色|[白红蓝黑灰绿黄粉]底|透明底?|\d[\dx×*:.]*")
_MARKS = '“”「」『』"《》'


def _corrected(old: Sequence[str], said: str) -> list[str] | None:
    """「新店开业改成盛大开业」 corrects the one line that says 「新店开业」."""
    match = _INSTEAD.fullmatch(said)
    if match is None:
        return None
    before, after = (part.strip(_MARKS) for part in match.groups())
    value = _VALUE.fullmatch(fold(before)) is not None
    places = [
        at
        for at, line in enumerate(old)
        if before in line and (value or any(before in one for one in _MARKED.findall(line)))
    ]
    if len(places) != 1:
        return None
    lines = list(old)
    lines[places[0]] = lines[places[0]].replace(before, after)
    return lines


def _beside_the_hurry(line: str) -> list[str]:
    """What else a line wants that is in a hurry: 「加急修老照片」."""
    if topic_of(line).aspect != RUSH:
        return []
    rest = RUSH_WORDS.sub("", line)
    return [rest] if _WORK.search(fold(rest)) and len(letters(rest)) > 2 else []


def wanted_part(requirement: str) -> str:
    """Without the lines that only say what not to do: they cost nothing."""
    lines = requirement.splitlines()
    return "\n".join(line for line in lines if not NEGATED.search(fold(line)))


def _withdrawn(topic: Topic, line: str, said: str) -> bool:
    before = topic_of(line)
    if topic.adds and topic.objects and topic.aspect == CONTENT:
        # Without the text there is no colour of it either.
        whole = TEXT_OBJECTS if "text" in topic.objects else topic.objects
        return bool(before.objects & whole) and before.aspect not in (RUSH, DEADLINE)
    if topic.known:
        return same_thing(topic, before)
    return _shares_words(said, line)


_EMPTY = re.compile(r"[不别要用需了再给我帮把的做弄去掉除取消先就还是这那个张一下吧]")


def _shares_words(said: str, line: str) -> bool:
    core = _EMPTY.sub("", letters(said))
    return len(core) >= 2 and core in letters(line)


def _with(lines: Sequence[str], new: str) -> list[str]:
    known = {letters(line) for line in lines}
    return [*lines] if letters(new) in known else [*lines, new]
