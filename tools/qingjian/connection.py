"""One WebSocket to Qingjian that is opened again whenever it is lost."""

import asyncio
import contextlib
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from domain.errors import PeerRejected, PeerUnavailable
from tools.qingjian.mapping import QingjianMapping
from tools.qingjian.protocol import (
    CHANNEL,
    AckFrame,
    CustomerFrame,
    HeartbeatFrame,
    IgnoredFrame,
    LoginFrame,
    OutgoingMessage,
    UnknownFrame,
    heartbeat_frame,
    login_frame,
    message_frame,
    read_frame,
)

log = logging.getLogger(__name__)
# The library logs whole frames at DEBUG, customers' words and credentials included.
_websockets_log = logging.getLogger(f"{__name__}.websocket")
_websockets_log.setLevel(logging.INFO)

FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 30.0
STABLE_S = 30.0
"""A connection that lived as long is no failed attempt; nor is one that carried a message."""
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
RETRY_AFTER_S = 1.0
HARD_LIMIT_FACTOR = 4
"""Frames over the mapping's limit are skipped; so much over it the connection is closed."""
MAX_LATE_ACKS = 1_000

Status = Literal["stopped", "connecting", "logging_in", "connected", "waiting"]
Acknowledge = Callable[[], Awaitable[None]]


class Listener(Protocol):
    def connected(self) -> None:
        """From now on messages can be sent."""

    async def customer(self, frame: CustomerFrame, acknowledge: Acknowledge) -> None:
        """Take over ``frame`` in its order; the next frame is read when this returns.

        ``acknowledge`` tells the peer that the message is stored; it never fails.
        """

    def unknown(self, frame: UnknownFrame) -> None:
        """A frame that cannot be read."""


@dataclass(slots=True)
class ConnectionState:
    """``since``: of the status, seconds since the epoch. ``last_error``: of the last loss."""

    status: Status = "stopped"
    since: float = 0.0
    connects: int = 0
    received: int = 0
    unknown: int = 0
    sent: int = 0
    last_frame_at: float = 0.0
    last_error: str = ""


class _Refused(Exception):
    """The peer does not let us in."""


