"""Classical operations on pictures: bytes in, bytes out, each saying what it did. No model.

They take time and memory in proportion to the pixels: callers run them in a thread.
"""

import io
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from domain.errors import InvalidInput
from tools.pictures.decoding import Header, Limits, PictureRefused, on_white, read_header

MAX_PIXELS = 50_000_000
"""Of a picture that is read or made; half of it where the background is worked on."""
MAX_SIDE = 20_000
MAX_TIMES = 4.0

Colour = tuple[int, int, int]
Format = Literal["jpg", "png", "webp"]

WHITE: Colour = (255, 255, 255)
_KEPT: dict[str, Format] = {"JPEG": "jpg", "WEBP": "webp"}
_HEX = re.compile(r"#[0-9a-f]{6}")
_JPEG_QUALITY = 92
_LEAST_QUALITY = 40
_NLM_PIXELS = 4_000_000


class CannotDo(InvalidInput):
    """``field`` is the operation, ``reason`` says in Chinese why it cannot be done honestly."""


@dataclass(frozen=True, slots=True)
class Enlarge:
    times: float


@dataclass(frozen=True, slots=True)
class Sharpen:
    """``strength`` 0.5 (slight) to 2 (strong)."""

    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Denoise:
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Crop:
    """Pixels, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class TrimBorders:
    """Takes borders of one colour away."""


@dataclass(frozen=True, slots=True)
class Resize:
    """fit: as large as fits, either side may be smaller. pad: the rest in ``colour`` (None:
    transparent). cover: what is over is cut off evenly. stretch: the shape changes."""

    width: int
    height: int
    how: Literal["fit", "pad", "cover", "stretch"] = "pad"
    colour: Colour | None = WHITE


@dataclass(frozen=True, slots=True)
class Background:
    """``colour`` takes its place, None: transparency. ``tolerance``: see background.cut_out."""

    colour: Colour | None = None
    tolerance: int | None = None


@dataclass(frozen=True, slots=True)
class Convert:
    format: Format


@dataclass(frozen=True, slots=True)
class Compress:
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Rotate:
    """Clockwise."""

    degrees: float


@dataclass(frozen=True, slots=True)
class Flip:
    axis: Literal["horizontal", "vertical"] = "horizontal"


@dataclass(frozen=True, slots=True)
class Grayscale:
    pass


Operation = (
    Enlarge
    | Sharpen
    | Denoise
    | Crop
    | TrimBorders
    | Resize
    | Background
    | Convert
    | Compress
    | Rotate
    | Flip
    | Grayscale
)


@dataclass(frozen=True, slots=True)
class Done:
    """``said``: a line in Chinese for each operation. ``doubts``: why a person should look."""

    data: bytes
    format: Format
    width: int
    height: int
    said: tuple[str, ...]
    doubts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    image: Image.Image
    format: Format
    dpi: int | None
    said: list[str]
    doubts: list[str]
    max_bytes: int | None = None


def perform(data: bytes, operations: Sequence[Operation], *, max_pixels: int = MAX_PIXELS) -> Done:
    """All of ``operations`` in their order. Raises CannotDo; the picture is then unchanged."""
    work = _opened(data, max_pixels)
    for operation in operations:
        _apply(work, operation, max_pixels)
    encoded = _encoded(work)
    width, height = work.image.size
    return Done(encoded, work.format, width, height, tuple(work.said), tuple(work.doubts))


def open_picture(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decoded, turned as its EXIF says, in mode L, LA, RGB or RGBA. Raises CannotDo."""
    return _opened(data, max_pixels).image


