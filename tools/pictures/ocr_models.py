"""The writing on a picture, read by the models of the rapidocr wheel. Slow and large: see `ocr`."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tools.pictures.decoding import Limits, decode, read_header
from tools.pictures.reading import TextFound, TextLine

_READ_PIXELS = 4_000_000
_LONGEST = 8_000
_PAGE, _OVERLAP = 1_600, 200
"""Long strips are read in pages of this height; a line in the overlap counts once."""
_LEAST_SIDE = 32
_SURE = 0.6
_NARROW = {code: code - 0xFEE0 for code in range(0xFF10, 0xFF5B) if chr(code).isalnum()}
"""Full-width digits and letters, which it sometimes sees, as people type them."""


class Recogniser:
    """The models cost some hundred megabytes: they are loaded for the first picture."""

    def __init__(self) -> None:
        self._models: Any = None

    def read(self, data: bytes, limits: Limits) -> TextFound:
        """Raises PictureRefused."""
        header = read_header(data, limits)
        long, short = max(header.width, header.height), min(header.width, header.height)
        fitting = math.isqrt(_READ_PIXELS * long // max(1, short))
        image = decode(data, limits, max_side=min(fitting, _LONGEST))
        if min(image.size) < _LEAST_SIDE:
            return TextFound()
        if self._models is None:
            self._models = _load()
        return TextFound(tuple(_lines(self._models, image)))


def _lines(models: Any, image: Image.Image) -> Iterator[TextLine]:
    """Pages of a long strip, each line from the page in whose middle part it lies."""
    step = _PAGE - _OVERLAP
    ends = range(0, max(1, image.height - _OVERLAP), step) if image.height > 2 * _PAGE else (0,)
    for top in ends:
        bottom = min(top + _PAGE, image.height) if len(ends) > 1 else image.height
        first = top + _OVERLAP // 2 if top else 0
        last = bottom - _OVERLAP // 2 if bottom < image.height else image.height
        page = np.asarray(image.crop((0, top, image.width, bottom)))
        for line in _found(models, page, top, image.size):
            middle = (line.box[1] + line.box[3]) / 2 * image.height
            if first <= middle < last or (last == image.height and middle >= first):
                yield line


def _found(models: Any, page: Any, top: int, size: tuple[int, int]) -> Iterator[TextLine]:
    found = models(page[:, :, ::-1])
    if found.txts is None or found.boxes is None:
        return
    width, height = size
    for text, box, score in zip(found.txts, found.boxes, found.scores, strict=True):
        if score < _SURE or not text.strip():
            continue
        xs, ys = box[:, 0] / width, (box[:, 1] + top) / height
        bounds = (float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
        yield TextLine(text.strip().translate(_NARROW), bounds, round(float(score), 3))


def _load() -> Any:
    from rapidocr import RapidOCR

    # By default a wide strip is scaled up until its height suits the detector: 15 times slower.
    detector = {"Det.limit_type": "max", "Det.limit_side_len": _PAGE}
    # Customers are answered beside it; batches of one keep the memory of wide lines bounded.
    runtime = {
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Rec.rec_batch_num": 2,
    }
    return RapidOCR(params={"Global.log_level": "error", **detector, **runtime})
