"""Callbacks to the service: signed, encrypted, sent again when nobody answers, as WeCom does it."""

import json
import secrets
from collections.abc import Callable, Sequence

from pydantic import Field

from sandbox import wxcrypt
from sandbox.peer import Sandbox
from sandbox.wx import envelope
from sandbox.wx.calls import JsonObject
from sandbox.wx.sender import Callback, Sealed, Sender, SendSettings
from sandbox.wx.xmltext import to_xml

CORP_ID = "wwsandbox00000001"
TOKEN = "sandboxcallback"  # noqa: S105 # of a platform that does not exist
# Like Tencent's own sample key it has bits set that no byte uses: a strict decoder refuses it.
ENCODING_AES_KEY = "sandboxsandboxsandboxsandboxsandboxsandboxt"
PATH = "/wecom/callback"
_JSON_NAMES = ("encrypt", "msgsignature", "timestamp", "nonce")


class CallbackSettings(SendSettings):
    """``retry_status``: whether an answer other than 200 is a failure too: WeCom's pages differ."""

    urls: tuple[str, ...] = Field(default=(PATH,), max_length=10)
    corp_id: str = Field(default=CORP_ID, min_length=1, max_length=64)
    receive_id: str | None = Field(default=None, max_length=64)
    token: str = Field(default=TOKEN, pattern=r"^[A-Za-z0-9]{1,32}$")
    encoding_aes_key: str = ENCODING_AES_KEY
    retry_status: bool = False
    retry_after_s: float = Field(default=0.5, ge=0, le=60)


class CallbackSender(Sender[CallbackSettings]):
    """What WeCom tells the service."""

    def __init__(self, sandbox: Sandbox, peer: str) -> None:
        super().__init__(sandbox, peer, CallbackSettings())

    def send(
        self,
        what: str,
        fields: JsonObject,
        *,
        agent_id: str = "",
        on_answer: Callable[[bytes], None] | None = None,
    ) -> Callback | None:
        """``fields`` in WeCom's spelling. None: nobody is to be told, or too many are waiting."""

        def ended(answers: Sequence[bytes]) -> None:
            if answers and on_answer is not None:
                on_answer(answers[0])

        callback = self._made(what, fields, agent_id)
        callback.on_end = ended
        return callback if self.begin(callback) else None

    async def verify(self) -> JsonObject:
        """The check of the address that saving it in the admin pages makes: an echo."""
        echo = str(secrets.randbelow(10**19) + 10**18)
        query = self._signed(self._encrypted(echo.encode()))
        query["echostr"] = query.pop("encrypt")
        return await self.echoed(query, echo)

    def pause_s(self, took: float) -> float:
        return self.settings.retry_after_s

    def is_taken(self, status: int) -> bool | None:
        return True if status == 200 else None if self.settings.retry_status else False

    def opened(self, body: bytes) -> bytes:
        """What the service has answered in an encrypted envelope. Raises Unreadable."""
        settings = self.settings
        return envelope.opened(
            body,
            token=settings.token,
            key=settings.encoding_aes_key,
            receiver=self._receiver(),
            json_names=_JSON_NAMES if settings.as_json else None,
        )

    # Making one ----------------------------------------------------------------------------

    def _made(self, what: str, fields: JsonObject, agent_id: str) -> Callback:
        inner = {"ToUserName": self.settings.corp_id, **fields}
        as_json = self.settings.as_json
        plain = json.dumps(inner, ensure_ascii=False).encode() if as_json else to_xml(inner)
        return Callback(
            number=self.next_number(),
            what=what,
            plain=plain,
            to=agent_id,
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

    def seal(self, callback: Callback) -> Sealed:
        query = self._signed(self._encrypted(callback.plain))
        encrypted, corp = query.pop("encrypt"), self.settings.corp_id
        if self.settings.as_json:
            body = {"tousername": corp, "encrypt": encrypted, "agentid": callback.to}
            return Sealed(query, json.dumps(body).encode())
        fields = {"ToUserName": corp, "Encrypt": encrypted, "AgentID": callback.to}
        return Sealed(query, to_xml(fields))
