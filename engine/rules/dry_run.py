"""A dry run over the rows of a period, in portions, with word of how far it is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from domain.errors import InvalidInput
from domain.rules import RuleSet
from engine.rules.past import PastReading, turns_of
from graphs.classifier.model import IntentClassifier
from storage import rules
from storage.database import Database
from storage.rules import PastMessage, PastWanted

PORTION = 400
_OVERLAP = 50
"""A turn's messages lie close together: its first ones wait at the end of a portion."""


@dataclass(frozen=True, slots=True)
class DryRunWanted:
    """``limit``: messages that are read at most."""

    past: PastWanted
    limit: int = 20_000
    examples: int = 5


class DryRuns:
    """One at a time: it takes a processor for itself."""

    def __init__(self, database: Database, classifier: IntentClassifier, zone: tzinfo) -> None:
        self._database, self._classifier, self._zone = database, classifier, zone
        self._running = False

    def check(self) -> None:
        """Raises InvalidInput (409) while one runs."""
        if self._running:
            raise InvalidInput("dry_run", "已有一次试运行正在进行,请稍后再试", status=409)

    async def run(
        self, proposed: RuleSet, present: RuleSet, wanted: DryRunWanted
    ) -> AsyncIterator[dict[str, Any]]:
        """``progress`` (read, total), then one ``result``."""
        self.check()
        self._running = True
        try:
            reading = PastReading(
                proposed,
                present,
                self._classifier,
                zone=self._zone,
                examples=wanted.examples,
            )
            total = await self._database.read(lambda c: rules.count_past(c, wanted.past))
            wants = min(total, wanted.limit)
            read = 0
            yield {"event": "progress", "read": 0, "total": wants}
            async for messages in self._portions(wanted, wants):
                await self._read(reading, messages)
                read += len(messages)
                yield {"event": "progress", "read": read, "total": wants}
            found = reading.result() | {"messages": read, "complete": total <= wanted.limit}
            yield {"event": "result", **found}
        finally:
            self._running = False

    async def _portions(self, wanted: DryRunWanted, wants: int) -> AsyncIterator[list[PastMessage]]:
        after, left, held = 0, wants, list[PastMessage]()
        while left > 0:
            size, start = min(PORTION, left), after
            rows = await self._database.read(
                lambda c, size=size, start=start: rules.past(  # type: ignore[misc]
                    c, wanted.past, after=start, limit=size
                )
            )
            if not rows:
                break
            after, left = rows[-1].id, left - len(rows)
            ready, held = _apart([*held, *rows], after if left > 0 else None)
            yield ready
        if held:
            yield held

    async def _read(self, reading: PastReading, messages: list[PastMessage]) -> None:
        turns = turns_of(messages)
        contacts = list({one.contact_id for one in turns})
        people = await self._database.read(lambda c: rules.people(c, contacts))
        await asyncio.to_thread(reading.read, turns, people)


def _apart(
    messages: list[PastMessage], last: int | None
) -> tuple[list[PastMessage], list[PastMessage]]:
    """What can be read now, and what may belong to a turn that goes on behind ``last``."""
    if last is None:
        return messages, []
    open_turns = {one.turn_id for one in messages[-_OVERLAP:] if one.turn_id}
    held = [one for one in messages if one.turn_id in open_turns]
    return [one for one in messages if one.turn_id not in open_turns], held
