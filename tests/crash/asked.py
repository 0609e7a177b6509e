"""Callers of ``POST /api/v1/messages`` who repeat each message until it is answered."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from tests.crash.pushed import QUESTIONS
from tests.crash.records import Records, Verdict, intake_problems
from tests.sandbox_server import JsonObject

CHANNEL = "api"
AGENT = "crash"
DEADLINE_S = 2.0
GIVE_UP_S = 120.0


@dataclass
class Callers:
    """Each has a conversation of its own; ``answers`` keeps every answer that each message got."""

    urls: Sequence[str]
    seed: int
    count: int
    answers: dict[str, list[JsonObject]] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)
    repeats: int = 0
    waits: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="callers")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets every caller finish its message; raises what went wrong."""
        self._stop.set()
        self._thread.join()
        if self._errors:
            raise self._errors[0]

    def ask_again(self) -> None:
        """Fetch every answer once more."""
        with httpx.Client(base_url=self.urls[0], timeout=30.0, trust_env=False) as client:
            for message, answers in self.answers.items():
                found = client.get(f"/api/v1/messages/{message}/answer", params={"agent_id": AGENT})
                assert found.status_code == 200, found.text
                answers.append(found.json())

    def verdict(self, records: Records) -> Verdict:
        problems = [
            *intake_problems({m for asked in self.asked.values() for m in asked}, records),
            *answer_problems(self.answers, records),
            *order_problems(self.asked, records),
        ]
        counts = {
            "messages that a caller asked": len(records.messages),
            "calls repeated because the process was away": self.repeats,
            "of those told to wait": self.waits,
            "answers compared": sum(map(len, self.answers.values())),
        }
        return Verdict(problems, counts)

    def _run(self) -> None:
        try:
            asyncio.run(self._call_all())
        except BaseException as error:
            self._errors.append(error)

    async def _call_all(self) -> None:
        limits = httpx.Limits(max_connections=2 * self.count)
        async with httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False) as client:
            await asyncio.gather(*(self._caller(client, n) for n in range(self.count)))

    async def _caller(self, client: httpx.AsyncClient, number: int) -> None:
        chance, chat = random.Random(self.seed * 1_000 + number), f"caller{number}"
        asked = self.asked.setdefault(chat, [])
        while not self._stop.is_set():
            message = f"{chat}-{len(asked):05}"
            asked.append(message)
            question = chance.choice(QUESTIONS)
            await self._until_answered(client, chance, chat, message, question)
            if chance.random() < 0.3:
                again = chance.choice(asked)
                await self._until_answered(client, chance, chat, again, question)
            await asyncio.sleep(chance.uniform(0, 0.1))

    async def _until_answered(
        self, client: httpx.AsyncClient, chance: random.Random, chat: str, message: str, text: str
    ) -> None:
        ends = time.monotonic() + GIVE_UP_S
        while True:
            url = chance.choice(self.urls)
            answer = await self._ask(client, url, chat, message, text)
            if answer is not None and answer["action"] != "wait":
                self.answers.setdefault(message, []).append(answer)
                return
            if time.monotonic() > ends:
                raise RuntimeError(f"message {message!r} has no answer after {GIVE_UP_S} s")
            self.waits += answer is not None
            self.repeats += 1
            await asyncio.sleep(0.1)

    async def _ask(
        self, client: httpx.AsyncClient, url: str, chat: str, message: str, text: str
    ) -> JsonObject | None:
        """None where the process died, is away, or is not ready."""
        body = {
            "agent_id": AGENT,
            "message": {"id": message, "chat_id": chat, "sender": chat, "content": text},
            "deadline_s": DEADLINE_S,
        }
        try:
            response = await client.post(f"{url}/api/v1/messages", json=body)
        except httpx.TransportError:
            return None
        if response.status_code == 503:
            return None
        assert response.status_code == 200, response.text
        answer: JsonObject = response.json()
        return answer


def answer_problems(answers: dict[str, list[JsonObject]], records: Records) -> list[str]:
    """All answers to a message are the same, and are the one in the history."""
    problems = []
    content = {row["turn_id"]: row["content"] for row in records.replies}
    for message, given in answers.items():
        if len({_told(answer) for answer in given}) != 1:
            problems.append(f"message {message!r} got different answers")
        turn = records.turn_of.get(message)
        if any(answer["turn_id"] != turn for answer in given):
            problems.append(f"message {message!r} got the answer of another turn")
        if turn in content and given[0]["content"] != content[turn]:
            problems.append(f"message {message!r} got an answer that is not in the history")
    return problems


def _told(answer: JsonObject) -> str:
    """The answer but for the word that it is a repetition."""
    return json.dumps({**answer, "duplicate": None}, sort_keys=True)


def order_problems(asked: dict[str, list[str]], records: Records) -> list[str]:
    """A conversation's replies stand in the history in the order of its messages."""
    problems = []
    chat_of = {message: chat for chat, messages in asked.items() for message in messages}
    answered: dict[str, list[str]] = {}
    for reply in records.replies:
        for message in records.messages_of.get(reply["turn_id"], []):
            answered.setdefault(chat_of.get(message, ""), []).append(message)
    for chat, messages in asked.items():
        if answered.get(chat, []) != records.to_answer(messages):
            problems.append(f"{chat}: {len(messages)} messages were not answered in their order")
    return problems
