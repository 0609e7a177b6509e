"""Customers who write over the webhook channel, and what they have been shown."""

import random
import threading
from collections import Counter
from collections.abc import Sequence

from tests.crash.records import Records, Verdict, intake_problems
from tests.sandbox_server import JsonObject, SandboxServer

CHANNEL = "webhook"
MAX_PENDING = 150
"""The customers wait while the service is that far behind."""
QUIET_S = 120.0
QUESTIONS = (
    "充电桩怎么安装",
    "充电桩质保多久",
    "门店几点关门",
    "照片修复多少钱",
    "抠图怎么收费",
    "你好",
    "谢谢",
    "转人工",
    "取消排队",
    "不用转人工了",
    "你们支持火星发货吗",
)


class Customers:
    """Write to random chats until told to stop; every chat's messages are numbered.

    ``rate``: how often a second one of them writes.
    """

    def __init__(self, sandbox: SandboxServer, seed: int, *, chats: int = 30, rate: float) -> None:
        self.sent: dict[str, list[str]] = {f"chat{n}": [] for n in range(chats)}
        self._sandbox, self._chance, self._pause = sandbox, random.Random(seed), 1 / rate
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="customers")

    def start(self) -> None:
        """The network is no better than the process that is killed."""
        fault = self._sandbox.fault
        fault(CHANNEL, "latency", seconds=0.0, jitter=0.2)
        fault(CHANNEL, "lost_answer", rate=0.05)
        fault(CHANNEL, "status", rate=0.05, status=503)
        fault(CHANNEL, "duplicate", rate=0.1)
        self._thread.start()

    def stop(self) -> None:
        """Raises what went wrong while they wrote."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._sandbox.clear_faults()

    def await_accepted(self) -> None:
        """Until the service has taken everything, however often it must be offered."""
        self._outgoing = self._sandbox.get("/_sandbox/webhook/outgoing", wait=QUIET_S, limit=10**6)

    def verdict(self, records: Records) -> Verdict:
        """Once all is quiet: by the rows, and by what the sandbox has seen."""
        shown = {chat: self._sandbox.chat(chat) for chat in self.sent}
        strangers = {found["chat_id"] for found in self._sandbox.chats()} - set(self.sent)
        lines = self._sandbox.journal_lines()
        requests = [line for line in lines if line["peer"] == CHANNEL]
        problems = [
            *(f"the sandbox has shown messages to {chat!r}" for chat in sorted(strangers)),
            *_undelivered(self._outgoing),
            *intake_problems({m for sent in self.sent.values() for m in sent}, records),
            *delivery_problems(records, shown, requests),
            *order_problems(records, self.sent, shown),
        ]
        messages, turns = len(records.messages), len(records.turns)
        items = self._outgoing["messages"]
        counts = {
            "messages pushed to us": messages,
            "of those offered more than once": sum(item["attempts"] > 1 for item in items),
            "turns": turns,
            "messages merged into another's turn": messages - turns,
            "replies shown": sum(map(len, shown.values())),
            "replies repeated and recognised by the peer": sum(
                bool(request["duplicate"]) for request in requests
            ),
        }
        return Verdict(problems, counts)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._pause):
                if self._sandbox.outgoing()["pending"] < MAX_PENDING:
                    self._write()
        except BaseException as error:
            self._error = error

    def _write(self) -> None:
        """One customer's message, or three in a row, which the debounce should merge."""
        chat = self._chance.choice(list(self.sent))
        batch: list[JsonObject] = []
        for _ in range(self._chance.choice((1, 1, 1, 3))):
            message = f"{chat}-{len(self.sent[chat]):05}"
            self.sent[chat].append(message)
            question = self._chance.choice(QUESTIONS)
            batch.append({"chat_id": chat, "text": question, "message_id": message})
        self._sandbox.say_batch(batch)


def _undelivered(outgoing: JsonObject) -> list[str]:
    if outgoing["pending"] or outgoing["failed"]:
        return [f"the service did not take {outgoing['pending'] + outgoing['failed']} messages"]
    return []


def delivery_problems(
    records: Records, shown: dict[str, list[JsonObject]], requests: Sequence[JsonObject]
) -> list[str]:
    """Every reply was shown, once, as it was written; by the peer's journal, under one id."""
    problems = []
    content = {row["channel_message_id"]: row["content"] for row in records.replies}
    seen = Counter(message["message_id"] for chat in shown.values() for message in chat)
    for reply in sorted(content.keys() - seen.keys()):
        problems.append(f"reply {reply!r} is lost: no customer has seen it")
    for reply in sorted(seen.keys() - content.keys()):
        problems.append(f"reply {reply!r} was shown and is not in the history")
    for reply, times in seen.items():
        if times > 1:
            problems.append(f"reply {reply!r} was shown {times} times")
    for message in (message for chat in shown.values() for message in chat):
        if message["conflicts"] or message["text"] != content.get(message["message_id"]):
            problems.append(f"reply {message['message_id']!r} was shown with another text")
    ids: dict[str, set[str]] = {}
    for request in requests:
        if request["accepted"]:
            ids.setdefault(request["body"]["turn_id"], set()).add(request["body"]["message_id"])
    for turn, used in ids.items():
        if len(used) > 1:
            problems.append(f"turn {turn!r} was answered under {len(used)} ids")
    for row in records.deliveries:
        if row["status"] != "delivered":
            problems.append(f"delivery {row['message_id']!r} is {row['status']}")
    return problems


def order_problems(
    records: Records, sent: dict[str, list[str]], shown: dict[str, list[JsonObject]]
) -> list[str]:
    """What the replies of a chat answer, taken in their order, is what was written in its order."""
    problems = []
    for chat, messages in sent.items():
        answered = [
            message
            for reply in shown[chat]
            for message in records.messages_of.get(reply["turn_id"], [])
        ]
        if answered != records.to_answer(messages):
            problems.append(f"{chat}: {len(messages)} messages were not answered in their order")
    return problems
