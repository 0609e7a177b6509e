"""The Qingjian channel: customers' frames into the engine, the outbox's messages out."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, tzinfo
from typing import Any

from prometheus_client import Counter, Gauge

from domain.errors import KefuError, PeerRejected, StorageError
from domain.messages import InboundMessage
from engine.metrics import Metrics
from storage import audit
from storage.clock import iso
from storage.database import Database
from storage.inbox import Receipt
from storage.outbox import Delivery
from tools.qingjian.connection import Acknowledge, QingjianConnection
from tools.qingjian.mapping import QingjianMapping
from tools.qingjian.protocol import (
    CHANNEL,
    CustomerFrame,
    OutgoingMessage,
    OutgoingType,
    UnknownFrame,
)
from tools.qingjian.recent import RecentMessages

log = logging.getLogger(__name__)

MAX_WAITING = 1_000
"""Frames that are read and not yet stored; the socket is not read on meanwhile."""
MAX_ACCOUNTS = 10_000
STORE_ATTEMPTS = 4
STORE_ATTEMPTS_UNACKNOWLEDGED = 30
"""A peer that takes no acknowledgement does not send again: what we drop is lost."""
FIRST_STORE_PAUSE_S = 0.2
LONGEST_STORE_PAUSE_S = 5.0
KEPT_PER_MINUTE = 10
SEND_WAIT_S = 2.0
"""A delivery that finds no connection waits so long: a peer's restart needs no postponement."""
STOP_GRACE_S = 5.0

Receive = Callable[[InboundMessage], Awaitable[Receipt]]


@dataclass(frozen=True, slots=True)
class _Stored:
    message: InboundMessage
    acknowledge: Acknowledge


