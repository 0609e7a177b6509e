"""What is built for reviews. Part of the composition root."""

import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import KefuError
from engine.knowledge import Knowledge
from engine.metrics import Metrics
from engine.model_calls import CallsBesideTurns
from engine.orders.turns import TurnOrders
from engine.regressions.files import Regressions, regressions_folder
from engine.reviews.keeping import RecordKeeping
from engine.reviews.records import RecordTurn, record_turn
from engine.reviews.reviews import ReadPicture, ReviewPolicy, Reviews
from engine.settings import Settings
from graphs.context import Services
from storage import pictures as rows
from storage.database import Database
from tools.pictures.intake import PREFIX
from tools.pictures.store import PictureStore

log = logging.getLogger(__name__)
_DAY_S = 86_400.0


def recording(settings: Settings) -> RecordTurn | None:
    """None where nothing is to be kept."""
    return record_turn if settings.review_turn_days else None


def build_record_keeping(settings: Settings, database: Database) -> RecordKeeping:
    """Also where nothing is kept any more: what was kept before goes."""
    return RecordKeeping(database, keep_s=settings.review_turn_days * _DAY_S)


def build_reviews(
    settings: Settings,
    database: Database,
    services: Callable[[], Services],
    knowledge: Knowledge,
    metrics: Metrics,
    store: PictureStore,
    orders: TurnOrders,
) -> Reviews:
    return Reviews(
        database,
        services,
        knowledge.learning,
        Regressions(regressions_folder(settings)),
        ReviewPolicy(settings.review_turn_days * _DAY_S, settings.turn_timeout_s),
        orders=orders,
        refresh=_follow(knowledge),
        keep_calls=CallsBesideTurns(database, metrics).keep,
        picture=_kept_pictures(database, store),
    )


def _follow(knowledge: Knowledge) -> Callable[[], Awaitable[None]]:
    async def refresh() -> None:
        try:
            await knowledge.retriever.refresh()
        except (KefuError, OSError, SQLAlchemyError) as error:
            # The run finds that out by itself, as a turn would.
            log.error("a re-run does not see the newest knowledge: %s", error)

    return refresh


def _kept_pictures(database: Database, store: PictureStore) -> ReadPicture:
    async def read(source: str) -> bytes | None:
        sha256: str | None = source.removeprefix(PREFIX)
        if not source.startswith(PREFIX):
            sha256 = await database.read(lambda c: rows.find_source(c, source, since=0.0))
        if sha256 is None or not await store.holds(sha256):
            return None
        return await store.read(sha256)

    return read
