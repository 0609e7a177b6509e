"""Which classical operations do, honestly and wholly, what the customer asked for. Pure.

Every word of a requirement must be accounted for: what is left over («头发要精细») is nothing that
can be done without a person or a model, and then there is no plan.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import get_args

from domain.pictures import PictureFacts, PictureKind
from domain.requirements import DEADLINE_WORDS, RUSH_WORDS, requirement_lines
from domain.text import fold, letters
from tools.pictures.operations import (
    MAX_PIXELS,
    MAX_TIMES,
    WHITE,
    Background,
    Colour,
    Compress,
    Convert,
    Denoise,
    Enlarge,
    Flip,
    Format,
    Grayscale,
    Operation,
    Resize,
    Rotate,
    Sharpen,
    TrimBorders,
    colour_of,
)

NEED_A_PERSON = frozenset(
    {"find_image", "retouch", "vector", "text_edit", "main_image", "detail_page", "poster", "logo",
     "packaging", "card", "menu"}
)  # fmt: skip
"""Services of the price book whose work is done by eye and hand."""

_BLURRED = 0.15
"""As in the price book: below it nothing but a person's restoration makes a picture clear."""
_NOISY = 0.3
_SMALL_SIDE = 800
_SAME_SHAPE = 0.04

COLOURS: dict[str, Colour] = {
    "白": WHITE,
    "红": (255, 0, 0),
    "蓝": (67, 142, 219),
    "黑": (0, 0, 0),
    "灰": (200, 200, 200),
    "绿": (0, 177, 64),
    "黄": (255, 222, 0),
    "粉": (255, 192, 203),
    "紫": (128, 0, 128),
    "橙": (255, 140, 0),
}
"""Red, blue and white as documents' portraits have them."""
_INCHES = {"一": (295, 413), "1": (295, 413), "二": (413, 579), "两": (413, 579), "2": (413, 579)}
"""Portraits of one and two Chinese inches at 300 dpi."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the result must show. ``width`` and ``height`` exactly, where both or one are set."""

    width: int | None = None
    height: int | None = None
    times: float | None = None
    sharper: bool = False
    transparent: bool = False
    background: Colour | None = None
    format: Format | None = None
    max_bytes: int | None = None
    grayscale: bool = False
    reshaped: bool = False
    """Cut, turned or padded: its shape may differ from the original's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``exact``: size, format and the like, that no model could do better."""

    operations: tuple[Operation, ...]
    wanted: Wanted
    exact: bool


def plan_of(requirements: Sequence[str], service: str, facts: PictureFacts) -> Plan | None:
    """None where only a person or a model can do all of it."""
    if service in NEED_A_PERSON or facts.frames > 1 or facts.kind is PictureKind.BLANK:
        return None
    draft = _Draft()
    for clause in _clauses(requirements):
        if _read(clause, draft):
            return None
    _by_service(service, draft)
    return _plan(draft, facts)


def finish_of(requirements: Sequence[str], facts: PictureFacts) -> Plan | None:
    """The size, format and weight among ``requirements``, to be given to what a model has made.

    None where nothing of the kind is asked."""
    draft = _Draft()
    for clause in _clauses(requirements):
        _read(clause, draft)
    only = _Draft(
        size=draft.size, how=draft.how, side=draft.side, format=draft.format,
        max_bytes=draft.max_bytes, background=draft.background,
    )  # fmt: skip
    found = _plan(only, facts)
    if found is None:
        return None
    kept = tuple(step for step in found.operations if isinstance(step, Resize | Convert | Compress))
    return Plan(kept, found.wanted, exact=True) if kept else None


# ---- reading the customer's words ----


@dataclass(slots=True)
class _Draft:
    size: tuple[int, int] | None = None
    how: str = ""
    side: tuple[str, int] | None = None
    square: bool = False
    scale: float | None = None
    clear: bool = False
    sharpen: bool = False
    denoise: bool = False
    trim: bool = False
    grayscale: bool = False
    background: Colour | str | None = None
    """"transparent", a colour, or None for as it is."""
    format: Format | None = None
    max_bytes: int | None = None
    turns: list[Operation] = field(default_factory=list)


