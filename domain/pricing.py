"""The price book and the quotes made from it. Pure: facts in, line items with reasons out.

The file is written in yuan, everything below counts in fen (1/100 yuan).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain.decisions import Quote, QuoteItem
from domain.errors import ConfigurationError
from domain.orders import Workflow
from domain.pictures import PictureFacts, PictureKind
from domain.text import fold, letters

MAX_QUANTITY = 10_000
_MAX_YUAN = 1_000_000

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2, "俩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_NUMBER = r"(\d{1,9}|[零一二两俩三四五六七八九十百千]{1,7})"
_NOT_A_COUNT = frozenset("第几.")
_QUANTITY = re.compile(
    _NUMBER + r" ?[多来几]? ?(?:张|幅"
    r"|[个款套份版](?=的?(?:图|照片|原图|主图|logo|海报|头像|名片|菜单|包装|详情|设计|素材)))"
)
_TEXT_CHARS = re.compile(_NUMBER + r" ?[多来几]? ?个?(?:汉字|文字|字)(?![体号])")

_ADDS = r"(?<!不)(?<!不要)(?<!别)(?<!不用)(?:加|添|补|写|印|排)(?!急)"
_ADDED_TEXT = re.compile(_ADDS + r"[^,.;!?。、\n“「\"]{0,12}[“「\"]([^”」\"]*)[”」\"]")
_ADDED_CHARS = re.compile(
    _ADDS + r"[^,.;!?。、\n\d]{0,8}?" + _NUMBER + r" ?[多来几]? ?个?(?:汉字|文字|字)(?![体号])"
)

_TOGETHER = re.compile(r"合成|合在|合到|拼[到成在图]|拼一起|放到一起|放在一起|组成一|p到一")

# 「抠一下图」, 「抠这3张图」 and 「抠图」 are one request: measure words would hide the keyword.
_MEASURE = re.compile(
    r"[这那每几\d零一二两俩三四五六七八九十百千]{1,9}[多来]? ?[个张幅款套份副版]"
    r"|[个张的 ]|一[下点]|下(?=图|照|背景|字)"
)
_GAP = "*"
_IN_ONE_CLAUSE = r"[^吗,.;!?。、\n]{0,6}?"

_NEGATIONS = (
    *("不", "别", "没", "没有", "无需", "不用", "不要", "不需要", "不必", "不是", "不算", "不想"),
    *("不太", "不怎么", "没那么", "不那么", "不是很", "不用太"),
)
# End like a negation and are none.
_NOT_NEGATIONS = (
    *("要不要", "用不用", "需不需要", "想不想", "是不是", "有没有", "能不", "要不"),
    *("特别", "分别", "个别", "级别"),
)

_ASKS = (
    *(
        "多少钱",
        "多少",
        "价格",
        "价位",
        "怎么收费",
        "收费",
        "什么价",
        "报价",
        "报个价",
        "几块",
        "几元",
    ),
    *("能做", "可以做", "能处理", "能弄", "能p", "能搞", "处理", "怎么卖", "费用", "贵不贵"),
)
_PICTURES = ("图片", "照片", "相片", "这张图", "这图", "图", "截图", "p图")
_SMALL_WORDS = (
    *("请问", "你好", "您好", "老板", "亲", "客服", "大概", "大约", "一共", "总共", "帮我", "麻烦"),
    *("看看", "看下", "看一下", "一下", "这种", "这样", "这个", "那个", "这些", "这", "那", "它"),
    *("我", "你", "您", "们", "想", "要", "需要", "问", "的", "了", "吗", "呢", "呀", "啊", "哦"),
    *("吧", "嘛", "么", "张", "个", "是", "得", "钱", "做", "弄", "给", "把", "能", "可以", "不"),
    *("帮", "看", "发", "有", "下", "搞", "在", "元", "块", "每", "一", "按", "算", "咋", "怎么"),
)
_PUNCTUATION = re.compile(r"[\W\d_]+")


def _to_fen(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be an amount in yuan")
    try:
        fen = Decimal(str(value)) * 100
    except InvalidOperation:
        raise ValueError(f"{value!r} is not an amount in yuan") from None
    if not fen.is_finite() or fen != fen.to_integral_value() or not 0 <= fen <= _MAX_YUAN * 100:
        raise ValueError(f"{value!r} must be 0 to {_MAX_YUAN} yuan with at most two decimals")
    return int(fen)


Yuan = Annotated[int, BeforeValidator(_to_fen)]
"""Written in yuan, held in fen."""

Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
Sharpness = Annotated[float, Field(gt=0, le=1)]
"""As `PictureFacts.sharpness`: 0 a blur, 1 crisp."""

Words = tuple[Annotated[str, Field(min_length=1, max_length=40)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SizeStep(_Part):
    """``surcharge`` an item of at most ``max_pixels`` (width x height); the last has no limit."""

    max_pixels: Annotated[int, Field(strict=True, gt=0)] | None = None
    surcharge: Yuan


class DifficultyStep(_Part):
    """``surcharge`` an item when the customer says one of ``words``, or when the picture itself is
    less sharp than ``sharpness_below`` or looks like one of ``kinds``. The dearest step counts.
    """

    label: str = Field(min_length=1)
    words: Words = ()
    sharpness_below: Sharpness | None = None
    kinds: tuple[PictureKind, ...] = ()
    surcharge: Yuan

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.words and self.sharpness_below is None and not self.kinds:
            raise ValueError("give words, sharpness_below or kinds")
        return self


class TextBand(_Part):
    """An item with at most ``max_chars`` characters costs ``surcharge`` more.

    ``item_at_least`` lifts the price of the item (text included) to that amount.
    """

    max_chars: Annotated[int, Field(strict=True, gt=0)] | None = None
    surcharge: Yuan
    item_at_least: Yuan = 0


class TextPricing(_Part):
    """``heavy_words`` stand for ``heavy_chars`` characters while nobody has counted them."""

    bands: tuple[TextBand, ...] = ()
    heavy_words: Words = ()
    heavy_chars: Annotated[int, Field(strict=True, gt=0)] = 200

    @field_validator("bands")
    @classmethod
    def _rising(cls, bands: tuple[TextBand, ...]) -> tuple[TextBand, ...]:
        _check_limits([band.max_chars for band in bands], "max_chars")
        _check_rising([band.surcharge for band in bands], "surcharge")
        _check_rising([band.item_at_least for band in bands], "item_at_least")
        return bands


class RushRule(_Part):
    """Exactly one of ``share_percent`` (of the work) and ``amount`` (of the order)."""

    words: Words = Field(min_length=1)
    share_percent: Percent | None = None
    amount: Yuan | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.share_percent is None) == (self.amount is None):
            raise ValueError("give either share_percent or amount")
        return self


class BulkStep(_Part):
    from_quantity: Annotated[int, Field(strict=True, ge=2)]
    discount_percent: Percent


class TierDiscounts(_Part):
    white: Percent = 0
    gray: Percent = 0
    black: Percent = 0


class NegotiationPolicy(_Part):
    """``steps_percent``: how far below the quote each round of haggling may end, the last one for
    all rounds that follow; after ``rounds`` of them a person talks. The floor always holds.
    """

    steps_percent: tuple[Percent, ...] = Field((5, 8), min_length=1)
    never_below_floor: Literal[True] = True
    rounds: Annotated[int, Field(strict=True, ge=0, le=20)] = 3

    @field_validator("steps_percent")
    @classmethod
    def _rising(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        _check_rising(list(steps), "steps_percent")
        return steps

    def step(self, round_no: int) -> int:
        """``round_no`` counts from 1."""
        return self.steps_percent[min(max(round_no, 1), len(self.steps_percent)) - 1]


class ApprovalRule(_Part):
    """Quotes that a person approves first: of at least ``from_total``, or for ``services``."""

    from_total: Yuan | None = None
    services: tuple[str, ...] = ()


class PictureNeeds(_Part):
    """What a picture must be for the work to make sense, else the customer is asked for a better
    one (``clarify``) or a designer looks first (``person``). ``min_side`` in pixels.
    """

    min_side: Annotated[int, Field(strict=True, ge=1)] = 32
    min_sharpness: Sharpness | None = None
    otherwise: Literal["clarify", "person"] = "clarify"


class Service(_Part):
    """``base`` and ``floor`` are per item.

    ``text_priced``: the amount of text on the picture counts. ``starting_price``: the base is
    where the price begins, and a designer settles it. ``fastest_hours``: nobody does it in less.
    ``workflow``: who does the work; a designer where the price only begins, else we ourselves.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str = Field(min_length=1)
    unit: str = "张"
    keywords: Words = Field(min_length=1)
    base: Yuan
    floor: Yuan
    sizes: tuple[SizeStep, ...] = ()
    difficulties: tuple[DifficultyStep, ...] = ()
    text_priced: bool = False
    starting_price: bool = False
    needs: PictureNeeds = PictureNeeds()
    fastest_hours: Annotated[float, Field(gt=0, le=10_000)] | None = None
    workflow: Workflow = Workflow.PROCESS

    @model_validator(mode="before")
    @classmethod
    def _default_workflow(cls, data: Any) -> Any:
        if isinstance(data, dict) and "workflow" not in data and data.get("starting_price") is True:
            return {**data, "workflow": Workflow.DESIGN}
        return data

    @field_validator("floor")
    @classmethod
    def _not_over_base(cls, floor: int, info: ValidationInfo) -> int:
        if floor > info.data.get("base", floor):
            raise ValueError("the floor is above the base price")
        return floor

    @field_validator("sizes")
    @classmethod
    def _rising(cls, sizes: tuple[SizeStep, ...]) -> tuple[SizeStep, ...]:
        _check_limits([step.max_pixels for step in sizes], "max_pixels")
        return sizes


