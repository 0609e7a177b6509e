"""The official account as the service sees it, and the service as WeChat sees it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import httpx

from tests.http_server import Handler, serving
from tests.sandbox_server import JsonObject, SandboxServer
from tools.wx.crypto import CallbackKeys

APPID, GH, TOKEN = "wxtest000000001", "gh_test00000001", "testtoken"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
SECRET = "secret-of-the-account"
ROOT = "/_sandbox/wechat"
KEYS = CallbackKeys(TOKEN, AES_KEY, APPID)


class Wechat:
    """``post`` and ``get`` show a token of its own."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.token = str(self.classic()["access_token"])

    def classic(self, **fields: str) -> JsonObject:
        query = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET} | fields
        return self._answered(self._url("token"), params=query)

    def stable(self, **fields: Any) -> JsonObject:
        body = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET} | fields
        return self._answered(self._url("stable_token"), "POST", json=body)

    def get(self, path: str, **query: str) -> JsonObject:
        return self._answered(self._url(path), params={"access_token": self.token} | query)

    def post(self, path: str, body: object) -> JsonObject:
        return self._answered(self._url(path), "POST", params=self._token(), json=body)

    def post_raw(self, path: str, body: bytes) -> JsonObject:
        return self._answered(self._url(path), "POST", params=self._token(), content=body)

    def send(self, openid: str, text: str = "您好") -> int:
        body = {"touser": openid, "msgtype": "text", "text": {"content": text}}
        return int(self.post("message/custom/send", body)["errcode"])

    def upload(self, kind: str, name: str, data: bytes) -> JsonObject:
        return self._answered(
            self._url("media/upload"),
            "POST",
            params=self._token() | {"type": kind},
            files={"media": (name, data)},
        )

    def fetch(self, media_id: str) -> httpx.Response:
        query = self._token() | {"media_id": media_id}
        return self.sandbox.client.get(self._url("media/get"), params=query)

    def play(self, what: str, openid: str, **fields: Any) -> JsonObject:
        return self.sandbox.post(f"{ROOT}/{what}", {"openid": openid} | fields)

    def say(self, openid: str, text: str = "在吗", **fields: Any) -> str:
        return str(self.play("say", openid, text=text, **fields)["msgid"])

    def set(self, what: str, **fields: Any) -> JsonObject:
        return self.sandbox.put(f"{ROOT}/{what}", fields)

    def seen(self, openid: str, at_least: int = 0, wait: float = 0.0) -> list[JsonObject]:
        page = self.sandbox.get(f"{ROOT}/chats/{openid}", at_least=at_least, wait=wait)
        return list(page["messages"])

    def told(self, openid: str) -> list[tuple[str, str]]:
        """What came, once no callback is under way: its source and its text."""
        assert self.callbacks()["pending"] == 0
        seen = self.seen(openid)
        return [(s["source"], s["text"]) for s in seen if s["source"] not in ("said", "did")]

    def callbacks(self) -> JsonObject:
        return self.sandbox.get(f"{ROOT}/callbacks", wait=20)

    def refused(self) -> list[int]:
        return [one["errcode"] for one in self.sandbox.get(f"{ROOT}/refused")["refused"]]

    def pass_time(self, seconds: float) -> None:
        self.sandbox.post(f"{ROOT}/clock", {"seconds": seconds})

    def _token(self) -> dict[str, str]:
        return {"access_token": self.token}

    def _url(self, path: str) -> str:
        return f"{self.sandbox.url}/wechat/cgi-bin/{path}"

    def _answered(self, url: str, method: str = "GET", **kept: Any) -> JsonObject:
        answer = self.sandbox.client.request(method, url, **kept)
        assert answer.status_code == 200, "WeChat says what is wrong in the body"
        found: JsonObject = answer.json()
        return found


class Heard(NamedTuple):
    query: dict[str, str]
    body: bytes

    @property
    def outer(self) -> JsonObject:
        return flat(self.body)

    @property
    def fields(self) -> JsonObject:
        """Opened with the product's own crypto if it is encrypted."""
        if "Encrypt" not in self.outer:
            return self.outer
        return flat(
            KEYS.open(
                self.outer["Encrypt"],
                msg_signature=self.query["msg_signature"],
                timestamp=self.query["timestamp"],
                nonce=self.query["nonce"],
            )
        )


def flat(xml: bytes) -> JsonObject:
    return {child.tag: child.text or "" for child in ElementTree.fromstring(xml)}


def text_reply(heard: Heard, text: str = "您好") -> bytes:
    to, sender = heard.fields["FromUserName"], heard.fields["ToUserName"]
    return (
        f"<xml><ToUserName>{to}</ToUserName><FromUserName>{sender}</FromUserName>"
        "<CreateTime>12345678</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        f"<Content><![CDATA[{text}]]></Content></xml>"
    ).encode()


class Listener:
    """The service's callback address. ``answer`` gives status and body; it may block."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answer: Callable[[Heard], tuple[int, bytes]] = lambda _heard: (200, b"success")
        self.lock = threading.Lock()

    def take(self, heard: Heard) -> tuple[int, bytes]:
        with self.lock:
            self.heard.append(heard)
        return self.answer(heard)


@contextmanager
def listening(sandbox: SandboxServer, **settings: Any) -> Iterator[Listener]:
    """A service that WeChat calls back; its address and keys are set there."""
    listener = Listener()

    class Received(Handler):
        def do_POST(self) -> None:
            body = self.body()
            self.reply(*listener.take(Heard(self._query(), body)))

        def do_GET(self) -> None:
            self.reply(200, self._query()["echostr"].encode())

        def _query(self) -> dict[str, str]:
            return dict(parse_qsl(urlsplit(self.path).query, strict_parsing=True))

    wanted = {"app_id": APPID, "account": GH, "token": TOKEN}
    wanted |= {"encoding_aes_key": AES_KEY} | settings
    with serving(Received) as url:
        sandbox.put(f"{ROOT}/callback", {"urls": [f"{url}/api/wechat"]} | wanted)
        yield listener
