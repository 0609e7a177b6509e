"""Whether a result is good enough to go to the customer unseen. Pure; callers run it in a thread.

A reason against it, in Chinese, is for the designer who gets the work then.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.pictures.decoding import Limits, PictureRefused, read_header
from tools.pictures.operations import CannotDo, Colour, Compress, Convert, hex_of, open_picture
from tools.pictures.plans import Plan, Wanted

Gray = NDArray[np.float32]

_FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
_COMPARED_SIDE = 1_600
_BLANK_SPREAD = 2.0
_SAME_COLOURS = 0.4
_SAME_SHAPE = 0.03
_SHARPER = 1.04
_CLIPPED_MORE = 0.06
_STILL_ALIKE = 0.6
_OF_BORDER = 0.5
_LEAST_TRANSPARENT, _MOST_TRANSPARENT = 0.03, 0.97


def check(plan: Plan | None, before: bytes, after: bytes) -> tuple[str, ...]:
    """Reasons against ``after``. ``plan``: what was to be shown; None where only a model could say,
    then what holds for every result is checked."""
    try:
        old, new = open_picture(before), open_picture(after)
    except CannotDo as error:
        return (f"结果打不开:{error.reason}",)
    if _is_blank(new) and not _is_blank(old):
        return ("结果是空白的",)
    wanted = plan.wanted if plan else Wanted()
    return tuple(
        reason
        for found in (
            _of_the_file(wanted, after),
            _of_size(wanted, old, new),
            _of_colours(wanted, new),
            _of_change(plan, old, new),
            _of_sharpness(wanted, old, new),
        )
        for reason in found
    )


def _is_blank(image: Image.Image) -> bool:
    if image.mode in ("RGBA", "LA"):
        alpha = np.asarray(image.getchannel("A"))
        return float(alpha.max()) < 8
    return float(np.asarray(_small(image)).std()) < _BLANK_SPREAD


def _small(image: Image.Image, side: int = 256) -> Image.Image:
    small = image.convert("RGB")
    small.thumbnail((side, side))
    return small


def _of_the_file(wanted: Wanted, after: bytes) -> Iterator[str]:
    try:
        kind = read_header(after, Limits()).format
    except PictureRefused as error:
        yield error.reason
        return
    if wanted.format and kind != _FORMATS[wanted.format]:
        yield f"格式应是 {wanted.format.upper()},结果是 {kind}"
    if wanted.max_bytes and len(after) > wanted.max_bytes:
        yield f"文件应在 {wanted.max_bytes // 1024}KB 以内,结果有 {len(after) // 1024}KB"


def _of_size(wanted: Wanted, old: Image.Image, new: Image.Image) -> Iterator[str]:
    got = f"结果是 {new.width}×{new.height}"
    if wanted.width and wanted.height:
        if new.size != (wanted.width, wanted.height):
            yield f"尺寸应是 {wanted.width}×{wanted.height},{got}"
        return
    times = wanted.times or 1.0
    if wanted.times and max(abs(new.width - old.width * times),
                            abs(new.height - old.height * times)) > 2:  # fmt: skip
        yield f"应放大 {times:g} 倍,{got}(原图 {old.width}×{old.height})"
    if wanted.reshaped:
        return
    if new.width * new.height < 0.9 * old.width * old.height:
        yield f"比原图小了:{got}(原图 {old.width}×{old.height})"
    if abs(new.width * old.height / (new.height * old.width) - 1) > _SAME_SHAPE:
        yield f"画面比例变了:{got}(原图 {old.width}×{old.height})"


def _of_colours(wanted: Wanted, new: Image.Image) -> Iterator[str]:
    if wanted.transparent:
        yield from _of_transparency(new)
    if wanted.background and _border_share(new, wanted.background) < _OF_BORDER:
        yield f"四周大部分不是要求的背景色 {hex_of(wanted.background)}"
    if wanted.grayscale and _colourfulness(new) > 6:
        yield "应是黑白的,结果还有颜色"


def _of_transparency(new: Image.Image) -> Iterator[str]:
    if new.mode not in ("RGBA", "LA"):
        yield "背景应是透明的,结果没有透明部分"
        return
    alpha = np.asarray(new.getchannel("A"))
    share = float((alpha < 16).mean())
    if not _LEAST_TRANSPARENT <= share <= _MOST_TRANSPARENT:
        yield f"透明部分占画面的 {share:.0%},不像是抠好的主体"
    elif float((_border(alpha) < 16).mean()) < _OF_BORDER:
        yield "四周大部分没有透明"


def _border(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    edges = (values[0], values[-1], values[:, 0], values[:, -1])
    return np.concatenate([edge.reshape(-1, *values.shape[2:]) for edge in edges])


def _border_share(new: Image.Image, colour: Colour) -> float:
    border = _border(np.asarray(new.convert("RGB"))).astype(np.int16)
    return float((np.abs(border - np.array(colour, np.int16)).max(axis=1) <= 24).mean())


def _colourfulness(new: Image.Image) -> float:
    pixels = np.asarray(_small(new)).astype(np.int16)
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean())


def _of_change(plan: Plan | None, old: Image.Image, new: Image.Image) -> Iterator[str]:
    if plan and all(isinstance(step, Convert | Compress) for step in plan.operations):
        return
    if _is_the_same(old, new):
        yield "结果和原图一模一样,没有处理"
        return
    wanted = plan.wanted if plan else Wanted()
    untouched = not (wanted.reshaped or wanted.transparent or wanted.background)
    if untouched and _likeness(old, new) < _STILL_ALIKE:
        yield "画面内容和原图差别太大"


def _is_the_same(old: Image.Image, new: Image.Image) -> bool:
    if old.size != new.size:
        return False
    one, other = (np.asarray(image.convert("RGBA")).astype(np.int16) for image in (old, new))
    return float(np.abs(one - other).mean()) < _SAME_COLOURS


def _likeness(old: Image.Image, new: Image.Image) -> float:
    """Correlation of the two in the large, whatever their sizes: 1 alike, 0 unrelated."""
    one, other = (
        np.asarray(image.convert("L").resize((48, 48), Image.Resampling.BOX)).astype(np.float64)
        for image in (old, new)
    )
    if one.std() < 1 or other.std() < 1:
        return float(abs(one.mean() - other.mean()) < 16)
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _of_sharpness(wanted: Wanted, old: Image.Image, new: Image.Image) -> Iterator[str]:
    if not wanted.sharper:
        return
    size = new.size if max(new.size) <= _COMPARED_SIDE else _small(new, _COMPARED_SIDE).size
    one, other = (_gray(image, size) for image in (old, new))
    if _edges(other) < _SHARPER * _edges(one):
        yield "没有比原图更清晰"
    if _clipped(other) - _clipped(one) > _CLIPPED_MORE:
        yield "锐化过度,亮处暗处丢了细节"


def _gray(image: Image.Image, size: tuple[int, int]) -> Gray:
    resized = image.convert("RGB").convert("L").resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized).astype(np.float32)


def _edges(gray: Gray) -> float:
    """How steep the steepest twentieth is: noise and flat areas have no say."""
    slope = np.hypot(np.diff(gray, axis=1)[:-1], np.diff(gray, axis=0)[:, :-1])
    steep = np.sort(slope.ravel())[-max(1, slope.size // 20) :] if slope.size else slope
    return float(steep.mean()) if steep.size else 0.0


def _clipped(gray: Gray) -> float:
    return float(((gray <= 1) | (gray >= 254)).mean())