def _check_limits(limits: list[int | None], name: str) -> None:
    if not limits:
        return
    if limits[-1] is not None or None in limits[:-1]:
        raise ValueError(f"the last step, and only the last, has no {name}")
    bounded = [limit for limit in limits if limit is not None]
    if bounded != sorted(set(bounded)):
        raise ValueError(f"{name} must rise from step to step")


def _check_rising(values: list[int], name: str) -> None:
    if values != sorted(values):
        raise ValueError(f"{name} must not fall from step to step")


def _check_known(service: str, info: ValidationInfo) -> None:
    services = info.data.get("services")  # missing where they are wrong themselves
    if services is not None and service not in [known.id for known in services]:
        raise ValueError(f"{service!r} is none of the services")


T = TypeVar("T")


class _Phrases(Generic[T]):
    """Finds words in folded text in one pass; a negated word (「不加急」) is not found.

    「做*logo」 also finds 「做火锅店logo」: the gap is a few characters of one clause.
    """

    def __init__(self, owners: Iterable[tuple[str, T]]) -> None:
        owned = dict(owners)
        self._owners = {word: owner for word, owner in owned.items() if _GAP not in word}
        self._pattern = _any_of(self._owners)
        self._gapped = [
            (word.rpartition(_GAP)[2], _gap_pattern(word), word, owner)
            for word, owner in owned.items()
            if _GAP in word
        ]

    def find(self, text: str) -> Iterator[tuple[str, T]]:
        """Each place's longest word, overlapping words included."""
        position = 0
        while match := self._pattern.search(text, position):
            position = match.start() + 1
            if not _negated(text, match.start()):
                yield match[0], self._owners[match[0]]
        for tail, pattern, word, owner in self._gapped:
            found = pattern.search(text) if tail in text else None
            if found and not _negated(text, found.start()):
                yield word, owner

    def any(self, text: str) -> bool:
        return next(self.find(text), None) is not None


