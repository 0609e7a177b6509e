"""Separates a subject from a background of nearly one colour, or says why it cannot. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_RING_SHARE = 0.01
_ALIKE = 0.92
"""Share of the border that must have the background's colour."""
_ALIKE_ABOVE = 0.97
"""The same where only the lower border is covered: a bust reaches out of the picture there."""
_PORTRAIT_SIDES = 0.55
_UNEVEN = 13
_WEAK_EDGE = 0.3
_SMALLEST_PART = 0.001
_CROSS = np.ones((3, 3), np.uint8)
_FEATHER = 2
_REACH = 7
_SMALLEST_HOLE = 0.002
_LEAST, _MOST = 0.03, 0.97


class NotUniform(ValueError):
    """``reason`` in Chinese: why the background cannot be told from the subject by colour."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Cut:
    """``alpha`` 0 (background) to 255; ``colours`` without the background's shine at the edge.

    ``holes``: enclosed areas of the background's colour that were left as they are.
    """

    colours: Pixels
    alpha: Pixels
    background: tuple[int, int, int]
    share: float
    holes: int


def cut_out(colours: Pixels, tolerance: int | None = None) -> Cut:
    """``colours``: height × width × 3. ``tolerance``: of any channel, 1..80; None measures the
    border's own unevenness. Raises NotUniform."""
    background, spread = _colour_of_border(colours)
    limit = tolerance if tolerance is not None else spread
    distance = _distance(colours, background)
    near: Mask = distance <= limit
    _check_border(near)
    outside = _reached_from_border(near)
    share = float(outside.mean())
    if not _LEAST <= share <= _MOST:
        raise NotUniform(f"背景只占画面的 {share:.0%},不像是纯色背景上的主体")
    _check_edge(outside, distance, limit)
    alpha = _alpha(outside, distance)
    return Cut(_without_shine(colours, alpha, background), alpha, background, share,
               _holes(near, outside))  # fmt: skip


def border_share(colours: Pixels, colour: tuple[int, int, int], tolerance: int = 24) -> float:
    """Share of the border's pixels that have ``colour``."""
    return float((_distance(_ring(colours)[None], colour) <= tolerance).mean())


def _thickness(shape: tuple[int, ...]) -> int:
    return max(1, round(min(shape[:2]) * _RING_SHARE))


def _ring(values: Pixels) -> Pixels:
    """The pixels of the border, one after the other."""
    deep = _thickness(values.shape)
    sides = (values[:deep], values[-deep:], values[:, :deep], values[:, -deep:])
    return np.concatenate([side.reshape(-1, *values.shape[2:]) for side in sides])


def _colour_of_border(colours: Pixels) -> tuple[tuple[int, int, int], int]:
    ring = _ring(colours)
    middle = np.median(ring, axis=0)
    off = np.abs(ring.astype(np.int16) - middle).max(axis=1)
    # The median of what is off is blind to a subject that touches the border.
    uneven = float(np.median(off))
    if uneven > _UNEVEN:
        raise NotUniform("画面四周的颜色不均匀,按颜色无法分出背景")
    spread = int(np.clip(4 * uneven + 12, 14, 44))
    red, green, blue = (round(float(value)) for value in middle)
    return (red, green, blue), spread


def _distance(colours: Pixels, background: tuple[int, int, int]) -> Pixels:
    plain = np.array(background, np.int16)
    distance = np.empty(colours.shape[:2], np.uint8)
    for top in range(0, len(colours), 256):
        rows = colours[top : top + 256].astype(np.int16)
        distance[top : top + 256] = np.abs(rows - plain).max(axis=2)
    return distance


def _check_border(near: Mask) -> None:
    flags = near.astype(np.uint8)
    if _ring(flags).mean() >= _ALIKE:
        return
    deep = _thickness(near.shape)
    upper = near[: round(len(near) * _PORTRAIT_SIDES)]
    sides = (near[:deep], upper[:, :deep], upper[:, -deep:])
    if min(float(side.mean()) for side in sides) < _ALIKE_ABOVE:
        raise NotUniform("画面四周不是同一种颜色,按颜色无法分出背景")


def _reached_from_border(near: Mask) -> Mask:
    _, labels = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
    numbers = np.asarray(labels)
    edges = (numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1])
    touching = np.zeros(int(numbers.max()) + 1, np.bool_)
    for edge in edges:
        touching[edge] = True
    touching[0] = False
    reached: Mask = touching[numbers]
    return reached


def _check_edge(outside: Mask, distance: Pixels, limit: int) -> None:
    """Where a part of the subject hardly differs from the background, its edge is not where it
    seems, or it is background itself."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~outside).astype(np.uint8))
    numbers, areas = np.asarray(labels), np.asarray(stats)[:, cv2.CC_STAT_AREA]
    edge = (np.asarray(cv2.dilate(outside.astype(np.uint8), _CROSS)) > 0) & ~outside
    strongest = np.asarray(cv2.dilate(distance, np.ones((_REACH, _REACH), np.uint8)))
    weak = edge & (strongest < 2 * limit)
    lengths = np.bincount(numbers[edge], minlength=len(areas))
    weakness = np.bincount(numbers[weak], minlength=len(areas)) / np.maximum(lengths, 1)
    parts = areas >= _SMALLEST_PART * outside.size
    parts[0] = False
    if bool((weakness[parts] > _WEAK_EDGE).any()):
        raise NotUniform("主体边缘与背景颜色太接近,按颜色抠出来边缘会缺损")


def _alpha(outside: Mask, distance: Pixels) -> Pixels:
    """At the edge a pixel is a mixture, as much subject as its colour is on the way to it."""
    size = 2 * _FEATHER + 1
    kernel = np.ones((size, size), np.uint8)
    band = (np.asarray(cv2.dilate(outside.astype(np.uint8), kernel)) > 0) & ~outside
    strongest = np.asarray(cv2.dilate(distance, np.ones((_REACH, _REACH), np.uint8)))
    alpha = np.where(outside, 0, 255).astype(np.uint8)
    part = distance[band].astype(np.float32) / np.maximum(strongest[band], 1)
    alpha[band] = np.clip(part * 255, 0, 255).astype(np.uint8)
    return alpha


def _without_shine(colours: Pixels, alpha: Pixels, background: tuple[int, int, int]) -> Pixels:
    mixed = (alpha > 0) & (alpha < 255)
    clean = colours.copy()
    part = np.maximum(alpha[mixed].astype(np.float32) / 255, 0.1)[:, None]
    plain = np.array(background, np.float32)
    clean[mixed] = np.clip(plain + (colours[mixed] - plain) / part, 0, 255).astype(np.uint8)
    return clean


def _holes(near: Mask, outside: Mask) -> int:
    inside = (near & ~outside).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    areas = np.asarray(stats)[1:, cv2.CC_STAT_AREA]
    return int((areas >= _SMALLEST_HOLE * inside.size).sum())
