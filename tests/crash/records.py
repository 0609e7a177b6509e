"""What a run has left in the rows, for the verdicts."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import create_engine, text

from storage.database import normalise_url

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Records:
    """Of one channel. ``turn_of``: the turn that a customer's message names. ``counted``: turns and
    messages as the figures have them; None: not of all that is here."""

    messages: Rows
    replies: Rows
    turns: Rows
    deliveries: Rows
    dead_letters: int
    counted: tuple[int, int] | None = None

    @cached_property
    def turn_of(self) -> dict[str, str | None]:
        return {row["channel_message_id"]: row["turn_id"] for row in self.messages}

    @cached_property
    def messages_of(self) -> dict[str, list[str]]:
        """The customer's message ids that each turn says it has handled, in their order."""
        ids = {row["id"]: row["channel_message_id"] for row in self.messages}
        return {
            row["turn_id"]: [ids.get(at, f"row {at}") for at in json.loads(row["message_ids"])]
            for row in self.turns
        }

    @cached_property
    def waiting(self) -> frozenset[str]:
        """Turns that may say nothing: the customer had been handed over to a person before."""
        found, handed = set[str](), set[str]()
        for row in sorted(self.turns, key=lambda row: float(row["ended_ts"])):
            if row["action"] == "none" and row["conversation_id"] in handed:
                found.add(row["turn_id"])
            elif row["action"] == "escalate":
                handed.add(row["conversation_id"])
        return frozenset(found)

    def to_answer(self, messages: list[str]) -> list[str]:
        """Those of ``messages`` that a reply is due to."""
        return [one for one in messages if self.turn_of.get(one) not in self.waiting]


@dataclass(frozen=True)
class Verdict:
    """``problems`` is empty when nothing was lost, repeated or out of order."""

    problems: list[str]
    counts: dict[str, int]


def read_records(database_url: str, channel: str) -> Records:
    """The rows of ``channel``, with nothing of the engine in between."""
    engine = create_engine(normalise_url(database_url))
    try:
        with engine.connect() as connection:

            def rows(sql: str) -> Rows:
                found = connection.execute(text(sql), {"channel": channel})
                return [dict(row) for row in found.mappings()]

            found = rows("SELECT * FROM messages WHERE channel = :channel ORDER BY id")
            figures = rows(
                "SELECT COALESCE(SUM(turns), 0) AS turns, COALESCE(SUM(messages), 0) AS messages"
                " FROM figures WHERE channel = :channel"
            )
            own = "conversation_id IN (SELECT id FROM conversations WHERE channel = :channel)"
            return Records(
                messages=[row for row in found if row["role"] == "user"],
                replies=[row for row in found if row["role"] == "assistant"],
                turns=rows(f"SELECT * FROM turns WHERE {own}"),
                deliveries=rows("SELECT * FROM outbox WHERE channel = :channel ORDER BY id"),
                dead_letters=len(rows(f"SELECT 1 FROM dead_letters WHERE {own}")),
                counted=(int(figures[0]["turns"]), int(figures[0]["messages"])),
            )
    finally:
        engine.dispose()


def notice_problems(database_url: str, seen: int) -> list[str]:
    """Staff is told of each hand-over once."""
    engine = create_engine(normalise_url(database_url))
    try:
        with engine.connect() as connection:
            due = connection.scalar(text("SELECT COUNT(*) FROM effects WHERE kind = 'notice'"))
    finally:
        engine.dispose()
    return [] if due == seen else [f"{due} notices were due, staff has seen {seen}"]


def intake_problems(sent: set[str], records: Records) -> list[str]:
    """Every message that was accepted is stored once, handled, and named by exactly one turn."""
    problems = []
    stored = Counter(row["channel_message_id"] for row in records.messages)
    naming = Counter(message for named in records.messages_of.values() for message in named)
    for message in sorted(sent - stored.keys()):
        problems.append(f"message {message!r} is lost: it was accepted and is not stored")
    for message in sorted(stored.keys() - sent):
        problems.append(f"message {message!r} is stored and was never sent")
    for row in records.messages:
        if row["status"] != "handled" or row["turn_id"] is None:
            problems.append(f"message {row['channel_message_id']!r} is {row['status']}")
    for message, times in stored.items():
        if naming[message] != 1:
            problems.append(f"message {message!r} was handled by {naming[message]} turns")
        if times != 1:
            problems.append(f"message {message!r} is stored {times} times")
    for turn, named in records.messages_of.items():
        if any(records.turn_of.get(message) != turn for message in named):
            problems.append(f"turn {turn!r} and its messages do not name each other")
    replied = Counter(str(row["turn_id"]) for row in records.replies)
    for turn in records.messages_of.keys() | replied.keys():
        if replied[turn] != 1 and not (replied[turn] == 0 and turn in records.waiting):
            problems.append(f"turn {turn!r} has {replied[turn]} replies in the history")
    problems += figure_problems(records)
    if records.dead_letters:
        problems.append(f"{records.dead_letters} turns were given up")
    return problems


def figure_problems(records: Records) -> list[str]:
    """The figures count what there is: what was replayed once, what was taken over once."""
    if records.counted is None:
        return []
    said = sum(1 for row in records.messages if row["kind"] != "event")
    if records.counted == (len(records.turns), said):
        return []
    turns, messages = records.counted
    return [
        f"the figures count {turns} turns and {messages} messages, there are"
        f" {len(records.turns)} and {said}"
    ]