def _gap_pattern(word: str) -> re.Pattern[str]:
    return re.compile(_IN_ONE_CLAUSE.join(map(re.escape, word.split(_GAP))))


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _negated(text: str, start: int) -> bool:
    before = text[max(0, start - 4) : start]
    return before.endswith(_NEGATIONS) and not before.endswith(_NOT_NEGATIONS)


def _squash(text: str) -> str:
    return _MEASURE.sub("", text)


class PriceBook(_Part):
    """``default_service`` prices «what does this picture cost» when no service is named."""

    version: str = Field(min_length=1)
    currency: Literal["CNY"]
    valid_hours: Annotated[int, Field(strict=True, gt=0)]
    services: tuple[Service, ...] = Field(min_length=1)
    default_service: str | None = None
    text: TextPricing = TextPricing()
    rush: RushRule | None = None
    bulk: tuple[BulkStep, ...] = ()
    tiers: TierDiscounts = TierDiscounts()
    negotiation: NegotiationPolicy = NegotiationPolicy()
    approval: ApprovalRule = ApprovalRule()

    _index: "_Index" = PrivateAttr()

    @field_validator("services")
    @classmethod
    def _no_two_alike(cls, services: tuple[Service, ...]) -> tuple[Service, ...]:
        owners: dict[str, str] = {}
        for service in services:
            for key in {service.id, *(_squash(fold(word)) for word in service.keywords)}:
                if len(key.replace(_GAP, "")) < 2:
                    raise ValueError(f"a keyword of {service.id!r} says too little: {key!r}")
                if key in owners:
                    raise ValueError(f"{key!r} belongs to {owners[key]!r} and {service.id!r}")
                owners[key] = service.id
        return services

    @field_validator("default_service")
    @classmethod
    def _exists(cls, default: str | None, info: ValidationInfo) -> str | None:
        if default is not None:
            _check_known(default, info)
        return default

    @field_validator("approval")
    @classmethod
    def _of_the_services(cls, approval: ApprovalRule, info: ValidationInfo) -> ApprovalRule:
        for service in approval.services:
            _check_known(service, info)
        return approval

    @field_validator("bulk")
    @classmethod
    def _rising(cls, bulk: tuple[BulkStep, ...]) -> tuple[BulkStep, ...]:
        quantities = [step.from_quantity for step in bulk]
        if quantities != sorted(set(quantities)):
            raise ValueError("from_quantity must rise from step to step")
        _check_rising([step.discount_percent for step in bulk], "discount_percent")
        return bulk

    def model_post_init(self, context: Any, /) -> None:
        self._index = _Index(self)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ConfigurationError, whose ``variable`` is the first key that is wrong and whose
        ``reason`` names every fault with its line."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except ValidationError as error:
            raise _configuration_error(error, text) from None
        except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
            reason = " ".join(str(error).split())
            raise ConfigurationError("price_book", reason, "a YAML document") from None

    def service(self, service_id: str) -> Service | None:
        return self._index.services.get(service_id)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of what the book says: the same for files that differ in comments only."""
        return self._index.fingerprint


class _Index:
    """The book's words, compiled once: pydantic's private attributes are slow to reach."""

    def __init__(self, book: PriceBook) -> None:
        self.services = {service.id: service for service in book.services}
        self.fingerprint = sha256(book.model_dump_json().encode()).hexdigest()[:16]
        self.keywords = _Phrases(
            (_squash(fold(word)), service.id)
            for service in book.services
            for word in service.keywords
        )
        self.difficulties = {service.id: _difficulty_words(service) for service in book.services}
        self.rush = _Phrases((fold(word), None) for word in (book.rush.words if book.rush else ()))
        self.heavy = _Phrases((fold(word), None) for word in book.text.heavy_words)
        self.plain = self._words_of_a_bare_question(book)

    def _words_of_a_bare_question(self, book: PriceBook) -> re.Pattern[str]:
        default = self.services.get(book.default_service or "")
        steps = default.difficulties if default else ()
        own = [*book.text.heavy_words, *(book.rush.words if book.rush else ())]
        own += [word for step in steps for word in step.words]
        return _any_of(
            {fold(word) for word in (*own, *_ASKS, *_PICTURES, *_SMALL_WORDS, *_NEGATIONS)}
        )


def _difficulty_words(service: Service) -> _Phrases[DifficultyStep]:
    return _Phrases((fold(word), step) for step in service.difficulties for word in step.words)


def _configuration_error(error: ValidationError, text: str) -> ConfigurationError:
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    faults = []
    for fault in error.errors(include_url=False):
        key = ".".join(["price_book", *map(str, fault["loc"])])
        line = _line_of(document, fault["loc"])
        faults.append((key, f"{fault['msg'].removeprefix('Value error, ')} (line {line})"))
    key, reason = faults[0]
    reason = "; ".join([reason, *(f"{other}: {what}" for other, what in faults[1:])])
    return ConfigurationError(key, reason, "a price book like engine/defaults/price_book.yaml")


def _line_of(node: yaml.Node | None, path: Sequence[int | str]) -> int:
    """Where the key stands, or what it is missing from; lines count from 1."""
    line = node.start_mark.line if node is not None else 0
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        else:
            break
    return line + 1


@dataclass(frozen=True, slots=True)
class Measured:
    """What pricing takes of one picture; sizes in pixels. None: nobody has measured it."""

    width: int | None = None
    height: int | None = None
    text_chars: int | None = None
    sharpness: float | None = None
    kind: PictureKind | None = None

    @property
    def pixels(self) -> int | None:
        if not self.width or not self.height or self.width < 0 or self.height < 0:
            return None
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What is known of the order. The measured facts are of its one picture; where there are
    several, ``pictures`` has them, and each is priced by its own.

    None means unknown: quantity and amount of text are then read from ``text``.
    """

    text: str
    has_image: bool = False
    width: int | None = None
    height: int | None = None
    text_chars: int | None = None
    quantity: int | None = None
    level: str = "gray"
    service: str | None = None
    sharpness: float | None = None
    kind: PictureKind | None = None
    pictures: tuple[Measured, ...] = ()

    @property
    def measured(self) -> tuple[Measured, ...]:
        one = Measured(self.width, self.height, self.text_chars, self.sharpness, self.kind)
        return self.pictures or (one,)


