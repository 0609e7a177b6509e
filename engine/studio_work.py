"""The work on an order for `langgraph dev` and Studio: nothing is delivered to anybody."""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace
from functools import cache

import httpx

from domain.pictures import PictureFacts
from engine.bootstrap import picture_limits
from engine.settings import Settings, load_settings
from engine.workshop import build_workshop, picture_fetcher
from graphs.order_work import WorkContext, WorkGraph, build_work_graph
from tools.pictures.inspect import inspect
from tools.pictures.intake import PREFIX
from tools.pictures.store import PictureStore

KEPT = 20
"""Fetched pictures that are kept for the nodes of a run."""


class StudioPictures:
    """Pictures for runs of `order_work`: of the service's store, or fetched and kept in memory."""

    def __init__(self, settings: Settings) -> None:
        limits = picture_limits(settings)
        self._store = PictureStore(
            settings.data_dir.expanduser() / "pictures",
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
        )
        self._http = httpx.AsyncClient(trust_env=False)
        self._fetcher = picture_fetcher(settings, self._http, self._store)
        self._fetched: OrderedDict[str, bytes] = OrderedDict()
        self.shop = replace(
            build_workshop(settings, self._http, self._http, self._store), read=self.read
        )

    async def read(self, sha256: str) -> bytes:
        return self._fetched.get(sha256) or await self._store.read(sha256)

    async def look(self, source: str, *, read_text: bool = True) -> PictureFacts:
        """What is measured; nothing is kept of it."""
        if source.startswith(PREFIX):
            sha256 = source.removeprefix(PREFIX)
            data = await self.read(sha256)
        else:
            data = await self._fetcher.fetch(source)
            sha256 = hashlib.sha256(data).hexdigest()
            self._fetched[sha256] = data
            while len(self._fetched) > KEPT:
                self._fetched.popitem(last=False)
        return await asyncio.to_thread(inspect, data, sha256, self._store.limits)


@cache
def _pictures() -> StudioPictures:
    return StudioPictures(load_settings(host="127.0.0.1"))


def order_work() -> WorkGraph:
    """The work on an order, for Studio: nothing is delivered to anybody."""
    return build_work_graph(lambda: WorkContext(_pictures().shop, _pictures().look))
