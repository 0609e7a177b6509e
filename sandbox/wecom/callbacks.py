"""Callbacks to the service: signed, encrypted, sent again when nobody answers, as WeCom does it."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import httpx
from pydantic import BaseModel, Field, ValidationError, field_validator

from sandbox import wxcrypt
from sandbox.peer import Sandbox
from sandbox.wecom.api import JsonObject, Setting
from sandbox.wecom.xmltext import to_xml

CORP_ID = "wwsandbox00000001"
TOKEN = "sandboxcallback"  # noqa: S105 # of a platform that does not exist
# Like Tencent's own sample key it has bits set that no byte uses: a strict decoder refuses it.
ENCODING_AES_KEY = "sandboxsandboxsandboxsandboxsandboxsandboxt"
PATH = "/wecom/callback"
_KEPT_ANSWER = 100_000
_ECHO_SECONDS = 1.0


class CallbackSettings(Setting):
    """``urls``: addresses, or paths at the sandbox's target; several take turns, as behind a
    balancer; none: nobody is told. ``deliveries``: how often at most one callback is sent.
    ``retry_status``: whether an answer other than 200 is a failure too: WeCom's pages differ.
    ``copies_rate``: share that is sent twice. ``jitter_s``: each waits up to that long, so that
    they overtake each other. ``reseal``: what is sent again is encrypted again."""

    urls: tuple[str, ...] = Field(default=(PATH,), max_length=10)
    corp_id: str = Field(default=CORP_ID, min_length=1, max_length=64)
    receive_id: str | None = Field(default=None, max_length=64)
    token: str = Field(default=TOKEN, pattern=r"^[A-Za-z0-9]{1,32}$")
    encoding_aes_key: str = ENCODING_AES_KEY
    as_json: bool = False
    deliveries: int = Field(default=3, ge=1, le=10)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    retry_status: bool = False
    retry_after_s: float = Field(default=0.5, ge=0, le=60)
    copies_rate: float = Field(default=0.0, ge=0, le=1)
    jitter_s: float = Field(default=0.0, ge=0, le=60)
    reseal: bool = False

    @field_validator("encoding_aes_key")
    @classmethod
    def _is_a_key(cls, key: str) -> str:
        wxcrypt.aes_key(key)
        return key

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if any(not url.startswith(("/", "http://", "https://")) for url in urls):
            raise ValueError("addresses start with http:// or, at the target, with /")
        return urls

    def shown(self) -> JsonObject:
        return self.model_dump(exclude={"token", "encoding_aes_key"})


@dataclass(slots=True, kw_only=True)
class Callback:
    """``what``: its event or message type. ``answer``: the body of the answer that counted."""

    number: int
    what: str
    plain: bytes
    agent_id: str
    created_at: float
    on_answer: Callable[[bytes], None] | None = None
    state: Literal["pending", "delivered", "failed"] = "pending"
    attempts: int = 0
    statuses: list[int | str] = field(default_factory=list)

    def as_dict(self) -> JsonObject:
        return {
            "number": self.number,
            "what": self.what,
            "plain": self.plain.decode(),
            "state": self.state,
            "attempts": self.attempts,
            "statuses": self.statuses,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class _Sealed:
    query: dict[str, str]
    body: bytes


class CallbackSender:
    """``start`` it on the event loop. The sandbox's ``duplicate`` faults for ``peer`` apply."""

    def __init__(self, sandbox: Sandbox, peer: str) -> None:
        self._sandbox, self._peer = sandbox, peer
        self.settings = CallbackSettings()
        self._running: set[asyncio.Task[None]] = set()
        self._latest: deque[Callback] = deque(maxlen=sandbox.settings.max_messages)
        self._slots = asyncio.Semaphore(sandbox.settings.delivery_concurrency)
        self._client: httpx.AsyncClient | None = None
        self._number = self._turn = 0
        self.pending = self.delivered = self.failed = self.dropped = 0

    async def start(self) -> None:
        limits = httpx.Limits(max_connections=512, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # noqa: S113

    async def stop(self) -> None:
        await self.clear()
        if self._client is not None:
            await self._client.aclose()

    async def clear(self) -> None:
        """As at the start, whatever was under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running.clear()
        self._latest.clear()
        self.settings = CallbackSettings()
        self._number = self._turn = 0
        self.pending = self.delivered = self.failed = self.dropped = 0

    def send(
        self,
        what: str,
        fields: JsonObject,
        *,
        agent_id: str = "",
        on_answer: Callable[[bytes], None] | None = None,
    ) -> Callback | None:
        """``fields`` in WeCom's spelling. None: nobody is to be told, or too many are waiting."""
        if not self.settings.urls:
            return None
        if self.pending >= self._sandbox.settings.max_pending:
            self.dropped += 1
            return None
        callback = self._made(what, fields, agent_id)
        callback.on_answer = on_answer
        self._latest.append(callback)
        self.pending += 1
        task = asyncio.get_running_loop().create_task(self._deliver(callback))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return callback

    async def verify(self) -> JsonObject:
        """The check of the address that saving it in the admin pages makes: an echo."""
        echo = str(secrets.randbelow(10**19) + 10**18)
        query = self._signed(self._encrypted(echo.encode()))
        query["echostr"] = query.pop("encrypt")
        assert self._client is not None, "not started"
        try:
            address, params = _with_query(self._next_url(), query)
            answer = await self._client.get(address, params=params, timeout=_ECHO_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return {"ok": False, "status": None, "error": type(error).__name__}
        right = answer.status_code == 200 and answer.content == echo.encode()
        return {"ok": right, "status": answer.status_code, "expected": echo, "got": answer.text}

    def shown(self, limit: int = 100) -> JsonObject:
        latest = list(self._latest)[-limit:] if limit else []
        return {
            "pending": self.pending,
            "delivered": self.delivered,
            "failed": self.failed,
            "dropped": self.dropped,
            "callbacks": [callback.as_dict() for callback in latest],
        }

    def opened(self, body: bytes) -> bytes:
        """What the service has answered in an encrypted envelope. Raises Unreadable."""
        envelope = _envelope(body, as_json=self.settings.as_json)
        signed = wxcrypt.signature(
            self.settings.token, envelope.timestamp, envelope.nonce, envelope.encrypt
        )
        if signed != envelope.msgsignature:
            raise wxcrypt.Unreadable("its signature is wrong")
        key = wxcrypt.aes_key(self.settings.encoding_aes_key)
        return wxcrypt.decrypt(key, self._receiver(), envelope.encrypt)

    # Making one ----------------------------------------------------------------------------

    def _made(self, what: str, fields: JsonObject, agent_id: str) -> Callback:
        self._number += 1
        inner = {"ToUserName": self.settings.corp_id, **fields}
        as_json = self.settings.as_json
        plain = json.dumps(inner, ensure_ascii=False).encode() if as_json else to_xml(inner)
        return Callback(
            number=self._number,
            what=what,
            plain=plain,
            agent_id=agent_id,
            created_at=self._sandbox.clock(),
        )

    def _receiver(self) -> str:
        named = self.settings.receive_id
        return self.settings.corp_id if named is None else named

    def _encrypted(self, plain: bytes) -> str:
        return wxcrypt.encrypt(
            wxcrypt.aes_key(self.settings.encoding_aes_key), self._receiver(), plain
        )

    def _signed(self, encrypted: str) -> dict[str, str]:
        timestamp, nonce = str(int(self._sandbox.clock())), str(secrets.randbelow(10**10))
        signed = wxcrypt.signature(self.settings.token, timestamp, nonce, encrypted)
        query = {"msg_signature": signed, "timestamp": timestamp, "nonce": nonce}
        return query | {"encrypt": encrypted}

    def _seal(self, callback: Callback) -> _Sealed:
        query = self._signed(self._encrypted(callback.plain))
        encrypted, corp = query.pop("encrypt"), self.settings.corp_id
        if self.settings.as_json:
            body = {"tousername": corp, "encrypt": encrypted, "agentid": callback.agent_id}
            return _Sealed(query, json.dumps(body).encode())
        fields = {"ToUserName": corp, "Encrypt": encrypted, "AgentID": callback.agent_id}
        return _Sealed(query, to_xml(fields))

    # Sending it ----------------------------------------------------------------------------

    async def _deliver(self, callback: Callback) -> None:
        chance, settings = self._sandbox.chance, self.settings
        if settings.jitter_s:
            await asyncio.sleep(chance.random() * settings.jitter_s)
        copies = self._sandbox.faults.copies(self._peer)
        copies += chance.random() < settings.copies_rate
        answers = await asyncio.gather(*(self._copy(callback, settings) for _ in range(copies)))
        taken = [answer for answer in answers if answer is not None]
        callback.state = "delivered" if taken else "failed"
        self.pending -= 1
        self.delivered += bool(taken)
        self.failed += not taken
        if taken and callback.on_answer is not None:
            callback.on_answer(taken[0])
        self._sandbox.changes.notify()

    async def _copy(self, callback: Callback, settings: CallbackSettings) -> bytes | None:
        sealed = self._seal(callback)
        for delivery in range(settings.deliveries):
            if delivery:
                await asyncio.sleep(settings.retry_after_s)
                sealed = self._seal(callback) if settings.reseal else sealed
            async with self._slots:
                answer = await self._attempt(callback, sealed, settings)
            if answer is None:
                continue
            if answer.status_code == 200:
                return answer.content[:_KEPT_ANSWER]
            if not settings.retry_status:
                return None
        return None

    async def _attempt(
        self, callback: Callback, sealed: _Sealed, settings: CallbackSettings
    ) -> httpx.Response | None:
        assert self._client is not None, "not started"
        callback.attempts += 1
        kind = "application/json" if settings.as_json else "text/xml"
        try:
            address, params = _with_query(self._next_url(), sealed.query)
            async with asyncio.timeout(settings.timeout_s):
                answer = await self._client.post(
                    address, params=params, content=sealed.body, headers={"content-type": kind}
                )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            callback.statuses.append(type(error).__name__)
            return None
        callback.statuses.append(answer.status_code)
        return answer

    def _next_url(self) -> str:
        """Raises ValueError."""
        urls = self.settings.urls
        if not urls:
            raise ValueError("nobody is to be told any more")
        self._turn += 1
        url = urls[self._turn % len(urls)]
        return self._sandbox.target + url if url.startswith("/") else url


class _Envelope(BaseModel):
    encrypt: str
    msgsignature: str
    timestamp: str = Field(coerce_numbers_to_str=True)
    nonce: str = Field(coerce_numbers_to_str=True)


def _envelope(body: bytes, *, as_json: bool) -> _Envelope:
    """Raises Unreadable."""
    try:
        if as_json:
            return _Envelope.model_validate_json(body)
        fields = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}  # noqa: S314
        names = {"Encrypt", "MsgSignature", "TimeStamp", "Nonce"}
        return _Envelope.model_validate({name.lower(): fields[name] for name in names})
    except (ValidationError, ElementTree.ParseError, KeyError) as error:
        raise wxcrypt.Unreadable(f"it is no envelope: {type(error).__name__} {error}") from None


def _with_query(url: str, query: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """An address may have a query of its own; httpx would drop it."""
    parts = urlsplit(url)
    own = dict(parse_qsl(parts.query, keep_blank_values=True))
    return parts._replace(query="").geturl(), own | query
