"""The price book in use, and how a changed file replaces it while the service runs.

A file that cannot be used changes nothing: the book that was read before stays. Quotes that were
given keep their price; they say from which version of the book they are.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.decisions import Quote
from domain.errors import ConfigurationError
from domain.pricing import PriceBook
from engine.changed_files import Mark, read_changed, read_file
from engine.metrics import Metrics
from engine.orders.quoting import requoting
from storage.orders import OrderRow

log = logging.getLogger(__name__)

CHECK_S = 3.0
"""Between two looks at the file."""
_WHAT = "price_book"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the file as it is now is not used."""

    at: float
    field: str
    reason: str


class Prices:
    """``file``: None is the book that comes with the product, which never changes.

    ``on_change`` is told each new book on the event loop. Raises ConfigurationError where there is
    no usable book to begin with.
    """

    def __init__(
        self,
        file: Path | None,
        default: str,
        metrics: Metrics,
        *,
        check_s: float = CHECK_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.file, self._metrics, self._check_s, self._clock = file, metrics, check_s, clock
        self._mark: Mark | None = None
        text = default
        if file is not None:
            self._mark, text = read_file(file, what=_WHAT)
        self.book = PriceBook.parse(text)
        self.since = self.checked_at = clock()
        self.refused: Refused | None = None
        self.on_change: Callable[[PriceBook], None] = lambda _book: None
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def requote(
        self, order: OrderRow, requirement: str, facts: Sequence[Mapping[str, Any]], level: str
    ) -> Quote | None:
        """By the book in use."""
        return requoting(self.book)(order, requirement, facts, level)

    def start(self) -> None:
        if self.file is not None and self._task is None:
            self._task = asyncio.create_task(self._watch(), name="price book")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def check(self) -> bool:
        """Take the file if it has changed; whether there is a new book. Never raises for a file."""
        return await self._take(even_if_unchanged=False)

    async def reload(self) -> bool:
        """Read the file, whatever it looks like from outside; `refused` says what is wrong."""
        return await self._take(even_if_unchanged=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._check_s)
            try:
                await self.check()
            except Exception:
                log.exception("price book: the look at the file failed")

    async def _take(self, *, even_if_unchanged: bool) -> bool:
        if self.file is None:
            return False
        async with self._turn:
            known = None if even_if_unchanged else self._mark
            try:
                mark, book = await asyncio.to_thread(_read_changed, self.file, known)
            except _Unusable as error:
                self._refuse(error, self.file)
                return False
            self.checked_at, self._mark = self._clock(), mark
            return book is not None and self._use(book, self.file)

    def _use(self, book: PriceBook, file: Path) -> bool:
        self.refused = None
        self._metrics.price_book_refused.set(0)
        if book.fingerprint == self.book.fingerprint:
            return False
        before, self.book, self.since = self.book, book, self._clock()
        self._metrics.price_book_loads.labels("used").inc()
        log.info("price book %s: version %s replaces %s", file, book.version, before.version)
        self.on_change(book)
        return True

    def _refuse(self, error: "_Unusable", file: Path) -> None:
        """Said once for each content of the file."""
        self.checked_at, self._mark = self._clock(), error.mark
        cause, before = error.cause, self.refused
        if before is not None and (before.field, before.reason) == (cause.variable, cause.reason):
            return
        self.refused = Refused(self._clock(), cause.variable, cause.reason)
        self._metrics.price_book_loads.labels("refused").inc()
        self._metrics.price_book_refused.set(1)
        log.error("price book %s is not used, version %s stays: %s", file, self.book.version, cause)


class _Unusable(Exception):
    """``mark``: of the file whose content is wrong; None: it could not be read, which its next look
    may tell nothing of."""

    def __init__(self, mark: Mark | None, cause: ConfigurationError) -> None:
        super().__init__(str(cause))
        self.mark, self.cause = mark, cause


def _read_changed(file: Path, known: Mark | None) -> tuple[Mark, PriceBook | None]:
    """The book, or None where the file still looks as ``known``."""
    mark: Mark | None = None
    try:
        mark, text = read_changed(file, known, what=_WHAT)
        return mark, PriceBook.parse(text) if text is not None else None
    except ConfigurationError as error:
        raise _Unusable(mark, error) from error
