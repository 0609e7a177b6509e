"""Conversations of `amending.yaml`, and one of them going on in a whole process."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from domain.messages import Attachment, InboundMessage
from domain.pricing import format_yuan
from tests.engine.orders.talking import Customer
from tests.engine.processes import a_message
from tests.sandbox_server import SandboxServer
from tests.tools.pictures.making import PICTURES

_FILE = Path(__file__).with_name("amending.yaml")
GIVEN_OUT = "📋 **新任务派单**"
Row = dict[str, Any]


def _parts(value: object) -> object:
    return [value] if isinstance(value, str) else value


Parts = Annotated[tuple[str, ...], BeforeValidator(_parts)]
"""All of them are in what was said."""


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Held(_Told):
    """What holds of an order that a step has changed; ``lines``: all that is wanted of it;
    ``priced``: the customer is told its price."""

    status: str
    yuan: float | None = None
    lines: tuple[str, ...] = ()
    priced: bool = True


class Step(_Told):
    """The customer ``says`` something, staff ``delivers`` an order, or designers are ``online``.
    ``told``: the customer's messages, in order; ``staff``: each notice's title and parts of its
    text; ``orders``: those that it changed or made, by their number. All others stay as they are.
    """

    says: str = ""
    pictures: tuple[str, ...] = ()
    delivers: int | None = None
    online: tuple[str, ...] | None = None
    told: tuple[Parts, ...] = ()
    staff: tuple[Parts, ...] = ()
    orders: Mapping[int, Held] = Field(default_factory=dict)


class Conversation(_Told):
    name: str
    steps: tuple[Step, ...]


def conversations() -> tuple[Conversation, ...]:
    told = yaml.safe_load(_FILE.read_text("utf-8"))
    return tuple(Conversation.model_validate(one) for one in told)


@dataclass(frozen=True)
class Seen:
    """Everything that a step may change. ``shown``: the customer's messages, ``notices``: staff's,
    ``tasks``: what designers have at Tuhui."""

    orders: tuple[Row, ...]
    events: tuple[Row, ...]
    shown: tuple[Row, ...]
    notices: tuple[Row, ...]
    tasks: tuple[Row, ...]


@dataclass
class Talk:
    customer: Customer
    sandbox: SandboxServer
    said: int = 0

    async def go(self, step: Step) -> tuple[Seen, Seen]:
        """What there was before, and after everybody is told."""
        before = await self.seen()
        if step.online is not None:
            self.sandbox.put("/_sandbox/tuhui/designers", {"designers": list(step.online)})
        if step.delivers is not None:
            order_id = before.orders[step.delivers - 1]["id"]
            address = f"https://files.example/{order_id}.png"
            await self.customer.process.orders.deliver(order_id, [address], actor="staff")
        if step.says or step.pictures:
            message = await self._message(step)
            await self._send(message)
            await self.settled()
            first = await self.seen()
            await self._send(message)
            await self.settled()
            assert await self.seen() == first, "the same message again changes nothing"
        await self.settled()
        return before, await self.seen()

    async def _message(self, step: Step) -> InboundMessage:
        self.said += 1
        store, chat = self.customer.store, self.customer.chat
        stored = [await store.put(PICTURES[name]()) for name in step.pictures]
        pictures = tuple(Attachment("image", f"picture:{one.sha256}") for one in stored)
        message = a_message(
            "", whole=step.says, chat=chat, route="push", message_id=f"said{self.said}"
        )
        return replace(message, attachments=pictures)

    async def _send(self, message: InboundMessage) -> None:
        await self.customer.process.engine.receive(message)

    async def settled(self) -> None:
        """No turn runs, all is delivered, and dispatches wait for people."""
        process = self.customer.process
        await process.quiet()

        async def at_rest() -> bool:
            rows = await process.rows(
                "SELECT step, told_waiting FROM dispatches"
                " WHERE step IN ('wanted', 'created', 'assigned', 'notified')"
            )
            online = bool(self._tuhui()["designers"])
            going = [row for row in rows if row["step"] != "wanted" or not row["told_waiting"]]
            going += rows if online else []
            pending = await process.rows("SELECT 1 FROM outbox WHERE status = 'pending'")
            return not going and not pending

        await process.until(at_rest)

    async def seen(self) -> Seen:
        process = self.customer.process
        rows = await process.rows("SELECT * FROM image_tasks ORDER BY id")
        orders = [{k: v for k, v in row.items() if not k.startswith("lease")} for row in rows]
        events = await process.rows("SELECT * FROM image_task_events ORDER BY id")
        return Seen(
            tuple(orders),
            tuple(events),
            tuple(self.sandbox.chat(self.customer.chat)),
            tuple(self.sandbox.notices()),
            tuple(self._tuhui()["tasks"]),
        )

    def _tuhui(self) -> Row:
        return self.sandbox.get("/_sandbox/tuhui/state")


# What has to hold -------------------------------------------------------------------------------


def check_step(step: Step, before: Seen, after: Seen) -> None:
    shown = after.shown[len(before.shown) :]
    _everybody_is_told_once(step, before, after, shown)
    _only_these_orders_changed(step, before, after)
    _designers_have_all_that_is_wanted(step, before, after)
    for number, held in step.orders.items():
        old = before.orders[number - 1] if number <= len(before.orders) else None
        _holds(held, after.orders[number - 1])
        _is_recorded(old, after.orders[number - 1], before, after)
        if held.priced:
            said = "\n".join(str(message["text"]) for message in shown)
            _price_is_said(old, after.orders[number - 1], said)


def _everybody_is_told_once(step: Step, before: Seen, after: Seen, shown: Sequence[Row]) -> None:
    assert all(one["received"] == 1 for one in (*after.shown, *after.notices))
    texts = [str(one["text"]) or str(one.get("attachments")) for one in shown]
    assert len(texts) == len(step.told), texts
    for text, parts in zip(texts, step.told, strict=True):
        assert all(part in text for part in parts), text
    notices = list(after.notices[len(before.notices) :])
    assert len(notices) == len(step.staff), notices
    for title, *texts in step.staff:
        fitting = [
            one
            for one in notices
            if one["title"] == title and all(part in one["text"] for part in texts)
        ]
        assert fitting, (title, texts, notices)
        notices.remove(fitting[0])


def _only_these_orders_changed(step: Step, before: Seen, after: Seen) -> None:
    changed = {
        number
        for number, row in enumerate(after.orders, 1)
        if number > len(before.orders) or before.orders[number - 1] != row
    }
    assert changed == set(step.orders)


def _designers_have_all_that_is_wanted(step: Step, before: Seen, after: Seen) -> None:
    """Each new task at Tuhui is of one order, and says what is wanted of it now."""
    tasks = after.tasks[len(before.tasks) :]
    assert len(tasks) == sum(title == GIVEN_OUT for title, *_ in step.staff)
    for task in tasks:
        (order_id,) = re.findall(r"^订单:(\d+)$", task["description"], re.MULTILINE)
        (row,) = [one for one in after.orders if one["id"] == int(order_id)]
        missing = [one for one in row["requirement"].splitlines() if one not in task["description"]]
        assert not missing, (missing, task["description"])


def _holds(held: Held, row: Row) -> None:
    assert row["status"] == held.status
    assert (_total(row) or 0) == round((held.yuan or 0) * 100)
    assert held.lines == () or row["requirement"] == "\n".join(held.lines)


def _is_recorded(old: Row | None, new: Row, before: Seen, after: Seen) -> None:
    events = [
        one | {"detail": json.loads(one["detail"])}
        for one in after.events[len(before.events) :]
        if one["order_id"] == new["id"]
    ]
    kinds = [one["kind"] for one in events]
    if old is None:
        assert kinds[0] == "created"
    elif old["requirement"] != new["requirement"]:
        assert kinds.count("amended") == 1
        told = events[kinds.index("amended")]["detail"]
        assert (told["from"], told["to"]) == (old["requirement"], new["requirement"])
        assert told.get("total") == _total(new)
    if old is not None and old["status"] != new["status"]:
        assert new["status"] in [one["detail"].get("after") for one in events]


def _price_is_said(old: Row | None, new: Row, said: str) -> None:
    """Whatever is new of an order, the customer reads its price as it is in the row."""
    total, total_before = _total(new), _total(old) if old else None
    if total is None or new["status"] in ("cancelled", "accepted"):
        return
    if old is None or old["requirement"] != new["requirement"] or total != total_before:
        assert format_yuan(total) in said
    for was, now in re.findall(r"价格由 (\S+) 调整为 ([\d.]+元)", said):
        assert was != now


def _total(row: Row) -> int | None:
    return int(json.loads(row["quote"])["total"]) if row["quote"] else None
