"""Pulling customer service messages: a bell says that there is news, one process at a time per
account fetches it, page by page, each with its cursor in one transaction."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prometheus_client import Counter
from sqlalchemy import Connection

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from domain.ids import conversation_id
from domain.messages import InboundMessage
from engine.leases import STOP_GRACE_S, LeaseRunner
from engine.metrics import Metrics
from engine.wecom.kf_intake import KfIntake, Stored
from storage import kf, kf_sessions, kf_windows
from storage.database import Database
from storage.inbox import Receipt
from storage.kf import KfBook, KfPull, KfTaken
from storage.kf_windows import Whose
from tools.wecom import errors
from tools.wecom.kf import KfClient, KfPage, SessionState
from tools.wecom.kf_messages import Origin
from tools.wx.errors import WxRejected

log = logging.getLogger(__name__)
SILENT_S = 60.0
"""An account without a bell for so long is pulled all the same: bells get lost."""
TOKEN_S = 540.0
"""A bell's token is good for ten minutes."""
BELL_S = 120.0
"""An account that a bell first told of: what is older than this before it is history."""
LIST_S = 3_600.0
LIST_RETRY_S = 30.0
AT_ONCE = 16
RETRY_S = (0.5, 60.0)
REJECTED_S = 60.0
EMPTY_PAUSE_S = 0.1
_LANE = "pull"
_BAD_PARAMETER = 40058


@dataclass(frozen=True, slots=True)
class Hooks:
    """Of the engine: ``taken`` is told what is stored and to be answered, ``queues`` which of the
    outbox's got something."""

    taken: Callable[[InboundMessage, Receipt], None]
    queues: Callable[[Sequence[str]], None]