class QingjianLink:
    """The connection, and what the frames on it mean to us. Start it after the engine, stop it
    after the engine, before the database is closed."""

    def __init__(
        self,
        url: str,
        mapping: QingjianMapping,
        database: Database,
        metrics: Metrics,
        *,
        zone: tzinfo = UTC,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mapping, self._clock = mapping, clock
        self._connection = QingjianConnection(url, mapping, self, zone=zone, clock=clock)
        self._receive: Receive | None = None
        self._on_connected: Callable[[], None] | None = None
        self._recent = RecentMessages()
        self._types: dict[str, str] = {}
        self._lanes: dict[str, deque[_Stored]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._keeper = _UnknownFrames(database, self._connection.peer, clock)
        self._frames = Counter(
            "kefu_qingjian_frames_total",
            "Frames of customers received from Qingjian, by outcome",
            ["outcome"],
            registry=metrics.registry,
        )
        connected = Gauge(
            "kefu_qingjian_connected",
            "1 while messages can be sent to Qingjian",
            registry=metrics.registry,
        )
        connected.set_function(lambda: float(self.is_connected))

    @property
    def is_connected(self) -> bool:
        return self._connection.state.status == "connected"

    @property
    def state(self) -> dict[str, Any]:
        """For health pages: plain values, nothing secret."""
        return {"peer": self._connection.peer, **asdict(self._connection.state)}

    async def start(
        self, receive: Receive, *, on_connected: Callable[[], None] | None = None
    ) -> None:
        """``receive`` stores a message once: `engine.engine.Engine.receive`. (Not known earlier:
        the engine is built over its channels, and one of them is over this.) ``on_connected``:
        what was postponed for want of a connection may be tried again."""
        self._receive, self._on_connected = receive, on_connected
        await self._connection.start()

    async def stop(self) -> None:
        """What is not stored by then is not acknowledged, so it comes again."""
        await self._connection.stop()
        workers = set(self._workers)
        if workers:
            _, late = await asyncio.wait(workers, timeout=STOP_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        await self._keeper.finish()

    # Out -----------------------------------------------------------------------------------

    async def send(self, message: OutgoingMessage) -> None:
        """Raises PeerUnavailable or PeerRejected."""
        await self._connection.send(message, wait_s=SEND_WAIT_S)

    def account_type(self, account: str) -> str:
        """As the account's last frame said; else as the mapping says."""
        configured = self._mapping.accounts.get(account)
        default = self._mapping.fields.account_type.default
        return self._types.get(account) or configured or str(default or "")

    # In: what the connection tells ---------------------------------------------------------

    def connected(self) -> None:
        if self._on_connected is not None:
            self._on_connected()

    async def customer(self, frame: CustomerFrame, acknowledge: Acknowledge) -> None:
        message = frame.message
        if frame.account_type and (
            message.account in self._types or len(self._types) < MAX_ACCOUNTS
        ):
            self._types[message.account] = frame.account_type
        if not frame.identified:
            message = self._recent.told_apart(message, now=self._clock())
        await self._room.acquire()
        self._queue(_Stored(message, acknowledge))

    def unknown(self, frame: UnknownFrame) -> None:
        self._frames.labels("unknown").inc()
        self._keeper.keep(frame)

    def _queue(self, item: _Stored) -> None:
        """One worker a conversation keeps its order, also while one message is tried again."""
        name = item.message.conversation
        lane = self._lanes.get(name)
        if lane is not None:
            lane.append(item)
            return
        self._lanes[name] = deque([item])
        worker = asyncio.create_task(self._work(name), name="qingjian receive")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _work(self, name: str) -> None:
        lane = self._lanes[name]
        try:
            while lane:
                await self._store(lane.popleft())
                self._room.release()
        finally:
            del self._lanes[name]

    async def _store(self, item: _Stored) -> None:
        try:
            stored = await self._stored(item.message)
        except Exception:
            log.exception("qingjian: a message could not be taken; it is not acknowledged")
            stored = False
        if stored:
            await item.acknowledge()
        self._frames.labels("stored" if stored else "failed").inc()

    async def _stored(self, message: InboundMessage) -> bool:
        takes_word = self._mapping.outgoing.received is not None
        assert self._receive is not None, "not started"
        attempts = STORE_ATTEMPTS if takes_word else STORE_ATTEMPTS_UNACKNOWLEDGED
        for attempt in range(attempts):
            try:
                await self._receive(message)
            except StorageError as error:
                log.warning("qingjian: a message is not stored yet: %s", error)
                pause = min(FIRST_STORE_PAUSE_S * 2.0**attempt, LONGEST_STORE_PAUSE_S)
                if attempt < attempts - 1:
                    await asyncio.sleep(pause)
            else:
                return True
        log.error(
            "qingjian: message %r is not stored after %d attempts%s",
            message.channel_message_id,
            attempts,
            "; the peer must send it again" if takes_word else " and lost: the peer takes no word",
        )
        return False


class QingjianChannel:
    """For `engine.delivery.Deliverer`, which keeps the order of each conversation."""

    def __init__(self, link: QingjianLink) -> None:
        self._link = link

    async def deliver(self, delivery: Delivery) -> None:
        await self._link.send(outgoing_message(delivery, self._link.account_type(delivery.account)))


def outgoing_message(delivery: Delivery, account_type: str) -> OutgoingMessage:
    """Raises PeerRejected for a row that no attempt can send."""
    payload = delivery.payload
    wanted = payload.get("type") or "text"
    type_ = _TYPES.get(wanted)
    if type_ is None:
        raise PeerRejected(CHANNEL, f"messages of type {wanted!r} cannot be sent")
    content = "text" if type_ == "text" else "url"
    if not payload.get(content):
        raise PeerRejected(CHANNEL, f"a message of type {wanted!r} needs {content!r}")
    return OutgoingMessage(
        message_id=delivery.message_id,
        account=delivery.account,
        account_type=account_type,
        chat_id=payload["chat_id"],
        to=payload["to"],
        type=type_,
        text=payload.get("text") or "",
        url=payload.get("url") or "",
        name=payload.get("name") or "",
    )


_TYPES: dict[str, OutgoingType] = {"text": "text", "image": "image", "file": "file"}


class _UnknownFrames:
    """Keeps some frames a minute in the audit log: enough to write a mapping from, too few for a
    peer gone mad to fill the disk."""

    def __init__(self, database: Database, peer: str, clock: Callable[[], float]) -> None:
        self._database, self._peer, self._clock = database, peer, clock
        self._minute, self._kept, self._dropped = 0, 0, 0
        self._writing: set[asyncio.Task[None]] = set()

    def keep(self, frame: UnknownFrame) -> None:
        now = self._clock()
        if int(now // 60) != self._minute:
            self._minute, self._kept = int(now // 60), 0
        if self._kept >= KEPT_PER_MINUTE:
            self._dropped += 1
            return
        self._kept += 1
        dropped, self._dropped = self._dropped, 0
        log.warning(
            "qingjian: a frame of %d bytes cannot be read: %s (kept in the audit log as"
            " qingjian.unknown_frame; %d more since the last one are not). If every frame is"
            " unknown, check QINGJIAN_URL and QINGJIAN_MAPPING_FILE",
            frame.size,
            frame.reason,
            dropped,
        )
        writing = asyncio.create_task(self._write(frame, dropped, now))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, frame: UnknownFrame, dropped: int, now: float) -> None:
        detail = {"reason": frame.reason, "frame": frame.shown, "size": frame.size}
        detail |= {"dropped_before": dropped} if dropped else {}
        try:
            await self._database.write(
                lambda c: audit.record(
                    c,
                    at=iso(now),
                    actor=CHANNEL,
                    action="qingjian.unknown_frame",
                    subject=self._peer,
                    detail=detail,
                )
            )
        except KefuError as error:
            log.error("qingjian: an unknown frame is not kept: %s", error)

    async def finish(self) -> None:
        await asyncio.gather(*self._writing)
