"""The verdicts see what they look for: each kind of damage to a sound run is reported."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.crash.asked import answer_problems
from tests.crash.asked import order_problems as history_order_problems
from tests.crash.pushed import delivery_problems, order_problems
from tests.crash.records import Records, intake_problems

SENT = ["甲-0", "甲-1", "甲-2"]


def message(row: int, turn: str) -> dict[str, Any]:
    of = {"turn_id": turn, "status": "handled", "kind": "text"}
    return of | {"id": row, "channel_message_id": SENT[row]}


def reply(turn: str) -> dict[str, Any]:
    return {"turn_id": turn, "channel_message_id": f"{turn}:reply", "content": f"答{turn}"}


def turn(name: str, messages: str, *, ended: float) -> dict[str, Any]:
    of = {"turn_id": name, "conversation_id": "甲", "action": "reply"}
    return of | {"message_ids": messages, "ended_ts": ended}


def shown(turn: str) -> dict[str, Any]:
    return {
        "message_id": f"{turn}:reply",
        "turn_id": turn,
        "text": f"答{turn}",
        "conflicts": 0,
    }


def sound() -> Records:
    return Records(
        messages=[message(0, "t1"), message(1, "t1"), message(2, "t2")],
        replies=[reply("t1"), reply("t2")],
        turns=[
            turn("t1", "[0, 1]", ended=1.0),
            turn("t2", "[2]", ended=2.0),
        ],
        deliveries=[{"message_id": f"{t}:reply", "status": "delivered"} for t in ("t1", "t2")],
        dead_letters=0,
        counted=(2, 3),
    )


SOUND = sound()
CHAT = [shown("t1"), shown("t2")]
REQUESTS = [{"accepted": True, "body": shown(turn)} for turn in ("t1", "t1", "t2")]


def test_a_sound_run_has_no_problems() -> None:
    assert intake_problems(set(SENT), SOUND) == []
    assert delivery_problems(SOUND, {"甲": CHAT}, REQUESTS) == []
    assert order_problems(SOUND, {"甲": SENT}, {"甲": CHAT}) == []
    assert history_order_problems({"甲": SENT}, SOUND) == []


INTAKE_DAMAGE: dict[str, Callable[[Records], object]] = {
    "message '甲-2' is lost": lambda r: r.messages.pop(),
    "message '甲-1' is unread": lambda r: r.messages[1].update(status="unread"),
    "message '甲-2' was handled by 2 turns": lambda r: r.turns[0].update(message_ids="[0, 1, 2]"),
    "message '甲-2' was handled by 0 turns": lambda r: r.turns.pop(),
    "do not name each other": lambda r: r.messages[2].update(turn_id="t1"),
    "turn 't2' has 2 replies": lambda r: r.replies.append(reply("t2")),
    "turn 't2' has 0 replies": lambda r: (r.replies.pop(), r.turns[1].update(action="none")),
    "turn 't1' has 0 replies": lambda r: (r.replies.pop(0), r.turns[1].update(action="escalate")),
    "message '甲-0' is stored 2 times": lambda r: r.messages.insert(0, message(0, "t1")),
}


@pytest.mark.parametrize("counted", [(1, 3), (3, 3), (2, 2), (2, 4)])
def test_figures_that_count_what_is_not_there_are_reported(counted: tuple[int, int]) -> None:
    (found,) = intake_problems(set(SENT), replace(SOUND, counted=counted))
    assert "there are 2 and 3" in found


@pytest.mark.parametrize("problem", INTAKE_DAMAGE)
def test_damage_to_the_rows_is_reported(problem: str) -> None:
    records = sound()
    INTAKE_DAMAGE[problem](records)
    assert any(problem in found for found in intake_problems(set(SENT), records))


def test_a_message_that_nobody_sent_and_a_turn_given_up_are_reported() -> None:
    assert intake_problems(set(SENT[:2]), SOUND) == ["message '甲-2' is stored and was never sent"]
    given_up = replace(SOUND, dead_letters=1)
    assert intake_problems(set(SENT), given_up) == ["1 turns were given up"]


DELIVERY_DAMAGE: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "reply 't2:reply' is lost": (CHAT[:1], REQUESTS),
    "was shown 2 times": ([*CHAT, shown("t2")], REQUESTS),
    "is not in the history": ([*CHAT, shown("t3")], REQUESTS),
    "was shown with another text": ([CHAT[0], {**CHAT[1], "text": "别的"}], REQUESTS),
    "was answered under 2 ids": (
        CHAT,
        [*REQUESTS, {"accepted": True, "body": {"turn_id": "t2", "message_id": "other"}}],
    ),
}


@pytest.mark.parametrize("problem", DELIVERY_DAMAGE)
def test_damage_to_what_the_customer_saw_is_reported(problem: str) -> None:
    chat, requests = DELIVERY_DAMAGE[problem]
    assert any(problem in found for found in delivery_problems(SOUND, {"甲": chat}, requests))


def test_who_was_handed_over_before_may_be_left_without_a_word() -> None:
    silent = sound()
    silent.turns[0].update(action="escalate")
    silent.turns[1].update(action="none")
    silent.replies.pop()
    assert intake_problems(set(SENT), silent) == []


def test_replies_out_of_order_are_reported() -> None:
    assert order_problems(SOUND, {"甲": SENT}, {"甲": CHAT[::-1]}) != []
    turned = replace(SOUND, replies=SOUND.replies[::-1])
    assert history_order_problems({"甲": SENT}, turned) != []


def test_answers_that_differ_or_belong_to_another_turn_are_reported() -> None:
    answer = {"turn_id": "t2", "content": "答t2", "duplicate": False}
    repeated = {**answer, "duplicate": True}
    assert answer_problems({SENT[2]: [answer, repeated]}, SOUND) == []
    for changed in ({"content": "别的"}, {"turn_id": "t1"}, {"confidence": 0.1}):
        assert answer_problems({SENT[2]: [answer, {**repeated, **changed}]}, SOUND) != []