_Handler = Callable[[_Draft, re.Match[str]], None]
_COLOUR = "(?:(#[0-9a-f]{6})|([白红蓝黑灰绿黄粉紫橙])色?)"
_ANY_COLOUR = "(?:#[0-9a-f]{6}|[白红蓝黑灰绿黄粉紫橙]色?|纯色)?的?"
_GROUND = "(?:背景|底色|底)(?:颜色)?"
_AWAY = "(?:去掉|去除|去|抠掉|扣掉|删掉|删除|移除|清除|不要)"
_INTO = "(?:更?换|改|变|做|弄|调|转|存|保存|导出|输出|修|缩|裁剪?|剪)?(?:成|为|到|作)?"
_NUMBER = r"(\d{1,2}(?:\.\d)?|[一二两三四])"
_NUMBERS = {"一": 1.0, "二": 2.0, "两": 2.0, "三": 3.0, "四": 4.0}
_EDGES = "(?:白边|黑边|白框|黑框|空白|留白)"


def _set_colour(draft: _Draft, found: re.Match[str]) -> None:
    code, name = found[1], found[2]
    draft.background = colour_of(code) if code else COLOURS[name]


def _set_transparent(draft: _Draft, _: re.Match[str]) -> None:
    if draft.background is None:
        draft.background = "transparent"


def _set_size(draft: _Draft, found: re.Match[str]) -> None:
    draft.size = (int(found[1]), int(found[2]))
    draft.how = "cover" if "裁" in found[0] else ""


def _set_side(draft: _Draft, found: re.Match[str]) -> None:
    draft.side = ("width" if found[1] == "宽" else "height", int(found[2]))


def _set_inches(draft: _Draft, found: re.Match[str]) -> None:
    draft.size, draft.how = _INCHES[found[1]], "portrait"


def _set_times(draft: _Draft, found: re.Match[str]) -> None:
    times = _NUMBERS.get(found[1]) or float(found[1])
    draft.scale = 2.0 if times == 1 else times


def _set_twice(draft: _Draft, _: re.Match[str]) -> None:
    draft.scale = draft.scale or 2.0


def _set_half(draft: _Draft, _: re.Match[str]) -> None:
    draft.scale = 0.5


def _set_format(draft: _Draft, found: re.Match[str]) -> None:
    name = found[1].replace("jpeg", "jpg")
    draft.format = next(known for known in get_args(Format) if known == name)


def _set_bytes(draft: _Draft, found: re.Match[str]) -> None:
    unit = 1024 if found[2].startswith("k") else 1024 * 1024
    draft.max_bytes = int(float(found[1]) * unit)


def _turn(clockwise: int) -> _Handler:
    def handle(draft: _Draft, found: re.Match[str]) -> None:
        draft.turns.append(Rotate(clockwise * int(found[1])))

    return handle


def _mirror(draft: _Draft, found: re.Match[str]) -> None:
    down = "上下" in found[0] or "垂直" in found[0]
    draft.turns.append(Flip("vertical" if down else "horizontal"))


def _flag(name: str) -> _Handler:
    def handle(draft: _Draft, _: re.Match[str]) -> None:
        setattr(draft, name, True)

    return handle