def measure(facts: PictureFacts) -> Measured:
    chars = facts.text_chars if facts.text_read else None
    return Measured(facts.width, facts.height, chars, facts.sharpness, facts.kind)


def request_for(
    pictures: Sequence[PictureFacts],
    text: str,
    *,
    level: str = "gray",
    service: str | None = None,
    quantity: int | None = None,
) -> QuoteRequest:
    """A request about pictures that were looked at."""
    measured = tuple(measure(facts) for facts in pictures)
    return QuoteRequest(
        text,
        has_image=bool(measured),
        quantity=quantity,
        level=level,
        service=service,
        pictures=measured,
    )


def find_service(book: PriceBook, request: QuoteRequest) -> str | None:
    """The service asked for: named by the caller, else by the longest keyword in the text.

    A bare «how much is this picture?» is the default service; another good's price is None.
    """
    return _find_service(book, request, fold(request.text))


def _find_service(book: PriceBook, request: QuoteRequest, text: str) -> str | None:
    index = book._index
    if request.service in index.services:
        return request.service
    named = max(index.keywords.find(_squash(text)), key=lambda hit: len(hit[0]), default=None)
    if named:
        return named[1]
    return book.default_service if _is_bare_question(index, request, text) else None


def _is_bare_question(index: _Index, request: QuoteRequest, text: str) -> bool:
    """Whether ``text`` asks about a picture and names nothing else that could be priced."""
    if not any(word in text for word in _ASKS):
        return False
    if not request.has_image and not any(word in text for word in _PICTURES):
        return False
    rest = index.plain.sub("", _TEXT_CHARS.sub("", _QUANTITY.sub("", text)))
    return not _PUNCTUATION.sub("", rest)


