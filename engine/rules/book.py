"""The rules in use: versions as rows, and a file of the operator's that is taken when it changes.

The version with the highest number is in use everywhere; every process looks for it. What cannot be
used, a file or a version that a newer release has written, changes nothing and is said loudly.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from domain.errors import ConfigurationError, InvalidInput, NotFound, StorageError
from domain.rules import RuleSet, fingerprint
from engine.changed_files import Mark, read_changed, read_file
from engine.metrics import Metrics
from storage import audit, rules
from storage.clock import iso
from storage.database import Database
from storage.rules import RuleVersion

log = logging.getLogger(__name__)

CHECK_S = 3.0
"""Between two looks at the file and at the rows."""
KEPT_FIRINGS_S = 90 * 86_400.0
_FORGET_EVERY_S = 3_600.0
_SYSTEM = "system"
_WHAT = "rules"
Check = Callable[[str], RuleSet]
"""Raises ConfigurationError for rules that this service cannot use."""


@dataclass(frozen=True, slots=True)
class RefusedRules:
    """Why the file as it is now, or a version, is not used. ``version``: None for the file."""

    at: float
    field: str
    reason: str
    version: int | None = None


class RuleBook:
    """``on_change`` is told new rules on the event loop. Build it with `open_book`."""

    def __init__(
        self,
        file: Path | None,
        mark: Mark | None,
        version: RuleVersion,
        found: RuleSet,
        database: Database,
        check: Check,
        metrics: Metrics,
        *,
        seen: int = 0,
        check_s: float = CHECK_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.file, self._mark, self._check = file, mark, check
        self.version, self.rules = version, found
        self._database, self._metrics = database, metrics
        self._check_s, self._clock = check_s, clock
        self.refused: RefusedRules | None = None
        self.on_change: Callable[[RuleSet], None] = lambda _rules: None
        self._seen = max(seen, version.version)
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._forget_at = clock()
        metrics.rules_version.set(version.version)

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="rules")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def reload(self) -> bool:
        """Read the file whatever it looks like from outside, and take the newest version; whether
        there are new rules. `refused` says what is wrong."""
        return await self._look(even_if_unchanged=True)

    async def look(self) -> bool:
        return await self._look(even_if_unchanged=False)

    # Edits ---------------------------------------------------------------------------------

    async def validate(self, text: str) -> RuleSet:
        """Raises InvalidInput."""
        try:
            return await asyncio.to_thread(self._check, text)
        except ConfigurationError as error:
            raise InvalidInput(error.variable, f"{error.reason};应为 {error.expected}") from None

    async def put(
        self, text: str, *, after: int, author: str, note: str = "", source: str = "api"
    ) -> RuleVersion:
        """A new version behind ``after``. Raises InvalidInput: 422 for rules that cannot be used,
        409 where ``after`` is not the newest."""
        found = await self.validate(text)
        made = await self._database.write(
            lambda c: self._add(c, text, after=after, author=author, note=note, source=source)
        )
        if made is None:
            newest = await self._database.read(rules.newest_version)
            raise InvalidInput("version", f"规则已被修改,当前是第 {newest} 版", status=409)
        async with self._turn:
            self._use(made, found)
        return made

    async def revert(self, version: int, *, after: int, author: str) -> RuleVersion:
        """An earlier version's content as a new one. Raises NotFound, InvalidInput as `put`."""
        old = await self.get(version)
        note = f"恢复到第 {version} 版"
        return await self.put(old.content, after=after, author=author, note=note, source="revert")

    async def get(self, version: int) -> RuleVersion:
        """Raises NotFound."""
        found = await self._database.read(lambda c: rules.find(c, version))
        if found is None:
            raise NotFound("version", str(version))
        return found

    async def versions(self, *, before: int, limit: int) -> list[RuleVersion]:
        return await self._database.read(lambda c: rules.versions(c, before=before, limit=limit))

    def _add(
        self, connection: Connection, text: str, *, after: int, author: str, note: str, source: str
    ) -> RuleVersion | None:
        now = iso(self._clock())
        new = RuleVersion(0, source, author, note, fingerprint(text), now, text)
        made = rules.add(connection, after, new)
        if made is not None:
            audit.record(
                connection,
                at=now,
                actor=author,
                action=f"rules.{source}",
                subject=_WHAT,
                detail=made.shown(),
            )
        return made

    # Following -----------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._check_s)
            try:
                await self.look()
                await self._forget()
            except StorageError as error:
                log.warning("rules: the look at their versions failed: %s", error)
            except Exception:
                log.exception("rules: the look at their file and versions failed")

    async def _forget(self) -> None:
        now = self._clock()
        if now >= self._forget_at:
            before = now - KEPT_FIRINGS_S
            await self._database.write(lambda c: rules.forget_firings(c, before=before))
            self._forget_at = now + _FORGET_EVERY_S

    async def _look(self, *, even_if_unchanged: bool) -> bool:
        async with self._turn:
            if self.file is not None:
                await self._take_file(self.file, None if even_if_unchanged else self._mark)
            return await self._take_newest()

    async def _take_file(self, file: Path, known: Mark | None) -> None:
        """What is new in it becomes a version."""
        try:
            mark, text = await asyncio.to_thread(_read, file, known)
        except ConfigurationError as error:
            self._mark = None
            self.not_used(error, None)
            return
        if text is None:
            return
        self._mark = mark
        try:
            await asyncio.to_thread(self._check, text)
        except ConfigurationError as error:
            self.not_used(error, None)
            return
        if self.refused is not None and self.refused.version is None:
            self._in_order()
        now = self._clock()
        await self._database.write(lambda c: _adopt(c, text, "file", now))

    async def _take_newest(self) -> bool:
        newest = await self._database.read(rules.newest_version)
        if newest <= self._seen:
            return False
        row = await self._database.read(lambda c: rules.find(c, newest))
        assert row is not None
        self._seen = newest
        try:
            found = await asyncio.to_thread(self._check, row.content)
        except ConfigurationError as error:
            self.not_used(error, newest)
            return False
        self._use(row, found)
        return True

    def _use(self, version: RuleVersion, found: RuleSet) -> None:
        if version.version <= self.version.version:
            return
        before, self.version, self.rules = self.version, version, found
        self._seen = max(self._seen, version.version)
        self._metrics.rules_loads.labels("used").inc()
        self._metrics.rules_version.set(version.version)
        if self.refused is not None and self.refused.version is not None:
            self._in_order()
        log.info(
            "rules: version %d (%s) replaces %d",
            version.version,
            version.source,
            before.version,
        )
        self.on_change(found)

    def _in_order(self) -> None:
        self.refused = None
        self._metrics.rules_refused.set(0)

    def not_used(self, error: ConfigurationError, version: int | None) -> None:
        """Said once for each content."""
        before = self.refused
        if before is not None and (before.field, before.reason) == (error.variable, error.reason):
            return
        self.refused = RefusedRules(self._clock(), error.variable, error.reason, version)
        self._metrics.rules_loads.labels("refused").inc()
        self._metrics.rules_refused.set(1)
        what = f"file {self.file}" if version is None else f"version {version}"
        log.error("rules: %s is not used, version %d stays: %s", what, self.version.version, error)


