"""Calls of the catalogue's tools, over rows of customers who have written."""

from dataclasses import asdict, dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from domain.messages import InboundMessage
from storage import effects, inbox
from storage.database import Database
from storage.history import rows
from storage.recipients import find_recipient
from storage.tasks import TaskBook
from tools.catalog import catalogue
from tools.registry import Caller, Recipient, Role, ToolCall, ToolOutcome, ToolRegistry

ZONE = ZoneInfo("Asia/Shanghai")
NOW = 1_772_186_400.0  # 2026-02-27 18:00:00 in Shanghai
CHANNELS = frozenset({"webhook", "staff", "tuhui"})
AGENT = Caller(Role.AGENT, "客服小李")
TIANWANG = Caller(Role.TIANWANG, "tianwang")
XIAOMING = "webhook:shop:customer_123"
XIAOHONG = "webhook:shop:customer_456"
REGISTRY = ToolRegistry(catalogue())


def _message(sender: str, name: str, text: str, channel: str = "webhook") -> InboundMessage:
    return InboundMessage(
        channel=channel,
        account="shop",
        channel_message_id=f"{sender}-{text}",
        chat_id=sender,
        sender_id=sender,
        sender_name=name,
        text=text,
        route="push",
    )


CUSTOMERS = (
    _message("customer_123", "小明", "这个能做吗"),
    _message("customer_123", "小明", "做高清修复要多少钱?"),
    _message("customer_456", "小红", "我的秘密是 42"),
    _message("customer_777", "小绿", "在吗", channel="api"),
    _message("customer_123", "网页用户", "网页里的同名用户", channel="api"),
)


async def everybody_wrote(database: Database) -> None:
    await database.write(_receive_all)


def _receive_all(connection: Connection) -> None:
    for number, message in enumerate(CUSTOMERS):
        at = NOW - 600 + number
        inbox.receive(connection, replace(message, received_at=at, sent_at=at), claim_for=None)


def customer(contact: str) -> Caller:
    return Caller(Role.CUSTOMER, contact, contact)


@dataclass(frozen=True)
class Desk:
    database: Database

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any] | None = None,
        *,
        caller: Caller = AGENT,
        about: str | None = None,
        pushes: bool = True,
        channels: frozenset[str] = CHANNELS,
    ) -> ToolOutcome:
        """``about``: the context's customer, a contact id."""
        call = ToolCall(
            caller=caller,
            key="call-1",
            now=NOW,
            database=self.database,
            zone=ZONE,
            recipient=await self.recipient(about, pushes) if about else None,
            channels=channels,
        )
        return await REGISTRY.call(tool, arguments or {}, call)

    async def recipient(self, contact: str, pushes: bool = True) -> Recipient:
        found = await self.database.read(lambda c: find_recipient(c, contact))
        assert found is not None
        return Recipient(**asdict(found), pushes=pushes)

    async def apply(self, outcome: ToolOutcome, key: str = "call-1") -> effects.Applied:
        return await self.database.write(
            lambda c: effects.apply(
                c,
                outcome.effects,
                key=key,
                cause=effects.Cause("客服小李"),
                now=NOW,
                book=TaskBook(ZONE, callbacks=False),
                channels=CHANNELS,
            )
        )

    async def rows(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        return await self.database.read(lambda c: rows(c, sql, **params))


def only(outcome: ToolOutcome, kind: EffectKind) -> Effect:
    (effect,) = (effect for effect in outcome.effects if effect.kind is kind)
    return effect


def kinds(outcome: ToolOutcome) -> list[str]:
    return [f"{effect.kind.value}:{effect.name}" for effect in outcome.effects]
