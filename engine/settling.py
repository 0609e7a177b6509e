"""What follows from the end of a delivery: a task ends, staff is told of a dispatch."""

from collections.abc import Sequence

from sqlalchemy import Connection

from domain.decisions import Effect
from storage.effects import Cause, apply
from storage.outbox import Delivery
from storage.tasks import TaskBook


class Settling:
    """Works in the transaction that settles the delivery."""

    def __init__(self, book: TaskBook, channels: frozenset[str]) -> None:
        self._book, self._channels = book, channels

    def settled(
        self,
        connection: Connection,
        delivery: Delivery,
        *,
        outcome: str,
        error: str | None,
        now: float,
        follow_ups: Sequence[Effect] = (),
    ) -> tuple[str, ...]:
        """Returns queues of the outbox that got something."""
        queues = self._book.settled(connection, delivery, outcome=outcome, error=error, now=now)
        if not follow_ups:
            return queues
        applied = apply(
            connection,
            follow_ups,
            key=delivery.message_id,
            cause=Cause(actor=delivery.channel, conversation_id=delivery.conversation_id),
            now=now,
            book=self._book,
            channels=self._channels,
        )
        return queues + applied.queues
