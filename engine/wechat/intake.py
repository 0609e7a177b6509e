"""What the platform posts to us, and what it is answered: never anything that its customer would
see as an error.

A message is stored before it is answered. Its answer leaves in the response where it is ready in
time, else as a customer-service message; the row in the outbox decides, so it is never both. The
platform delivers a message again whose response it did not get: such a callback waits for the same
turn, and carries the answer that the lost response carried.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from domain.errors import StorageError
from domain.messages import InboundMessage, MessageKind
from engine.wechat.replies import Callback, PassiveReplies
from engine.wechat.storing import Storing
from graphs.templates import Templates
from storage.passive import Offer
from tools.wechat.messages import Incoming, as_message, incoming, text_reply
from tools.wx import envelope
from tools.wx.crypto import CallbackKeys, CallbackRefused, Freshness, Refusal, plain_is_valid
from tools.wx.crypto import replay_key as name_of_callback
from tools.wx.envelope import SUCCESS

log = logging.getLogger(__name__)
MAX_AGE_S = 600.0
"""The platform's retries come within 15 s; the rest is for clocks."""
_STORE_AGAIN_S = 0.2
_XML, _JSON, _PLAIN = "application/xml", "application/json", "text/plain; charset=utf-8"

Mode = Literal["plain", "compatible", "safe"]


