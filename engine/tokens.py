"""Access tokens and tickets of platforms: one for all callers and all processes.

In memory after the first look at the row. Refreshed before it expires while callers go on with the
old one; a process that has to fetch holds the row's lease, the others wait for what it stores.
"""

import asyncio
import base64
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.errors import KefuError, PeerError, PeerRejected, PeerUnavailable
from storage import tokens
from storage.database import Database
from storage.tokens import TokenRow
from tools.wechat import errors as wechat
from tools.wechat.tokens import AccountTokens
from tools.wecom import errors as wecom
from tools.wecom.tokens import CorpTokens
from tools.wx.api import Issued, WxApi, WxCalls, issued

log = logging.getLogger(__name__)
Fetch = Callable[[str | None], Awaitable[Issued]]
"""Asks the platform for a token; given the one that it has refused, if any. Raises PeerError."""

_SHORTEST_LIFE_S = 1.0


@dataclass(frozen=True, slots=True)
class TokenTiming:
    """Seconds. ``early``: before it expires another is fetched, at most half of its life before.
    ``fetch`` bounds one fetch; ``lease`` must be longer: whoever dies holding it keeps the others
    waiting for as long. ``poll``: between two looks at what another process fetches.
    ``failed`` and ``refused``: no other fetch after one that failed or was refused, unless the
    platform says when to come back; ``same``: after one that brought the same token."""

    early: float = 300.0
    fetch: float = 10.0
    lease: float = 15.0
    poll: float = 0.1
    failed: float = 3.0
    refused: float = 60.0
    same: float = 10.0


@dataclass(frozen=True, slots=True)
class _Held:
    token: str
    generation: int
    fetched_ts: float
    expires_ts: float

    @property
    def life(self) -> float:
        return self.expires_ts - self.fetched_ts

    def wants_another(self, now: float, early: float) -> bool:
        return now >= self.expires_ts - min(early, self.life / 2)


class SharedTokens:
    """A `TokenSource` over one row. ``scope``: platform and account, e.g. ``wecom:ww12``; ``kind``
    tells an account's tokens and tickets apart. ``secret`` (of the app) encrypts the row; with
    another secret it is another row."""

    def __init__(
        self,
        database: Database,
        fetch: Fetch,
        *,
        peer: str,
        scope: str,
        secret: str,
        kind: str = "access",
        timing: TokenTiming | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._fetch, self._peer = database, fetch, peer
        self._timing, self._clock = timing or TokenTiming(), clock
        self.key = f"{scope}:{_derived(secret, f'name of {scope}')[:8].hex()}:{kind}"
        self._cipher = Fernet(base64.urlsafe_b64encode(_derived(secret, f"token {self.key}")))
        self._held: _Held | None = None
        self._refused: str | None = None
        self._flight: asyncio.Task[None] | None = None
        self._failure: PeerError | None = None
        self._failed_until = self._early_not_before = 0.0

    async def token(self) -> str:
        """Raises PeerError (PeerRejected: the operator must do something) or StorageError."""
        while True:
            now, held = self._clock(), self._held
            if held is None or not self._is_good(held, now):
                await asyncio.shield(self._in_flight())
                continue
            if held.wants_another(now, self._timing.early) and now >= self._early_not_before:
                self._in_flight()
            return held.token

    async def renew(self, bad: str) -> str:
        """Another one than ``bad``; no fetch where another caller or process has got one since."""
        if self._held is None or self._held.token == bad:
            self._refused = bad
        found = await self.token()
        if found == bad:
            raise self._failure or self._refuses_its_own()
        return found

    async def stop(self) -> None:
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    def _is_good(self, held: _Held, now: float) -> bool:
        return held.token != self._refused and now < held.expires_ts

    def _has_good(self) -> bool:
        return self._held is not None and self._is_good(self._held, self._clock())

    # One at a time in this process ---------------------------------------------------------

    def _in_flight(self) -> asyncio.Task[None]:
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._obtain(), name=f"token {self.key}")
            self._flight.add_done_callback(_note_failure)
        return self._flight

    async def _obtain(self) -> None:
        """Raises only where callers have no token that they can go on with."""
        try:
            await self._obtain_newer()
        except KefuError as error:
            if not self._has_good():
                raise
            log.warning("%s: no new token, the old one is used on: %s", self.key, error)
            again_at = self._clock() + self._timing.failed
            self._early_not_before = max(self._failed_until, again_at)

    async def _obtain_newer(self) -> None:
        patience = asyncio.get_running_loop().time() + 2 * self._timing.lease
        while True:
            row = await self._database.read(lambda c: tokens.find(c, self.key))
            if self._adopt(row):
                return
            self._check_pause()
            if row.lease_until <= self._clock():
                if await self._fetch_under_lease(row):
                    return
            elif self._has_good():
                self._early_not_before = self._clock() + self._timing.poll
                return
            if asyncio.get_running_loop().time() >= patience:
                raise PeerUnavailable(self._peer, "another process fetches the token for too long")
            await asyncio.sleep(self._timing.poll)

    # Between processes ---------------------------------------------------------------------

    def _adopt(self, row: TokenRow) -> bool:
        """Whether the row holds a good one that is new to us."""
        if self._held is not None and row.generation == self._held.generation:
            return False
        held = self._opened(row)
        if held is None or not self._is_good(held, self._clock()):
            return False
        self._held, self._failure = held, None
        return True

    def _opened(self, row: TokenRow) -> _Held | None:
        if not row.token:
            return None
        try:
            token = self._cipher.decrypt(row.token).decode()
        except (InvalidToken, ValueError):
            log.warning("%s: the stored token is not readable; another is fetched", self.key)
            return None
        return _Held(token, row.generation, row.fetched_ts, row.expires_ts)

    async def _fetch_under_lease(self, row: TokenRow) -> bool:
        """False where another process was first, or has taken over."""
        owner, now = uuid.uuid4().hex, self._clock()
        until = now + self._timing.lease
        if not await self._database.write(
            lambda c: tokens.lease(
                c, self.key, generation=row.generation, owner=owner, now=now, until=until
            )
        ):
            return False
        try:
            found = await self._fetched()
        except BaseException:
            await self._database.write(lambda c: tokens.release(c, self.key, owner=owner))
            raise
        return await self._keep(self._dated(found, now, row), owner)

    async def _keep(self, held: _Held, owner: str) -> bool:
        """False where the lease is lost: what another process has fetched since is newer."""
        sealed = self._cipher.encrypt(held.token.encode()).decode()
        generation = await self._database.write(
            lambda c: tokens.store(
                c,
                self.key,
                owner=owner,
                token=sealed,
                fetched_ts=held.fetched_ts,
                expires_ts=held.expires_ts,
            )
        )
        if generation is None:
            return False
        self._note(_Held(held.token, generation, held.fetched_ts, held.expires_ts))
        return True

    def _note(self, held: _Held) -> None:
        now, before = self._clock(), self._held
        self._held, self._failure = held, None
        if before is not None and before.token == held.token:
            self._early_not_before = now + self._timing.same
        if held.token == self._refused:
            # Whoever hands it out again asserts that it is good: believed, but not at once.
            self._refused, self._failed_until = None, now + self._timing.same
            self._failure = self._refuses_its_own()
        log.info("%s: token %d, for %.0f s", self.key, held.generation, held.life)

    def _refuses_its_own(self) -> PeerUnavailable:
        reason = "it refuses the token that it hands out"
        return PeerUnavailable(self._peer, reason, retry_after=self._timing.same)

    def _dated(self, found: Issued, asked_at: float, row: TokenRow) -> _Held:
        """The same token again does not live longer, whatever the platform says."""
        expires = asked_at + max(found.lifetime_s, _SHORTEST_LIFE_S)
        before = self._opened(row)
        if before and before.token == found.token and before.expires_ts > asked_at:
            expires = min(expires, before.expires_ts)
        return _Held(found.token, 0, asked_at, expires)

    # The platform ---------------------------------------------------------------------------

    async def _fetched(self) -> Issued:
        try:
            async with asyncio.timeout(self._timing.fetch):
                return await self._fetch(self._refused)
        except TimeoutError:
            late = PeerUnavailable(self._peer, "gave no token in time")
            raise self._paused(late) from None
        except PeerError as error:
            raise self._paused(error) from None

    def _paused(self, failure: PeerError) -> PeerError:
        """No fetch for a while: platforms block who asks in vain too often."""
        asked = failure.retry_after if isinstance(failure, PeerUnavailable) else None
        rejected = isinstance(failure, PeerRejected)
        pause = asked or (self._timing.refused if rejected else self._timing.failed)
        self._failure, self._failed_until = failure, self._clock() + pause
        return failure

    def _check_pause(self) -> None:
        if self._failure is not None and self._clock() < self._failed_until:
            raise self._failure.with_traceback(None)


