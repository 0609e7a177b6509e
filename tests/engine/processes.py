"""One process's engine over a real database and the real graph; knowledge is the seam."""

import asyncio
import contextlib
import functools
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar, cast
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import Connection

from domain.decisions import Evidence, Retrieval
from domain.messages import InboundMessage
from domain.rules import RuleSet
from engine.bootstrap import TaskParts, assemble_engine, build_services
from engine.channels import StaffChannel, WebhookChannel
from engine.delivery import Channel, Deliverer
from engine.desk_turns import TurnDesk
from engine.dispatch_steps import DispatchPolicy, DispatchSteps
from engine.dispatching import DispatchRunner
from engine.engine import Engine
from engine.metrics import Metrics
from engine.orders.desk import DeskPolicy, OrderDesk
from engine.orders.quoting import requoting
from engine.orders.turns import TurnOrders
from engine.policy import EnginePolicy
from engine.reviews.records import record_turn
from engine.rules.turns import TurnRules
from engine.settings import load_settings
from engine.settling import Settling
from engine.tasks.acting import ActingPolicy
from engine.tasks.desk import TaskDesk
from engine.tasks.work import TaskPolicy, TaskWork
from engine.turns import Turns
from engine.wakeups import Wakeups
from graphs.context import Looks, Services
from graphs.order_words import OrderWords
from graphs.templates import Templates
from knowledge.retrieval import Retriever
from storage import history
from storage.database import Database
from storage.migrate import migrate
from storage.orders import OrderBook
from storage.tasks import TaskBook
from tests.sandbox_server import SandboxServer
from tools.catalog import catalogue
from tools.notify.client import StaffNotifier
from tools.registry import Tool, ToolRegistry
from tools.tuhui.client import TuhuiClient
from tools.webhook.client import WebhookClient

T = TypeVar("T")
QUICK = EnginePolicy(
    sync_deadline_s=10.0,
    retry_base_s=0.01,
    debounce_async_s=0.0,
    sweep_s=60.0,  # nothing in these tests may depend on the sweep, unless a test says so
    outbox_backoff_base_s=60.0,
    outbox_backoff_max_s=600.0,
)
ZONE = ZoneInfo("Asia/Shanghai")
_numbers = itertools.count(1)


class Clock:
    """Wall time that a test can move forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class StandingClock:
    """Wall time that only a test moves forward."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@dataclass
class Hold:
    """A search that does not come back before it is let go."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


UNKNOWN = "冷门"


class EchoKnowledge:
    """Knows every question's answer, «答:» and the question, but of what is UNKNOWN; fails or holds
    where told to."""

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.contexts: list[list[str]] = []
        self._failures: dict[str, float] = {}
        self._holds: dict[str, Hold] = {}

    def fail(self, marker: str, *, times: float = math.inf) -> None:
        """Searches for a text with ``marker`` raise; ``times`` 0 ends that."""
        self._failures[marker] = times

    def hold(self, marker: str) -> Hold:
        """The next search for a text with ``marker`` waits."""
        self._holds[marker] = Hold()
        return self._holds[marker]

    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval:
        self.searched.append(query)
        self.contexts.append(list(context))
        held = next((marker for marker in self._holds if marker in query), None)
        if held is not None:
            hold = self._holds.pop(held)
            hold.reached.set()
            await hold.let_go.wait()
        for marker, left in self._failures.items():
            if marker in query and left > 0:
                self._failures[marker] -= 1
                raise RuntimeError("the knowledge base broke")
        if UNKNOWN in query:
            return Retrieval(query, 0.1)
        found = Evidence("e1", query, f"答:{query}", "test.md#1", score=1.0)
        return Retrieval(query, 0.97, (found,), exact=True)


@dataclass
class Process:
    """What a test touches of one process."""

    engine: Engine
    turns: Turns
    deliverer: Deliverer
    knowledge: EchoKnowledge
    database: Database
    services: Services
    orders: OrderDesk
    work: TaskWork | None = None
    dispatching: DispatchRunner | None = None

    @property
    def wakeups(self) -> Wakeups:
        return self.engine.wakeups

    @property
    def templates(self) -> Templates:
        return self.services.templates

    @property
    def tasks(self) -> TaskDesk:
        assert self.work is not None, "start it with tasks=..."
        return self.work.desk

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        return await self.database.read(lambda c: history.rows(c, sql, **params))

    async def write(self, unit: Callable[[Connection], T]) -> T:
        return await self.database.write(unit)

    async def count(self, table: str) -> int:
        return int((await self.rows(f"SELECT COUNT(*) AS n FROM {table}"))[0]["n"])

    async def until(self, done: Callable[[], Any], *, seconds: float = 60.0) -> None:
        """Until the awaitable that ``done`` makes is true; for states that no event tells of."""
        async with asyncio.timeout(seconds):
            while not await done():  # noqa: ASYNC110 - rows tell nobody that they changed
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """No unread message and no turn is left."""

        async def nothing_left() -> bool:
            unread = await self.rows("SELECT 1 FROM conversations WHERE due_at IS NOT NULL")
            return not unread and not self.turns.active

        await self.until(nothing_left)


@dataclass(frozen=True, slots=True)
class Tasks:
    """That a process works on tasks, and how; ``tools`` besides the catalogue's."""

    late_s: float = 3_600.0
    lease_s: float = 30.0
    backoff_base_s: float = 0.02
    tools: tuple[Tool[Any], ...] = ()
    tuhui: TuhuiClient | None = None


