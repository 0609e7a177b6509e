"""One customer of a campaign: may they be written to now, and the message as rows."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from domain.campaigns import CampaignPolicy, Facts, Skip, skip_reason, wording
from domain.decisions import Effect, EffectKind
from storage.campaigns import Campaign, Person, facts_of
from storage.effects import Cause, apply
from storage.recipients import RecipientRow, find_recipient
from storage.tasks import TaskBook

ACTOR = "campaigns"
Room = Callable[[Connection, RecipientRow, float], int]
"""How many messages the platform lets us send to that customer now."""


@dataclass(frozen=True, slots=True)
class Sending:
    """``channels``: those that deliver; ``rooms``: of those that count. ``hint``: what stands below
    each message, how to get no more of them."""

    policy: CampaignPolicy
    channels: frozenset[str]
    book: TaskBook
    rooms: Mapping[str, Room] = field(default_factory=dict)
    hint: str = ""

    def text_for(self, campaign_text: str, name: str) -> str:
        return "\n".join(part for part in (wording(campaign_text, name), self.hint) if part)

    def looked_at(
        self, connection: Connection, contact_id: str, *, now: float
    ) -> tuple[RecipientRow | None, Skip | None]:
        """Where it would go, and why it would not."""
        to = find_recipient(connection, contact_id)
        facts = self._facts(connection, contact_id, to, now)
        return to, skip_reason(facts, self.policy, now=now)

    def send(
        self, connection: Connection, campaign: Campaign, person: Person, *, now: float
    ) -> tuple[str, Skip | None, tuple[str, ...]]:
        """Its message id, or why there is none; and queues of the outbox that got something."""
        to, skip = self.looked_at(connection, person.contact_id, now=now)
        if skip is not None or to is None:
            return "", skip or Skip.NO_CHANNEL, ()
        key = f"campaign:{campaign.id}:{person.id}"
        effect = self._message(campaign, to)
        cause = Cause(ACTOR, conversation_id=to.conversation_id, contact_id=to.contact_id)
        applied = apply(
            connection,
            [effect],
            key=key,
            cause=cause,
            now=now,
            book=self.book,
            channels=self.channels,
        )
        return f"{key}:{effect.name}", None, applied.queues

    def _message(self, campaign: Campaign, to: RecipientRow) -> Effect:
        payload: dict[str, Any] = {
            "type": "text",
            "text": self.text_for(campaign.text, to.name),
            "to": asdict(to) | {"pushes": True},
        }
        return Effect(EffectKind.MESSAGE, "message", payload)

    def _facts(
        self, connection: Connection, contact_id: str, to: RecipientRow | None, now: float
    ) -> Facts:
        if to is None:
            return facts_of(connection, contact_id, pushes=False, room=None, mode="bot")
        mode = connection.execute(
            text("SELECT mode FROM conversations WHERE id = :id"), {"id": to.conversation_id}
        ).scalar()
        count = self.rooms.get(to.channel)
        return facts_of(
            connection,
            contact_id,
            pushes=to.channel in self.channels,
            room=count(connection, to, now) if count is not None else None,
            mode=str(mode or "bot"),
        )
