"""An order desk over a database in which one customer has written."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from domain.messages import InboundMessage
from domain.orders import OrderStatus, Workflow
from domain.pricing import PriceBook
from engine.orders.desk import DeskPolicy, OrderDesk
from engine.orders.quoting import requoting
from graphs.order_words import OrderWords
from graphs.templates import Templates
from storage import history, inbox
from storage.database import Database
from storage.dispatches import DispatchBook
from storage.orders import NewOrder, OrderBook
from storage.tasks import TaskBook

NOW = 1_772_186_400.0
CUSTOMER = InboundMessage(
    channel="webhook",
    account="shop",
    channel_message_id="m1",
    chat_id="customer_123",
    sender_id="customer_123",
    text="这张帮我抠图",
    sent_at=NOW - 60,
    received_at=NOW - 60,
)
TASKS = TaskBook(ZoneInfo("Asia/Shanghai"), callbacks=False)
PRICES = PriceBook.parse(
    (resources.files("engine") / "defaults" / "price_book.yaml").read_text("utf-8")
)
WORDS = OrderWords(
    Templates.parse((resources.files("engine") / "defaults" / "templates.yaml").read_text("utf-8"))
)
CHANNELS = frozenset({"webhook", "staff", "tuhui"})


@dataclass
class Bench:
    database: Database
    policy: DeskPolicy = field(
        default_factory=lambda: DeskPolicy(channels=CHANNELS, dispatching=True)
    )
    woken: list[str] = field(default_factory=list)
    due: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.desk = OrderDesk(
            self.database,
            OrderBook(),
            tasks=TASKS,
            requote=requoting(PRICES),
            words=WORDS,
            policy=self.policy,
            on_queues=self.woken.extend,
            on_due=self._due,
            clock=lambda: NOW,
        )
        self.dispatches = DispatchBook(TASKS)

    def _due(self) -> None:
        self.due += 1

    async def customer_writes(self) -> None:
        await self.database.write(lambda c: inbox.receive(c, CUSTOMER, claim_for=None))

    async def order(self, requirement: str = "抠图,换成白底", **changes: Any) -> dict[str, Any]:
        self.made += 1
        values: dict[str, Any] = {
            "key": f"test:{self.made}",
            "contact_id": CUSTOMER.contact,
            "conversation_id": CUSTOMER.conversation,
            "requirement": requirement,
            "service": "cutout",
            "status": OrderStatus.QUOTED,
            "workflow": Workflow.DESIGN,
            "images": ("https://shop.example/a.png",),
        }
        return await self.desk.create(NewOrder(**values | changes), actor="turn")

    async def told(self, kind: str = "message") -> list[str]:
        """What the outbox holds of that kind, as read by who gets it."""
        rows = await self.rows("SELECT kind, payload FROM outbox ORDER BY id")
        return [_read(row["payload"]) for row in rows if row["kind"] == kind]

    async def rows(self, sql: str) -> Sequence[dict[str, Any]]:
        return await self.database.read(lambda c: history.rows(c, sql))


def _read(payload: str) -> str:
    body = json.loads(payload)
    return str(body.get("url") or body.get("text", ""))
