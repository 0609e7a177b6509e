"""The price book: its file, checked. Written in yuan, held in fen (1/100 yuan)."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

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

from domain.errors import ConfigurationError
from domain.orders import Workflow
from domain.pictures import PictureKind
from domain.pricing.words import (
    ASKS,
    GAP,
    NEGATIONS,
    PICTURE_WORDS,
    SMALL_WORDS,
    Phrases,
    any_of,
    squash,
)
from domain.text import fold

_MAX_YUAN = 1_000_000


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

    _index: "Index" = PrivateAttr()

    @field_validator("services")
    @classmethod
    def _no_two_alike(cls, services: tuple[Service, ...]) -> tuple[Service, ...]:
        owners: dict[str, str] = {}
        for service in services:
            for key in {service.id, *(squash(fold(word)) for word in service.keywords)}:
                if len(key.replace(GAP, "")) < 2:
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
        self._index = Index(self)

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


class Index:
    """The book's words, compiled once: pydantic's private attributes are slow to reach."""

    def __init__(self, book: PriceBook) -> None:
        self.services = {service.id: service for service in book.services}
        self.fingerprint = sha256(book.model_dump_json().encode()).hexdigest()[:16]
        self.keywords = Phrases(
            (squash(fold(word)), service.id)
            for service in book.services
            for word in service.keywords
        )
        self.difficulties = {service.id: _difficulty_words(service) for service in book.services}
        self.rush = Phrases((fold(word), None) for word in (book.rush.words if book.rush else ()))
        self.heavy = Phrases((fold(word), None) for word in book.text.heavy_words)
        self.plain = self._words_of_a_bare_question(book)

    def _words_of_a_bare_question(self, book: PriceBook) -> re.Pattern[str]:
        default = self.services.get(book.default_service or "")
        steps = default.difficulties if default else ()
        own = [*book.text.heavy_words, *(book.rush.words if book.rush else ())]
        own += [word for step in steps for word in step.words]
        return any_of(
            {fold(word) for word in (*own, *ASKS, *PICTURE_WORDS, *SMALL_WORDS, *NEGATIONS)}
        )


def _difficulty_words(service: Service) -> Phrases[DifficultyStep]:
    return Phrases((fold(word), step) for step in service.difficulties for word in step.words)


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