_TURNED = r"(?:旋转|转动|转)?(\d{1,3})(?:度|°)"
_RULES: tuple[tuple[re.Pattern[str], _Handler], ...] = tuple(
    (re.compile(pattern), handler)
    for pattern, handler in (
        (rf"{_INTO}(\d{{2,5}}) ?(?:px|像素)? ?[x×*乘] ?(\d{{2,5}}) ?(?:px|像素)?", _set_size),
        (rf"(宽|高)度?{_INTO} ?(\d{{2,5}}) ?(?:px|像素)?", _set_side),
        (rf"{_INTO}([一二两12])寸(?:照片?)?", _set_inches),
        (rf"{_INTO}(?:正方形|方图|1:1)", _flag("square")),
        (rf"(?:无损)?放大(?:到|成|为)?(?:原来的?|原图的?)?{_NUMBER}倍", _set_times),
        (r"缩小(?:到|成|为)?(?:一半|50%)", _set_half),
        (r"(?:无损)?放大(?:一?[点些])?", _set_twice),
        (
            r"(?:压缩?|缩小?|控制|限制)?(?:文件|体积)?(?:大小)?(?:压缩?|缩小?|控制|限制)?[到成在至]?"
            r"(?:不超过|小于|低于)?(\d{1,5}(?:\.\d)?) ?(kb?|mb?)(?:以内|以下|之内|内)?",
            _set_bytes,
        ),
        (rf"{_AWAY}{_ANY_COLOUR}{_GROUND}", _set_transparent),
        (rf"{_ANY_COLOUR}{_GROUND}(?:都|给)?{_AWAY}", _set_transparent),
        (rf"{_ANY_COLOUR}{_GROUND}{_INTO}{_COLOUR}(?:的?(?:背景|底))?", _set_colour),
        (rf"{_INTO}{_COLOUR}的?(?:背景|底)", _set_colour),
        (rf"(?:{_GROUND})?{_INTO}透明色?的?(?:背景|底|图)?", _set_transparent),
        ("免?[抠扣]图|[抠扣]出来|去底", _set_transparent),
        (rf"{_INTO}(png|jpe?g|webp)(?:格式|图片|文件)?", _set_format),
        (
            f"{_INTO}得?(?:更|高)?(?:清晰化?|清楚|高清)(?:度)?(?:一?[点些])?|提[高升]清晰度",
            _flag("clear"),
        ),
        ("锐化(?:一?[点些])?", _flag("sharpen")),
        ("[降去]噪点?|(?:去掉|去除)噪点", _flag("denoise")),
        (f"(?:裁|切|去|剪)(?:掉|除)?(?:四周|周围|上下|左右|多余)?的?{_EDGES}", _flag("trim")),
        (f"(?:四周|周围|上下|左右|多余)?的?{_EDGES}(?:裁掉|去掉|切掉|去除)", _flag("trim")),
        (f"{_INTO}(?:黑白|灰度)色?(?:照片?|图片?)?", _flag("grayscale")),
        (rf"(?:逆时针|[向往]?左){_TURNED}", _turn(-1)),
        (rf"(?:顺时针|[向往]?右)?{_TURNED}", _turn(1)),
        ("(?:左右|水平|上下|垂直)(?:翻转|镜像)|镜像(?:翻转)?", _mirror),
    )
)
_FILLERS = re.compile(
    "多少钱|怎么收费|什么价格?|价格|帮我|帮忙|麻烦|老板|谢谢|请问|你好|您好|一下|就行|就好|即可"
    "|可以|需要|然后|同时|并且|尺寸|大小|分辨率|格式|图片|照片|相片|原图|处理|全部|这边|修复|修"
    "|[请您你我给帮把将用这那张个幅图能吗呢吧哦啊呀嘛的了下要想做弄改再并和也都好行亲得成变]"
)


def _clauses(requirements: Iterable[str]) -> list[str]:
    lines = [clause for text in requirements for clause in requirement_lines(text)]
    return [fold(line) for line in lines]


def _read(clause: str, draft: _Draft) -> str:
    """What of ``clause`` is not understood, "" where nothing."""
    left = DEADLINE_WORDS.sub(" ", RUSH_WORDS.sub(" ", clause))
    for pattern, handler in _RULES:
        while (found := pattern.search(left)) is not None:
            handler(draft, found)
            left = f"{left[: found.start()]}。{left[found.end() :]}"
    return letters(_FILLERS.sub("", left))


def _by_service(service: str, draft: _Draft) -> None:
    if service == "cutout" and draft.background is None:
        draft.background = "transparent"
    if service == "restore" and not (draft.scale or draft.size or draft.sharpen or draft.denoise):
        draft.clear = True


# ---- from words to operations ----


