"""What a run with tasks has left with everybody, and what must be true of it."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import create_engine, text

from storage.database import normalise_url
from tests.crash.handed import EFFECTS, Handed
from tests.crash.records import Rows
from tests.sandbox_server import JsonObject, SandboxServer

ENDS = ("completed", "failed", "cancelled", "expired")
EXPECTED_ENDS = {
    "reply": {"completed", "failed"},
    "anybody": {"completed", "failed"},
    "time": {"completed", "failed"},
    "cancelled": {"completed", "failed", "cancelled"},
    "expiring": {"completed", "failed", "expired"},
}
REFUSED = range(400, 500)
_KEY = re.compile(r"task:([^:]+):(\d+):(\w+)")
_TEXT = re.compile(r"回执(T\d+)")


@dataclass(frozen=True)
class Seen:
    """Something of a task that a peer has taken: its id there, and what was in it."""

    peer: str
    key: str
    content: str


@dataclass(frozen=True)
class TaskRecords:
    """``audit``: of tasks, oldest first. ``callbacks``: as Tianwang keeps them, in the order of
    their first arrival; ``posts``: each copy, as the journal has it. ``refusals``: ids of what a
    peer refused for good. ``tags``: those that customers have.
    ``dead_turns``: with messages that may say a word."""

    tasks: Rows
    audit: Rows
    callbacks: Rows
    posts: Sequence[JsonObject]
    seen: Sequence[Seen]
    refusals: frozenset[str]
    tags: Sequence[str]
    open_deliveries: int
    dead_turns: int

    def of_audit(self, task_id: str, *actions: str) -> list[JsonObject]:
        """Details of the records of ``task.<action>``, oldest first, with the action."""
        wanted = {f"task.{action}" for action in actions}
        return [
            {"action": row["action"].removeprefix("task."), **json.loads(row["detail"])}
            for row in self.audit
            if row["subject"] == task_id and row["action"] in wanted
        ]


def read_task_records(database_url: str, sandbox: SandboxServer) -> TaskRecords:
    engine = create_engine(normalise_url(database_url))
    try:
        with engine.connect() as connection:

            def rows(sql: str) -> Rows:
                return [dict(row) for row in connection.execute(text(sql)).mappings()]

            tasks = rows("SELECT * FROM tasks ORDER BY task_id")
            audit = rows("SELECT * FROM audit WHERE action LIKE 'task.%' ORDER BY id")
            tags = rows("SELECT tag FROM customer_tags ORDER BY contact_id, tag")
            still_open = rows("SELECT id FROM outbox WHERE status = 'pending'")
            dead = rows("SELECT id FROM dead_letters")
    finally:
        engine.dispose()
    journal = sandbox.journal_lines()
    return TaskRecords(
        tasks=tasks,
        audit=audit,
        callbacks=list(sandbox.get("/_sandbox/tianwang/callbacks")["callbacks"]),
        posts=[line for line in journal if line["peer"] == "tianwang"],
        seen=list(_seen(sandbox)),
        refusals=frozenset(_refused(journal)),
        tags=[row["tag"] for row in tags],
        open_deliveries=len(still_open),
        dead_turns=len(dead),
    )


def _seen(sandbox: SandboxServer) -> Iterator[Seen]:
    for chat in sandbox.chats():
        for message in sandbox.chat(chat["chat_id"]):
            content = f"{message['text']} {message.get('url', '')}"
            yield Seen("webhook", message["message_id"], content)
    for notice in sandbox.notices():
        yield Seen("staff", notice["notice_id"], notice["text"])
    for task in sandbox.get("/_sandbox/tuhui/state")["tasks"]:
        yield Seen("tuhui", task["reference"], task["description"])


def _refused(journal: Sequence[JsonObject]) -> Iterator[str]:
    for line in journal:
        body = line["body"]
        if line["status"] in REFUSED and isinstance(body, dict):
            yield from (str(body[name]) for name in ("message_id", "notice_id") if name in body)


# Verdicts ------------------------------------------------------------------------------------


def receipt_problems(handed: Mapping[str, Handed], records: TaskRecords) -> list[str]:
    """A task that was answered with success is stored, one that was refused is not."""
    problems, stored = [], {row["task_id"] for row in records.tasks}
    for task_id, one in handed.items():
        if one.answered == 200 and task_id not in stored:
            problems.append(f"task {task_id!r} is lost: its receipt was confirmed")
        if one.answered != 200 and not (one.answered == 422 and one.kind == "time"):
            problems.append(f"task {task_id!r}: its receipt was answered with {one.answered}")
        if one.answered == 422 and task_id in stored:
            problems.append(f"task {task_id!r} was refused and is stored")
        if len(records.of_audit(task_id, "receive")) != (task_id in stored):
            problems.append(f"task {task_id!r} was not received exactly once by the audit log")
    problems += [f"task {at!r} is stored and nobody's" for at in sorted(stored - handed.keys())]
    return problems


def life_problems(handed: Mapping[str, Handed], records: TaskRecords) -> list[str]:
    """Each task fired at most once and each of its runs ended once, as its kind can end."""
    return [
        f"task {row['task_id']!r} {problem}"
        for row in records.tasks
        if row["task_id"] in handed
        for problem in _life(handed[row["task_id"]], row, records)
    ]


def _life(one: Handed, row: JsonObject, records: TaskRecords) -> Iterator[str]:
    fired = records.of_audit(one.task_id, "fire")
    retried = records.of_audit(one.task_id, "retry")
    ends = records.of_audit(one.task_id, *ENDS)
    if row["status"] not in EXPECTED_ENDS[one.kind]:
        yield f"of kind {one.kind} is {row['status']}"
    if len(fired) > 1:
        yield f"has fired {len(fired)} times by the audit log"
    if len(fired) + len(retried) != row["run_no"]:
        yield f"has run {row['run_no']} times, fired and retried {len(fired) + len(retried)} times"
    runs = [end["run"] for end in ends]
    if runs != list(range(1, row["run_no"] + 1)) and (runs, row["run_no"]) != ([0], 0):
        yield f"ended {len(ends)} times in {row['run_no']} runs"
    if ends and ends[-1]["action"] != row["status"]:
        yield f"is {row['status']}, and its last end was {ends[-1]['action']}"
    if fired and one.kind != "time" and fired[0]["message_id"] not in one.said:
        yield f"was fired by {fired[0]['message_id']!r}, which does not say its word"
    if one.cancelled == 200 and row["status"] != "cancelled":
        yield f"is {row['status']}, and its cancellation was confirmed"
    if one.cancelled == 409 and row["status"] == "cancelled":
        yield "is cancelled, and its cancellation was refused"


def effect_problems(handed: Mapping[str, Handed], records: TaskRecords) -> list[str]:
    """What a completed run was to do was done once; one that failed met a refusal; nothing else
    carries a task's text."""
    problems = []
    done: dict[str, Counter[str]] = defaultdict(Counter)
    for seen in records.seen:
        key, about = _KEY.fullmatch(seen.key), _TEXT.search(seen.content)
        if key is not None:
            done[key[1]][seen.key] += 1
        elif about is not None and not seen.key.startswith("task:"):
            problems.append(f"task {about[1]!r}: {seen.peer} got its text as {seen.key!r}")
        if about is not None and key is not None and about[1] != key[1]:
            problems.append(f"task {key[1]!r}: {seen.peer} got the text of {about[1]!r}")
    for row in records.tasks:
        if row["task_id"] in handed:
            one = handed[row["task_id"]]
            found = _effects(one, row, done[one.task_id], records)
            problems += [f"task {one.task_id!r} {problem}" for problem in found]
    return problems


