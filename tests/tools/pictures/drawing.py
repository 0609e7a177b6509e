"""What pictures are made of: lettering, painted scenes, encodings."""

import io
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.knowledge.files import chinese_font

Pixels = NDArray[np.float64]
Colour = str | tuple[int, int, int]


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(chinese_font(), size)


def paper(width: int, height: int, colour: Colour = "white") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def write(
    image: Image.Image,
    lines: Sequence[str],
    *,
    at: tuple[int, int] = (60, 60),
    size: int = 40,
    colour: Colour = "black",
    leading: float = 1.5,
) -> Image.Image:
    drawing = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        place = (at[0], at[1] + round(number * size * leading))
        drawing.text(place, line, font=font(size), fill=colour)
    return image


def wrapped(text: str, chars: int) -> list[str]:
    return textwrap.wrap(text, chars, break_long_words=True)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def jpeg(image: Image.Image, quality: int = 90, **options: Any) -> bytes:
    return encoded(image, "JPEG", quality=quality, **options)


def clouds(width: int, height: int, seed: int, *, slope: float = 1.0) -> Pixels:
    """0..1, with the spectrum of natural scenes: amplitude falls as 1/frequency**slope."""
    random = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(random.standard_normal((height, width)))
    across = np.fft.rfftfreq(width)[None, :]
    down = np.fft.fftfreq(height)[:, None]
    frequency = np.maximum(np.hypot(across, down), 1 / max(width, height))
    field: Pixels = np.fft.irfft2(spectrum / frequency**slope, s=(height, width))
    low, high = np.percentile(field, (1, 99))
    scaled: Pixels = np.clip((field - low) / (high - low), 0, 1)
    return scaled


def coloured(field: Pixels, dark: tuple[int, int, int], light: tuple[int, int, int]) -> Image.Image:
    shades = field[:, :, None] * (np.array(light) - dark) + dark
    return Image.fromarray(shades.astype(np.uint8))


def landscape(width: int = 1200, height: int = 900, seed: int = 1) -> Image.Image:
    """Sky, ridges, a meadow with trees, each with the fine detail of a lens in focus."""
    scene = coloured(clouds(width, height, seed, slope=1.6), (96, 140, 205), (235, 240, 248))
    meadow = coloured(clouds(width, height, seed + 1, slope=0.7), (28, 62, 20), (150, 178, 82))
    rock = coloured(clouds(width, height, seed + 2, slope=1.0), (52, 48, 50), (178, 168, 158))
    random = np.random.default_rng(seed)
    scene.paste(rock, mask=_below(width, height, 0.35, 0.12, random))
    scene.paste(meadow, mask=_below(width, height, 0.62, 0.04, random))
    for _ in range(14):
        _tree(scene, round(random.uniform(0, width)), round(random.uniform(0.6, 0.9) * height))
    return scene


def _below(
    width: int, height: int, level: float, swing: float, random: np.random.Generator
) -> Image.Image:
    xs = np.arange(width) / width
    ridge = sum(
        np.sin(2 * np.pi * (2**octave * xs + random.random())) / 2**octave for octave in range(7)
    )
    limit = (level + swing * ridge) * height
    return Image.fromarray(((np.arange(height)[:, None] > limit) * 255).astype(np.uint8))


def _tree(scene: Image.Image, x: int, base: int) -> None:
    drawing = ImageDraw.Draw(scene)
    tall = scene.height // 9
    drawing.rectangle((x - tall // 20, base - tall // 2, x + tall // 20, base), fill=(74, 52, 33))
    for step in range(5):
        half, top = tall // 3 - step * tall // 18, base - tall // 3 - step * tall // 7
        shade = (24 + 9 * step, 74 + 12 * step, 30 + 6 * step)
        drawing.polygon([(x - half, top), (x + half, top), (x, top - tall // 3)], fill=shade)


def portrait(width: int = 900, height: int = 1200, seed: int = 5) -> Image.Image:
    """A head and shoulders before a wall, as from a phone."""
    scene = coloured(clouds(width, height, seed, slope=1.2), (118, 128, 138), (168, 178, 190))
    bust(scene, (0, 0, width, height))
    grain = clouds(width, height, seed + 1, slope=0.5)[:, :, None] * 22 - 11
    return Image.fromarray(np.clip(np.asarray(scene) + grain, 0, 255).astype(np.uint8))


def bust(scene: Image.Image, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    wide, tall = right - left, bottom - top
    drawing = ImageDraw.Draw(scene)

    def oval(x: float, y: float, w: float, h: float, colour: Colour) -> None:
        middle, level = left + x * wide, top + y * tall
        drawing.ellipse(
            (middle - w * wide, level - h * tall, middle + w * wide, level + h * tall), fill=colour
        )

    drawing.rounded_rectangle(
        (left + 0.12 * wide, top + 0.74 * tall, right - 0.12 * wide, bottom - 1),
        radius=round(0.12 * wide), fill=(42, 52, 84),
    )  # fmt: skip
    drawing.rectangle(
        (left + 0.42 * wide, top + 0.6 * tall, left + 0.58 * wide, top + 0.78 * tall),
        fill=(206, 164, 140),
    )
    oval(0.5, 0.36, 0.27, 0.25, (38, 30, 28))
    oval(0.5, 0.43, 0.22, 0.24, (226, 184, 158))
    for side in (0.42, 0.58):
        oval(side, 0.40, 0.03, 0.012, (250, 250, 250))
        oval(side, 0.40, 0.012, 0.012, (40, 28, 22))
        oval(side, 0.36, 0.04, 0.006, (48, 36, 30))
    oval(0.5, 0.47, 0.018, 0.03, (204, 158, 134))
    oval(0.5, 0.55, 0.06, 0.014, (176, 84, 84))


def noisy(image: Image.Image, spread: float, seed: int = 3) -> Image.Image:
    pixels = np.asarray(image).astype(np.float64)
    pixels += np.random.default_rng(seed).normal(0, spread, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def seal(image: Image.Image, centre: tuple[int, int], radius: int, words: str) -> None:
    """A company's round seal: ring, star, words along the rim."""
    x, y = centre
    red = (208, 28, 34)
    drawing = ImageDraw.Draw(image)
    drawing.ellipse(
        (x - radius, y - radius, x + radius, y + radius), outline=red, width=max(3, radius // 16)
    )
    points = []
    for corner in range(10):
        reach = radius * (0.34 if corner % 2 == 0 else 0.14)
        angle = np.pi * corner / 5 - np.pi / 2
        points.append((x + reach * np.cos(angle), y + reach * np.sin(angle)))
    drawing.polygon(points, fill=red)
    size = max(12, radius // 4)
    for number, letter in enumerate(words):
        angle = np.pi * (0.85 + 1.3 * (number + 0.5) / len(words))
        tile = Image.new("L", (size * 2, size * 2), 0)
        ImageDraw.Draw(tile).text((size // 2, size // 2), letter, font=font(size), fill=255)
        tile = tile.rotate(-90 - np.degrees(angle), resample=Image.Resampling.BICUBIC)
        reach = radius * 0.74
        place = (round(x + reach * np.cos(angle)) - size, round(y + reach * np.sin(angle)) - size)
        image.paste(red, place, tile)
