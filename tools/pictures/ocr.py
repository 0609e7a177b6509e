"""Reads the writing on pictures: one picture at a time, beside the event loop.

The models cost some hundred megabytes, so they are loaded for the first picture and dropped after
a quiet while.
"""

import asyncio
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from domain.errors import KefuError
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


class ReadingQueueFull(KefuError):
    """``waiting`` pictures are before this one: look without reading, or try again later."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(f"{waiting} pictures are waiting to be read; try again later")


class TextReader:
    """``max_waiting``: pictures in the queue, the one being read included. ``idle_s``: after so
    long without work the models are dropped. Close it when the service stops."""

    def __init__(
        self, limits: Limits | None = None, *, max_waiting: int = 64, idle_s: float = 600.0
    ) -> None:
        self._limits = limits or Limits()
        self._max_waiting, self._idle_s = max_waiting, idle_s
        self._thread = ThreadPoolExecutor(1, "picture-text")
        self._waiting = 0
        self._engine: Any = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def is_loaded(self) -> bool:
        return self._engine is not None

    async def read(self, data: bytes) -> TextFound:
        """Raises PictureRefused or ReadingQueueFull. A caller that is cancelled while its picture
        waits takes it out of the queue."""
        if self._waiting >= self._max_waiting:
            raise ReadingQueueFull(self._waiting)
        loop = asyncio.get_running_loop()
        self._rest(None)
        self._waiting += 1
        work = loop.run_in_executor(self._thread, self._read, data)
        work.add_done_callback(lambda _: self._done(loop))
        return await work

    async def aclose(self) -> None:
        """Waits for the picture that is being read; those behind it are dropped."""
        self._rest(None)
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._engine = None

    def _done(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting -= 1
        if not self._waiting and not loop.is_closed():
            self._rest(loop.call_later(self._idle_s, self._drop))

    def _rest(self, timer: asyncio.TimerHandle | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = timer

    def _drop(self) -> None:
        if not self._waiting:
            self._engine = None

    def _read(self, data: bytes) -> TextFound:
        header = read_header(data, self._limits)
        long, short = max(header.width, header.height), min(header.width, header.height)
        fitting = math.isqrt(_READ_PIXELS * long // max(1, short))
        image = decode(data, self._limits, max_side=min(fitting, _LONGEST))
        if min(image.size) < _LEAST_SIDE:
            return TextFound()
        if self._engine is None:
            self._engine = _load()
        return TextFound(tuple(_lines(self._engine, image)))


def _lines(engine: Any, image: Image.Image) -> Iterator[TextLine]:
    """Pages of a long strip, each line from the page in whose middle part it lies."""
    step = _PAGE - _OVERLAP
    ends = range(0, max(1, image.height - _OVERLAP), step) if image.height > 2 * _PAGE else (0,)
    for top in ends:
        bottom = min(top + _PAGE, image.height) if len(ends) > 1 else image.height
        first = top + _OVERLAP // 2 if top else 0
        last = bottom - _OVERLAP // 2 if bottom < image.height else image.height
        page = np.asarray(image.crop((0, top, image.width, bottom)))
        for line in _found(engine, page, top, image.size):
            middle = (line.box[1] + line.box[3]) / 2 * image.height
            if first <= middle < last or (last == image.height and middle >= first):
                yield line


def _found(engine: Any, page: Any, top: int, size: tuple[int, int]) -> Iterator[TextLine]:
    found = engine(page[:, :, ::-1])
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