def quote(book: PriceBook, request: QuoteRequest) -> Quote | None:
    """None when nothing that the book prices is asked for."""
    text = fold(request.text)
    service = book.service(_find_service(book, request, text) or "")
    if service is None:
        return None
    quantity, pictures = _quantity(request, text), _pictures(request, text)
    said, more = _said_chars(book, text), _added_chars(text)
    pictures = tuple(replace(one, text_chars=_chars(one, said, more)) for one in pictures)
    items = list(_work_items(book, service, text, pictures, quantity))
    work = sum(item.amount for item in items)
    items += _order_items(book, service, request.level, text, work, quantity)
    floor = service.floor * quantity
    items += _floor_item(service, sum(item.amount for item in items), floor)
    return Quote(
        service=service.id,
        service_name=service.name,
        items=tuple(items),
        total=sum(item.amount for item in items),
        floor=floor,
        valid_hours=book.valid_hours,
        book_version=book.version,
        quantity=quantity,
        estimate=service.starting_price or _unmeasured(service, pictures, quantity),
    )


def _unmeasured(service: Service, pictures: tuple[Measured, ...], quantity: int) -> bool:
    """Whether facts that the price hangs on are missing."""
    no_size = bool(service.sizes) and any(one.pixels is None for one in pictures)
    no_text = service.text_priced and any(one.text_chars is None for one in pictures)
    unseen = 1 < len(pictures) < quantity and (bool(service.sizes) or service.text_priced)
    return no_size or no_text or unseen


