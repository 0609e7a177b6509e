"""A process that works on orders and kills itself at a point that it is told.

``python -m tests.engine.orders.mortal DATABASE FOLDER POINT``
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from domain.pictures import PictureFacts
from storage.database import Database
from tests.engine.orders.working import Works, working

POINTS = (
    "before it is kept",
    "in the commit of the delivery",
    "after the delivery",
)
"""In the order in which an order passes them."""


class Mortal:
    def __init__(self, works: Works, point: str) -> None:
        self._works, self._point = works, point

    def die(self, here: str) -> None:
        if here == self._point:
            os.kill(os.getpid(), signal.SIGKILL)

    async def look(
        self, source: str | bytes, *, read_text: bool = True, deadline_s: float | None = None
    ) -> PictureFacts:
        if isinstance(source, bytes):
            self.die("before it is kept")
        return await self._works.pictures.look(source, read_text=read_text)

    def url(self, sha256: str) -> str:
        self.die("in the commit of the delivery")
        return f"https://kefu.example/pictures/{sha256}"

    def woken(self, _queues: Sequence[str]) -> None:
        self.die("after the delivery")


async def live(url: str, folder: str, point: str) -> None:
    database = Database(url, synchronous="NORMAL")
    database.start()
    async with working(database, Path(folder)) as works:
        mortal = Mortal(works, point)
        works.look = mortal.look
        works.bench.desk.policy.picture_url = mortal.url
        works.bench.desk.on_queues = mortal.woken
        await works.runner(point).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(live(*sys.argv[1:]))