@dataclass(frozen=True, slots=True)
class Answer:
    """To a callback. ``given``: to be confirmed once it is written."""

    body: bytes = SUCCESS
    media_type: str = _PLAIN
    status: int = 200
    given: tuple[Callback, Offer] | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A callback that is the platform's. ``seen_as``: of what was not encrypted, whose signature
    does not cover the body."""

    message: bytes
    as_json: bool
    sealed: bool
    nonce: str
    seen_as: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """``keys``: of encrypted callbacks. ``pushes``: customer-service messages can be sent."""

    app_id: str
    token: str
    mode: Mode
    keys: CallbackKeys | None
    pushes: bool


class Intake:
    def __init__(
        self,
        account: Account,
        storing: Storing,
        replies: PassiveReplies,
        templates: Templates,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account, self._storing, self._replies = account, storing, replies
        self._templates, self._clock = templates, clock
        self._timing = replies.timing
        self._freshness = Freshness(MAX_AGE_S, clock)

    def verify(self, query: Mapping[str, str]) -> bytes:
        """The platform's check of the address: the echo, plain in every mode. Raises
        CallbackRefused."""
        self._check_plain(query)
        return query.get("echostr", "").encode("utf-8", "replace")

    async def take(self, query: Mapping[str, str], body: bytes, *, gone: asyncio.Event) -> Answer:
        """``gone`` is set when the platform has hung up."""
        started, arrived = asyncio.get_running_loop().time(), self._clock()
        try:
            opened = self._open(query, body)
        except CallbackRefused as error:
            log.warning("a callback of the official account is refused: %s", error.reason)
            return Answer(b"", status=error.status)
        try:
            return await self._served(opened, started, arrived, gone)
        except CallbackRefused as error:
            log.warning("a callback of the official account is not usable: %s", error.reason)
            return Answer(b"", status=403) if error.code is Refusal.SIGNATURE else Answer()
        except Exception:
            log.exception("a callback of the official account failed")
            return Answer()

    async def written(self, answer: Answer) -> None:
        """The response with ``answer`` was written: what it carried is delivered."""
        if answer.given is not None:
            await self._replies.written(*answer.given)

    # Opening ---------------------------------------------------------------------------------

    def _open(self, query: Mapping[str, str], body: bytes) -> _Opened:
        encrypted = query.get("encrypt_type", "").lower() == "aes"
        if self._account.mode == "safe" or (encrypted and self._account.mode == "compatible"):
            return self._opened_sealed(query, body)
        self._check_plain(query)
        self._freshness.check(query.get("timestamp", ""))
        seen_as = name_of_callback("wechat", query.get("signature", ""))
        nonce = query.get("nonce", "")
        return _Opened(body, envelope.is_json(body), False, nonce, seen_as)

    def _opened_sealed(self, query: Mapping[str, str], body: bytes) -> _Opened:
        keys = self._account.keys
        if keys is None:
            raise CallbackRefused(Refusal.SIGNATURE, "未配置 WECHAT_AES_KEY，不接受加密消息")
        inner = envelope.received(
            keys,
            self._freshness,
            body,
            msg_signature=query.get("msg_signature", ""),
            timestamp=query.get("timestamp", ""),
            nonce=query.get("nonce", ""),
        )
        # Only what was encrypted is signed: what stands beside it in the body is not looked at.
        return _Opened(inner, envelope.is_json(body), True, query.get("nonce", ""))

    def _check_plain(self, query: Mapping[str, str]) -> None:
        given = (query.get(name, "") for name in ("signature", "timestamp", "nonce"))
        if not plain_is_valid(self._account.token, *given):
            raise CallbackRefused(Refusal.SIGNATURE, "签名不正确")

    # Serving ---------------------------------------------------------------------------------

    async def _served(
        self, opened: _Opened, started: float, arrived: float, gone: asyncio.Event
    ) -> Answer:
        found = incoming(envelope.fields_of(opened.message))
        message = as_message(found, account=self._account.app_id)
        callback = Callback(
            message.account,
            message.channel_message_id,
            message.conversation,
            arrived,
            started,
            gone,
        )
        expects = await self._stored(found, message, opened, callback)
        if not expects:
            return Answer()
        offer = await self._replies.offer(callback)
        if offer is not None:
            return await self._carrying(opened, found, callback, offer)
        if self._account.pushes:
            return Answer()
        return await self._without_push(opened, found, message, callback)

    async def _stored(
        self, found: Incoming, message: InboundMessage, opened: _Opened, callback: Callback
    ) -> bool:
        """Whether an answer is to be expected. Tries again while the platform waits, and lets it
        come back where the database is away for longer."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self._store(found, message, opened.seen_as)
            except StorageError as error:
                if loop.time() - callback.started < self._timing.last_moment:
                    await asyncio.sleep(_STORE_AGAIN_S)
                    continue
                log.error("message %s is not stored: %s", message.channel_message_id, error)
                if not self._is_last(found.created):
                    await self._until_hung_up(callback)
                return False

    async def _store(self, found: Incoming, message: InboundMessage, seen_as: str) -> bool:
        if found.kind != "event" or found.event == "click":
            if message.text or message.kind is MessageKind.IMAGE:
                await self._storing.ask(found, message, seen_as)
                return True
            said = "wechat_voice" if message.kind is MessageKind.VOICE else "wechat_unsupported"
            return await self._storing.say(found, message, seen_as, self._words(said, message))
        if found.has_come:
            words = self._words("wechat_welcome", message)
            return await self._storing.say(found, message, seen_as, words)
        await self._storing.note(found, message, seen_as)
        return False

    def _words(self, name: str, message: InboundMessage) -> str:
        return self._templates.render(name, seed=message.channel_message_id)

    async def _carrying(
        self, opened: _Opened, found: Incoming, callback: Callback, offer: Offer
    ) -> Answer:
        try:
            answer = self._reply(opened, found, offer.text)
        except ValueError:
            log.exception("an answer cannot be put into a response")
            await self._replies.give_back(callback, offer)
            return Answer()
        return Answer(answer.body, answer.media_type, given=(callback, offer))

    def _reply(self, opened: _Opened, found: Incoming, content: str) -> Answer:
        at, keys = int(self._clock()), self._account.keys
        body = text_reply(found, content, at=at, as_json=opened.as_json)
        if opened.sealed and keys is not None:
            sealed = keys.seal(body, timestamp=str(at), nonce=opened.nonce)
            body = envelope.reply(sealed, as_json="wechat" if opened.as_json else None)
        return Answer(body, _JSON if opened.as_json else _XML)

    # Without customer-service messages -------------------------------------------------------

    async def _without_push(
        self, opened: _Opened, found: Incoming, message: InboundMessage, callback: Callback
    ) -> Answer:
        """The platform's next delivery of the same message gets the answer; after the last one the
        customer is asked to write again."""
        if not await self._storing.is_open(message):
            return Answer()
        if not self._is_last(found.created):
            await self._until_hung_up(callback)
            return Answer()
        return self._reply(opened, found, self._words("wechat_pending", message))

    def _is_last(self, created: int) -> bool:
        earlier = (self._timing.deliveries - 1) * self._timing.platform
        return self._clock() - created >= earlier - 1.0

    async def _until_hung_up(self, callback: Callback) -> None:
        waited = asyncio.get_running_loop().time() - callback.started
        try:
            async with asyncio.timeout(max(0.0, self._timing.platform + 0.5 - waited)):
                await callback.gone.wait()
        except TimeoutError:
            return