@contextlib.asynccontextmanager
async def running_process(
    url: str,
    *,
    channels: Mapping[str, Channel] | None = None,
    policy: EnginePolicy = QUICK,
    clock: Callable[[], float] = time.time,
    owner: str = "p1",
    alone: bool = False,
    tasks: Tasks | None = None,
    pictures: Callable[[Database], Looks] | None = None,
    desk: Callable[[Database], TurnDesk] | None = None,
    wakeups: Wakeups | None = None,
    rules: RuleSet | None = None,
) -> AsyncIterator[Process]:
    """A started engine on the database at ``url``, stopped with the block. ``rules``:
    instead of the product's; their tools act. ``pictures``: how it looks at customers'
    pictures; None: not at all. ``desk``: what its turns know of the human desk; None: no
    more than the rows say. ``wakeups``: None: it neither tells others nor hears them."""
    database = await asyncio.to_thread(_open, url)
    looks = pictures(database) if pictures is not None else None
    process = _assemble(
        database,
        channels or {},
        policy,
        clock,
        owner,
        alone=alone,
        tasks=tasks,
        pictures=looks,
        desk=desk(database) if desk is not None else None,
        wakeups=wakeups,
        rules=rules,
    )
    await process.engine.start()
    if process.work is not None:
        await process.work.start()
    if process.dispatching is not None:
        await process.dispatching.start()
    try:
        yield process
    finally:
        if process.dispatching is not None:
            await process.dispatching.stop()
        if process.work is not None:
            await process.work.stop()
        await process.engine.stop(grace_s=2.0)
        await asyncio.to_thread(database.close)


def _open(url: str) -> Database:
    database = Database(url, synchronous="NORMAL")
    migrate(database.engine)
    database.start()
    return database