def _effects(
    one: Handed, row: JsonObject, done: Counter[str], records: TaskRecords
) -> Iterator[str]:
    names, ends = EFFECTS[one.action], records.of_audit(one.task_id, *ENDS)
    allowed = {
        f"task:{one.task_id}:{run}:{name}" for run in range(1, row["run_no"] + 1) for name in names
    }
    for key, times in sorted(done.items()):
        if key not in allowed:
            yield f"has done {key!r}, which no run of it was to do"
        if times > 1:
            yield f"has done {key!r} {times} times"
    for end in ends:
        keys = {f"task:{one.task_id}:{end['run']}:{name}" for name in names}
        if end["action"] == "completed" and keys - done.keys():
            yield f"is completed, and nobody has seen {sorted(keys - done.keys())}"
        if end["action"] == "failed" and not keys & records.refusals:
            yield f"failed, and no peer has refused it: {end.get('error')}"
    tagged = records.tags.count(one.task_id)
    if one.action == "add_tag" and tagged != (row["status"] == "completed"):
        yield f"is {row['status']}, and its tag is there {tagged} times"


def callback_problems(records: TaskRecords) -> list[str]:
    """Every end was told, the same each time and in the order of the ends; nothing else was."""
    problems, told = [], defaultdict(list)
    for callback in records.callbacks:
        told[callback["task_id"]].append(callback)
        if not callback["verified"]:
            problems.append(f"callback {callback['event_id']!r} is not signed")
        if callback["conflicts"]:
            problems.append(f"callback {callback['event_id']!r} came with different bodies")
    for row in records.tasks:
        task_id, ends = row["task_id"], records.of_audit(row["task_id"], *ENDS)
        due = [(f"evt_{task_id}_{n}", end["action"]) for n, end in enumerate(ends, start=1)]
        came = [(callback["event_id"], callback["status"]) for callback in told.pop(task_id, [])]
        if came != due:
            problems.append(f"task {task_id!r}: Tianwang was told {came}, due was {due}")
    problems += [f"task {task_id!r} is unknown, and Tianwang was told of it" for task_id in told]
    return problems + _post_problems(records.posts)


def _post_problems(posts: Sequence[JsonObject]) -> list[str]:
    """By the journal: one event id has one body, and no event goes out before an earlier one of its
    task was taken."""
    problems: list[str] = []
    bodies: dict[str, JsonObject] = {}
    taken: dict[str, int] = defaultdict(int)
    for post in posts:
        body = post["body"]
        event, task_id, number = body["event_id"], body["task_id"], body["sequence"]
        if bodies.setdefault(event, body) != body:
            problems.append(f"callback {event!r} was posted with different bodies")
        if number > taken[task_id] + 1:
            problems.append(f"callback {event!r} was posted before the one before it was taken")
        if post["accepted"]:
            taken[task_id] = max(taken[task_id], number)
    return problems


def task_problems(handed: Mapping[str, Handed], records: TaskRecords) -> list[str]:
    found = [
        *receipt_problems(handed, records),
        *life_problems(handed, records),
        *effect_problems(handed, records),
        *callback_problems(records),
    ]
    if records.open_deliveries:
        found.append(f"{records.open_deliveries} deliveries are still open")
    if records.dead_turns:
        found.append(f"{records.dead_turns} turns were given up")
    return found
