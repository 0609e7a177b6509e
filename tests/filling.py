"""Data folders that hold knowledge, index included."""

import asyncio
from collections.abc import Iterable

from engine.bootstrap import Knowledge, build_knowledge, import_samples, open_database
from engine.settings import Settings
from knowledge.documents import Entry


def fill_with_samples(settings: Settings) -> None:
    fill(settings, None)


def fill(settings: Settings, entries: Iterable[Entry] | None) -> None:
    """``entries``, or the sample bases, in rows and index. Not on an event loop's thread."""
    database = open_database(settings)
    try:
        asyncio.run(_fill(build_knowledge(settings, database), entries))
    finally:
        database.close()


async def _fill(knowledge: Knowledge, entries: Iterable[Entry] | None) -> None:
    try:
        if entries is None:
            await import_samples(knowledge.base)
        else:
            await knowledge.base.import_entries(entries)
        await knowledge.retriever.refresh()
        await asyncio.to_thread(knowledge.follower.drain)
    finally:
        await knowledge.aclose()
