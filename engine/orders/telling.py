"""How everyone concerned is told of an order that has changed, in the transaction of the change.

The customer is told through the outbox, staff by a notice.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection

from domain.decisions import Effect, EffectKind
from domain.orders import Amendment, OrderStatus, Workflow
from engine.orders import words
from graphs.order_words import OrderWords
from storage.effects import Cause, apply
from storage.orders import OrderBook, OrderRow
from storage.recipients import RecipientRow
from storage.tasks import TaskBook

S = OrderStatus
AT_WORK = frozenset({S.CONFIRMED, S.WORKING, S.WAITING, S.DISPATCHED, S.REWORK})
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


@dataclass(frozen=True, slots=True)
class Told:
    """What follows a change: messages to the customer, a notice, queues that were woken already."""

    customer: tuple[Effect, ...] = ()
    staff: tuple[Effect, ...] = ()
    queues: tuple[str, ...] = ()


OnDelivered = Callable[[Connection, RecipientRow, OrderRow, float], Sequence[str]]


@dataclass(slots=True)
class DeskPolicy:
    """``channels``: those that deliver. ``dispatching``: Tuhui is there to give work to designers.
    ``picture_url``: the address under which a channel and its customer get a stored picture.
    ``known_pictures``: whether one is stored; may block. ``on_delivered``: puts further notices of
    a delivered order into the outbox; returns their queues."""

    channels: frozenset[str] = frozenset()
    dispatching: bool = False
    picture_url: Callable[[str], str] = field(default=lambda sha256: f"/pictures/{sha256}")
    rework_priority: Literal["low", "normal", "high"] = "high"
    known_pictures: Callable[[str], bool] = field(default=lambda _sha256: True)
    on_delivered: OnDelivered | None = None


class Telling:
    def __init__(
        self, book: OrderBook, tasks: TaskBook, policy: DeskPolicy, said: OrderWords
    ) -> None:
        self._book, self._tasks, self._policy, self._said = book, tasks, policy, said

    def addresses(self, order: OrderRow) -> list[str]:
        """Of its pictures: our own where they are stored."""
        if order.pictures:
            return [self._policy.picture_url(sha256) for sha256 in order.pictures]
        return [address for address in order.images if is_address(address)]

    def amended(self, row: OrderRow, before: OrderRow, amendments: Sequence[Amendment]) -> Told:
        customer = (say(self._said.amended(row, amendments, now=row.quote, before=before.quote)),)
        if before.status not in AT_WORK and row.status not in AT_WORK:
            return Told(customer)
        text = words.amended_notice(row, amendments)
        return Told(customer, notice(row, "订单要求有改动", text, urgent=True))

    def waits_for_staff(self, order: OrderRow) -> tuple[Effect, ...]:
        """Without Tuhui: work for designers is given out by a person."""
        if order.workflow is not Workflow.DESIGN:
            return ()
        text = words.description(order, addresses=self.addresses(order))
        return notice(order, "新订单待处理", text)

    def sent(self, order: OrderRow, deliverables: Sequence[str], note: str) -> tuple[Effect, ...]:
        said = say(
            "\n".join(part for part in (self._said.say("order_delivered", order), note) if part)
        )
        return (said, *(self._file(at, one) for at, one in enumerate(deliverables)))

    def _file(self, at: int, deliverable: str) -> Effect:
        stored = is_sha256(deliverable)
        url = self._policy.picture_url(deliverable) if stored else deliverable
        path = "" if stored else unquote(urlsplit(url).path)
        picture = stored or path.lower().endswith(_PICTURE_ENDINGS)
        name = path.rpartition("/")[2] or ("图片" if picture else "文件")
        payload = {"type": "image" if picture else "file", "text": "", "url": url, "name": name}
        return Effect(EffectKind.MESSAGE, f"file:{at}", payload)

    def tell(
        self, connection: Connection, order: OrderRow, told: Told, actor: str, now: float
    ) -> tuple[str, ...]:
        """Queues of the outbox that got something."""
        found = self._book.recipient(connection, order) if told.customer else None
        customer = [self._to(found, one) for one in told.customer] if found is not None else []
        made = [*customer, *told.staff]
        if not made:
            return told.queues
        fetched = found is not None and found.channel not in self._policy.channels
        cause = Cause(
            actor,
            conversation_id=order.conversation_id,
            contact_id=order.contact_id,
            shown_in=found.conversation_id if found is not None and fetched else "",
        )
        applied = apply(
            connection,
            made,
            key=f"order:{order.id}:{order.version}",
            cause=cause,
            now=now,
            book=self._tasks,
            channels=self._policy.channels,
        )
        detail = {"customer": len(customer), "staff": len(told.staff)}
        self._book.note(connection, order.id, "told", detail, actor=actor, now=now)
        more = self._delivered(connection, order, found, now)
        return (*told.queues, *applied.queues, *more)

    def _delivered(
        self, connection: Connection, order: OrderRow, found: RecipientRow | None, now: float
    ) -> Sequence[str]:
        if found is None or order.status is not S.DELIVERED or self._policy.on_delivered is None:
            return ()
        return self._policy.on_delivered(connection, found, order, now)

    def _to(self, found: RecipientRow, effect: Effect) -> Effect:
        to = asdict(found) | {"pushes": found.channel in self._policy.channels}
        return Effect(effect.kind, effect.name, dict(effect.payload) | {"to": to})


def say(text: str) -> Effect:
    return Effect(EffectKind.MESSAGE, "message", {"type": "text", "text": text})


def notice(order: OrderRow, title: str, text: str, *, urgent: bool = False) -> tuple[Effect, ...]:
    payload = {
        "title": title,
        "text": text,
        "priority": "high" if urgent else "normal",
        "reason": "order",
        "conversation_id": order.conversation_id,
    }
    return (Effect(EffectKind.NOTICE, "notice", payload),)


def handed_over(order: OrderRow, reason: str) -> tuple[Effect, ...]:
    """A row for the human desk: a designer is wanted."""
    payload = {
        "conversation_id": order.conversation_id,
        "contact_id": order.contact_id,
        "reason": reason,
        "priority": "high" if order.priority == "high" else "normal",
        "target": "designer",
        "question": words.summary(order),
    }
    return (Effect(EffectKind.HANDOFF, "handoff", payload),)


def is_sha256(text: str) -> bool:
    return len(text) == 64 and all(char in "0123456789abcdef" for char in text)


def is_address(text: str) -> bool:
    return text.startswith(("http://", "https://"))