def _assemble(
    database: Database,
    channels: Mapping[str, Channel],
    policy: EnginePolicy,
    clock: Callable[[], float],
    owner: str,
    *,
    alone: bool,
    tasks: Tasks | None,
    pictures: Looks | None = None,
    desk: TurnDesk | None = None,
    wakeups: Wakeups | None = None,
    rules: RuleSet | None = None,
) -> Process:
    knowledge, metrics = EchoKnowledge(), Metrics()
    registry = ToolRegistry(catalogue() + (tasks.tools if tasks else ()))
    services = replace(_services(), retriever=knowledge, tools=registry, pictures=pictures)
    services = replace(services, rules=rules or services.rules)
    work = None
    if tasks is not None:
        work = TaskWork(
            database,
            registry,
            metrics,
            _task_policy(tasks, channels),
            owner=owner,
            alone=alone,
            clock=clock,
        )
    book = work.book if work is not None else TaskBook(ZONE, callbacks=False)
    requote = requoting(services.price_book)
    desk_policy = DeskPolicy(
        frozenset(channels), dispatching=tasks is not None and tasks.tuhui is not None
    )
    orders = OrderDesk(
        database,
        OrderBook(),
        tasks=book,
        requote=requote,
        words=OrderWords(services.templates),
        policy=desk_policy,
        clock=clock,
    )
    parts = assemble_engine(
        database,
        services,
        channels,
        policy,
        owner=owner,
        alone=alone,
        clock=clock,
        metrics=metrics,
        tasks=TaskParts(work.turns, Settling(work.book, frozenset(channels))) if work else None,
        orders=TurnOrders(orders, clock=clock),
        record=record_turn,
        rules=TurnRules(database, book, metrics, zone=ZONE, channels=frozenset(channels)),
        desk=desk,
        wakeups=wakeups,
    )
    orders.on_queues = parts.wake_queues
    if work is not None:
        work.on_queues = parts.wake_queues
    dispatching = None
    if work is not None and tasks is not None and tasks.tuhui is not None:
        dispatch_policy = DispatchPolicy(frozenset(channels), retry_base_s=0.02, wait_s=0.2)
        steps = DispatchSteps(
            database,
            tasks.tuhui,
            work.book,
            dispatch_policy,
            on_step=orders.deeds.on_step,
            on_done=orders.deeds.on_done,
            clock=clock,
        )
        dispatching = DispatchRunner(
            steps, owner=owner, alone=alone, on_queues=parts.wake_queues, clock=clock
        )
        orders.deeds.cancel_dispatch = steps.cancel
        orders.on_due = dispatching.wake
    return Process(
        parts.engine,
        parts.turns,
        parts.deliverer,
        knowledge,
        database,
        services,
        orders,
        work,
        dispatching,
    )


def _task_policy(tasks: Tasks, channels: Mapping[str, Channel]) -> TaskPolicy:
    reach = frozenset(channels) | ({"tuhui"} if tasks.tuhui else frozenset())
    acting = ActingPolicy(ZONE, reach, backoff_base_s=tasks.backoff_base_s)
    told = "tianwang" in channels
    return TaskPolicy(acting, callbacks=told, late_s=tasks.late_s, lease_s=tasks.lease_s)


@functools.cache
def _services() -> Services:
    """As the composition root builds them, without a model."""
    retriever = cast(Retriever, EchoKnowledge())
    return build_services(load_settings(env_files=None), retriever, None)


class Peers(Protocol):
    """Where the simulated peers are: `SandboxServer`."""

    @property
    def webhook_url(self) -> str: ...

    @property
    def staff_url(self) -> str: ...


@contextlib.asynccontextmanager
async def sandbox_channels(sandbox: Peers) -> AsyncIterator[dict[str, Channel]]:
    """The webhook channel and the staff's, delivering to the simulated peers."""
    async with httpx.AsyncClient(trust_env=False) as http:
        yield {
            "webhook": WebhookChannel(WebhookClient(sandbox.webhook_url, None, http)),
            "staff": StaffChannel(StaffNotifier(sandbox.staff_url, http)),
        }


def a_message(
    text: str,
    *,
    whole: str | None = None,
    chat: str = "甲",
    route: Literal["push", "poll"] = "poll",
    message_id: str | None = None,
) -> InboundMessage:
    """A question that only knowledge can answer, told from others by ``text``; or ``whole``."""
    return InboundMessage(
        channel="webhook" if route == "push" else "api",
        account="shop",
        channel_message_id=message_id or f"m{next(_numbers)}",
        chat_id=chat,
        sender_id=chat,
        text=whole or f"充电桩{text}怎么安装",
        route=route,
    )


def answer_to(message: InboundMessage) -> str:
    return f"答:{message.text}"


def shown(sandbox: SandboxServer, chat: str = "甲", *, at_least: int = 0) -> list[str]:
    """The texts that the customer of ``chat`` has seen, in order."""
    wait = 10.0 if at_least else 0.0
    return [m["text"] for m in sandbox.chat(chat, at_least=at_least, wait=wait)]
