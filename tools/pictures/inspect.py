"""What can be measured of a picture without reading it. Pure, and slow enough for a thread."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from domain.pictures import MAX_TEXT_KEPT, PictureFacts, PictureKind
from tools.pictures.decoding import Limits, decode, read_header
from tools.pictures.marks import find_marks
from tools.pictures.reading import TextFound

MEASURED_SIDE = 1_600
Gray = NDArray[np.float32]
Colours = NDArray[np.uint8]

_WINDOW = 15
_LENS_SIGMA = 1.1
"""Edges as wide as this (standard deviation, pixels) count as half sharp."""
_FULL_NOISE = 40.0
_PHASH_SIDE = 32
_MONITORS = (16 / 9, 16 / 10, 21 / 9)


@dataclass(frozen=True, slots=True)
class Look:
    """``flat``: share of pixels like their neighbours, inside of what is not background;
    ``colours``: how many make up 95 % of the picture; ``span``: darkest to lightest, 0..255."""

    sharpness: float
    noise: float
    flat: float
    colours: int
    colourless: bool
    span: float


def inspect(data: bytes, sha256: str, limits: Limits) -> PictureFacts:
    """Facts with ``text_read`` False. Raises PictureRefused."""
    header = read_header(data, limits)
    image = decode(data, limits, max_side=MEASURED_SIDE)
    pixels = np.asarray(image)
    look = measure(pixels)
    marks = find_marks(pixels)
    facts = PictureFacts(
        sha256=sha256,
        size_bytes=len(data),
        format=header.format,
        width=header.width,
        height=header.height,
        frames=header.frames,
        mode=header.mode,
        has_alpha=header.has_alpha,
        dpi=header.dpi,
        sharpness=look.sharpness,
        noise=look.noise,
        phash=perceptual_hash(image),
        marks=marks,
    )
    return replace(facts, kind=kind_of(look, facts))


def with_text(facts: PictureFacts, found: TextFound) -> PictureFacts:
    """``facts`` once the writing is known; it may change what kind of picture it is."""
    return replace(
        facts,
        text=found.text[:MAX_TEXT_KEPT],
        text_chars=found.chars,
        text_read=True,
        kind=kind_with_text(facts, found),
    )


def kind_of(look: Look, facts: PictureFacts) -> PictureKind:
    if look.span <= 4:
        return PictureKind.BLANK
    # A blur makes photos as smooth as drawings, and grays are few: then less colours are many.
    few = 16 if look.colourless else 40 if look.sharpness < 0.25 else 120
    if look.flat < 0.6 or look.colours > few:
        return PictureKind.PHOTO
    if facts.marks:
        return PictureKind.DOCUMENT
    if _is_screen(facts) and look.colours >= 2:
        return PictureKind.SCREENSHOT
    return PictureKind.LOGO


def kind_with_text(facts: PictureFacts, found: TextFound) -> PictureKind:
    """A few words on a photo leave it a photo; lines of them make it something to be read."""
    if facts.marks and found.chars >= 8:
        return PictureKind.DOCUMENT
    if facts.kind is PictureKind.SCREENSHOT and found.share < 0.35:
        return PictureKind.SCREENSHOT
    much = found.chars >= 60 or (found.chars >= 24 and found.share >= 0.04)
    little_else = facts.kind in (PictureKind.LOGO, PictureKind.BLANK) and found.chars >= 8
    if much or little_else:
        return PictureKind.TEXT
    if facts.kind is PictureKind.BLANK and found.chars:
        return PictureKind.TEXT
    return facts.kind


def measure(pixels: Colours) -> Look:
    gray = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    span = _span(gray)
    # Dark and pale pictures have the structure of others, in fewer levels.
    stretch = 200 / min(max(span, 10.0), 200.0)
    codes = _codes(pixels, stretch)
    background = int(np.bincount(codes.ravel()).argmax())
    return Look(
        sharpness=_sharpness(gray),
        noise=_noise(gray),
        flat=_flat(gray * stretch, codes != background),
        colours=_colours(codes),
        colourless=_colourless(pixels),
        span=span,
    )


def perceptual_hash(image: Image.Image) -> str:
    """64 bits of the lowest frequencies: near for the same picture resized, recoded, retouched."""
    small = image.convert("L").resize((_PHASH_SIDE, _PHASH_SIDE), Image.Resampling.LANCZOS)
    cosines = _cosines()
    spectrum = cosines @ np.asarray(small, dtype=np.float64) @ cosines.T
    low = spectrum[:8, :8].ravel()
    # Without the mean brightness; rounded, so that a blank picture's hash is no noise.
    bits = np.round(low, 3) > np.round(np.median(low[1:]), 3)
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def distance(one: str, other: str) -> int:
    """Bits in which two perceptual hashes differ: 0 to 64; up to about 10 they look alike."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


