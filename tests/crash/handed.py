"""Tianwang and the customers of its tasks, while the service is killed.

Tianwang repeats each call until it has an answer, takes some tasks back and has failed ones tried
again. Customers say the words of their tasks, some of them more than once or all at once.
"""

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx

from tests.crash.pushed import QUESTIONS
from tests.sandbox_server import JsonObject, SandboxServer

Kind = Literal["reply", "anybody", "time", "cancelled", "expiring"]
KINDS: Sequence[Kind] = ("reply", "reply", "reply", "anybody", "time", "cancelled", "expiring")
EFFECTS = {
    "send_message": ("message",),
    "send_file": ("message", "file"),
    "notify_staff": ("notice",),
    "dispatch_designer": ("dispatch",),
    "add_tag": (),
}
"""What the peers get of each action; a tag is a row."""
ACTIONS = ("send_message", "send_message", "send_message", *EFFECTS)
CHATS = 40
MOST_RETRIES = 20
"""So that an action fails only where the peer refuses it."""
SHORT_WAIT_S = 2.0
GIVE_UP_S = 120.0


@dataclass
class Handed:
    """One task, and what came of its calls. ``said``: ids of the messages that say its word.

    ``answered``: the status of the answer to its receipt; ``cancelled``: to its cancellation.
    """

    task_id: str
    kind: Kind
    action: str
    order: JsonObject
    chats: tuple[str, ...]
    said: list[str] = field(default_factory=list)
    answered: int = 0
    cancelled: int | None = None

    @property
    def word(self) -> str:
        return f"暗号{self.task_id[1:]}"


def make_task(number: int, chance: random.Random, now: float) -> Handed:
    task_id, kind = f"T{number:05}", chance.choice(KINDS)
    action, chat = chance.choice(ACTIONS), f"chat{chance.randrange(CHATS)}"
    other = f"chat{chance.randrange(CHATS)}"
    handed = Handed(task_id, kind, action, {}, (chat, other) if kind == "anybody" else (chat,))
    handed.order = {
        "task_id": task_id,
        "type": f"crash_{kind}",
        "customer": {"id": chat, "name": f"客户{chat}"},
        "trigger": _trigger(handed, chance, now),
        "action": _action(action, task_id),
        "priority": chance.choice(("low", "normal", "high", "urgent")),
        "timeout_hours": SHORT_WAIT_S / 3600 if kind == "expiring" else 24,
        "max_retry": MOST_RETRIES,
        "created_by": "tests.crash",
    }
    return handed


def _trigger(handed: Handed, chance: random.Random, now: float) -> JsonObject:
    if handed.kind == "time":
        at = datetime.fromtimestamp(now, UTC) + timedelta(seconds=chance.uniform(3, 8))
        return {"type": "time_reach", "time": at.isoformat()}
    if handed.kind == "anybody":
        return {"type": "customer_reply", "keyword": handed.word}
    customer = {"customer_id": handed.chats[0]}
    return {"type": "specified_customer_reply", "keyword": handed.word, **customer}


def _action(tool: str, task_id: str) -> JsonObject:
    text = f"回执{task_id}"
    details: dict[str, JsonObject] = {
        "send_message": {"message": text},
        "send_file": {"message": text, "file_url": f"https://files.example/{task_id}.pdf"},
        "notify_staff": {"title": text, "message": text},
        "dispatch_designer": {"description": text},
        "add_tag": {"tags": [task_id]},
    }
    return {"type": tool, **details[tool]}