class KfPuller(LeaseRunner[str]):
    """``accounts``: the only ones that are served; none: all that the application may serve. Start
    it after the engine and stop it before."""

    def __init__(
        self,
        client: KfClient,
        intake: KfIntake,
        database: Database,
        metrics: Metrics,
        hooks: Hooks,
        *,
        owner: str,
        alone: bool,
        lease_s: float = 30.0,
        accounts: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            "customer service account",
            database,
            KfBook(),
            [(_LANE, AT_ONCE)],
            owner=owner,
            alone=alone,
            lease_s=lease_s,
            clock=clock,
        )
        self._client, self._intake, self._hooks = client, intake, hooks
        self._accounts = tuple(accounts)
        self._first_start = 0.0
        self._next_sweep = 0.0
        self._stopping = False
        self._listing: asyncio.Task[None] | None = None
        self._messages = Counter(
            "kefu_kf_messages_total",
            "Messages and events of customer service, by type and what became of them",
            ["msgtype", "outcome"],
            registry=metrics.registry,
        )
        self._pulls = Counter(
            "kefu_kf_pulls_total",
            "Pages of customer service messages that were asked for, by outcome",
            ["outcome"],
            registry=metrics.registry,
        )

    # Its life ------------------------------------------------------------------------------

    async def take_bells(self) -> None:
        """From now on: also where others pull what they tell of."""
        now = self._clock()

        def unit(connection: Connection) -> float:
            first = kf.first_start(connection, now)
            kf.know(connection, self._accounts, since=first)
            # Bells that rang while no process ran are lost.
            kf.want(connection, now=now, pulled_before=now, only=self._accounts)
            return first

        self._first_start = await self._database.write(unit)

    async def start(self) -> None:
        await self.take_bells()
        self._next_sweep = self._clock() + SILENT_S
        self._stopping = False
        await super().start()
        if not self._accounts:
            self._listing = asyncio.create_task(self._list_forever(), name="list kf accounts")

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """A page that was fetched is stored; the pages after it are wanted still."""
        self._stopping = True
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)
            self._listing = None
        await super().stop(grace_s)

    async def heard(self, open_kfid: str, token: str, rung_at: float) -> None:
        """A bell, kept before this returns. ``open_kfid``: empty in old callbacks, which mean any
        account; ``rung_at``: as the platform says."""
        if open_kfid and self._accounts and open_kfid not in self._accounts:
            log.info("a bell of %s, which is none of WECOM_KF_ACCOUNTS", open_kfid)
            return
        now = self._clock()
        since = max(self._first_start, min(rung_at or now, now) - BELL_S)

        def unit(connection: Connection) -> None:
            if open_kfid:
                kf.heard(connection, open_kfid, token=token, now=now, since=since)
            else:
                kf.want(connection, now=now, pulled_before=now, only=self._accounts)

        await self._database.write(unit, key=open_kfid)
        self.wake()

    async def _list_forever(self) -> None:
        """Accounts can be had before the first bell of each: what customers wrote in between is
        answered too."""
        while True:
            try:
                listed = [one.open_kfid for one in await self._client.accounts()]
                await self._know(listed)
            except PeerError as error:
                log.warning("accounts of customer service cannot be listed: %s", error)
                await asyncio.sleep(LIST_RETRY_S)
            except Exception:
                log.exception("listing accounts of customer service failed")
                await asyncio.sleep(LIST_RETRY_S)
            else:
                await asyncio.sleep(LIST_S)

    async def _know(self, listed: list[str]) -> None:
        now = self._clock()
        # One that is added later was somebody else's before.
        since = self._first_start if now - self._first_start < LIST_S else now

        def unit(connection: Connection) -> None:
            new = sorted(set(filter(None, listed)) - set(kf.known(connection)))
            kf.know(connection, new, since=since)
            if new:
                kf.want(connection, now=now, pulled_before=0.0, only=new)

        await self._database.write(unit)
        self.wake()

    # Pulling -------------------------------------------------------------------------------

    async def _take(self, now: float, *, waits: bool) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + SILENT_S
            await self._database.write(
                lambda c: kf.want(c, now=now, pulled_before=now - SILENT_S, only=self._accounts)
            )
        room = self._room(_LANE)
        if not waits or room <= 0 or self._stopping:
            return
        held = list(self._running[_LANE])
        claimed = await self._database.write(
            lambda c: kf.claim(
                c, owner=self._owner, now=now, lease_s=self._lease_s, limit=room, besides=held
            )
        )
        for pull in claimed:
            self._begin(_LANE, [pull.open_kfid], functools.partial(self._work, pull))

    async def _work(self, pull: KfPull) -> None:
        try:
            await self._pull(pull)
        except KfTaken as error:
            log.warning("%s", error)
            self._pulls.labels("taken").inc()
        except PeerError as error:
            self._pulls.labels("failed").inc()
            await self._failed(pull, error)
        except Exception as error:
            self._pulls.labels("failed").inc()
            log.exception("account %s: what was pulled is not stored", pull.open_kfid)
            await self._failed(pull, error)

    async def _pull(self, pull: KfPull) -> None:
        """Page after page until there is no more; a page may be empty in between."""
        empty = 0
        while not self._stopping:
            page = await self._page(pull)
            if page is None:
                pull = replace(pull, cursor="")
                continue
            await self._ask_who_has(page)
            stored = await self._store(pull, page)
            self._pulls.labels("pulled").inc()
            self._tell(stored)
            pull = replace(pull, cursor=page.cursor, attempts=0)
            if not page.has_more:
                await self._done(pull)
                return
            empty = 0 if page.messages else empty + 1
            if empty:
                await asyncio.sleep(min(EMPTY_PAUSE_S * empty, 2.0))

    async def _page(self, pull: KfPull) -> KfPage | None:
        """None: the cursor is not known there any more, and three days are read again."""
        young = self._clock() - pull.token_at < TOKEN_S
        token = pull.token if young else ""
        try:
            return await self._sync(pull, token)
        except WxRejected as error:
            if error.errcode == _BAD_PARAMETER and pull.cursor:
                log.warning("account %s: its cursor is refused: %s", pull.open_kfid, error)
                await self._database.write(
                    lambda c: kf.forget_cursor(c, pull, owner=self._owner), key=pull.open_kfid
                )
                return None
            if error.errcode != errors.KF_BAD_SYNC_TOKEN or not token:
                raise
        await self._database.write(lambda c: kf.forget_token(c, pull), key=pull.open_kfid)
        return await self._sync(pull, "")

    async def _sync(self, pull: KfPull, token: str) -> KfPage:
        return await self._client.sync(pull.open_kfid, cursor=pull.cursor, token=token)

    async def _ask_who_has(self, page: KfPage) -> None:
        """Sessions that time out end without a word: who writes to one that a person had may be
        ours to answer again."""
        wrote = {
            Whose(kf.CHANNEL, one.open_kfid, one.customer)
            for one in page.messages
            if one.origin is Origin.CUSTOMER and one.customer
        }
        held = await self._database.read(lambda c: kf_windows.with_person(c, wrote))
        for whose in held:
            try:
                session = await self._client.session(whose.account, whose.sender_id)
            except PeerError as error:
                log.info("who has the session of %s is not known: %s", whose.sender_id, error)
                continue
            if session.state in (SessionState.NEW, SessionState.ENDED):
                await self._ours_again(whose)

    async def _ours_again(self, whose: Whose) -> None:
        now = self._clock()
        conversation = conversation_id(
            whose.channel, whose.account, whose.sender_id, whose.sender_id
        )

        def unit(connection: Connection) -> None:
            kf_sessions.give_back(connection, conversation, agent="", now=now)
            kf_windows.set_state(connection, whose, "")

        await self._database.write(unit, key=conversation)

    async def _store(self, pull: KfPull, page: KfPage) -> Stored:
        now = self._clock()

        def unit(connection: Connection) -> Stored:
            kf.move(
                connection, pull, page.cursor, owner=self._owner, now=now, lease_s=self._lease_s
            )
            return self._intake.store(connection, pull, page.messages, now=now)

        # Shielded: what is stored must be told of, else it waits for the sweep.
        return await self._shielded(self._database.write(unit, key=pull.open_kfid))

    async def _shielded(self, storing: "asyncio.Future[Stored]") -> Stored:
        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            storing.add_done_callback(self._tell_late)
            raise

    def _tell_late(self, storing: "asyncio.Future[Stored]") -> None:
        if not storing.cancelled() and storing.exception() is None:
            self._tell(storing.result())

    def _tell(self, stored: Stored) -> None:
        for message, receipt in stored.received:
            self._hooks.taken(message, receipt)
        if stored.queues:
            self._hooks.queues(stored.queues)
        for msgtype, outcome in stored.counts:
            self._messages.labels(msgtype, outcome).inc()

    async def _done(self, pull: KfPull) -> None:
        await self._database.write(
            lambda c: kf.done(c, pull, owner=self._owner), key=pull.open_kfid
        )

    async def _failed(self, pull: KfPull, error: Exception) -> None:
        retry_at = self._clock() + _pause(pull, error)
        shown = f"{type(error).__name__}: {error}"[:500]
        log.warning("account %s is pulled again later: %s", pull.open_kfid, shown)
        await self._database.write(
            lambda c: kf.failed(c, pull, owner=self._owner, error=shown, retry_at=retry_at),
            key=pull.open_kfid,
        )


def _pause(pull: KfPull, error: Exception) -> float:
    first, longest = RETRY_S
    pause = min(first * 2.0 ** min(pull.attempts, 10), longest)
    if isinstance(error, PeerRejected):
        return REJECTED_S
    if isinstance(error, PeerUnavailable) and error.retry_after is not None:
        return max(pause, error.retry_after)
    return pause