def _work_items(
    book: PriceBook,
    service: Service,
    text: str,
    pictures: tuple[Measured, ...],
    quantity: int,
) -> Iterator[QuoteItem]:
    """The price of one item, times ``quantity``; of several pictures, each by its own facts."""
    start = "起步价" if service.starting_price else "单价"
    per_item = f"{format_yuan(service.base)}/{service.unit}"
    yield QuoteItem(service.name, service.base * quantity, f"{start} {per_item} × {quantity}")
    if len(pictures) == 1:
        for label, amount, reason in _surcharges(book, service, text, pictures[0]):
            yield QuoteItem(label, amount * quantity, reason)
    else:
        surcharges = [list(_surcharges(book, service, text, one)) for one in pictures]
        yield from _collected(surcharges, service.unit)


Surcharge = tuple[str, int, str]
"""Label, amount and reason of one picture's line."""


def _surcharges(book: PriceBook, service: Service, text: str, one: Measured) -> Iterator[Surcharge]:
    price = service.base
    for found in (
        _size_surcharge(service, one.pixels),
        _difficulty_surcharge(book, service, text, one),
    ):
        price += found[1]
        if found[1]:
            yield found
    amount, reason = _text_surcharge(book, service, price, one.text_chars)
    if amount:
        yield "文字加价", amount, reason


def _collected(surcharges: list[list[Surcharge]], unit: str) -> Iterator[QuoteItem]:
    """One line for each label; its reason says which of the pictures it is for."""
    amounts: dict[str, int] = {}
    numbers: dict[str, dict[str, list[int]]] = {}
    for number, lines in enumerate(surcharges, 1):
        for label, amount, reason in lines:
            amounts[label] = amounts.get(label, 0) + amount
            numbers.setdefault(label, {}).setdefault(reason, []).append(number)
    for label, amount in amounts.items():
        reasons = [
            f"第 {'、'.join(map(str, which))} {unit}{reason}"
            for reason, which in numbers[label].items()
        ]
        yield QuoteItem(label, amount, "；".join(reasons))