def wecom_tokens(
    database: Database,
    http: httpx.AsyncClient,
    base_url: str,
    corp_id: str,
    secret: str,
    *,
    timing: TokenTiming | None = None,
    clock: Callable[[], float] = time.time,
) -> SharedTokens:
    """Access tokens of one app of a corporation. ``base_url``: with /cgi-bin."""
    calls = WxCalls(http, base_url, peer=wecom.PEER, errors=wecom.WECOM_ERRORS)
    return SharedTokens(
        database,
        CorpTokens(calls, corp_id, secret).fetch,
        peer=wecom.PEER,
        scope=f"{wecom.PEER}:{corp_id}",
        secret=secret,
        timing=timing,
        clock=clock,
    )


def wechat_tokens(
    database: Database,
    http: httpx.AsyncClient,
    base_url: str,
    app_id: str,
    secret: str,
    *,
    stable: bool = True,
    timing: TokenTiming | None = None,
    clock: Callable[[], float] = time.time,
) -> SharedTokens:
    """Access tokens of an official account. ``base_url``: without /cgi-bin."""
    calls = WxCalls(http, base_url, peer=wechat.PEER, errors=wechat.WECHAT_ERRORS)
    return SharedTokens(
        database,
        AccountTokens(calls, app_id, secret, stable=stable).fetch,
        peer=wechat.PEER,
        scope=f"{wechat.PEER}:{app_id}",
        secret=secret,
        timing=timing,
        clock=clock,
    )


def shared_tickets(
    database: Database,
    api: WxApi,
    path: str,
    *,
    peer: str,
    account: str,
    secret: str,
    kind: str = "jsapi",
    timing: TokenTiming | None = None,
    clock: Callable[[], float] = time.time,
    **params: str,
) -> SharedTokens:
    """Tickets, got through ``api`` with ``GET path``; few such calls are allowed. ``token()`` of
    what is returned is the ticket."""

    async def fetch(refused: str | None) -> Issued:
        return issued(peer, await api.get(path, **params), "ticket")

    return SharedTokens(
        database,
        fetch,
        peer=peer,
        scope=f"{peer}:{account}",
        secret=secret,
        kind=kind,
        timing=timing,
        clock=clock,
    )


def _derived(secret: str, purpose: str) -> bytes:
    derivation = HKDF(SHA256(), length=32, salt=None, info=f"kefu {purpose}".encode())
    return derivation.derive(secret.encode())


def _note_failure(flight: asyncio.Task[None]) -> None:
    # Where nobody waits for it, the next caller finds out; asyncio need not complain.
    if not flight.cancelled():
        flight.exception()