def open_book(
    file: Path | None, default: str, database: Database, check: Check, metrics: Metrics
) -> RuleBook:
    """The book with the newest rules. Raises ConfigurationError where the file cannot be used to
    begin with. Blocks: for the composition root."""
    mark, text = read_file(file, what=_WHAT) if file is not None else (None, default)
    found = check(text)
    source = "default" if file is None else "file"
    with database.engine.begin() as connection:
        version = _adopt(connection, text, source, time.time())
        own = rules.newest(connection, sources=rules.OF_FILES)
    if version.fingerprint == found.fingerprint:
        return RuleBook(file, mark, version, found, database, check, metrics)
    try:
        return RuleBook(file, mark, version, check(version.content), database, check, metrics)
    except ConfigurationError as error:
        seen = version.version
        book = RuleBook(file, mark, own or version, found, database, check, metrics, seen=seen)
        book.not_used(error, seen)
        return book


def _read(file: Path, known: Mark | None) -> tuple[Mark, str | None]:
    return read_changed(file, known, what=_WHAT)


def _adopt(connection: Connection, text: str, source: str, now: float) -> RuleVersion:
    """The newest version, once ``text`` is one where it is new. What an administrator has changed
    stays in use until the operator's file changes; the product's own rules never replace it."""
    newest = rules.newest(connection)
    base = rules.newest(connection, sources=rules.OF_FILES)
    mark, at = fingerprint(text), iso(now)
    if newest is not None:
        known = base is not None and base.fingerprint == mark and base.source == source
        if known or (source == "default" and newest.source not in rules.OF_FILES):
            return newest
    after = newest.version if newest is not None else 0
    made = rules.add(connection, after, RuleVersion(0, source, _SYSTEM, "", mark, at, text))
    if made is None:  # another process has read the same file
        found = rules.newest(connection)
        assert found is not None
        return found
    return made