def _size_surcharge(service: Service, pixels: int | None) -> Surcharge:
    if pixels is None or not service.sizes:
        return "", 0, ""
    step = next(s for s in service.sizes if s.max_pixels is None or pixels <= s.max_pixels)
    size = f"图片约 {pixels / 10_000:.0f} 万像素"
    return "尺寸加价", step.surcharge, f"{size}，每{service.unit}加 {format_yuan(step.surcharge)}"


def _difficulty_surcharge(book: PriceBook, service: Service, text: str, one: Measured) -> Surcharge:
    """What was measured goes before what was said where both lead to the same price."""
    steps = [(_measurement(step, one), step) for step in service.difficulties]
    hits = [(reason, step) for reason, step in steps if reason]
    hits += [(f"您提到「{word}」", step) for word, step in _said(book, service, text)]
    reason, step = max(hits, key=lambda hit: hit[1].surcharge, default=("", None))
    if step is None:
        return "", 0, ""
    added = f"每{service.unit}加 {format_yuan(step.surcharge)}"
    return step.label, step.surcharge, f"{reason}，{added}"


def _said(book: PriceBook, service: Service, text: str) -> Iterator[tuple[str, DifficultyStep]]:
    return book._index.difficulties[service.id].find(text)


_KIND_NAMES = {
    PictureKind.PHOTO: "照片",
    PictureKind.TEXT: "文字图",
    PictureKind.LOGO: "标志",
    PictureKind.SCREENSHOT: "截图",
    PictureKind.DOCUMENT: "证件或文书",
    PictureKind.BLANK: "空白图",
}


def _measurement(step: DifficultyStep, one: Measured) -> str:
    """Why the picture itself is of this step, "" if it is not."""
    limit, found = step.sharpness_below, one.sharpness
    if limit is not None and found is not None and found < limit:
        return f"图片实测清晰度 {as_points(found)} 分（满分 100）"
    if one.kind is not None and one.kind in step.kinds:
        return f"图片看起来是{_KIND_NAMES[one.kind]}"
    return ""


def as_points(share: float) -> int:
    """0 to 1 as customers read it: 0 to 100, rounded down."""
    return int(round(100 * min(max(share, 0.0), 1.0), 6))


def _text_surcharge(
    book: PriceBook, service: Service, price: int, chars: int | None
) -> tuple[int, str]:
    """``price``: of one item before its text."""
    if not service.text_priced or not chars or not book.text.bands:
        return 0, ""
    band = next(b for b in book.text.bands if b.max_chars is None or chars <= b.max_chars)
    amount = max(band.surcharge, band.item_at_least - price)
    return amount, f"图中文字约 {chars} 个，每{service.unit}加 {format_yuan(amount)}"


