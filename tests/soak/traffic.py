"""A working day at a busy shop: who writes where, what, and how often.

An open loop: conversations begin at their times whether or not the service keeps up, so that what
it cannot keep up with shows.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tests.bench.load import Connection

Channel = Literal["platform", "campus", "webhook", "wechat", "kf"]
CHANNELS: dict[Channel, float] = {
    "platform": 0.45,
    "campus": 0.2,
    "webhook": 0.15,
    "wechat": 0.1,
    "kf": 0.1,
}
MESSAGES = (3, 9)
RETURNING_SHARE = 0.3
HAND_OVER_SHARE = 0.03
PICTURE_SHARE = 0.03
REMEMBERED_CUSTOMERS = 300
PAUSE_S = 4.0
LONG_TALKS = 6
"""Customers who write through the whole day: what they cost must not grow with what they said."""
LONG_PAUSE_S = 2.0
EDIT_EVERY_S = 10.0
EDITED_ENTRIES = 12
GIVE_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """``at``: since the start; ``seconds`` that the caller waited."""

    at: float
    seconds: float


@dataclass
class Day:
    """What was said so far, and how long the callers waited."""

    service_url: str
    sandbox_url: str
    questions: list[str]
    pictures: list[str]
    chance: random.Random
    started: float = field(default_factory=time.perf_counter)
    answered: list[Answered] = field(default_factory=list)
    said: int = 0
    conversations: int = 0
    hand_overs: int = 0
    pictures_sent: int = 0
    edits: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._free: list[Connection] = []
        self._customers: dict[Channel, list[str]] = {channel: [] for channel in CHANNELS}
        self._numbers = itertools.count(1)
        self._http = httpx.AsyncClient(timeout=60.0, trust_env=False)
        self._run = f"{self.chance.randrange(16**6):06x}"

    @property
    def now(self) -> float:
        return time.perf_counter() - self.started

    async def go_on(self, seconds: float, *, rate: float) -> None:
        """``rate``: conversations that begin each second."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(LONG_TALKS):
                tasks.create_task(self._long_talk(f"long{number}", seconds))
            tasks.create_task(self._edit(seconds))
            due = 0.0
            while (due := due + self.chance.expovariate(rate)) < seconds:
                await asyncio.sleep(max(0.0, due - self.now))
                tasks.create_task(self._conversation(seconds))

    async def aclose(self) -> None:
        for connection in self._free:
            await connection.close()
        await self._http.aclose()

    async def _conversation(self, ends: float) -> None:
        channel = self.chance.choices([*CHANNELS], [*CHANNELS.values()])[0]
        customer = self._customer(channel)
        self.conversations += 1
        for number in range(self.chance.randint(*MESSAGES)):
            if number:
                await asyncio.sleep(self.chance.expovariate(1 / PAUSE_S))
            if self.now >= ends:
                return
            await self._guarded(lambda: self._say(channel, customer))

    async def _long_talk(self, customer: str, ends: float) -> None:
        customer = f"{self._run}{customer}"
        while self.now < ends:
            await self._guarded(lambda: self._say("platform", customer, calmly=True))
            await asyncio.sleep(self.chance.expovariate(1 / LONG_PAUSE_S))

    async def _edit(self, ends: float) -> None:
        ids: list[str] = []
        for number in range(EDITED_ENTRIES):
            entry = {"question": f"{number}号会员日有什么活动", "answer": "当天全场包邮。"}
            made = await self._call("POST", "/api/knowledge/entries", entry)
            ids.append(made["items"][0]["id"])
        for number in itertools.count():
            await asyncio.sleep(EDIT_EVERY_S)
            if self.now >= ends:
                return
            answer = {"answer": f"当天全场包邮，满{number % 90 + 10}元再减{number % 9 + 1}元。"}
            address = f"/api/knowledge/entries/{ids[number % len(ids)]}"
            await self._guarded(lambda a=address, b=answer: self._call("PUT", a, b))  # type: ignore[misc]
            self.edits += 1

    async def _guarded(self, act: Callable[[], Awaitable[object]]) -> None:
        try:
            await act()
        except (httpx.HTTPError, OSError, asyncio.IncompleteReadError, RuntimeError) as error:
            # A TimeoutError is an OSError.
            self.failures.append(f"{self.now:.0f} s: {type(error).__name__}: {error}"[:200])

    def _customer(self, channel: Channel) -> str:
        known = self._customers[channel]
        if known and self.chance.random() < RETURNING_SHARE:
            return self.chance.choice(known[-REMEMBERED_CUSTOMERS:])
        known.append(f"{self._run}{channel}{next(self._numbers)}")
        del known[: -2 * REMEMBERED_CUSTOMERS]
        return known[-1]

    def _words(self, *, calmly: bool) -> str:
        if not calmly and self.chance.random() < HAND_OVER_SHARE:
            self.hand_overs += 1
            return "转人工"
        words = self.chance.choice(self.questions)
        return words if self.chance.random() < 0.7 else f"{words}，{next(self._numbers)}号单"

    async def _say(self, channel: Channel, customer: str, *, calmly: bool = False) -> None:
        words = self._words(calmly=calmly)
        self.said += 1
        if channel == "platform":
            await self._answer("/api/v1/messages", self._platform(customer, words, calmly=calmly))
        elif channel == "campus":
            await self._answer("/api/ai_chat", {"user_id": customer, "msg": words})
        elif channel == "webhook":
            await self._play("webhook/say", {"chat_id": customer, "text": words})
        elif channel == "wechat":
            await self._play("wechat/say", {"openid": customer, "text": words})
        else:
            await self._play("wecom/say", {"customer": customer, "text": words})

    def _platform(self, customer: str, words: str, *, calmly: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"id": f"{self._run}m{next(self._numbers)}", "chat_id": customer}
        message |= {"sender": customer, "content": words}
        if self.pictures and not calmly and self.chance.random() < PICTURE_SHARE / 0.45:
            self.pictures_sent += 1
            url = self.chance.choice(self.pictures)
            message["attachments"] = [{"kind": "image", "url": url}]
        return {"agent_id": "soak", "message": message}

    async def _answer(self, path: str, body: dict[str, Any]) -> None:
        connection = self._free.pop() if self._free else Connection(self.service_url)
        began = time.perf_counter()
        try:
            payload = json.dumps(body, ensure_ascii=False).encode()
            async with asyncio.timeout(GIVE_UP_S):
                status, answer = await connection.post(path, payload)
        except BaseException:
            await connection.close()
            raise
        self._free.append(connection)
        if status != 200:
            raise RuntimeError(f"{path} {status} {answer[:100]!r}")
        self.answered.append(Answered(self.now, time.perf_counter() - began))

    async def _play(self, what: str, body: dict[str, Any]) -> None:
        address = f"{self.sandbox_url}/_sandbox/{what}"
        (await self._http.post(address, json=body)).raise_for_status()

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._http.request(method, f"{self.service_url}{path}", json=body)
        response.raise_for_status()
        answered: dict[str, Any] = response.json()
        return answered
