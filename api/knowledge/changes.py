"""What every change of the knowledge has in common: conflicts are 409, searches see it at once."""

import contextlib
import logging
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import InvalidInput, KefuError, KnowledgeError
from engine.bootstrap import Kefu
from knowledge.base import ChangedAgain

log = logging.getLogger(__name__)


@contextlib.contextmanager
def conflicts(field: str = "") -> Iterator[None]:
    """Where the base cannot take a change now, the caller learns why."""
    try:
        yield
    except ChangedAgain as error:
        raise InvalidInput(field, error.reason, status=409) from error
    except KnowledgeError as error:
        raise InvalidInput("", error.reason, status=409) from error


async def follow(kefu: Kefu) -> bool:
    """Whether searches see what was changed: where the index cannot be read, the change stands all
    the same, and they will when it can."""
    try:
        await kefu.knowledge.retriever.refresh()
    except (KefuError, OSError, SQLAlchemyError) as error:
        log.error("searches do not see the newest knowledge: %s", error)
        return False
    return True
