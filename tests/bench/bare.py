"""LangGraph's own floor: the same compiled graph behind a bare FastAPI route.

No checkpointer, no storage, no engine. Run by the benchmark:
``python -m tests.bench.bare PORT DATA_DIR``.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from langchain_core.messages import HumanMessage

from api.envelopes import Json
from api.platform.schemas import MessageRequest
from engine import collector
from engine.answers import build_answer
from engine.bootstrap import (
    build_knowledge,
    build_models,
    build_services,
    open_database,
)
from engine.settings import load_settings
from graphs.context import TurnContext
from graphs.conversation import build_conversation_graph


def create_app(data_dir: Path) -> FastAPI:
    settings = load_settings(data_dir=data_dir, env_files=())
    database = open_database(settings)
    knowledge = build_knowledge(settings, database)
    services = build_services(settings, knowledge.retriever, build_models(settings))
    graph = build_conversation_graph()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await knowledge.retriever.warm()
        collector.hold_back()
        yield
        await knowledge.aclose()
        await asyncio.to_thread(database.close)

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/api/v1/messages")
    async def run(body: MessageRequest) -> Json:
        context = TurnContext(services=services)
        message = HumanMessage(content=body.message.content, id=body.message.id)
        state = await graph.ainvoke({"messages": [message]}, context=context)
        return Json(build_answer(state, context, latency_ms=0))

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[2])),
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        server_header=False,
    )
