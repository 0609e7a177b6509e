"""The steps of work on pictures that can be done without a person; each says what it tried.

Finding: library, then search service. Processing: an exact plan at once; else the images provider,
then the offline plan. The graph that they belong to is `graphs.order_work`.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from domain.errors import InvalidInput, KefuError, PeerError
from domain.orders import Workflow
from domain.pictures import PictureFacts
from tools.pictures.checks import check
from tools.pictures.decoding import Limits
from tools.pictures.inspect import distance, inspect
from tools.pictures.library import MAX_DISTANCE, Found, ImageFinder
from tools.pictures.operations import Background, perform
from tools.pictures.plans import Plan, finish_of, plan_of
from tools.pictures.provider import Asked, ImagesClient

log = logging.getLogger(__name__)

MAX_PICTURES = 9
_LOOKED_AT = 3
Tried = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkflowOrder:
    """``facts``: of the customer's pictures, in their order. ``words``: what to search for."""

    workflow: Workflow
    service: str
    requirements: tuple[str, ...]
    facts: tuple[PictureFacts, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What there is to work with. ``read``: a picture's bytes by its sha256 (`PictureStore.read`).

    ``timeout``: seconds for a whole order."""

    read: Callable[[str], Awaitable[bytes]]
    library: ImageFinder | None = None
    search: ImageFinder | None = None
    images: ImagesClient | None = None
    timeout: float = 240.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``said``: lines in Chinese for the customer. ``tried``: ``{"by", "result", "reason"}`` each,
    for the designer and the order's history. ``reason``: why it goes to a designer."""

    kind: Literal["delivered", "designer"]
    pictures: tuple[bytes, ...] = ()
    said: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """Pictures that passed their checks, and lines for the customer."""

    pictures: tuple[bytes, ...]
    said: tuple[str, ...]


class GiveUp(Exception):
    """It is a designer's; ``reason`` in Chinese."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class _Bench:
    order: WorkflowOrder
    shop: Workshop
    tried: list[Tried]

    def note(self, by: str, result: str, reason: str = "") -> None:
        self.tried.append({"by": by, "result": result, "reason": reason})


# ---- finding ----


async def find_pictures(order: WorkflowOrder, shop: Workshop, tried: list[Tried]) -> Made:
    """``tried`` is added to. Raises GiveUp, PeerError or InvalidInput."""
    bench = _Bench(order, shop, tried)
    _check_number(order)
    wanted: Sequence[PictureFacts | None] = bench.order.facts or (None,)
    pictures: list[bytes] = []
    said: list[str] = []
    for facts in wanted:
        picture, line = await _find(bench, facts)
        pictures.append(picture)
        said.append(line)
    return Made(tuple(pictures), tuple(said))


async def _find(bench: _Bench, facts: PictureFacts | None) -> tuple[bytes, str]:
    if facts is None and not bench.order.words:
        raise GiveUp("没有图片也没有说明要找什么")
    sent = await bench.shop.read(facts.sha256) if facts else None
    for name, finder in (("图库", bench.shop.library), ("找图服务", bench.shop.search)):
        if finder is None:
            continue
        try:
            results = await finder.find(facts, bench.order.words, sent)
            found = await _first_good(bench, name, finder, results, facts)
        except (PeerError, InvalidInput) as error:
            bench.note(name, "failed", _reason(error))
            continue
        if found is not None:
            return found
    raise GiveUp("没有找到更清晰的原图")


async def _first_good(
    bench: _Bench, name: str, finder: ImageFinder, results: Sequence[Found],
    facts: PictureFacts | None,
) -> tuple[bytes, str] | None:  # fmt: skip
    if not results:
        bench.note(name, "nothing", "没有相近的图片")
    for found in results[:_LOOKED_AT]:
        try:
            picture = await finder.read(found)
            seen = await asyncio.to_thread(_facts_of, picture)
        except (PeerError, InvalidInput) as error:
            bench.note(name, "failed", f"{found.path}:{_reason(error)}")
            continue
        reason = _against(seen, facts)
        bench.note(name, "rejected" if reason else "found", f"{found.path} {reason}".strip())
        if not reason:
            return picture, f"已找到原图,{seen.width}×{seen.height}"
    return None


def _facts_of(picture: bytes) -> PictureFacts:
    return inspect(picture, hashlib.sha256(picture).hexdigest(), Limits())


def _against(seen: PictureFacts, asked: PictureFacts | None) -> str:
    """What a search says of its own results is not believed."""
    if asked is None:
        return ""
    if seen.sha256 == asked.sha256 or seen.pixels <= asked.pixels:
        return "不比客户的图大"
    if not asked.phash or distance(seen.phash, asked.phash) > MAX_DISTANCE:
        return "画面和客户的图不一样"
    return ""


# ---- processing ----


async def process_pictures(order: WorkflowOrder, shop: Workshop, tried: list[Tried]) -> Made:
    """As `find_pictures`."""
    bench = _Bench(order, shop, tried)
    _check_number(order)
    if not order.facts:
        raise GiveUp("没有可处理的图片")
    pictures: list[bytes] = []
    said: list[str] = []
    for facts in order.facts:
        picture, lines = await _process(bench, facts)
        pictures.append(picture)
        said += lines
    return Made(tuple(pictures), tuple(dict.fromkeys(said)))


def _check_number(order: WorkflowOrder) -> None:
    if len(order.facts) > MAX_PICTURES:
        raise GiveUp(f"图片多于 {MAX_PICTURES} 张")


async def _process(bench: _Bench, facts: PictureFacts) -> tuple[bytes, tuple[str, ...]]:
    order, shop = bench.order, bench.shop
    before = await shop.read(facts.sha256)
    plan = plan_of(order.requirements, order.service, facts)
    if shop.images is not None and not (plan and plan.exact):
        made = await _by_provider(bench, shop.images, before, plan, facts)
        if made is not None:
            return made, ("已按您的要求处理好图片",)
    if plan is None:
        raise GiveUp("要求里有需要设计师动手的内容")
    return await _offline(bench, before, plan)


async def _by_provider(
    bench: _Bench, images: ImagesClient, before: bytes, plan: Plan | None, facts: PictureFacts
) -> bytes | None:
    clear = any(
        isinstance(step, Background) and step.colour is None
        for step in (plan.operations if plan else ())
    )
    asked = Asked("\n".join(bench.order.requirements), transparent=clear)
    finish = finish_of(bench.order.requirements, facts)
    try:
        after = await images.edit(before, asked)
        if finish:
            after = (await asyncio.to_thread(perform, after, finish.operations)).data
    except (PeerError, InvalidInput) as error:
        bench.note("图片模型", "failed", _reason(error))
        return None
    # A model answers in its own size: times are only promised by the offline plan.
    reasons = await asyncio.to_thread(check, plan or finish, before, after)
    bench.note("图片模型", "rejected" if reasons else "done", ";".join(reasons))
    return None if reasons else after


async def _offline(bench: _Bench, before: bytes, plan: Plan) -> tuple[bytes, tuple[str, ...]]:
    steps = "、".join(type(step).__name__ for step in plan.operations)
    try:
        done = await asyncio.to_thread(perform, before, plan.operations)
    except InvalidInput as error:
        bench.note("本地处理", "failed", f"{steps}:{error.reason}")
        raise GiveUp(error.reason) from error
    reasons = (*done.doubts, *await asyncio.to_thread(check, plan, before, done.data))
    bench.note("本地处理", "rejected" if reasons else "done", ";".join((steps, *reasons)))
    if reasons:
        raise GiveUp(";".join(reasons))
    return done.data, done.said


def _reason(error: KefuError) -> str:
    return error.reason if isinstance(error, InvalidInput | PeerError) else str(error)
