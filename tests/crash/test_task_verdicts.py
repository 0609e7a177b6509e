"""The verdicts on tasks see what they look for: each kind of damage to a sound run is reported."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.crash.handed import Handed
from tests.crash.task_records import Seen, TaskRecords, task_problems

Row = dict[str, Any]


def task(number: int, status: str, *, runs: int = 1) -> Row:
    return {"task_id": f"T{number}", "status": status, "run_no": runs}


def audit(number: int, action: str, **detail: object) -> Row:
    return {"subject": f"T{number}", "action": f"task.{action}", "detail": json.dumps(detail)}


def callback(number: int, event: int, status: str) -> Row:
    told = {"event_id": f"evt_T{number}_{event}", "task_id": f"T{number}", "status": status}
    return told | {"conflicts": 0, "verified": True, "received": 1}


def post(number: int, event: int, *, accepted: bool | None = True) -> Row:
    body = {"event_id": f"evt_T{number}_{event}", "task_id": f"T{number}", "sequence": event}
    return {"body": body, "accepted": accepted}


def shown(number: int, *, run: int = 1, name: str = "message") -> Seen:
    return Seen("webhook", f"task:T{number}:{run}:{name}", f"回执T{number}")


@dataclass
class Run:
    """T1 completed; T2 failed and, tried again, completed; T3 was cancelled, T4 expired; T5's time
    was past when its order came through."""

    handed: dict[str, Handed]
    tasks: list[Row]
    audit: list[Row]
    callbacks: list[Row]
    posts: list[Row]
    seen: list[Seen]
    refusals: set[str]
    tags: list[str]

    def problems(self) -> list[str]:
        return task_problems(self.handed, self.records())

    def records(self) -> TaskRecords:
        return TaskRecords(
            tasks=self.tasks,
            audit=self.audit,
            callbacks=self.callbacks,
            posts=self.posts,
            seen=self.seen,
            refusals=frozenset(self.refusals),
            tags=self.tags,
            open_deliveries=0,
            dead_turns=0,
        )

    def record(self, subject: str, action: str) -> Row:
        wanted = (subject, f"task.{action}")
        return next(row for row in self.audit if (row["subject"], row["action"]) == wanted)


def sound() -> Run:
    handed = {
        "T1": Handed("T1", "reply", "send_message", {}, ("甲",), ["T1-0", "T1-1"], 200),
        "T2": Handed("T2", "time", "send_file", {}, ("甲",), [], 200),
        "T3": Handed("T3", "cancelled", "add_tag", {}, ("甲",), ["T3-0"], 200, 200),
        "T4": Handed("T4", "expiring", "send_message", {}, ("乙",), [], 200),
        "T5": Handed("T5", "time", "send_message", {}, ("乙",), [], 422),
        "T6": Handed("T6", "anybody", "add_tag", {}, ("乙",), ["T6-0"], 200),
    }
    return Run(
        handed=handed,
        tasks=[
            task(1, "completed"),
            task(2, "completed", runs=2),
            task(3, "cancelled", runs=0),
            task(4, "expired", runs=0),
            task(6, "completed"),
        ],
        audit=[
            *(audit(number, "receive") for number in (1, 2, 3, 4, 6)),
            audit(1, "fire", message_id="T1-1"),
            audit(1, "completed", run=1),
            audit(2, "fire", time=1.0),
            audit(2, "failed", run=1, error="422"),
            audit(2, "retry"),
            audit(2, "completed", run=2),
            audit(3, "cancelled", run=0),
            audit(4, "expired", run=0),
            audit(6, "fire", message_id="T6-0"),
            audit(6, "completed", run=1),
        ],
        callbacks=[
            callback(2, 1, "failed"),
            callback(1, 1, "completed"),
            callback(2, 2, "completed"),
            callback(3, 1, "cancelled"),
            callback(4, 1, "expired"),
            callback(6, 1, "completed"),
        ],
        posts=[
            post(2, 1, accepted=None),
            post(1, 1),
            post(2, 1),
            post(2, 1),
            post(2, 2),
            post(3, 1),
            post(4, 1),
            post(6, 1),
        ],
        seen=[
            shown(1),
            shown(2),
            shown(2, run=2),
            shown(2, run=2, name="file"),
            Seen("webhook", "turn:reply", "您好"),
        ],
        refusals={"task:T2:1:file"},
        tags=["T6"],
    )


def test_a_sound_run_has_no_problems() -> None:
    assert sound().problems() == []


DAMAGE: dict[str, Callable[[Run], object]] = {
    # Receipt
    "'T4' is lost: its receipt was confirmed": lambda r: r.tasks.pop(3),
    "'T5' was refused and is stored": lambda r: r.tasks.append(task(5, "pending", runs=0)),
    "'T9' is stored and nobody's": lambda r: r.tasks.append(task(9, "pending", runs=0)),
    "'T1': its receipt was answered with 409": lambda r: setattr(r.handed["T1"], "answered", 409),
    "'T1': its receipt was answered with 422": lambda r: setattr(r.handed["T1"], "answered", 422),
    "'T1' was not received exactly once": lambda r: r.audit.append(audit(1, "receive")),
    # Life
    "'T1' of kind reply is pending": lambda r: r.tasks[0].update(status="pending"),
    "'T1' of kind reply is expired": lambda r: r.tasks[0].update(status="expired"),
    "'T1' has fired 2 times": lambda r: r.audit.append(audit(1, "fire", message_id="T1-0")),
    "'T2' has run 3 times, fired and retried 2": lambda r: r.tasks[1].update(run_no=3),
    "'T1' ended 2 times in 1 runs": lambda r: r.audit.append(audit(1, "completed", run=1)),
    "'T1' ended 0 times in 1 runs": lambda r: r.audit.remove(r.record("T1", "completed")),
    "'T3' ended 2 times in 0 runs": lambda r: r.audit.append(audit(3, "cancelled", run=0)),
    "'T2' is failed, and its last end was completed": lambda r: r.tasks[1].update(status="failed"),
    "'T1' was fired by 'T6-0', which does not say its word": lambda r: r.record(
        "T1", "fire"
    ).update(detail='{"message_id": "T6-0"}'),
    "'T3' is completed, and its cancellation was confirmed": lambda r: r.tasks[2].update(
        status="completed"
    ),
    "'T3' is cancelled, and its cancellation was refused": lambda r: setattr(
        r.handed["T3"], "cancelled", 409
    ),
    # Effects
    "'T1' is completed, and nobody has seen": lambda r: r.seen.remove(shown(1)),
    "'T1' has done 'task:T1:1:message' 2 times": lambda r: r.seen.append(shown(1)),
    "'T1' has done 'task:T1:2:message', which no run": lambda r: r.seen.append(shown(1, run=2)),
    "'T4' has done 'task:T4:1:message', which no run": lambda r: r.seen.append(shown(4)),
    "'T1': webhook got its text as 'turn:reply'": lambda r: r.seen.append(
        Seen("webhook", "turn:reply", "回执T1")
    ),
    "'T1': webhook got the text of 'T2'": lambda r: r.seen.append(
        Seen("webhook", "task:T1:1:message", "回执T2")
    ),
    "'T2' failed, and no peer has refused it": lambda r: r.refusals.clear(),
    "'T6' is completed, and its tag is there 0 times": lambda r: r.tags.clear(),
    "'T3' is cancelled, and its tag is there 1 times": lambda r: r.tags.append("T3"),
    # Callbacks
    "'T1': Tianwang was told []": lambda r: r.callbacks.pop(1),
    "'T2': Tianwang was told [('evt_T2_2'": lambda r: r.callbacks.insert(0, r.callbacks.pop(2)),
    "'T1': Tianwang was told [('evt_T1_1', 'completed'), (": lambda r: r.callbacks.append(
        callback(1, 2, "completed")
    ),
    "'T1': Tianwang was told [('evt_T1_1', 'failed')]": lambda r: r.callbacks[1].update(
        status="failed"
    ),
    "'T8' is unknown": lambda r: r.callbacks.append(callback(8, 1, "completed")),
    "'evt_T1_1' is not signed": lambda r: r.callbacks[1].update(verified=False),
    "'evt_T1_1' came with different bodies": lambda r: r.callbacks[1].update(conflicts=1),
    "'evt_T2_1' was posted with different bodies": lambda r: r.posts[0]["body"].update(x=1),
    "'evt_T2_2' was posted before": lambda r: r.posts.insert(0, post(2, 2, accepted=None)),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_damage_to_a_run_is_reported(problem: str) -> None:
    run = sound()
    DAMAGE[problem](run)
    assert any(problem in found for found in run.problems()), run.problems()


def test_deliveries_that_are_still_open_and_turns_given_up_are_reported() -> None:
    run = sound()
    left = replace(run.records(), open_deliveries=1, dead_turns=2)
    found = task_problems(run.handed, left)
    assert found == ["1 deliveries are still open", "2 turns were given up"]
