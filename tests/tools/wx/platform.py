"""A platform that gives out tokens and takes messages, over a real socket."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.tools.webhook.peer_server import PeerServer, running_peer, status

SECRET = "the-secret-of-the-app"
Query = Mapping[str, str]


@dataclass
class Platform:
    """``unhanded``: what is asked for a token waits until it is set. ``kills``: a new token ends
    all before it. ``down``: no token is to be had. ``same``: the newest is handed out again.
    ``deaf``: every token is refused."""

    url: str = ""
    lifetime: float = 7_200
    kills: bool = True
    same: bool = False
    down: bool = False
    deaf: bool = False
    unhanded: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    issued: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    forced: list[bool] = field(default_factory=list)
    bad_code: int = 40014

    def __post_init__(self) -> None:
        self.unhanded.set()

    @property
    def fetches(self) -> int:
        return self.calls["/gettoken"] + self.calls["/cgi-bin/stable_token"]

    def take_back(self) -> None:
        self.good.clear()

    async def answer(self, peer: PeerServer, writer: asyncio.StreamWriter) -> None:
        head, body = peer.requests[-1]
        address = urlsplit(head["request-line"].split(" ")[1])
        query = dict(parse_qsl(address.query))
        self.calls[address.path] += 1
        match address.path:
            case "/gettoken":
                found = await self._token(query.get("corpsecret") == SECRET, force=False)
            case "/cgi-bin/stable_token":
                asked = json.loads(body)
                self.forced.append(asked["force_refresh"])
                found = await self._token(asked["secret"] == SECRET, force=asked["force_refresh"])
            case _:
                found = self._call(address.path, query)
        code = 503 if found is None else 200
        await status(code, json.dumps(found), Content_Type="application/json")(writer)

    async def _token(self, trusted: bool, *, force: bool) -> dict[str, Any] | None:
        self.asked.set()
        if self.down:
            return None
        if not trusted:
            return {"errcode": 40001, "errmsg": f"invalid credential, hint: {SECRET}"}
        if not (self.same and self.issued) or force:
            self._issue()
        token = self.issued[-1]
        await self.unhanded.wait()
        return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": self.lifetime}

    def _issue(self) -> None:
        if self.kills:
            self.good.clear()
        self.issued.append(f"token-{len(self.issued) + 1}")
        self.good.add(self.issued[-1])

    def _call(self, path: str, query: Query) -> dict[str, Any]:
        if self.deaf or query.get("access_token") not in self.good:
            self.refusals[self.bad_code] += 1
            return {"errcode": self.bad_code, "errmsg": f"invalid {query.get('access_token')}"}
        if path == "/ticket/get":
            number = self.calls[path]
            return {"errcode": 0, "ticket": f"ticket-{number}", "expires_in": self.lifetime}
        return {"errcode": 0, "errmsg": "ok"}


@asynccontextmanager
async def running_platform() -> AsyncIterator[Platform]:
    platform = Platform()
    found: list[PeerServer] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        await platform.answer(found[0], writer)

    async with running_peer(answer) as peer:
        found.append(peer)
        platform.url = peer.url.removesuffix("/hook")
        yield platform
