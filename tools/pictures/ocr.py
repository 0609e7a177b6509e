"""Reads the writing on pictures and measures them, each in a process of its own: see `apart`."""

from domain.errors import KefuError
from domain.pictures import PictureFacts, PictureKind
from tools.pictures.apart import Apart
from tools.pictures.apart_process import Task
from tools.pictures.decoding import Limits
from tools.pictures.reading import TextFound, TextLine

MAX_WAITING = 64
IDLE_S = 600.0
_READ_LIMIT_S, _MEASURE_LIMIT_S = 120.0, 60.0


class ReadingQueueFull(KefuError):
    """``waiting`` pictures are before this one: look without reading, or try again later."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(f"{waiting} pictures are waiting to be read; try again later")


class TextReader:
    """``max_waiting``: pictures in the queue, the one being read included. ``idle_s``: after so
    long without work the models are dropped. Close it when the service stops."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        max_waiting: int = MAX_WAITING,
        idle_s: float = IDLE_S,
        limit_s: float = _READ_LIMIT_S,
    ) -> None:
        self._apart = Apart(limits or Limits(), idle_s=idle_s, limit_s=limit_s)
        self._max_waiting, self._waiting = max_waiting, 0

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def pid(self) -> int | None:
        """Of the process that reads, while there is one."""
        return self._apart.pid

    @property
    def is_loaded(self) -> bool:
        return self.pid is not None

    async def read(self, data: bytes) -> TextFound:
        """Raises PictureRefused, ReadingQueueFull or Unreadable. A caller that is cancelled while
        its picture waits takes it out of the queue."""
        if self._waiting >= self._max_waiting:
            raise ReadingQueueFull(self._waiting)
        self._waiting += 1
        try:
            answer = await self._apart.ask(Task.READ, data)
        finally:
            self._waiting -= 1
        return TextFound(
            tuple(TextLine(text, tuple(box), score) for text, box, score in answer["lines"])
        )

    async def aclose(self) -> None:
        """The picture that is being read is given up, and so are those behind it."""
        await self._apart.aclose()


class Measurer:
    """What decodes a picture, beside the service. Close it when the service stops."""

    def __init__(self, limits: Limits | None = None, *, idle_s: float = IDLE_S) -> None:
        self._apart = Apart(limits or Limits(), idle_s=idle_s, limit_s=_MEASURE_LIMIT_S)

    @property
    def pid(self) -> int | None:
        return self._apart.pid

    async def check(self, data: bytes) -> None:
        """Raises PictureRefused where any part is damaged, or Unreadable."""
        await self._apart.ask(Task.CHECK, data)

    async def measure(self, data: bytes, sha256: str) -> PictureFacts:
        """As `tools.pictures.inspect.inspect`. Raises PictureRefused or Unreadable."""
        answer = await self._apart.ask(Task.MEASURE, data)
        kind, marks = PictureKind(answer["kind"]), tuple(answer["marks"])
        return PictureFacts(**answer | {"sha256": sha256, "kind": kind, "marks": marks})

    async def aclose(self) -> None:
        await self._apart.aclose()
