"""Campaigns at work: who is of the segment is noted first, then a handful leaves at a time.

Each message is a row in the transaction that settles its customer, so whatever dies, nobody is
written to twice and nobody is forgotten; what is allowed is asked again right before it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from functools import partial

from sqlalchemy import Connection

from domain.campaigns import handful, loud_at, pause_s
from engine.campaigns.sending import Sending
from engine.leases import LeaseRunner
from storage.campaigns import Campaign, CampaignBook, Person
from storage.database import Database

log = logging.getLogger(__name__)
AT_ONCE = 4
PLANNED_AT_ONCE = 500
_LANE = "campaign"


class CampaignRunner(LeaseRunner[int]):
    """``on_queues``: told of queues of the outbox that got something."""

    def __init__(
        self,
        database: Database,
        book: CampaignBook,
        sending: Sending,
        *,
        zone: tzinfo,
        owner: str,
        alone: bool,
        lease_s: float,
        on_queues: Callable[[Sequence[str]], None],
        on_settled: Callable[[str], None] = lambda _outcome: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            "campaign",
            database,
            book,
            ((_LANE, AT_ONCE),),
            owner=owner,
            alone=alone,
            lease_s=lease_s,
            clock=clock,
        )
        self._book, self._sending, self._zone = book, sending, zone
        self._on_queues, self._on_settled = on_queues, on_settled

    async def _take(self, now: float, *, waits: bool) -> None:
        room = self._room(_LANE)
        if not waits or room <= 0:
            return
        claim = partial(
            self._book.claim_due, owner=self._owner, now=now, lease_s=self._lease_s, limit=room
        )
        for campaign in await self._database.write(claim):
            self._begin(_LANE, (campaign.id,), partial(self._work, campaign))

    async def _work(self, campaign: Campaign) -> None:
        now = self._clock()
        if campaign.ends_ts is not None and now >= campaign.ends_ts:
            await self._end(campaign, now)
            return
        loud = loud_at(datetime.fromtimestamp(now, self._zone), self._sending.policy).timestamp()
        if loud > now:
            await self._again(campaign, loud)
        elif campaign.cursor is not None:
            await self._plan(campaign, now)
        else:
            await self._send(campaign, now)

    async def _plan(self, campaign: Campaign, now: float) -> None:
        def unit(connection: Connection) -> None:
            if self._book.held(connection, campaign, self._owner):
                self._book.begin(connection, campaign, now=now)
                self._book.plan(connection, campaign, now=now, limit=PLANNED_AT_ONCE)
                self._book.look_again(connection, campaign, self._owner, due_at=now)

        await self._database.write(unit, key=_key(campaign))
        self.due(now)

    async def _send(self, campaign: Campaign, now: float) -> None:
        count = handful(campaign.per_minute)
        people = await self._database.read(
            lambda c: self._book.planned(c, campaign.id, limit=count)
        )
        for person in people:
            if not await self._write_to(campaign, person):
                log.info("campaign %d was changed: its handful stops here", campaign.id)
                return
        if len(people) < count:
            await self._end(campaign, now)
            return
        await self._again(campaign, now + pause_s(campaign.per_minute))

    async def _write_to(self, campaign: Campaign, person: Person) -> bool:
        """False: the campaign is not ours any more, or was paused."""
        now = self._clock()

        def unit(connection: Connection) -> tuple[bool, str, tuple[str, ...]]:
            if not self._book.held(connection, campaign, self._owner):
                return False, "", ()
            message_id, skip, queues = self._sending.send(connection, campaign, person, now=now)
            self._book.settle(connection, person, now=now, message_id=message_id, skip=skip)
            return True, skip.value if skip else "sent", queues

        ours, outcome, queues = await self._database.write(unit, key=_key(campaign))
        if ours:
            self._on_settled(outcome)
            self._on_queues(queues)
        return ours

    async def _end(self, campaign: Campaign, now: float) -> None:
        def unit(connection: Connection) -> bool:
            if not self._book.held(connection, campaign, self._owner):
                return False
            self._book.end(connection, campaign, self._owner, now=now)
            return True

        if await self._database.write(unit, key=_key(campaign)):
            log.info("campaign %d has ended", campaign.id)

    async def _again(self, campaign: Campaign, due_at: float) -> None:
        await self._database.write(
            lambda c: self._book.look_again(c, campaign, self._owner, due_at=due_at),
            key=_key(campaign),
        )
        self.due(due_at)


def _key(campaign: Campaign) -> str:
    return f"campaign:{campaign.id}"