def hex_of(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colour_of(text: str) -> Colour:
    """Of ``#rrggbb``. Raises CannotDo."""
    folded = text.strip().lower()
    if not _HEX.fullmatch(folded):
        raise CannotDo("colour", f"看不懂颜色 {text!r},请用 #rrggbb 的写法")
    return (int(folded[1:3], 16), int(folded[3:5], 16), int(folded[5:7], 16))


# ---- reading and writing ----


def _opened(data: bytes, max_pixels: int) -> _Work:
    header = _header(data, max_pixels)
    if header.frames > 1:
        raise CannotDo("open", "这是动图,需要设计师逐帧处理")
    try:
        image = Image.open(io.BytesIO(data), formats=(header.format,))
        image.load()
        upright = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise CannotDo("open", "图片打不开,文件可能已损坏") from error
    said: list[str] = []
    kept = _KEPT.get(header.format, "png")
    return _Work(_eight_bits(upright, said), kept, header.dpi, said, [])


def _header(data: bytes, max_pixels: int) -> Header:
    try:
        return read_header(data, Limits(max_pixels=max_pixels))
    except PictureRefused as error:
        raise CannotDo("open", error.reason) from error


def _eight_bits(image: Image.Image, said: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        said.append("16 位灰度已转为 8 位")
        return on_white(image).convert("L")
    if image.mode == "CMYK":
        said.append("印刷色 CMYK 已转为屏幕色 RGB,颜色会略有差别")
    transparent = image.has_transparency_data
    if image.mode in ("L", "1") and not transparent:
        return image.convert("L")
    return image.convert("RGBA" if transparent else "RGB")


def _encoded(work: _Work) -> bytes:
    if work.format == "jpg" and work.image.mode in ("RGBA", "LA"):
        work.image = _flattened(work.image, WHITE)
    if work.max_bytes is None:
        return _saved(work, _JPEG_QUALITY)
    return _compressed(work, work.max_bytes)


def _saved(work: _Work, quality: int) -> bytes:
    stream = io.BytesIO()
    about = {"dpi": (work.dpi, work.dpi)} if work.dpi else {}
    if work.format == "png":
        work.image.save(stream, "PNG", **about)
    elif work.format == "webp":
        work.image.save(stream, "WEBP", quality=quality)
    else:
        subsampling = 0 if quality >= 90 else 2
        work.image.save(stream, "JPEG", quality=quality, subsampling=subsampling, **about)
    return stream.getvalue()


def _compressed(work: _Work, limit: int) -> bytes:
    """The best quality within ``limit`` bytes, found by halving."""
    data = _saved(work, _JPEG_QUALITY)
    if len(data) <= limit:
        return data
    if work.format == "png":
        raise CannotDo("compress", "PNG 是无损格式,压不到要求的大小,需要改用 JPG 或缩小尺寸")
    least, most, best = _LEAST_QUALITY, _JPEG_QUALITY, b""
    while least <= most:
        quality = (least + most) // 2
        data = _saved(work, quality)
        if len(data) <= limit:
            best, least = data, quality + 1
        else:
            most = quality - 1
    if not best:
        raise CannotDo("compress", "压到要求的大小会严重失真,需要先缩小尺寸")
    return best


def _flattened(image: Image.Image, colour: Colour) -> Image.Image:
    under = Image.new("RGBA", image.size, (*colour, 255))
    return Image.alpha_composite(under, image.convert("RGBA")).convert("RGB")


def _check_size(what: str, width: int, height: int, max_pixels: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= max_pixels):
        raise CannotDo(what, f"{width}×{height} 超出可处理的大小")


# ---- the operations ----


def _apply(work: _Work, operation: Operation, max_pixels: int) -> None:
    match operation:
        case Enlarge():
            _enlarge(work, operation, max_pixels)
        case Sharpen():
            _sharpen(work, operation)
        case Denoise():
            _denoise(work, operation)
        case Crop():
            _crop(work, operation)
        case TrimBorders():
            _trim(work)
        case Resize():
            _resize(work, operation, max_pixels)
        case Background():
            _background(work, operation, max_pixels)
        case Convert():
            _convert(work, operation)
        case Compress():
            _compress(work, operation)
        case Rotate():
            _rotate(work, operation)
        case Flip():
            _flip(work, operation)
        case Grayscale():
            _grayscale(work)


def _enlarge(work: _Work, asked: Enlarge, max_pixels: int) -> None:
    if not 1 < asked.times <= MAX_TIMES:
        raise CannotDo("enlarge", f"只能放大到 {MAX_TIMES:g} 倍以内")
    before = work.image.size
    width, height = (round(side * asked.times) for side in before)
    _check_size("enlarge", width, height, max_pixels)
    larger = work.image.resize((width, height), Image.Resampling.LANCZOS)
    work.image = _on_colours(larger, ImageFilter.UnsharpMask(0.8 * asked.times, 70, 2))
    work.said.append(
        f"已放大 {asked.times:g} 倍:{before[0]}×{before[1]} → {width}×{height}"
        "(高质量插值并轻度锐化,不会增加原图没有的细节)"
    )


def _sharpen(work: _Work, asked: Sharpen) -> None:
    strength = min(max(asked.strength, 0.25), 3.0)
    reach = 1.2 + 0.6 * strength
    work.image = _on_colours(work.image, ImageFilter.UnsharpMask(reach, round(110 * strength), 2))
    work.said.append("已锐化,边缘和文字更清楚(不会增加原图没有的细节)")


def _denoise(work: _Work, asked: Denoise) -> None:
    import cv2  # here, as it takes a noticeable part of the start-up

    force = float(np.clip(8 * asked.strength, 3, 24))
    colours, alpha = _split(work.image)
    pixels = np.asarray(colours)
    if pixels.shape[0] * pixels.shape[1] > _NLM_PIXELS:
        # Non-local means takes seconds for every million pixels.
        smooth = cv2.bilateralFilter(pixels, 7, 6 * force, 3)
    elif pixels.ndim == 2:
        smooth = cv2.fastNlMeansDenoising(pixels, None, force, 5, 13)
    else:
        smooth = cv2.fastNlMeansDenoisingColored(pixels, None, force, force, 5, 13)
    work.image = _joined(Image.fromarray(np.asarray(smooth)), alpha)
    work.said.append("已降噪,细小颗粒会减少")


def _crop(work: _Work, asked: Crop) -> None:
    width, height = work.image.size
    inside = 0 <= asked.left < asked.right <= width and 0 <= asked.top < asked.bottom <= height
    if not inside:
        raise CannotDo("crop", f"裁剪范围不在 {width}×{height} 的画面之内")
    work.image = work.image.crop((asked.left, asked.top, asked.right, asked.bottom))
    work.said.append(f"已裁剪为 {work.image.width}×{work.image.height}")


def _trim(work: _Work) -> None:
    box = _inside_borders(work.image)
    whole = (0, 0, *work.image.size)
    if box is None or box == whole:
        raise CannotDo("trim", "四周没有可以裁掉的纯色边")
    work.image = work.image.crop(box)
    work.said.append(f"已裁掉四周的边,现为 {work.image.width}×{work.image.height}")


def _inside_borders(image: Image.Image) -> tuple[int, int, int, int] | None:
    if image.mode in ("RGBA", "LA"):
        return image.getchannel("A").point(lambda value: 255 * (value > 8)).getbbox()
    colours = image.convert("RGB")
    corner = colours.getpixel((0, 0))
    assert isinstance(corner, tuple)
    plain = Image.new("RGB", image.size, tuple(int(part) for part in corner))
    off = ImageChops.difference(colours, plain).convert("L")
    return off.point(lambda value: 255 * (value > 18)).getbbox()


def _resize(work: _Work, asked: Resize, max_pixels: int) -> None:
    wanted = (asked.width, asked.height)
    _check_size("resize", *wanted, max_pixels)
    before = work.image.size
    if max(wanted[0] / before[0], wanted[1] / before[1]) > MAX_TIMES:
        raise CannotDo("resize", f"比原图大 {MAX_TIMES:g} 倍以上,放大后会很模糊")
    best = Image.Resampling.LANCZOS
    if asked.how == "fit":
        work.image = ImageOps.contain(work.image, wanted, best)
    elif asked.how == "cover":
        work.image = ImageOps.fit(work.image, wanted, best)
    elif asked.how == "stretch":
        work.image = work.image.resize(wanted, best)
    else:
        _pad(work, asked)
    how = {"pad": ",不足处留边", "cover": ",多出的部分已裁掉", "stretch": ",比例有变化"}
    changed = abs(wanted[0] * before[1] - wanted[1] * before[0]) > max(before) * 1.5
    size = f"{work.image.width}×{work.image.height}"
    work.said.append(
        f"尺寸已由 {before[0]}×{before[1]} 改为 {size}{how.get(asked.how, '') if changed else ''}"
    )


def _pad(work: _Work, asked: Resize) -> None:
    wanted = (asked.width, asked.height)
    inner = ImageOps.contain(work.image, wanted, Image.Resampling.LANCZOS)
    place = ((wanted[0] - inner.width) // 2, (wanted[1] - inner.height) // 2)
    if asked.colour is None or inner.mode in ("RGBA", "LA"):
        under = Image.new("RGBA", wanted, (0, 0, 0, 0) if asked.colour is None else
                          (*asked.colour, 255))  # fmt: skip
        over = Image.new("RGBA", wanted, (0, 0, 0, 0))
        over.paste(inner.convert("RGBA"), place)
        work.image = Image.alpha_composite(under, over)
        work.format = "png" if work.format == "jpg" else work.format
        return
    under = Image.new("RGB", wanted, asked.colour)
    under.paste(inner.convert("RGB"), place)
    work.image = under


def _background(work: _Work, asked: Background, max_pixels: int) -> None:
    from tools.pictures.background import NotUniform, cut_out  # they bring OpenCV, see _denoise

    _check_size("background", *work.image.size, max_pixels // 2)
    if work.image.mode in ("RGBA", "LA") and _is_cut_out(work.image):
        _fill_transparent(work, asked.colour)
        return
    try:
        cut = cut_out(np.asarray(work.image.convert("RGB")), asked.tolerance)
    except NotUniform as error:
        raise CannotDo("background", error.reason) from error
    subject = Image.fromarray(np.dstack([cut.colours, cut.alpha]))
    from_ = hex_of(cut.background)
    if asked.colour is None:
        work.image = subject
        work.format = "png" if work.format == "jpg" else work.format
        work.said.append(f"已去掉背景({from_}),背景透明,边缘已柔化")
    else:
        work.image = _flattened(subject, asked.colour)
        work.said.append(f"背景已由 {from_} 换成 {hex_of(asked.colour)},边缘已柔化")
    if cut.holes:
        work.doubts.append(f"主体内部有 {cut.holes} 处与背景同色的区域没有去掉,需要人工确认")


def _is_cut_out(image: Image.Image) -> bool:
    least = image.getchannel("A").getextrema()[0]
    assert isinstance(least, int | float)
    return least < 255


def _fill_transparent(work: _Work, colour: Colour | None) -> None:
    if colour is None:
        raise CannotDo("background", "原图的背景已经是透明的")
    work.image = _flattened(work.image, colour)
    work.said.append(f"透明背景已换成 {hex_of(colour)}")


def _convert(work: _Work, asked: Convert) -> None:
    if asked.format == "jpg" and work.image.mode in ("RGBA", "LA"):
        work.image = _flattened(work.image, WHITE)
        work.said.append("JPG 不支持透明,透明处已填成白色")
    work.format = asked.format
    work.said.append(f"已转成 {asked.format.upper()} 格式")


def _compress(work: _Work, asked: Compress) -> None:
    if asked.max_bytes < 1_000:
        raise CannotDo("compress", "要求的文件太小")
    work.max_bytes = asked.max_bytes
    work.said.append(f"文件已压缩到 {math.floor(asked.max_bytes / 1024)}KB 以内")


def _rotate(work: _Work, asked: Rotate) -> None:
    degrees = asked.degrees % 360
    quarter = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180,
               270: Image.Transpose.ROTATE_90}  # fmt: skip
    if degrees in quarter:
        work.image = work.image.transpose(quarter[int(degrees)])
    elif degrees:
        over = work.image.mode in ("RGBA", "LA")
        fill = None if over else (255 if work.image.mode == "L" else WHITE)
        work.image = work.image.rotate(
            -degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=fill
        )
    work.said.append(f"已顺时针旋转 {degrees:g} 度")


def _flip(work: _Work, asked: Flip) -> None:
    across = asked.axis == "horizontal"
    work.image = ImageOps.mirror(work.image) if across else ImageOps.flip(work.image)
    work.said.append("已左右翻转" if across else "已上下翻转")


def _grayscale(work: _Work) -> None:
    colours, alpha = _split(work.image)
    work.image = _joined(colours.convert("L"), alpha)
    work.said.append("已改为黑白")


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode in ("RGBA", "LA"):
        colours = image.convert("RGB" if image.mode == "RGBA" else "L")
        return colours, image.getchannel("A")
    return image, None


def _joined(colours: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is None:
        return colours
    whole = colours.convert("RGB").convert("RGBA")
    whole.putalpha(alpha)
    return whole


def _on_colours(image: Image.Image, filter_: ImageFilter.MultibandFilter) -> Image.Image:
    """Sharpening transparency would give it hard, wrong edges."""
    colours, alpha = _split(image)
    return _joined(colours.filter(filter_), alpha)
