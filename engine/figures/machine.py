"""The machine that a process runs on."""

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True, slots=True)
class Readings:
    """Percent of the whole machine; ``rss_bytes``: of this process."""

    cpu_percent: float
    memory_percent: float
    disk_percent: float
    rss_bytes: int

    def shown(self) -> dict[str, Any]:
        return asdict(self)


class Machine:
    """``data_dir``: on the disk that is measured."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._process = psutil.Process()
        # Processor use is that since the last question: the first answer means nothing.
        psutil.cpu_percent(None)
        self._last: Readings | None = None

    @property
    def last(self) -> Readings | None:
        return self._last

    async def read(self) -> Readings:
        """To be asked now and then by one task: it measures since it was asked last."""
        self._last = await asyncio.to_thread(self._read)
        return self._last

    def _read(self) -> Readings:
        folder = self._data_dir if self._data_dir.exists() else Path()
        return Readings(
            psutil.cpu_percent(None),
            psutil.virtual_memory().percent,
            psutil.disk_usage(str(folder)).percent,
            self._process.memory_info().rss,
        )
