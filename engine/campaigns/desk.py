"""What a person does with campaigns: make, try, start, pause, end."""

import time
from collections import Counter
from collections.abc import Callable

from sqlalchemy import Connection

from domain.campaigns import STATUS_WORDS, CampaignStatus, Forecast
from domain.errors import InvalidInput, NotFound, StorageError
from engine.campaigns.sending import Sending
from storage.campaigns import Campaign, CampaignBook, NewCampaign, Person, matching
from storage.database import Database

S = CampaignStatus
MAX_TRIED = 5_000
"""Customers that one forecast looks at; it says nothing of those behind them."""
PAGE = 500
MAX_SAMPLE = 20
_TRIES = 5


class CampaignDesk:
    """``on_due``: told that a campaign wants its runner. Methods raise NotFound, and InvalidInput:
    409 for what may not follow, or for another ``version`` than the one that the caller has read.
    """

    def __init__(
        self,
        database: Database,
        book: CampaignBook,
        sending: Sending,
        *,
        on_due: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.book, self.sending, self.on_due = book, sending, on_due
        self._database, self._clock = database, clock

    async def get(self, campaign_id: int) -> tuple[Campaign, dict[str, int], dict[str, int]]:
        """It, its people by what became of them, and its messages by what became of those."""

        def unit(connection: Connection) -> tuple[Campaign, dict[str, int], dict[str, int]]:
            found = self._found(connection, campaign_id)
            counts = self.book.counts(connection, found.id)
            return found, counts, self.book.deliveries(connection, found.id)

        return await self._database.read(unit)

    async def listed(
        self, *, status: CampaignStatus | None, before: int | None, limit: int
    ) -> list[Campaign]:
        return await self._database.read(
            lambda c: self.book.listed(c, status=status, before=before, limit=limit)
        )

    async def people(
        self, campaign_id: int, *, status: str, after: int, limit: int
    ) -> list[Person]:
        def unit(connection: Connection) -> list[Person]:
            self._found(connection, campaign_id)
            return self.book.people(
                connection, campaign_id, status=status, after=after, limit=limit
            )

        return await self._database.read(unit)

    async def create(self, new: NewCampaign, *, actor: str) -> Campaign:
        self._check(new)
        now = self._clock()

        def unit(connection: Connection) -> Campaign:
            created = self.book.create(connection, new, actor=actor, now=now)
            return self._found(connection, created)

        return await self._database.write(unit)

    async def edit(
        self, campaign_id: int, new: NewCampaign, *, actor: str, version: int | None
    ) -> Campaign:
        self._check(new)
        now = self._clock()

        def unit(connection: Connection) -> Campaign:
            found = self._of_version(connection, campaign_id, version)
            if found.status is not S.DRAFT:
                raise InvalidInput("status", "只有草稿可以修改", status=409)
            if not self.book.edit(connection, found, new, actor=actor, now=now):
                raise InvalidInput("version", "活动刚被改动，请重新读取", status=409)
            return self._found(connection, campaign_id)

        return await self._database.write(unit)

    async def start(
        self, campaign_id: int, *, actor: str, starts_ts: float | None = None
    ) -> Campaign:
        """At once, or at ``starts_ts``; also what was paused."""
        now = self._clock()
        starts = max(starts_ts or now, now)
        found = await self._move(campaign_id, S.SCHEDULED, actor=actor, starts_ts=starts)
        self.on_due()
        return found

    async def pause(self, campaign_id: int, *, actor: str) -> Campaign:
        return await self._move(campaign_id, S.PAUSED, actor=actor)

    async def cancel(self, campaign_id: int, *, actor: str) -> Campaign:
        """What is in the outbox already goes its way."""
        return await self._move(campaign_id, S.CANCELLED, actor=actor)

    async def forecast(self, new: NewCampaign) -> Forecast:
        """What would be sent if it began now; nothing is written."""
        self._check(new)
        now, matched, sends, sample = self._clock(), 0, 0, list[str]()
        skipped: Counter[str] = Counter()
        cursor = 0
        while matched < MAX_TRIED:
            page, reasons, texts = await self._tried(new, cursor, now)
            matched += len(page)
            skipped.update(reasons)
            sends += len(page) - len(reasons)
            sample += texts[: MAX_SAMPLE - len(sample)]
            if len(page) < PAGE:
                break
            cursor = page[-1][0]
        return Forecast(
            matched, sends, dict(skipped), round(sends / new.per_minute * 60, 1), tuple(sample)
        )

    async def _tried(
        self, new: NewCampaign, after: int, now: float
    ) -> tuple[list[tuple[int, str]], list[str], list[str]]:
        def unit(connection: Connection) -> tuple[list[tuple[int, str]], list[str], list[str]]:
            page = matching(connection, new.segment, now=now, after=after, limit=PAGE)
            reasons: list[str] = []
            texts: list[str] = []
            for _, contact_id in page:
                to, skip = self.sending.looked_at(connection, new.segment, contact_id, now=now)
                if skip is not None or to is None:
                    reasons.append(str(skip or "no_channel"))
                elif len(texts) < MAX_SAMPLE:
                    texts.append(self.sending.text_for(new.text, to.name))
            return page, reasons, texts

        return await self._database.read(unit)

    async def _move(
        self,
        campaign_id: int,
        status: CampaignStatus,
        *,
        actor: str,
        starts_ts: float | None = None,
    ) -> Campaign:
        now = self._clock()

        def unit(connection: Connection) -> Campaign:
            for _ in range(_TRIES):
                found = self._found(connection, campaign_id)
                if self.book.move(
                    connection, found, status, actor=actor, now=now, starts_ts=starts_ts
                ):
                    return self._found(connection, campaign_id)
                again = self._found(connection, campaign_id)
                if again.version == found.version:
                    reason = f"活动{STATUS_WORDS[found.status]}，不能改为{STATUS_WORDS[status]}"
                    raise InvalidInput("status", reason, status=409)
            raise StorageError(f"campaign {campaign_id} changed under {_TRIES} attempts")

        return await self._database.write(unit, key=f"campaign:{campaign_id}")

    def _check(self, new: NewCampaign) -> None:
        if new.per_minute > self.sending.policy.most_a_minute:
            reason = f"每分钟最多 {self.sending.policy.most_a_minute} 条"
            raise InvalidInput("per_minute", reason)

    def _of_version(
        self, connection: Connection, campaign_id: int, version: int | None
    ) -> Campaign:
        found = self._found(connection, campaign_id)
        if version is not None and version != found.version:
            raise InvalidInput("version", "活动在读取之后已被改动，请重新读取", status=409)
        return found

    def _found(self, connection: Connection, campaign_id: int) -> Campaign:
        found = self.book.get(connection, campaign_id)
        if found is None:
            raise NotFound("campaign_id", str(campaign_id))
        return found
