"""WeCom as the service sees it, and the service as WeCom sees it."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import httpx

from tests.sandbox_server import JsonObject, SandboxServer
from tools.wx.crypto import CallbackKeys

CORP, TOKEN, AES_KEY = "wwtest000000001", "testtoken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
KF = "wkSandbox0001"
SECRET = "secret-of-an-app"


class Wecom:
    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self._token = ""

    def gettoken(self, corp: str = CORP, secret: str = SECRET) -> JsonObject:
        answer = self.sandbox.client.get(
            f"{self.sandbox.url}/wecom/cgi-bin/gettoken",
            params={"corpid": corp, "corpsecret": secret},
        )
        assert answer.status_code == 200
        found: JsonObject = answer.json()
        return found

    @property
    def token(self) -> str:
        self._token = self._token or str(self.gettoken()["access_token"])
        return self._token

    def post(self, path: str, body: object = None, **query: str) -> JsonObject:
        return self._ask("POST", path, query, json=body)

    def get(self, path: str, **query: str) -> JsonObject:
        return self._ask("GET", path, query)

    def upload(self, kind: str, name: str, data: bytes) -> JsonObject:
        return self._ask("POST", "media/upload", {"type": kind}, files={"media": (name, data)})

    def fetch(self, media_id: str) -> httpx.Response:
        query = {"access_token": self.token, "media_id": media_id}
        url = f"{self.sandbox.url}/wecom/cgi-bin/media/get"
        return self.sandbox.client.get(url, params=query)

    def _ask(self, method: str, path: str, query: dict[str, str], **kept: Any) -> JsonObject:
        params = {"access_token": self.token} | query
        url = f"{self.sandbox.url}/wecom/cgi-bin/{path}"
        answer = self.sandbox.client.request(method, url, params=params, **kept)
        assert answer.status_code == 200, "WeCom says what is wrong in the body"
        found: JsonObject = answer.json()
        return found

    # Customer service ----------------------------------------------------------------------

    def say(self, customer: str, text: str = "在吗", /, **fields: Any) -> str:
        body = {"customer": customer, "text": text, **fields}
        return str(self.play("say", body)["msgid"])

    def play(self, what: str, body: object) -> JsonObject:
        return self.sandbox.post(f"/_sandbox/wecom/{what}", body)

    def set(self, what: str, **fields: Any) -> JsonObject:
        return self.sandbox.put(f"/_sandbox/wecom/{what}", fields)

    def pull(self, cursor: str = "", **fields: Any) -> JsonObject:
        body = {"cursor": cursor, "open_kfid": KF, **fields}
        return self.post("kf/sync_msg", body)

    def pull_all(self, cursor: str = "", **fields: Any) -> tuple[list[JsonObject], str]:
        found: list[JsonObject] = []
        while True:
            page = self.pull(cursor, **fields)
            assert page["errcode"] == 0, page
            found += page["msg_list"]
            cursor = page["next_cursor"]
            if not page["has_more"]:
                return found, cursor

    def send(self, customer: str, text: str = "在的", /, **fields: Any) -> int:
        body = {"touser": customer, "open_kfid": KF, "msgtype": "text", "text": {"content": text}}
        return int(self.post("kf/send_msg", body | fields)["errcode"])

    def state(self, customer: str) -> int:
        body = {"open_kfid": KF, "external_userid": customer}
        return int(self.post("kf/service_state/get", body)["service_state"])

    def become(self, customer: str, state: int, servicer: str = "") -> JsonObject:
        body = {"open_kfid": KF, "external_userid": customer, "service_state": state}
        return self.post("kf/service_state/trans", body | {"servicer_userid": servicer})

    def chat(self, chat: str, at_least: int = 0, wait: float = 0.0) -> list[JsonObject]:
        path = f"/_sandbox/wecom/chats/{chat}"
        return list(self.sandbox.get(path, at_least=at_least, wait=wait)["messages"])

    def texts(self, customer: str) -> list[str]:
        return [seen["text"] for seen in self.chat(f"kf/{KF}/{customer}")]

    def refused(self, *rules: str) -> list[JsonObject]:
        return list(self.sandbox.get("/_sandbox/wecom/refused", rule=list(rules))["refused"])

    def pass_time(self, seconds: float) -> None:
        self.play("clock", {"seconds": seconds})
        self._token = ""


class Heard:
    """A callback as it arrived, opened with the product's own crypto."""

    def __init__(self, query: dict[str, str], body: bytes, keys: CallbackKeys) -> None:
        self.query, self.body = query, body
        self.as_json = body.startswith(b"{")
        envelope = json.loads(body) if self.as_json else _flat(body)
        self.agent_id = str(envelope["agentid" if self.as_json else "AgentID"])
        self.encrypted = str(envelope["encrypt" if self.as_json else "Encrypt"])
        self.plain = keys.open(
            self.encrypted,
            msg_signature=query["msg_signature"],
            timestamp=query["timestamp"],
            nonce=query["nonce"],
        )
        self.fields: JsonObject = json.loads(self.plain) if self.as_json else _flat(self.plain)


def _flat(xml: bytes) -> JsonObject:
    return {child.tag: child.text or "" for child in ElementTree.fromstring(xml)}


class Listener:
    """The service's callback address. ``answer`` gives status and body; it may block."""

    def __init__(self, receiver: str = CORP) -> None:
        self.keys = CallbackKeys(TOKEN, AES_KEY, receiver)
        self.heard: list[Heard] = []
        self.url = ""
        self.answer: Callable[[Heard], tuple[int, bytes]] = lambda _heard: (200, b"")
        self.changed = threading.Condition()

    def wait_for(self, count: int, seconds: float = 60.0) -> list[Heard]:
        with self.changed:
            enough = self.changed.wait_for(lambda: len(self.heard) >= count, seconds)
        assert enough, f"{len(self.heard)} of {count} callbacks came"
        return list(self.heard)

    def take(self, heard: Heard) -> tuple[int, bytes]:
        with self.changed:
            self.heard.append(heard)
            self.changed.notify_all()
        return self.answer(heard)

    def echo(self, query: dict[str, str]) -> bytes:
        return self.keys.echo(
            query["echostr"],
            msg_signature=query["msg_signature"],
            timestamp=query["timestamp"],
            nonce=query["nonce"],
        )


@contextmanager
def listening(sandbox: SandboxServer, receiver: str = CORP, **settings: Any) -> Iterator[Listener]:
    """A service that WeCom calls back; its address and keys are set there."""
    listener = Listener(receiver)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._reply(*listener.take(Heard(self._query(), body, listener.keys)))

        def do_GET(self) -> None:
            self._reply(200, listener.echo(self._query()))

        def _query(self) -> dict[str, str]:
            return dict(parse_qsl(urlsplit(self.path).query, strict_parsing=True))

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Tests read what was heard, not logs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    listener.url = f"http://127.0.0.1:{server.server_address[1]}/wecom/callback"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    wanted = {"urls": [listener.url], "corp_id": CORP, "token": TOKEN, "encoding_aes_key": AES_KEY}
    try:
        sandbox.put("/_sandbox/wecom/callback", wanted | settings)
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
