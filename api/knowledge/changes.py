"""What every change of the knowledge has in common: conflicts are 409, searches see it at once."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import InvalidInput, KefuError, KnowledgeError
from engine.bootstrap import Kefu, Knowledge
from knowledge.base import ChangedAgain
from knowledge.documents import Progress
from storage.knowledge import newest_revision

log = logging.getLogger(__name__)
BASE = "知识库"
"""Source of the errors that say that others are changing the base."""
PATIENCE_S = 10.0
POLL_S = 0.05
NOT_READABLE = (KefuError, OSError, SQLAlchemyError)


@contextlib.contextmanager
def conflicts(field: str = "") -> Iterator[None]:
    """Where the base cannot take a change now, the caller learns why."""
    try:
        with readable():
            yield
    except ChangedAgain as error:
        raise InvalidInput(field, error.reason, status=409) from error
    except KnowledgeError as error:
        if error.source != BASE:
            raise
        raise InvalidInput("", error.reason, status=409) from error


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Whatever keeps the index from being read is a KnowledgeError."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        raise KnowledgeError("knowledge", f"{type(error).__name__}: {error}") from error


async def follow(kefu: Kefu) -> bool:
    """Whether searches see what was changed: where the index cannot be read, the change stands all
    the same, and they will when it can."""
    try:
        await catch_up(kefu.knowledge)
    except NOT_READABLE as error:
        log.error("searches do not see the newest knowledge: %s", error)
        return False
    return True


async def catch_up(knowledge: Knowledge, progress: Progress | None = None) -> None:
    """Searches of this process see what is committed now. Raises one of `NOT_READABLE`.

    A process that does not write the index waits for the one that does.
    """
    wanted = await knowledge.base.database.read(newest_revision)
    ends = time.monotonic() + PATIENCE_S
    await knowledge.retriever.refresh(progress)
    while knowledge.follower.revision < wanted:
        if time.monotonic() > ends:
            raise KnowledgeError("索引", "维护索引的进程还没有跟上，稍后才能检索到")
        await asyncio.sleep(POLL_S)
        await knowledge.retriever.refresh()
