"""Things on a picture that forbid work on it: a company's round seal, a portrait on a card.

Classical checks of colour and shape. They find what is plain to see; a doubtful one is left to the
words that OCR reads.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]
Mask = NDArray[np.uint8]

SEAL = "seal"
PORTRAIT = "portrait"

_SIDE = 800
_ANGLES = np.linspace(0, 2 * np.pi, 90, endpoint=False)


class _Blob(NamedTuple):
    x: int
    y: int
    width: int
    height: int
    area: int


def find_marks(pixels: Colours) -> tuple[str, ...]:
    """``pixels``: RGB. The names of what was found, each once."""
    import cv2

    scale = _SIDE / max(pixels.shape[:2])
    if scale < 1:
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
            dtype=np.uint8,
        )
    colours = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), dtype=np.uint8)
    found = []
    if has_seal(colours):
        found.append(SEAL)
    if has_portrait(pixels, colours):
        found.append(PORTRAIT)
    return tuple(found)


def has_seal(colours: Colours) -> bool:
    """A closed red ring with writing or a star inside, on something that is not red."""
    import cv2

    hue, strength, light = (colours[:, :, channel] for channel in range(3))
    red = (((hue <= 8) | (hue >= 168)) & (strength >= 90) & (light >= 80)).astype(np.uint8)
    closed = np.asarray(
        cv2.morphologyEx(red, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), dtype=np.uint8
    )
    least = max(24, round(0.05 * max(red.shape)))
    return any(_is_seal(closed, blob) for blob in _blobs(closed, least))


def _is_seal(red: Mask, blob: _Blob) -> bool:
    if not 0.85 <= blob.width / blob.height <= 1.18:
        return False
    inside = red[blob.y : blob.y + blob.height, blob.x : blob.x + blob.width]
    filled = float(inside.mean())
    middle = inside[
        blob.height // 5 : -(blob.height // 5) or None, blob.width // 5 : -(blob.width // 5) or None
    ]
    # An empty ring is a button or a frame; a filled one a ball.
    written = 0.03 <= float(middle.mean()) <= 0.6
    return 0.08 <= filled <= 0.65 and written and _ring(inside) >= 0.9


def _ring(inside: Mask) -> float:
    """Share of the directions from the middle that meet red near the rim."""
    high, wide = inside.shape
    hits = np.zeros(len(_ANGLES), dtype=bool)
    for reach in np.linspace(0.86, 1.0, 8):
        x = np.clip((wide - 1) / 2 * (1 + reach * np.cos(_ANGLES)), 0, wide - 1).astype(int)
        y = np.clip((high - 1) / 2 * (1 + reach * np.sin(_ANGLES)), 0, high - 1).astype(int)
        hits |= inside[y, x] > 0
    return float(hits.mean())


def has_portrait(pixels: Colours, colours: Colours) -> bool:
    """A small face-like patch of skin, darker above it, on a calm light card."""
    import cv2

    card = (colours[:, :, 1] <= 70) & (colours[:, :, 2] >= 170)
    if float(card.mean()) < 0.5:
        return False
    tones = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb), dtype=np.uint8)
    skin = (
        (tones[:, :, 1] >= 138) & (tones[:, :, 1] <= 178)
        & (tones[:, :, 2] >= 85) & (tones[:, :, 2] <= 125)
        & (colours[:, :, 1] >= 40) & (tones[:, :, 0] >= 70)
    ).astype(np.uint8)  # fmt: skip
    calm = np.asarray(
        cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), dtype=np.uint8
    )
    least = max(24, round(0.05 * max(skin.shape)))
    return any(_is_face(tones[:, :, 0], calm.size, blob) for blob in _blobs(calm, least))


def _is_face(light: Mask, size: int, blob: _Blob) -> bool:
    proportion = blob.height / blob.width
    share = blob.width * blob.height / size
    oval = blob.area / (blob.width * blob.height)
    if not (0.9 <= proportion <= 2.2 and 0.004 <= share <= 0.12 and 0.5 <= oval <= 0.92):
        return False
    top = max(0, blob.y - blob.height // 8)
    middle = slice(blob.x + blob.width // 4, blob.x + blob.width - blob.width // 4)
    hair = light[top : blob.y + blob.height // 16, middle]
    face = light[blob.y : blob.y + blob.height, blob.x : blob.x + blob.width]
    return bool(hair.size) and float(np.median(hair)) < 0.6 * float(np.median(face))


def _blobs(mask: Mask, least: int) -> Iterator[_Blob]:
    import cv2

    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for x, y, width, height, area in boxes[1:]:
        if min(width, height) >= least:
            yield _Blob(int(x), int(y), int(width), int(height), int(area))
