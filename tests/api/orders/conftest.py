"""The addresses of orders and pictures over a real database and a real picture store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import _handle_errors
from api.guard import Guard
from api.identity import Tokens
from api.orders.endpoints import router as orders
from api.orders.links import router as links
from api.orders.pictures import MAX_PICTURE_BODY_BYTES, PICTURES_PATH
from api.orders.pictures import router as pictures
from domain.pictures import PictureFacts
from engine.orders.links import PictureLinks
from engine.orders.pictures import PictureDesk
from storage.database import Database
from tests.engine.orders.desk import NOW, Bench
from tools.pictures.inspect import inspect
from tools.pictures.store import PictureStore

KEY = "s3cret-key"
SECRET = "x" * 40
MAX_BODY = 64 * 1024


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Shop:
    bench: Bench
    client: httpx.AsyncClient
    store: PictureStore
    folder: Path
    app: FastAPI
    links: PictureLinks
    clock: "Clock"

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        content = {} if body is None else {"json": body}
        return await self.client.post(path, **content, **more)


def app_for(
    bench: Bench,
    store: PictureStore,
    *,
    key: str | None = KEY,
    linked: PictureLinks | None = None,
) -> FastAPI:
    async def look(
        source: str | bytes, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts:
        sha256 = str(source).removeprefix("picture:")
        data = await store.read(sha256)
        return await asyncio.to_thread(inspect, data, sha256, store.limits)

    app = FastAPI()
    app.state.kefu = SimpleNamespace(
        orders=bench.desk,
        picture_desk=PictureDesk(store, look),
        links=linked or PictureLinks("http://kefu", b"k" * 32),
    )
    app.include_router(orders)
    app.include_router(pictures)
    app.include_router(links)
    _handle_errors(app, MAX_BODY)
    app.add_middleware(
        Guard,
        api_key=key,
        signed=False,
        max_body_bytes=MAX_BODY,
        uploads={PICTURES_PATH: MAX_PICTURE_BODY_BYTES},
        tokens=Tokens(SECRET),
    )
    return app


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Desk and rows are tried on both databases; what HTTP makes of them is the same."""
    return sqlite_url


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    bench = Bench(database)
    await bench.customer_writes()
    folder = tmp_path / "pictures"
    store = PictureStore(folder)
    clock = Clock()
    linked = PictureLinks("http://kefu", b"k" * 32, days=7, clock=clock)
    bench.desk.policy.picture_url = linked.url
    app = app_for(bench, store, linked=linked)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"X-API-Key": KEY}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://kefu", headers=headers
    ) as client:
        yield Shop(bench, client, store, folder, app, linked, clock)