class _Session:
    """What belongs to one opened connection."""

    def __init__(self, websocket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        self.websocket = websocket
        self.login: asyncio.Future[LoginFrame] = loop.create_future()
        self.acks: dict[str, asyncio.Future[AckFrame]] = {}
        self.problem = ""

    async def send(self, frame: str) -> None:
        """Raises ConnectionClosed."""
        await self.websocket.send(frame)

    async def tell(self, frame: str | None) -> None:
        """Send ``frame``; a peer that is gone asks again."""
        if frame is not None:
            with contextlib.suppress(ConnectionClosed):
                await self.websocket.send(frame)

    async def close(self, problem: str) -> None:
        self.problem = self.problem or problem
        await self.websocket.close()

    def end(self) -> None:
        for waiting in self.acks.values():
            if not waiting.done():
                waiting.cancel()
        self.acks.clear()
        self.login.cancel()


class QingjianConnection:
    """``start`` returns at once; the connection is opened, and kept, in the background.

    ``chance``: a number in 0..1 for the jitter of the pauses between attempts.
    """

    def __init__(
        self,
        url: str,
        mapping: QingjianMapping,
        listener: Listener,
        *,
        zone: tzinfo = UTC,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._url, self._mapping, self._listener = url, mapping, listener
        self._zone, self._clock, self._chance = zone, clock, chance
        self._task: asyncio.Task[None] | None = None
        self._session: _Session | None = None
        self._ready = asyncio.Event()
        self._carried = False
        self._late: OrderedDict[str, AckFrame] = OrderedDict()
        self.state = ConnectionState(since=clock())

    @property
    def peer(self) -> str:
        """Where it connects to, for people: without what may be secret in an address."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="qingjian connection")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._become("stopped")

    async def until_ready(self, seconds: float) -> bool:
        """Whether messages can be sent, now or within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        return self._ready.is_set()

    # Sending -------------------------------------------------------------------------------

    async def send(self, message: OutgoingMessage, *, wait_s: float = 0.0) -> None:
        """Send ``message`` and wait until the peer has it; ``wait_s``: for a connection.

        Raises PeerUnavailable (send it again, under the same id) or PeerRejected.
        """
        ids = (message.message_id, str(message.number))
        late = next((ack for at in ids if (ack := self._late.pop(at, None))), None)
        if late is not None and late.accepted:
            return
        if not await self.until_ready(wait_s) or self._session is None:
            raise PeerUnavailable(CHANNEL, "not connected", retry_after=RETRY_AFTER_S)
        frame = message_frame(self._mapping, message, now=self._clock(), zone=self._zone)
        session = self._session
        if self._mapping.acknowledges:
            await self._send_acknowledged(session, frame, ids)
        else:
            await self._send_unacknowledged(session, frame)
        self.state.sent += 1

    async def _send_acknowledged(self, session: _Session, frame: str, ids: tuple[str, ...]) -> None:
        waiting: asyncio.Future[AckFrame] = asyncio.get_running_loop().create_future()
        session.acks.update(dict.fromkeys(ids, waiting))
        try:
            async with asyncio.timeout(self._mapping.acknowledgement.timeout_s):
                await session.send(frame)
                await asyncio.wait([waiting])
        except ConnectionClosed:
            raise PeerUnavailable(CHANNEL, "the connection was lost while sending") from None
        except TimeoutError:
            raise PeerUnavailable(CHANNEL, "no acknowledgement in time") from None
        finally:
            for at in ids:
                if session.acks.get(at) is waiting:
                    del session.acks[at]
        if waiting.cancelled():
            raise PeerUnavailable(CHANNEL, "the connection was lost before the acknowledgement")
        _raise_refusal(waiting.result())

    async def _send_unacknowledged(self, session: _Session, frame: str) -> None:
        """The best proof that such a peer can give: RFC 6455 lets it answer our ping only after it
        has read what came before."""
        try:
            async with asyncio.timeout(self._mapping.acknowledgement.timeout_s):
                await session.send(frame)
                if self._mapping.connection.websocket_ping_s:
                    await (await session.websocket.ping())
        except ConnectionClosed:
            raise PeerUnavailable(CHANNEL, "the connection was lost while sending") from None
        except TimeoutError:
            raise PeerUnavailable(CHANNEL, "the frame was not read in time") from None

    # Staying connected ---------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while True:
            opened = time.monotonic()
            try:
                problem = await self._connect_once()
            except Exception as error:
                log.exception("qingjian: our own code failed; connecting again")
                problem = type(error).__name__
            lasted = time.monotonic() - opened >= STABLE_S
            failures = 0 if lasted or self._carried else failures + 1
            pause = self._pause(failures)
            self.state.last_error = problem
            self._become("waiting")
            log.warning("qingjian: %s at %s; again in %.1f s", problem, self.peer, pause)
            await asyncio.sleep(pause)

    def _pause(self, failures: int) -> float:
        longest = min(FIRST_BACKOFF_S * 2.0 ** min(failures, 16), LONGEST_BACKOFF_S)
        return longest * (0.5 + self._chance() / 2)

    async def _connect_once(self) -> str:
        """Serve one connection to its end; returns why it ended."""
        self._become("connecting")
        self._carried = False
        options = self._mapping.connection
        session: _Session | None = None
        try:
            async with connect(
                self._url,
                proxy=None,
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=options.websocket_ping_s or None,
                ping_timeout=options.websocket_ping_s or None,
                max_size=HARD_LIMIT_FACTOR * options.max_frame_bytes,
                logger=_websockets_log,
            ) as websocket:
                session = _Session(websocket)
                await self._serve(session)
        except ConnectionClosed as error:
            return (session and session.problem) or _closed(error)
        except TimeoutError:
            return "no connection in time"
        except (OSError, WebSocketException) as error:
            return f"connection failed ({type(error).__name__})"
        return session.problem or "the peer closed the connection"

    async def _serve(self, session: _Session) -> None:
        self.state.connects += 1
        work = [
            asyncio.create_task(self._log_in(session), name="qingjian login"),
            asyncio.create_task(self._beat(session), name="qingjian heartbeat"),
        ]
        try:
            async for raw in session.websocket:
                await self._take(session, raw)
        finally:
            self._session = None
            self._ready.clear()
            session.end()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _log_in(self, session: _Session) -> None:
        frame = login_frame(self._mapping, now=self._clock(), zone=self._zone)
        if frame is not None:
            self._become("logging_in")
            try:
                await self._await_login(session, frame)
            except ConnectionClosed:
                return
            except (_Refused, TimeoutError) as error:
                await session.close(f"login failed: {str(error) or 'no answer in time'}")
                return
        self._session = session
        self._ready.set()
        self._become("connected")
        self._listener.connected()
        log.info("qingjian: connected to %s", self.peer)

    async def _await_login(self, session: _Session, frame: str) -> None:
        await session.send(frame)
        if not self._mapping.answers_login:
            return
        async with asyncio.timeout(self._mapping.connection.login_timeout_s):
            answer = await session.login
        if not answer.accepted:
            raise _Refused(answer.reason or "refused")

    async def _beat(self, session: _Session) -> None:
        options = self._mapping.connection
        silent_since = time.monotonic()
        seen = self.state.received
        while True:
            await asyncio.sleep(min(options.heartbeat_s, options.silence_s or options.heartbeat_s))
            now = time.monotonic()
            if self.state.received != seen:
                silent_since, seen = now, self.state.received
            elif options.silence_s and now - silent_since >= options.silence_s:
                await session.close(f"not a frame in {options.silence_s:g} s")
                return
            await session.tell(heartbeat_frame(self._mapping, now=self._clock(), zone=self._zone))

    # Receiving -----------------------------------------------------------------------------

    async def _take(self, session: _Session, raw: str | bytes) -> None:
        now = self._clock()
        self.state.received += 1
        self.state.last_frame_at = now
        frame = read_frame(self._mapping, raw, received_at=now, zone=self._zone)
        match frame:
            case CustomerFrame(answer=answer):
                self._carried = True
                await self._listener.customer(frame, lambda: session.tell(answer))
            case AckFrame():
                self._carried = True
                self._acknowledged(session, frame)
            case LoginFrame():
                if not session.login.done():
                    session.login.set_result(frame)
            case HeartbeatFrame(answer=answer) | IgnoredFrame(answer=answer):
                await session.tell(answer)
            case UnknownFrame():
                self.state.unknown += 1
                self._listener.unknown(frame)

    def _acknowledged(self, session: _Session, ack: AckFrame) -> None:
        waiting = session.acks.get(ack.id)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(ack)
            return
        # Too late for its attempt, in time to spare the customer the next one.
        self._late[ack.id] = ack
        while len(self._late) > MAX_LATE_ACKS:
            self._late.popitem(last=False)

    def _become(self, status: Status) -> None:
        self.state.status, self.state.since = status, self._clock()


def _raise_refusal(ack: AckFrame) -> None:
    if ack.accepted:
        return
    if ack.temporary:
        raise PeerUnavailable(CHANNEL, ack.reason, retry_after=RETRY_AFTER_S)
    raise PeerRejected(CHANNEL, ack.reason)


def _closed(error: ConnectionClosed) -> str:
    if error.sent is not None and error.rcvd is None:
        return f"closed by us ({error.sent.code} {error.sent.reason})".replace(" )", ")")
    code = error.rcvd.code if error.rcvd is not None else "no close frame"
    return f"connection lost ({code})"
