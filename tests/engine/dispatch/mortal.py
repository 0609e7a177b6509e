"""A process that works on dispatches and kills itself at a point that it is told.

``python -m tests.engine.dispatch.mortal DATABASE SANDBOX POINT``
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import httpx
from sqlalchemy import Connection

from engine.channels import StaffChannel, WebhookChannel
from engine.delivery import Channel, Deliverer
from engine.dispatch_steps import DispatchSteps
from engine.dispatching import DispatchRunner
from engine.metrics import Metrics
from storage.database import Database
from storage.dispatches import DispatchRow
from tests.engine.dispatch.policy import BOOK, POLICY, QUICK_OUTBOX
from tools.notify.client import StaffNotifier
from tools.tuhui.client import TuhuiClient
from tools.tuhui.protocol import DesignTask, DispatchOrder
from tools.webhook.client import WebhookClient

POINTS = (
    "before designers",
    "before create",
    "after create",
    "in the commit of create",
    "before assign",
    "after assign",
    "in the commit of assign",
    "in the commit of notify",
    "in the commit of tell",
    "before watch",
)
"""In the order in which a dispatch passes them."""


class Mortal(TuhuiClient):
    point = ""

    def die(self, here: str) -> None:
        if here == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    async def online_designers(self) -> tuple[str, ...]:
        self.die("before designers")
        return await super().online_designers()

    async def create(self, order: DispatchOrder) -> str:
        self.die("before create")
        made = await super().create(order)
        self.die("after create")
        return made

    async def assign(self, task_id: str, designer: str, notes: str = "") -> None:
        self.die("before assign")
        await super().assign(task_id, designer, notes)
        self.die("after assign")

    async def task(self, task_id: str) -> DesignTask:
        self.die("before watch")
        return await super().task(task_id)

    def in_commit(
        self, _connection: Connection, _row: DispatchRow, what: str, _now: float
    ) -> Sequence[str]:
        self.die(f"in the commit of {what}")
        return ()


async def live(url: str, sandbox: str, point: str) -> None:
    database = Database(url, synchronous="NORMAL")
    database.start()
    async with httpx.AsyncClient(trust_env=False) as http:
        channels: dict[str, Channel] = {
            "webhook": WebhookChannel(WebhookClient(f"{sandbox}/webhook/deliver", None, http)),
            "staff": StaffChannel(StaffNotifier(f"{sandbox}/staff/notice", http)),
        }
        deliverer = Deliverer(database, channels, Metrics(), QUICK_OUTBOX, owner=point)
        client = Mortal(f"{sandbox}/tuhui", "designers", http)
        client.point = point

        def wake(queues: Sequence[str]) -> None:
            for queue in queues:
                deliverer.wake(queue)

        steps = DispatchSteps(database, client, BOOK, POLICY, on_step=client.in_commit)
        runner = DispatchRunner(steps, owner=point, alone=True, on_queues=wake)
        await runner.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(live(*sys.argv[1:]))
