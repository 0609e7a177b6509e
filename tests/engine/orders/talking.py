"""A customer who sends pictures and words to one whole process."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from domain.messages import Attachment
from engine.delivery import Channel
from storage.database import Database
from tests.engine.orders.unread import NoReader
from tests.engine.processes import Process, Tasks, a_message, running_process
from tests.sandbox_server import SandboxServer
from tests.tools.pictures.making import PICTURES
from tools.pictures.fetch import PictureFetcher
from tools.pictures.intake import Pictures
from tools.pictures.store import PictureStore
from tools.tuhui.client import TuhuiClient

CHAT = "customer_1234"


@dataclass
class Customer:
    process: Process
    store: PictureStore
    chat: str = CHAT

    async def says(
        self, text: str, *pictures: str, message_id: str | None = None
    ) -> dict[str, Any]:
        """``pictures``: names of `tests.tools.pictures.making`; the answer."""
        stored = [await self.store.put(PICTURES[name]()) for name in pictures]
        message = a_message("", whole=text or " ", chat=self.chat, message_id=message_id)
        attachments = tuple(Attachment("image", f"picture:{one.sha256}") for one in stored)
        return await self.process.engine.ask(
            replace(message, text=text, channel="webhook", route="poll", attachments=attachments)
        )

    async def orders(self) -> list[dict[str, Any]]:
        """The oldest first, as staff sees them."""
        found = await self.process.orders.listed(page_size=100)
        return sorted(found["items"], key=lambda one: int(one["id"]))


@contextlib.asynccontextmanager
async def talking(
    url: str,
    folder: Path,
    channels: Mapping[str, Channel],
    *,
    sandbox: SandboxServer | None = None,
    **options: Any,
) -> AsyncIterator[Customer]:
    """``sandbox``: its Tuhui gives work to designers; None: there is none."""
    store = PictureStore(folder / "pictures")
    async with httpx.AsyncClient(trust_env=False) as http, contextlib.AsyncExitStack() as closing:

        def looks(database: Database) -> Pictures:
            pictures = Pictures(database, store, PictureFetcher(http, store), NoReader())
            closing.push_async_callback(pictures.aclose)
            return pictures

        tuhui = TuhuiClient(f"{sandbox.url}/tuhui", "designers", http) if sandbox else None
        tasks = Tasks(tuhui=tuhui)
        async with running_process(
            url, channels=channels, tasks=tasks, pictures=looks, **options
        ) as process:
            yield Customer(process, store)
