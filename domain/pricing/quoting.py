"""Quotes made from the price book: facts in, line items with reasons out, amounts in fen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from domain.decisions import Quote, QuoteItem
from domain.pictures import PictureFacts, PictureKind
from domain.pricing.book import (
    DifficultyStep,
    Index,
    PriceBook,
    RushRule,
    Service,
    TierDiscounts,
)
from domain.pricing.words import (
    ASKS,
    PICTURE_WORDS,
    PUNCTUATION,
    QUANTITY,
    TEXT_CHARS,
    TOGETHER,
    added_chars,
    numbers,
    squash,
)
from domain.text import fold

MAX_QUANTITY = 10_000


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
    named = max(index.keywords.find(squash(text)), key=lambda hit: len(hit[0]), default=None)
    if named:
        return named[1]
    return book.default_service if _is_bare_question(index, request, text) else None


def _is_bare_question(index: Index, request: QuoteRequest, text: str) -> bool:
    """Whether ``text`` asks about a picture and names nothing else that could be priced."""
    if not any(word in text for word in ASKS):
        return False
    if not request.has_image and not any(word in text for word in PICTURE_WORDS):
        return False
    rest = index.plain.sub("", TEXT_CHARS.sub("", QUANTITY.sub("", text)))
    return not PUNCTUATION.sub("", rest)


def quote(book: PriceBook, request: QuoteRequest) -> Quote | None:
    """None when nothing that the book prices is asked for."""
    text = fold(request.text)
    service = book.service(_find_service(book, request, text) or "")
    if service is None:
        return None
    quantity, pictures = _quantity(request, text), _pictures(request, text)
    said, more = _said_chars(book, text), added_chars(text)
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
    return min(max([1, sent, *numbers(QUANTITY, text)]), MAX_QUANTITY)


def _pictures(request: QuoteRequest, text: str) -> tuple[Measured, ...]:
    """Several pictures that are to become fewer are priced as the hardest of them."""
    pictures = request.measured
    fewer = request.quantity is not None and request.quantity < len(pictures)
    if len(pictures) > 1 and (fewer or TOGETHER.search(text)):
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
    if counts := numbers(TEXT_CHARS, text):
        return max(counts)
    return book.text.heavy_chars if book._index.heavy.any(text) else None


def _chars(one: Measured, said: int | None, more: int) -> int | None:
    if one.text_chars is None:
        return max(said or 0, more) if said is not None or more else None
    return one.text_chars + more


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
