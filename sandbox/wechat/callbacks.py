"""Callbacks of the official account: plain, encrypted or both, and what their responses show.

One is delivered three times in all with the same MsgId, each five seconds after the one before.
"""

import hashlib
import json
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from sandbox import wxcrypt
from sandbox.peer import Sandbox
from sandbox.wechat.chats import ERROR_LINE, Chats
from sandbox.wechat.replies import Judge, Judged
from sandbox.wx import envelope
from sandbox.wx.calls import Clock, JsonObject
from sandbox.wx.media import MediaStore
from sandbox.wx.sender import Callback, Sealed, Sender, SendSettings
from sandbox.wx.xmltext import to_xml

APP_ID = "wxsandbox00000001"
ACCOUNT = "gh_sandbox00001"
TOKEN = "sandboxaccount"  # noqa: S105 # of an account that does not exist
ENCODING_AES_KEY = "accountaccountaccountaccountaccountaccountt"
PATH = "/api/wechat"
_KEPT_WRONG = 1_000


class CallbackSettings(SendSettings):
    """``safe``: encrypted; ``compatible``: beside the plain elements, which nothing signs.
    ``forged_plain``: in compatible mode those say something else."""

    urls: tuple[str, ...] = Field(default=(PATH,), max_length=10)
    app_id: str = Field(default=APP_ID, min_length=1, max_length=64)
    account: str = Field(default=ACCOUNT, min_length=1, max_length=64)
    token: str = Field(default=TOKEN, pattern=r"^[A-Za-z0-9]{1,32}$")
    encoding_aes_key: str = ENCODING_AES_KEY
    mode: Literal["plain", "compatible", "safe"] = "plain"
    reseal: bool = True
    forged_plain: bool = False
    max_text_bytes: int = Field(default=2_048, ge=1, le=100_000)


class CallbackSender(Sender[CallbackSettings]):
    def __init__(
        self, sandbox: Sandbox, peer: str, clock: Clock, chats: Chats, media: MediaStore
    ) -> None:
        super().__init__(sandbox, peer, CallbackSettings())
        self._clock, self._chats, self._media = clock, chats, media
        self.wrong: deque[JsonObject] = deque(maxlen=_KEPT_WRONG)
        self.seen: dict[str, int] = {}

    def send(self, openid: str, fields: JsonObject, *, is_shown: bool) -> Callback | None:
        """``is_shown``: the follower waits for an answer, also where it is an error. None: nobody
        is to be told."""
        what = str(fields.get("Event") or fields["MsgType"])
        callback = Callback(
            number=self.next_number(),
            what=what,
            plain=self._plain(openid, fields),
            created_at=self._clock.now(),
            to=openid,
        )
        named = str(fields.get("MsgId", what))
        callback.on_end = lambda answers: self._show(callback, named, answers, is_shown)
        return callback if self.begin(callback) else None

    async def verify(self) -> JsonObject:
        """The check of the address that saving it in the admin pages makes: an echo, never
        encrypted."""
        echo = str(secrets.randbelow(10**19) + 10**18)
        return await self.echoed(self._signed() | {"echostr": echo}, echo)

    async def clear(self) -> None:
        await super().clear()
        self.wrong.clear()
        self.seen.clear()

    def pause_s(self, took: float) -> float:
        return max(0.0, self.settings.timeout_s - took)

    def is_taken(self, status: int) -> bool | None:
        return True if status == 200 else None

    # Making one ----------------------------------------------------------------------------

    def _plain(self, openid: str, fields: JsonObject) -> bytes:
        named = {"ToUserName": self.settings.account, "FromUserName": openid}
        inner = named | {"CreateTime": int(self._clock.now())} | fields
        return self._written(inner)

    def _written(self, fields: JsonObject) -> bytes:
        if self.settings.as_json:
            return json.dumps(fields, ensure_ascii=False).encode()
        return to_xml(fields)

    def _signed(self) -> dict[str, str]:
        timestamp, nonce = str(int(self._sandbox.clock())), str(secrets.randbelow(10**10))
        parts = "".join(sorted((self.settings.token, timestamp, nonce)))
        signed = hashlib.sha1(parts.encode(), usedforsecurity=False).hexdigest()
        return {"signature": signed, "timestamp": timestamp, "nonce": nonce}

    def seal(self, callback: Callback) -> Sealed:
        settings, query = self.settings, self._signed() | {"openid": callback.to}
        if settings.mode == "plain":
            return Sealed(query, callback.plain)
        key = wxcrypt.aes_key(settings.encoding_aes_key)
        sealed = wxcrypt.encrypt(key, settings.app_id, callback.plain)
        signed = wxcrypt.signature(settings.token, query["timestamp"], query["nonce"], sealed)
        query |= {"encrypt_type": "aes", "msg_signature": signed}
        if settings.mode == "compatible":
            return Sealed(query, self._beside(callback, sealed))
        return Sealed(query, self._written({"ToUserName": settings.account, "Encrypt": sealed}))

    def _beside(self, callback: Callback, sealed: str) -> bytes:
        plain = callback.plain
        if self.settings.forged_plain:
            forged = {"MsgType": "text", "Content": "伪造的内容", "MsgId": secrets.randbelow(2**60)}
            plain = self._plain(callback.to, forged)
        if self.settings.as_json:
            return json.dumps(json.loads(plain) | {"Encrypt": sealed}, ensure_ascii=False).encode()
        return plain.removesuffix(b"</xml>") + to_xml({"Encrypt": sealed}).removeprefix(b"<xml>")

    # What it shows -------------------------------------------------------------------------

    def _show(
        self, callback: Callback, named: str, answers: Sequence[bytes], is_shown: bool
    ) -> None:
        """Of several copies one answer is shown: the first that says something."""
        judge = self._judge(callback.to)
        judged = [judge.judge(answer) for answer in answers]
        if not judged:
            judged = [Judged("error", reason="no answer: " + str(callback.statuses))]
        told = [one for one in judged if one.sees == "message"]
        wrong = [one for one in judged if one.sees == "error"]
        shown = (told or wrong or judged)[0] if is_shown else Judged("nothing")
        for one in wrong:
            self.wrong.append({"callback": callback.number, "msgid": named, "reason": one.reason})
        self.seen[shown.sees] = self.seen.get(shown.sees, 0) + 1
        if shown.sees == "message":
            self._chats.add(callback.to, "passive", shown.msgtype, shown.content, answers=named)
        elif shown.sees == "error":
            content = {"content": ERROR_LINE, "reason": shown.reason}
            self._chats.add(callback.to, "error", "text", content, answers=named)

    def _judge(self, openid: str) -> Judge:
        settings = self.settings
        return Judge(
            openid=openid,
            account=settings.account,
            as_json=settings.as_json,
            max_text_bytes=settings.max_text_bytes,
            has_media=self._media.get,
            open_sealed=None if settings.mode == "plain" else self._opened,
            must_seal=settings.mode == "safe",
        )

    def _opened(self, body: bytes) -> bytes:
        settings = self.settings
        return envelope.opened(
            body,
            token=settings.token,
            key=settings.encoding_aes_key,
            receiver=settings.app_id,
            json_names=envelope.XML_NAMES if settings.as_json else None,
        )