@cache
def _cosines() -> NDArray[np.float64]:
    at = np.arange(_PHASH_SIDE)
    waves: NDArray[np.float64] = np.cos(np.pi / _PHASH_SIDE * (at[None, :] + 0.5) * at[:8, None])
    return waves


def _sharpness(gray: Gray) -> float:
    """How wide the clearest edges are: a step blurred by ``sigma`` has the slope
    contrast / (sigma · √2π), whatever the picture shows and however strong its contrast is."""
    import cv2

    calm = cv2.GaussianBlur(gray, (0, 0), 0.5)
    box = np.ones((_WINDOW, _WINDOW), np.uint8)
    contrast = cv2.dilate(calm, box) - cv2.erode(calm, box)
    slope = np.hypot(
        cv2.filter2D(calm, -1, np.array([[-0.5, 0, 0.5]], np.float32)),
        cv2.filter2D(calm, -1, np.array([[-0.5], [0], [0.5]], np.float32)),
    )
    steepest = cv2.dilate(slope, box)
    strong = contrast >= max(6.0, 0.5 * float(np.percentile(contrast, 98)))
    if not strong.any():
        return 0.0
    steep = float(np.percentile(steepest[strong] / contrast[strong], 60))
    sigma = 1 / (max(steep, 1e-3) * np.sqrt(2 * np.pi))
    return _rounded(1 / (1 + (max(sigma - 0.5, 0.0) / _LENS_SIGMA) ** 2))


def _noise(gray: Gray) -> float:
    """Immerkær's estimate in the calmest tenth of the blocks: little but noise is there."""
    import cv2

    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rough = np.abs(cv2.filter2D(gray, -1, kernel))
    blocks = cv2.boxFilter(rough, -1, (16, 16))[8::16, 8::16]
    if not blocks.size:
        return 0.0
    sigma = float(np.percentile(blocks, 10)) * np.sqrt(np.pi / 2) / 6
    return _rounded(sigma / _FULL_NOISE)


def _flat(gray: Gray, shown: NDArray[np.bool_]) -> float:
    import cv2

    box = np.ones((3, 3), np.uint8)
    calm = cv2.dilate(gray, box) - cv2.erode(gray, box) <= 6
    inside = cv2.erode(shown.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    # Of writing and thin lines nothing is left: that is a drawing.
    return float(np.mean(calm[inside])) if inside.mean() >= 0.01 else 1.0


def _span(gray: Gray) -> float:
    import cv2

    low, high = np.percentile(cv2.GaussianBlur(gray, (0, 0), 2.0), (0.1, 99.9))
    return float(high - low)


def _codes(pixels: Colours, stretch: float) -> NDArray[np.int32]:
    low = np.percentile(pixels, 0.1)
    levels = np.clip((pixels.astype(np.float32) - low) * stretch, 0, 255).astype(np.int32) >> 3
    codes: NDArray[np.int32] = levels @ np.array([1024, 32, 1], np.int32)
    return codes


def _colours(codes: NDArray[np.int32]) -> int:
    few = codes[:: max(1, codes.shape[0] // 400), :: max(1, codes.shape[1] // 400)]
    counts = np.sort(np.unique(few, return_counts=True)[1])[::-1]
    return int(np.searchsorted(np.cumsum(counts), 0.95 * counts.sum())) + 1


def _colourless(pixels: Colours) -> bool:
    few = pixels[::4, ::4]
    spread = few.max(axis=2).astype(np.int32) - few.min(axis=2)
    return bool(np.percentile(spread, 99) <= 8)


def _is_screen(facts: PictureFacts) -> bool:
    """Proportions of a telephone or a monitor, at a size that one has."""
    long, short = max(facts.width, facts.height), min(facts.width, facts.height)
    if facts.height > facts.width:
        return 1.7 <= long / short <= 2.4 and 320 <= short <= 1_440
    return long >= 1_024 and any(abs(long / short - shape) < 0.015 for shape in _MONITORS)


def _rounded(value: float) -> float:
    return round(float(min(max(value, 0.0), 1.0)), 3)