class Tianwang:
    """``rate``: tasks a second. Any process of the service may get a call or a message."""

    def __init__(
        self, sandbox: SandboxServer, urls: Sequence[str], seed: int, *, rate: float
    ) -> None:
        self.handed: dict[str, Handed] = {}
        self.repeats = 0
        self.retries = 0
        self._sandbox, self._urls, self._rate = sandbox, list(urls), rate
        self._chance = random.Random(seed)
        self._retried: set[str] = set()
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="tianwang")

    def start(self) -> None:
        """No peer is better than the process that is killed: they are slow, lose answers, fail."""
        fault = self._sandbox.fault
        for peer in ("webhook", "tianwang", "staff", "tuhui"):
            fault(peer, "latency", seconds=0.0, jitter=0.3)
            fault(peer, "lost_answer", rate=0.08)
            fault(peer, "status", rate=0.08, status=503)
        fault("webhook", "duplicate", rate=0.1)
        fault("webhook", "status", rate=0.1, status=422, request_kind="deliver")
        fault("staff", "status", rate=0.05, status=422)
        fault("tianwang", "status", rate=0.05, status=403)
        fault("tianwang", "garbage", rate=0.05)
        self._thread.start()

    def stop(self) -> None:
        """Lets every task get its answers and its words; raises what went wrong."""
        self._stop.set()
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        self._sandbox.clear_faults()

    def _run(self) -> None:
        try:
            asyncio.run(self._hand_over())
        except BaseException as error:
            self._errors.append(error)

    async def _hand_over(self) -> None:
        limits = httpx.Limits(max_connections=200)
        async with (
            httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False) as client,
            asyncio.TaskGroup() as lives,
        ):
            lives.create_task(self._have_failed_retried(client))
            while not self._stop.is_set():
                handed = make_task(len(self.handed), self._chance, time.time())
                self.handed[handed.task_id] = handed
                lives.create_task(self._live(client, handed))
                await asyncio.sleep(self._chance.uniform(0, 2 / self._rate))

    async def _live(self, client: httpx.AsyncClient, handed: Handed) -> None:
        handed.answered = await self._call(client, "/api/task/receive", handed.order)
        if handed.answered != 200 or handed.kind == "time":
            return
        if handed.kind == "expiring":
            if self._chance.random() < 0.5:
                return
            await asyncio.sleep(SHORT_WAIT_S * self._chance.uniform(0.5, 1.1))
        if handed.kind != "cancelled":
            await self._say(client, handed)
            return
        async with asyncio.TaskGroup() as race:
            race.create_task(self._cancel(client, handed))
            race.create_task(self._say(client, handed))

    async def _cancel(self, client: httpx.AsyncClient, handed: Handed) -> None:
        await asyncio.sleep(self._chance.uniform(0, 0.6))
        body = {"task_id": handed.task_id, "reason": "不需要了"}
        handed.cancelled = await self._call(client, "/api/task/cancel", body)

    async def _say(self, client: httpx.AsyncClient, handed: Handed) -> None:
        """Bare, or with a question, and up to three times by each who may say it."""
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        batch = []
        for chat in handed.chats * self._chance.choice((1, 1, 2, 3)):
            message = f"{handed.task_id}-{len(handed.said)}"
            asks = self._chance.random() < 0.2
            text = f"{handed.word},{self._chance.choice(QUESTIONS)}" if asks else handed.word
            handed.said.append(message)
            batch.append({"chat_id": chat, "text": text, "message_id": message})
        base = self._sandbox.url
        target = {"url": self._chance.choice(self._urls)}
        for call in (
            client.put(f"{base}/_sandbox/target", json=target),
            client.post(f"{base}/_sandbox/webhook/say/batch", json={"messages": batch}),
        ):
            (await call).raise_for_status()

    async def _have_failed_retried(self, client: httpx.AsyncClient) -> None:
        """Half of the tasks of which a callback has told that they failed."""
        while not self._stop.is_set():
            told = await client.get(f"{self._sandbox.url}/_sandbox/tianwang/callbacks")
            for callback in told.raise_for_status().json()["callbacks"]:
                event = callback["event_id"]
                if callback["status"] != "failed" or event in self._retried:
                    continue
                self._retried.add(event)
                if self._chance.random() < 0.5:
                    body = {"task_id": callback["task_id"]}
                    await self._call(client, "/api/task/retry", body)
                    self.retries += 1
            await asyncio.sleep(0.5)

    async def _call(self, client: httpx.AsyncClient, path: str, body: JsonObject) -> int:
        """The status of the first answer that is one."""
        ends = time.monotonic() + GIVE_UP_S
        while True:
            url = self._chance.choice(self._urls)
            try:
                answer = await client.post(url + path, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                if answer.status_code not in (200, 409, 422):
                    raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
                return answer.status_code
            if time.monotonic() > ends:
                raise RuntimeError(f"{path}: no answer after {GIVE_UP_S} s: {body}")
            self.repeats += 1
            await asyncio.sleep(0.1)
