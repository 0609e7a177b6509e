"""What WeCom calls back with: opened, kept from being served twice, and handed to who wants it."""

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from prometheus_client import Counter

from engine.metrics import Metrics
from storage import callbacks
from storage.database import Database
from tools.wx import addresses, envelope, xml
from tools.wx.addresses import Network
from tools.wx.crypto import CallbackKeys, CallbackRefused, Freshness

log = logging.getLogger(__name__)
FRESH_S = 600.0
SEEN_S = 86_400.0
PRUNE_S = 3_600.0
KF_EVENT = "kf_msg_or_event"
MESSAGE = "message"
"""What members write to the application, by this name; events go by theirs."""

Fields = dict[str, Any]
Handler = Callable[[Fields], Awaitable[None]]


class Heard(Protocol):
    """`engine.wecom.kf.KfPuller.heard`."""

    async def __call__(self, open_kfid: str, token: str, rung_at: float, /) -> None: ...


class WecomCallbacks:
    """One callback address. Handlers store what they are told and return: the platform waits.
    ``allowed``: from where callbacks are taken; empty: from everywhere."""

    def __init__(
        self,
        keys: CallbackKeys,
        database: Database,
        metrics: Metrics,
        *,
        allowed: Sequence[Network] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._database, self._clock = keys, database, clock
        self._allowed = tuple(allowed)
        self._fresh = Freshness(FRESH_S, clock)
        self._handlers: dict[str, Handler] = {}
        self._pruned_at = 0.0
        self._counter = Counter(
            "kefu_wecom_callbacks_total",
            "Callbacks of WeCom, by event and what became of them",
            ["event", "outcome"],
            registry=metrics.registry,
        )

    def on(self, event: str, handler: Handler) -> None:
        """``event``: an Event such as ``change_external_contact``, or `MESSAGE`. ``handler`` is
        called once for each callback, again only where it raised, and must be quick."""
        self._handlers[event] = handler

    def on_bell(self, heard: Heard) -> None:
        async def handle(fields: Fields) -> None:
            await heard(xml.text(fields, "OpenKfId"), xml.text(fields, "Token"), _created(fields))

        self.on(KF_EVENT, handle)

    def admits(self, host: str) -> bool:
        """Whether a callback from there is looked at; the signature decides all the same."""
        if not self._allowed or addresses.holds(self._allowed, host):
            return True
        log.warning("a callback from %.64s, which WECOM_CALLBACK_IPS does not name", host)
        self._counter.labels("", "refused").inc()
        return False

    def echo(self, echostr: str, *, msg_signature: str, timestamp: str, nonce: str) -> bytes:
        """The body that answers the check of the address. Raises CallbackRefused."""
        self._fresh.check(timestamp)
        return self._keys.echo(
            echostr, msg_signature=msg_signature, timestamp=timestamp, nonce=nonce
        )

    async def take(self, body: bytes, *, msg_signature: str, timestamp: str, nonce: str) -> None:
        """Returns once everything that follows from it is stored. Raises CallbackRefused for what
        is not the platform's."""
        try:
            plain = envelope.received(
                self._keys,
                self._fresh,
                body,
                msg_signature=msg_signature,
                timestamp=timestamp,
                nonce=nonce,
            )
            fields = envelope.fields_of(plain)
            name = xml.text(fields, "Event") or MESSAGE
        except CallbackRefused:
            self._counter.labels("", "refused").inc()
            raise
        await self._dispatch(name, fields, plain)

    async def _dispatch(self, name: str, fields: Fields, plain: bytes) -> None:
        handler = self._handlers.get(name)
        if handler is None:
            log.info("a callback of WeCom that nobody wants: %.64s", name)
            self._counter.labels("other", "ignored").inc()
            return
        # A bell may ring as often as it likes: it only says that there is news.
        key = "" if name == KF_EVENT else _key(plain)
        if key and await self._is_seen(key):
            self._counter.labels(name, "duplicate").inc()
            return
        await handler(fields)
        if key:
            now = self._clock()
            await self._database.write(lambda c: callbacks.first_time(c, key, now=now))
        self._counter.labels(name, "taken").inc()
        await self._prune()

    async def _is_seen(self, key: str) -> bool:
        return await self._database.read(lambda c: callbacks.is_known(c, key))

    async def _prune(self) -> None:
        now = self._clock()
        if now - self._pruned_at >= PRUNE_S:
            self._pruned_at = now
            await self._database.write(lambda c: callbacks.forget(c, before=now - SEEN_S))


def _key(plain: bytes) -> str:
    """Of the message itself: one that is sent again may be encrypted anew."""
    return "wecom:" + hashlib.sha256(plain).hexdigest()


def _created(fields: Fields) -> float:
    try:
        return float(xml.text(fields, "CreateTime") or 0.0)
    except ValueError:
        return 0.0
