"""Text of pictures: bounded in pixels, one at a time, with the models of the rapidocr wheel."""

import io
import os
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image, ImageOps

from knowledge.formats.draft import bad
from knowledge.formats.layout import Piece

MAX_PIXELS = 50_000_000
MAX_SIDE = 2_000
"""Longer sides are scaled down."""
_DETECTOR_SIDE = 1_600
MIN_SIDE = 32
"""Smaller pictures are icons and bullets."""
_SURE = 0.6

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
_reading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    image: Image.Image

    @property
    def is_icon(self) -> bool:
        return min(self.image.size) < MIN_SIDE


def open_picture(data: bytes) -> Picture:
    """Raises KnowledgeError for what is no picture, broken, or larger than sensible."""
    try:
        return Picture(_scaled(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except (OSError, SyntaxError, ValueError) as error:
        raise bad("图片已损坏或不是支持的图片格式") from error


def _scaled(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as source:
        # The header alone has been read: nothing is decoded before its size is known.
        if source.width * source.height > MAX_PIXELS:
            raise _too_large()
        source.draft("RGB", (MAX_SIDE, MAX_SIDE))
        image = ImageOps.exif_transpose(source)
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        return _on_white(image)


def _too_large() -> Exception:
    return bad(f"图片超过 {MAX_PIXELS // 1_000_000} 百万像素，请缩小后再导入")


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def read_picture(picture: Picture) -> list[Piece]:
    """Recognised lines with their boxes, top down; y grows downwards."""
    import numpy as np

    with _reading:
        found = _engine()(np.asarray(picture.image)[:, :, ::-1])
    if found.txts is None or found.boxes is None:
        return []
    return [
        Piece(text, *_bounds(box))
        for text, box, score in zip(found.txts, found.boxes, found.scores, strict=True)
        if score >= _SURE and text.strip()
    ]


def _bounds(box: Any) -> tuple[float, float, float, float]:
    xs, ys = box[:, 0], box[:, 1]
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    # By default a wide strip is scaled up until its height suits the detector: 15 times slower.
    bounds = {"Det.limit_type": "max", "Det.limit_side_len": _DETECTOR_SIDE}
    # Customers are answered beside an import.
    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": max(1, (os.cpu_count() or 1) // 2)}
    return RapidOCR(params={"Global.log_level": "error", **bounds, **threads})
