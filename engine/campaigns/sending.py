"""One customer of a campaign: may they be written to now, and the message as rows."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from domain.campaigns import CampaignPolicy, Segment, Skip, skip_reason, wording
from domain.decisions import Effect, EffectKind
from storage.campaigns import Campaign, Person, person_now
from storage.effects import Cause, apply
from storage.recipients import RecipientRow
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
        self, connection: Connection, segment: Segment, contact_id: str, *, now: float
    ) -> tuple[RecipientRow | None, Skip | None]:
        """Where it would go, and why it would not."""
        wanted = self.channels.intersection(segment.channels or self.channels)
        facts, to = person_now(connection, contact_id, wanted)
        count = self.rooms.get(to.channel) if to is not None else None
        if to is not None and count is not None:
            facts = replace(facts, room=count(connection, to, now))
        return to, skip_reason(facts, self.policy, now=now)

    def send(
        self, connection: Connection, campaign: Campaign, person: Person, *, now: float
    ) -> tuple[str, Skip | None, tuple[str, ...]]:
        """Its message id, or why there is none; and queues of the outbox that got something."""
        to, skip = self.looked_at(connection, campaign.segment, person.contact_id, now=now)
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