def _order_items(
    book: PriceBook, service: Service, level: str, text: str, work: int, quantity: int
) -> Iterator[QuoteItem]:
    """Rush and discounts. The rush fee is never discounted; the tier counts after the bulk."""
    if book.rush and book._index.rush.any(text) and (fee := _rush_item(book.rush, work)).amount:
        yield fee
    bulk = next((step for step in reversed(book.bulk) if quantity >= step.from_quantity), None)
    if bulk and (off := work * bulk.discount_percent // 100):
        work -= off
        reason = f"满 {bulk.from_quantity} {service.unit}优惠 {bulk.discount_percent}%"
        yield QuoteItem("批量优惠", -off, reason)
    percent = _tier_percent(book.tiers, level)
    if off := work * percent // 100:
        yield QuoteItem("会员优惠", -off, f"您的客户等级优惠 {percent}%")


def _rush_item(rush: RushRule, work: int) -> QuoteItem:
    if rush.amount is not None:
        return QuoteItem("加急费", rush.amount, f"加急每单加 {format_yuan(rush.amount)}")
    share = rush.share_percent or 0
    return QuoteItem("加急费", work * share // 100, f"加急按制作费加收 {share}%")


def _tier_percent(tiers: TierDiscounts, level: str) -> int:
    return {"white": tiers.white, "gray": tiers.gray, "black": tiers.black}.get(level, 0)


def _floor_item(service: Service, total: int, floor: int) -> Iterator[QuoteItem]:
    if total < floor:
        reason = f"优惠后不低于最低价 {format_yuan(service.floor)}/{service.unit}"
        yield QuoteItem("最低价补足", floor - total, reason)


def _quantity(request: QuoteRequest, text: str) -> int:
    """The largest count named: 「一张多少钱，我有20张」 is an order of 20."""
    if request.quantity is not None:
        return min(max(1, request.quantity), MAX_QUANTITY)
    sent = len(_pictures(request, text))
    return min(max([1, sent, *_numbers(_QUANTITY, text)]), MAX_QUANTITY)


def _pictures(request: QuoteRequest, text: str) -> tuple[Measured, ...]:
    """Several pictures that are to become fewer are priced as the hardest of them."""
    pictures = request.measured
    fewer = request.quantity is not None and request.quantity < len(pictures)
    if len(pictures) > 1 and (fewer or _TOGETHER.search(text)):
        return (_hardest(pictures),)
    return pictures


def _hardest(pictures: tuple[Measured, ...]) -> Measured:
    largest = max(pictures, key=lambda one: one.pixels or 0)
    chars = [one.text_chars for one in pictures if one.text_chars is not None]
    sharpness = [one.sharpness for one in pictures if one.sharpness is not None]
    return replace(
        largest,
        text_chars=max(chars, default=None),
        sharpness=min(sharpness, default=None),
    )


def _said_chars(book: PriceBook, text: str) -> int | None:
    """The amount of text that the customer speaks of."""
    if counts := _numbers(_TEXT_CHARS, text):
        return max(counts)
    return book.text.heavy_chars if book._index.heavy.any(text) else None


def _added_chars(text: str) -> int:
    """Of the text that is to be put on the picture beside what it has: 「加一行“全场五折”」."""
    written = sum(len(letters(match[1])) for match in _ADDED_TEXT.finditer(text))
    counted = [_number(match[1]) for match in _ADDED_CHARS.finditer(text)]
    return written + sum(counted)


def _chars(one: Measured, said: int | None, more: int) -> int | None:
    if one.text_chars is None:
        return max(said or 0, more) if said is not None or more else None
    return one.text_chars + more


def _numbers(pattern: re.Pattern[str], text: str) -> list[int]:
    return [
        _number(match[1])
        for match in pattern.finditer(text)
        if text[match.start() - 1 : match.start()] not in _NOT_A_COUNT
    ]


def _number(written: str) -> int:
    """「25」, 「二十五」 and 「百」 as numbers up to 9999."""
    if written.isdecimal():
        return int(written)
    total, digit = 0, None
    for char in written:
        if char in _UNITS:
            total += (1 if digit is None else digit) * _UNITS[char]
            digit = None
        else:
            digit = _DIGITS[char]
    return total + (digit or 0)


def approval_reasons(book: PriceBook, offered: Quote) -> tuple[str, ...]:
    """Why a person has to approve ``offered`` before the customer sees it; empty: nobody has to."""
    rule, reasons = book.approval, []
    if rule.from_total is not None and offered.total >= rule.from_total:
        reasons.append(
            f"报价 {format_yuan(offered.total)}，达到需审批的 {format_yuan(rule.from_total)}"
        )
    if offered.service in rule.services:
        reasons.append(f"「{offered.service_name}」的报价需要审批")
    return tuple(reasons)


def quote_lines(offered: Quote) -> str:
    """The items as every reply lists them, one a line."""
    return "\n".join(
        f"· {item.label} {format_yuan(item.amount)}({item.reason})" for item in offered.items
    )


def format_yuan(fen: int) -> str:
    """2500 is 「25元」, 2350 is 「23.50元」."""
    yuan, rest = divmod(abs(fen), 100)
    sign = "-" if fen < 0 else ""
    return f"{sign}{yuan}.{rest:02d}元" if rest else f"{sign}{yuan}元"
