"""Bytes of a stranger to pixels. Nothing is decoded before its header has been found acceptable."""

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from domain.errors import InvalidInput

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
_MAX_FRAMES = 2_000
_LARGE_PIXELS = 8_000_000
_HEAD = 64

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_PNG_NOTES = frozenset({b"eXIf", b"iTXt", b"tEXt", b"zTXt"})
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error,
    ArithmeticError,
)  # fmt: skip
_large = threading.Lock()
"""Of pictures whose pixels alone take many megabytes, one is decoded at a time."""


class PictureRefused(InvalidInput):
    """``reason``, Chinese, tells the customer what to send instead."""

    def __init__(self, reason: str) -> None:
        super().__init__("picture", reason)


@dataclass(frozen=True, slots=True)
class Limits:
    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Header:
    """``width`` and ``height`` as it is to be looked at, turned as its EXIF says."""

    format: str
    width: int
    height: int
    frames: int
    mode: str
    has_alpha: bool
    dpi: int | None


def read_header(data: bytes, limits: Limits) -> Header:
    """Raises PictureRefused. No pixel is decoded but of a PNG that tells more behind them."""
    kind = _checked_kind(data, limits)
    with _refusing(), _open(data, kind) as image:
        _check_pixels(image.width, image.height, limits)
        turned = _exif(image, data, kind).get(0x0112, 1) in (5, 6, 7, 8)
        width, height = image.size[::-1] if turned else image.size
        return Header(
            format=kind,
            width=width,
            height=height,
            frames=_frames(image, data, kind),
            mode=image.mode,
            has_alpha=image.has_transparency_data,
            dpi=_dpi(image),
        )


def decode(data: bytes, limits: Limits, *, max_side: int) -> Image.Image:
    """The first frame, RGB on white, upright, its longer side at most ``max_side``.

    Raises PictureRefused where any part of it is damaged.
    """
    kind = _checked_kind(data, limits)
    with _refusing(), _open(data, kind) as image:
        _check_pixels(image.width, image.height, limits)
        with _one_at_a_time(image):
            # Only JPEG can do this: it decodes straight to a fraction of its size.
            image.draft(None, (max_side, max_side))
            image.load()
            whole = _scalable(image)
            whole.thumbnail((max_side, max_side))
            return on_white(ImageOps.exif_transpose(whole))


def _scalable(image: Image.Image) -> Image.Image:
    """Palettes cannot be scaled smoothly, and some depths not at all."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(ImageOps.exif_transpose(image))
    if image.mode in ("P", "1") and image.width * image.height <= _LARGE_PIXELS:
        return on_white(image)
    return image


def on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow cuts values above 255 off, which makes a scanner's 16 bits white."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    top = float(values.max(initial=0.0))
    full = 65_535.0 if top > 255 else 255.0 if top > 1 else 1.0
    scaled = np.clip(values * (255.0 / full), 0, 255).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


def _checked_kind(data: bytes, limits: Limits) -> str:
    if not data:
        raise PictureRefused("图片是空的，请重新发送")
    if len(data) > limits.max_bytes:
        raise PictureRefused(f"图片超过 {limits.max_bytes / 1_048_576:.0f} MB，请压缩后再发")
    kind = _kind(data)
    if kind == "WEBP":
        # Its reader takes memory for the canvas before it tells the size.
        _check_pixels(*_webp_canvas(data), limits)
    return kind


def _kind(data: bytes) -> str:
    head = data[:_HEAD]
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        raise PictureRefused("暂不支持 HEIC/AVIF 格式，请在手机上转成 JPG 再发（或直接截图发送）")
    if head.startswith(b"%PDF"):
        raise PictureRefused("这是 PDF 文件，请导出成图片再发")
    raise PictureRefused("文件不是图片，支持 JPG、PNG、WebP、GIF、BMP、TIFF")


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """RFC 9649: the size is in the first chunk, lossy, lossless or extended."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise _broken()
    if chunk == b"VP8X":
        wide, high = body[4:7], body[7:10]
        return int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise _broken()


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise _too_large(limits.max_pixels)


def _open(data: bytes, kind: str) -> Image.Image:
    # Only the reader of the kind that the content shows: no other gets to see a stranger's bytes.
    return Image.open(io.BytesIO(data), formats=(kind,))


def _exif(image: Image.Image, data: bytes, kind: str) -> Image.Exif:
    # A PNG's own reader decodes all pixels to see whether any EXIF comes behind them.
    if kind == "PNG" and not _tells_more_behind(data):
        return Image.Image.getexif(image)
    return image.getexif()


def _tells_more_behind(png: bytes) -> bool:
    """Is there a chunk that may hold EXIF or XMP behind the first one of pixels?"""
    place, pixels = 8, False
    while place + 8 <= len(png):
        length, chunk = struct.unpack_from(">I4s", png, place)
        if pixels and chunk in _PNG_NOTES:
            return True
        pixels = pixels or chunk == b"IDAT"
        place += length + 12
    return False


def _frames(image: Image.Image, data: bytes, kind: str) -> int:
    if kind == "GIF" and data.count(b"\x21\xf9\x04") > _MAX_FRAMES:
        raise PictureRefused(f"动图超过 {_MAX_FRAMES} 帧，请只发其中一张")
    # Phones put a preview behind the photo (MPO); a TIFF's pages are looked for one by one.
    return int(getattr(image, "n_frames", 1)) if kind in ("GIF", "PNG", "WEBP") else 1


def _dpi(image: Image.Image) -> int | None:
    try:
        found = round(float(image.info["dpi"][0]))
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError, IndexError):
        return None
    return found if 1 < found <= 10_000 else None


def _one_at_a_time(image: Image.Image) -> AbstractContextManager[object]:
    return _large if image.width * image.height > _LARGE_PIXELS else nullcontext()


@contextmanager
def _refusing() -> Iterator[None]:
    """What Pillow raises for a broken or hostile file, as PictureRefused."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(MAX_PIXELS) from error
    except PictureRefused:
        raise
    except _BROKEN as error:
        raise _broken() from error


def _too_large(max_pixels: int) -> PictureRefused:
    return PictureRefused(f"图片超过 {max_pixels // 10_000} 万像素，请缩小后再发")


def _broken() -> PictureRefused:
    return PictureRefused("图片已损坏或没有传完整，请重新发送原图")
