"""A database, the outbox's deliverer and the dispatch runner against the sandbox's Tuhui."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from sqlalchemy import Connection, text

from domain.ids import conversation_id
from engine.delivery import Channel, Deliverer
from engine.dispatch_steps import DispatchPolicy, DispatchSteps, OnDone, OnStep
from engine.dispatching import DispatchRunner
from engine.metrics import Metrics
from storage import dispatches
from storage.clock import iso
from storage.database import Database
from storage.dispatches import DispatchBook, DispatchRow, NewDispatch, Step
from storage.history import rows
from tests.engine.dispatch.policy import BOOK, POLICY, QUICK_OUTBOX
from tests.engine.dispatch.wire import Wire
from tests.sandbox_server import JsonObject, SandboxServer
from tools.tuhui.client import TuhuiClient

CUSTOMER = "customer_1234"
CONTACT = f"webhook:shop:{CUSTOMER}"
CONVERSATION = conversation_id("webhook", "shop", CUSTOMER, CUSTOMER)
KEY = "t_1:dispatch"
WANTED = NewDispatch(
    KEY,
    "",
    f"图片过于模糊,AI 无法处理\n客户:{CUSTOMER}\n图片:https://xxx.com/image.jpg",
    conversation_id=CONVERSATION,
    contact_id=CONTACT,
)
TIMEOUT_S = 0.3


def the_customer_wrote(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO conversations (id, channel, account, chat_id, sender_id, contact_id,"
            " customer_name, mode, session_no, session_last_ts, received, lease_until, fence,"
            " attempts, failures, created_at, last_active_at) VALUES (:id, 'webhook', 'shop',"
            " :sender, :sender, :contact, '小明', 'bot', 0, 0, 0, 0, 0, 0, 0, :at, :at)"
            " ON CONFLICT (id) DO NOTHING"
        ),
        {"id": CONVERSATION, "sender": CUSTOMER, "contact": CONTACT, "at": iso(1.0)},
    )


@dataclass
class Desk:
    database: Database
    sandbox: SandboxServer
    wire: Wire
    deliverer: Deliverer
    http: httpx.AsyncClient
    policy: DispatchPolicy = POLICY
    runners: list[DispatchRunner] = field(default_factory=list)

    @property
    def book(self) -> DispatchBook:
        return DispatchBook(BOOK)

    def client(self) -> TuhuiClient:
        return TuhuiClient(self.wire.url, "designers", self.http, TIMEOUT_S)

    def steps(
        self, *, on_step: OnStep = lambda *_: (), on_done: OnDone = lambda *_: (), **policy: Any
    ) -> DispatchSteps:
        return DispatchSteps(
            self.database,
            self.client(),
            BOOK,
            replace(self.policy, **policy),
            on_step=on_step,
            on_done=on_done,
        )

    async def run(self, steps: DispatchSteps | None = None, *, owner: str = "p1") -> DispatchRunner:
        runner = DispatchRunner(
            steps or self.steps(), owner=owner, alone=True, on_queues=self.wake_queues
        )
        self.runners.append(runner)
        await runner.start()
        return runner

    def wake_queues(self, queues: Sequence[str]) -> None:
        for queue in queues:
            self.deliverer.wake(queue)

    async def want(self, wanted: NewDispatch = WANTED, now: float = 1.0) -> bool:
        await self.database.write(the_customer_wrote)
        made = await self.database.write(
            lambda c: dispatches.want(c, wanted, actor="test", now=now)
        )
        for runner in self.runners:
            runner.wake()
        return made

    async def row(self, key: str = KEY) -> DispatchRow:
        found = await self.database.read(lambda c: self.book.by_key(c, key))
        assert found is not None
        return found

    async def until(
        self, done: Callable[[DispatchRow], bool], key: str = KEY, *, seconds: float = 60.0
    ) -> DispatchRow:
        async with asyncio.timeout(seconds):
            while not done(row := await self.row(key)):  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.01)
        return row

    async def until_step(self, step: Step, key: str = KEY) -> DispatchRow:
        return await self.until(lambda row: row.step is step, key)

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        return await self.database.read(lambda c: rows(c, sql, **params))

    async def audited(self) -> list[str]:
        found = await self.rows(
            "SELECT action FROM audit WHERE action LIKE 'dispatch.%' ORDER BY id"
        )
        return [row["action"].removeprefix("dispatch.") for row in found]

    # What the peers saw --------------------------------------------------------------------

    def designers(self, *names: str) -> None:
        self.sandbox.put("/_sandbox/tuhui/designers", {"designers": list(names)})

    def tasks(self) -> list[JsonObject]:
        return list(self.sandbox.get("/_sandbox/tuhui/state")["tasks"])

    def finish(self, notes: str = "已完成") -> None:
        """The designer does the work."""
        (task,) = self.tasks()
        path = f"/tuhui/tasks/{task['task_id']}/complete"
        headers = {"X-API-Key": "designer"}
        answer = self.sandbox.client.post(path, json={"notes": notes}, headers=headers)
        assert answer.is_success, answer.text

    def assignments(self) -> list[str]:
        """Who was given the task, without repetitions that changed nothing."""
        return [
            entry["body"]["designer_name"]
            for entry in self.sandbox.journal("tuhui", kind="assign")
            if entry["accepted"] and not entry["duplicate"]
        ]

    async def notices(self, title: str = "新任务派单", *, at_least: int = 1) -> list[JsonObject]:
        """Those of this title, once there are ``at_least`` of whatever title."""
        given = await asyncio.to_thread(self.sandbox.notices, at_least=at_least, wait=5.0)
        return [notice for notice in given if title in notice["title"]]

    async def words(self, *, at_least: int = 1) -> list[str]:
        """What the customer was told, once it is ``at_least`` so many."""
        shown = await asyncio.to_thread(
            self.sandbox.chat, CUSTOMER, at_least=at_least, wait=5.0 if at_least else 0.0
        )
        return [message["text"] for message in shown]

    async def assert_one_of_each(self) -> None:
        """One task at Tuhui, one assignment, one notice, one word."""
        assert [task["task_name"] for task in self.tasks()] == ["图片处理-1234"]
        assert len(self.assignments()) == 1
        assert await self.words() == [self.policy.words.arranged]
        assert len(await self.notices()) == 1


@contextlib.asynccontextmanager
async def running_desk(
    database: Database,
    sandbox: SandboxServer,
    wire: Wire,
    channels: dict[str, Channel],
) -> AsyncIterator[Desk]:
    deliverer = Deliverer(database, channels, Metrics(), QUICK_OUTBOX, owner="outbox")
    async with httpx.AsyncClient(trust_env=False) as http:
        desk = Desk(database, sandbox, wire, deliverer, http)
        try:
            yield desk
        finally:
            for runner in desk.runners:
                await runner.stop(grace_s=2.0)
            await deliverer.stop(grace_s=2.0)