def _plan(draft: _Draft, facts: PictureFacts) -> Plan | None:
    if draft.clear and facts.sharpness < _BLURRED:
        return None
    resized = _resizing(draft, facts)
    if resized is None:
        return None
    steps = [*draft.turns, *([TrimBorders()] if draft.trim else [])]
    steps += _touches_before(draft, facts) + resized + _touches_after(draft, facts, resized)
    steps += [Convert(draft.format)] if draft.format else []
    steps += [Compress(draft.max_bytes)] if draft.max_bytes else []
    if not steps:
        return None
    exact = not any(isinstance(step, Background | Sharpen | Denoise | Enlarge) for step in steps)
    return Plan(tuple(steps), _wanted(draft, tuple(steps)), exact)


def _touches_before(draft: _Draft, facts: PictureFacts) -> list[Operation]:
    steps: list[Operation] = []
    if draft.denoise or (draft.clear and facts.noise >= _NOISY):
        steps.append(Denoise(1 + facts.noise))
    if draft.background is not None:
        colour = None if isinstance(draft.background, str) else draft.background
        steps.append(Background(colour))
    return steps


def _touches_after(
    draft: _Draft, facts: PictureFacts, resized: Sequence[Operation]
) -> list[Operation]:
    steps: list[Operation] = [Grayscale()] if draft.grayscale else []
    if draft.sharpen or draft.clear:
        small = not resized and min(facts.width, facts.height) < _SMALL_SIDE
        steps += [Enlarge(2.0)] if draft.clear and small else []
        steps.append(Sharpen(1.5 if facts.sharpness < 0.5 else 1.0))
    return steps


def _resizing(draft: _Draft, facts: PictureFacts) -> list[Operation] | None:
    """None: what is asked for cannot be had from so small a picture, or is for the eye to cut."""
    if not (draft.size or draft.side or draft.square or draft.scale):
        return []
    turned = sum(step.degrees for step in draft.turns if isinstance(step, Rotate)) % 180
    if turned not in (0, 90) or draft.trim:
        return None
    width, height = (facts.height, facts.width) if turned else (facts.width, facts.height)
    if draft.scale is not None:
        return _scaling(draft.scale, width, height)
    target = _target(draft, width, height)
    if max(target[0] / width, target[1] / height) > MAX_TIMES or target[0] * target[1] > MAX_PIXELS:
        return None
    same = abs(target[0] * height / (target[1] * width) - 1) <= _SAME_SHAPE
    if draft.how == "portrait" and not same:
        return None
    colour = None if draft.background == "transparent" else WHITE
    filled = draft.background if isinstance(draft.background, tuple) else colour
    return [Resize(*target, "cover" if same or draft.how == "cover" else "pad", filled)]


def _scaling(scale: float, width: int, height: int) -> list[Operation] | None:
    if scale < 1:
        target = max(1, round(width * scale)), max(1, round(height * scale))
        return [Resize(*target, "stretch")]
    too_much = scale > MAX_TIMES or width * height * scale**2 > MAX_PIXELS
    return None if too_much or scale <= 1 else [Enlarge(scale)]


def _target(draft: _Draft, width: int, height: int) -> tuple[int, int]:
    if draft.size:
        return draft.size
    if draft.side:
        name, length = draft.side
        if name == "width":
            return length, max(1, round(height * length / width))
        return max(1, round(width * length / height)), length
    return max(width, height), max(width, height)


def _wanted(draft: _Draft, steps: tuple[Operation, ...]) -> Wanted:
    size = next((step for step in steps if isinstance(step, Resize)), None)
    shaping = (Rotate, TrimBorders, Resize)
    return Wanted(
        width=size.width if size else None,
        height=size.height if size else None,
        times=draft.scale if draft.scale and draft.scale > 1 else None,
        sharper=draft.clear or draft.sharpen,
        transparent=draft.background == "transparent" and draft.format != "jpg",
        background=draft.background if isinstance(draft.background, tuple) else None,
        format=draft.format,
        max_bytes=draft.max_bytes,
        grayscale=draft.grayscale,
        reshaped=any(isinstance(step, shaping) for step in steps),
    )
