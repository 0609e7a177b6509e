"""The generic webhook channel: shows our messages to customers, and makes customers write."""

import time
import uuid
from collections import deque
from typing import Any, ClassVar
from urllib.parse import quote

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from domain.messages import MAX_ID_CHARS, MAX_NAME_CHARS
from sandbox.delivery import Deliverer, Delivery, TooManyPending
from sandbox.grouped import ChatLog
from sandbox.jsontext import compact, json_bytes
from sandbox.peer import Peer, Sandbox, call_of, json_answer
from sandbox.signatures import Secret, Signing
from sandbox.validation import first_problem

SIGNING = Signing("X-Kefu-Timestamp", "X-Kefu-Signature")


class Outbound(BaseModel):
    """A message of ours to a customer. Unknown members are kept and shown."""

    model_config = ConfigDict(extra="allow", frozen=True)
    message_id: str = Field(min_length=1, max_length=256)
    conversation_id: str = ""
    account: str = ""
    chat_id: str = Field(min_length=1, max_length=256)
    to: str = ""
    text: str
    turn_id: str | None = None
    created_at: float | str | None = None


class Say(BaseModel):
    """What a simulated customer writes, or with type event does (``event``: e.g. payment).
    ``message_id`` is made up where none is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    account: str = Field(default="shop", min_length=1, max_length=MAX_ID_CHARS)
    chat_id: str = Field(min_length=1, max_length=MAX_ID_CHARS)
    sender_id: str | None = Field(default=None, min_length=1, max_length=MAX_ID_CHARS)
    sender_name: str = Field(default="", max_length=MAX_NAME_CHARS)
    type: str = Field(default="text", max_length=32)
    text: str = Field(default="", max_length=100_000)
    event: str = Field(default="", max_length=MAX_ID_CHARS)
    message_id: str | None = Field(default=None, min_length=1, max_length=MAX_ID_CHARS)
    attachments: tuple[dict[str, JsonValue], ...] = Field(default=(), max_length=20)


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    messages: tuple[Say, ...] = Field(min_length=1, max_length=10_000)


class WebhookPeer(Peer):
    name = "webhook"
    title = "通用 Webhook 渠道"
    summary = "接收发给客户的消息(按 message_id 去重),并可模拟客户发言。"
    links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("会话列表", "/_sandbox/webhook/chats"),
        ("客户发言的投递情况", "/_sandbox/webhook/outgoing"),
    )

    delivers = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._secret = sandbox.settings.webhook_secret
        self._shown = ChatLog(sandbox.settings.max_messages, sandbox.changes)
        self._deliverer = Deliverer(sandbox, self.name)
        self.router.add_api_route("/deliver", self.deliver, methods=["POST"], response_model=None)
        add = self.admin.add_api_route
        add("/chats", self._shown.chats, methods=["GET"])
        add("/chats/{chat_id:path}", self._shown.chat, methods=["GET"])
        add("/say", self.say, methods=["POST"], status_code=202)
        add("/say/batch", self.say_batch, methods=["POST"], status_code=202)
        add("/outgoing", self.outgoing, methods=["GET"])
        add("/secret", self.set_secret, methods=["PUT"])

    # What the channel answers --------------------------------------------------------------

    async def deliver(self, request: Request) -> Response:
        """Show a message to the customer; the same message_id again is a duplicate."""
        call = call_of(request)
        body = await request.body()
        if (reason := self._distrust(request, body)) is not None:
            call.verdict(accepted=False)
            return json_answer({"accepted": False, "error": reason}, 401)
        try:
            message = Outbound.model_validate_json(body)
        except ValidationError as error:
            call.verdict(accepted=False)
            return json_answer({"accepted": False, "error": first_problem(error)}, 422)
        duplicate, _ = self._shown.put(
            message.message_id, message, self.sandbox.clock(), group=message.chat_id
        )
        call.verdict(accepted=True, duplicate=duplicate)
        return json_answer({"accepted": True, "duplicate": duplicate})

    def _distrust(self, request: Request, body: bytes) -> str | None:
        skew, now = self.sandbox.settings.webhook_max_skew, self.sandbox.clock()
        return SIGNING.distrust(request, body, self._secret, now=now, max_skew=skew)

    # What drives and shows it --------------------------------------------------------------

    async def say(self, said: Say, wait: float = 0.0) -> dict[str, Any]:
        """Make a customer write; ``wait`` seconds for the service to take it."""
        delivery = self._queue(said)
        await self.sandbox.changes.until(lambda: delivery.state != "pending", wait)
        return delivery.as_dict()

    async def say_batch(self, batch: Batch) -> dict[str, Any]:
        """Many at once; all or none are accepted."""
        if self._deliverer.room() < len(batch.messages):
            raise _busy(TooManyPending(self._deliverer.pending))
        deliveries = [self._queue(said) for said in batch.messages]
        return {"messages": [delivery.as_dict() for delivery in deliveries]}

    async def outgoing(
        self, wait: float = 0.0, chat_id: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """What customers said and how far it got; ``wait`` seconds for nothing to be pending."""
        deliverer = self._deliverer
        await self.sandbox.changes.until(lambda: deliverer.pending == 0, wait)
        latest = deque(
            (item for item in deliverer if chat_id in (None, item.lane)), maxlen=max(0, limit)
        )
        return {
            "pending": deliverer.pending,
            "delivered": deliverer.delivered,
            "failed": deliverer.failed,
            "messages": [item.as_dict() for item in latest],
        }

    async def set_secret(self, body: Secret) -> dict[str, Any]:
        """Change or remove the shared secret; it is never shown."""
        self._secret = body.secret or None
        return {"configured": self._secret is not None}

    def _queue(self, said: Say) -> Delivery:
        sender = said.sender_id or said.chat_id
        payload: dict[str, Any] = {
            "message_id": said.message_id or f"sb_{uuid.uuid4().hex}",
            "chat_id": said.chat_id,
            "sender_id": sender,
            "sender_name": said.sender_name,
            "type": said.type,
            "text": said.text,
            "timestamp": int(self.sandbox.clock()),
        }
        if said.event:
            payload["event"] = said.event
        if said.attachments:
            payload["attachments"] = said.attachments
        delivery = Delivery(
            id=payload["message_id"],
            lane=said.chat_id,
            path=f"/api/channels/webhook/{quote(said.account, safe='')}/messages",
            body=compact(json_bytes(payload)),
            headers=self._signed,
            created_at=self.sandbox.clock(),
        )
        try:
            self._deliverer.add(delivery)
        except TooManyPending as error:
            raise _busy(error) from error
        return delivery

    def _signed(self, body: bytes) -> dict[str, str]:
        return SIGNING.headers(self._secret, body, time.time())

    # What the sandbox asks -----------------------------------------------------------------

    def error(self, kind: str, status: int) -> Any:
        return {"accepted": False, "error": f"injected by the sandbox: HTTP {status}"}

    def facts(self) -> dict[str, Any]:
        return {
            "chats": self._shown.groups,
            "messages": len(self._shown),
            "dropped": self._shown.dropped,
            "pending": self._deliverer.pending,
            "delivered": self._deliverer.delivered,
            "failed": self._deliverer.failed,
        }

    async def start(self) -> None:
        await self._deliverer.start()

    async def stop(self) -> None:
        await self._deliverer.stop()

    async def reset(self) -> None:
        self._secret = self.sandbox.settings.webhook_secret
        self._shown.clear()
        await self._deliverer.clear()


def _busy(error: TooManyPending) -> HTTPException:
    return HTTPException(503, str(error), {"retry-after": "1"})
