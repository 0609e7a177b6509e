"""What `langgraph dev` and LangGraph Studio load: the conversation graph over local services.

A composition root of its own: settings from the environment as for `kefu serve`, but no inbox and
no channels: Studio keeps the threads, and no message reaches a customer or a person. Of the
database it reads the knowledge, and nothing else.
The service may run on the same data folder at the same time.
"""

import asyncio
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langgraph.config import get_config, get_stream_writer
from langgraph_sdk.runtime import ServerRuntime
from sqlalchemy.exc import SQLAlchemyError

from domain.decisions import CustomerFacts
from domain.errors import KefuError
from engine.bootstrap import (
    Knowledge,
    build_knowledge,
    build_models,
    build_services,
    import_samples,
    open_database,
)
from engine.settings import Settings, load_settings
from graphs.context import Services, TurnContext
from graphs.conversation import Graph, build_conversation_graph
from storage.database import Database
from storage.migrate import HEAD, current_revision

log = logging.getLogger(__name__)
SAMPLE_FOLDER = "studio-knowledge"


@dataclass(frozen=True, slots=True)
class StudioContext:
    """What Studio may say of the customer; every field has a default."""

    customer_id: str = "studio"
    customer_name: str = ""
    level: Literal["white", "gray", "black"] = "gray"
    channel: str = "studio"


def studio_knowledge(settings: Settings) -> Knowledge:
    """The knowledge of the data folder for reading, or the sample bases where there is none."""
    return _configured(settings) or _samples(settings)


async def close_knowledge(knowledge: Knowledge) -> None:
    """With the database that `studio_knowledge` opened for it."""
    await knowledge.aclose()
    await asyncio.to_thread(knowledge.base.database.close)


def _configured(settings: Settings) -> Knowledge | None:
    database = opened_database(settings)
    if database is None:
        return None
    knowledge = build_knowledge(settings, database)
    try:
        if asyncio.run(knowledge.base.categories()):
            return knowledge
        log.info("the database holds no knowledge; the samples stand in")
    except KefuError as error:
        log.warning("the sample knowledge stands in: %s", error)
    asyncio.run(close_knowledge(knowledge))
    return None


def opened_database(settings: Settings) -> Database | None:
    """A database that there is, as it is: Studio makes none and changes none."""
    dsn = settings.database_dsn()
    if dsn.startswith("sqlite:///") and not Path(dsn.removeprefix("sqlite:///")).exists():
        return None
    database = Database(dsn, synchronous=settings.sqlite_synchronous)
    try:
        with database.engine.connect() as connection:
            found = current_revision(connection)
    except SQLAlchemyError as error:
        log.warning("the sample knowledge stands in: %s", type(error).__name__)
        database.close()
        return None
    if found != HEAD:
        log.warning("the sample knowledge stands in: start kefu serve once, it migrates")
        database.close()
        return None
    database.start()
    return database


def _samples(settings: Settings) -> Knowledge:
    own: dict[str, Any] = {
        "data_dir": settings.data_dir.expanduser() / SAMPLE_FOLDER,
        "database_url": None,
        "chroma_url": "",
        "embedding_url": "",
        "rerank_url": "",
    }
    settings = settings.model_copy(update=own)
    knowledge = build_knowledge(settings, open_database(settings))
    asyncio.run(import_samples(knowledge.base))
    return knowledge


class Studio:
    """The graph at once, its services in the background: drawing the graph needs none of them."""

    def __init__(self) -> None:
        self._builder = ThreadPoolExecutor(1, "studio")
        self._mutex = threading.Lock()
        self._services: Future[Services] | None = None
        self.graph: Graph = build_conversation_graph(
            context_schema=StudioContext, make_context=self.turn_context
        )

    def services(self) -> "Future[Services]":
        """Under construction or done. What failed (a wrong setting) is tried again."""
        with self._mutex:
            known = self._services
            if known is None or (known.done() and known.exception() is not None):
                self._services = known = self._builder.submit(studio_services)
            return known

    def turn_context(self, given: StudioContext | None) -> TurnContext:
        """Called inside a run, that is, after `conversation` has waited for the services."""
        customer = given or StudioContext()
        run = get_config()
        writer = get_stream_writer()

        def emit(event: str, data: dict[str, Any]) -> None:
            writer({"event": event, **data})

        return TurnContext(
            services=self.services().result(),
            turn_id=str(run.get("metadata", {}).get("run_id", "")),
            conversation_id=str(run.get("configurable", {}).get("thread_id", "")),
            channel=customer.channel,
            customer=CustomerFacts(
                contact_id=customer.customer_id, name=customer.customer_name, level=customer.level
            ),
            emit=emit,
            streams=True,
        )


def studio_services(settings: Settings | None = None) -> Services:
    """Blocks; raises ConfigurationError. Models answer only where a provider has a key."""
    if settings is None:
        # Studio listens itself, so an address that would need a key does not matter here.
        settings = load_settings(host="127.0.0.1")
    models = build_models(settings)
    return build_services(settings, studio_knowledge(settings).retriever, models)


_studio = Studio()


async def conversation(runtime: ServerRuntime[StudioContext]) -> Graph:
    """The factory that langgraph.json names.

    Whoever only looks at the graph gets it at once, and thereby starts what a run will need.
    """
    services = _studio.services()
    if runtime.execution_runtime is not None:
        await asyncio.wrap_future(services)
    return _studio.graph
