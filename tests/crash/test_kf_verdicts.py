"""The verdict on a storm sees what it looks for: each kind of damage to a sound one is reported."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.wecom.kf_words import part_msgid
from tests.crash.kf_records import KfRecords, kf_problems
from tests.crash.records import Records

AT = "2026-01-01T00:00:00.000+00:00"
SAID = {"wm1": ["m0", "m1", "m2"], "wm2": ["m3"]}
STALE = ["old"]
TURNS = {"t1": [0, 1], "t2": [2], "t3": [3]}
TO = {"t1": "wm1", "t2": "wm1", "t3": "wm2"}


def of_turn(turn: str) -> str:
    return part_msgid(f"{turn}:reply", AT, 0)


def seen(turn: str, text: str = "") -> dict[str, Any]:
    return {"who": "service", "msgid": of_turn(turn), "text": text or f"答 {turn}"}


def delivery(number: int, turn: str) -> dict[str, Any]:
    return {
        "id": number,
        "message_id": f"{turn}:reply",
        "created_at": AT,
        "turn_id": turn,
        "status": "delivered",
        "last_error": None,
        "payload": json.dumps({"to": TO[turn]}),
    }


def stored(row: int, msgid: str, turn: str | None) -> dict[str, Any]:
    return {"id": row, "channel_message_id": msgid, "turn_id": turn, "status": "handled"}


def sound() -> KfRecords:
    turn_of = {row: turn for turn, rows in TURNS.items() for row in rows}
    return KfRecords(
        rows=Records(
            messages=[stored(row, f"m{row}", turn) for row, turn in sorted(turn_of.items())],
            replies=[{"turn_id": turn, "content": f"答 {turn}"} for turn in TURNS],
            turns=[
                {
                    "turn_id": turn,
                    "message_ids": json.dumps(rows),
                    "conversation_id": turn,
                    "action": "reply",
                    "ended_ts": 0.0,
                }
                for turn, rows in TURNS.items()
            ],
            deliveries=[delivery(number, turn) for number, turn in enumerate(TURNS)],
            dead_letters=0,
        ),
        stale=[stored(9, "old", None)],
        seen={
            "wm1": [{"who": "customer", "msgid": "m0", "text": "在吗"}, seen("t1"), seen("t2")],
            "wm2": [seen("t3")],
            "wmOld": [],
        },
        failed={},
        refused=[{"path": "/wecom/cgi-bin/kf/send_msg", "rule": "again"}],
        report={"kf": {"most_sent": 5}},
    )


def test_a_sound_storm_has_no_problems() -> None:
    assert kf_problems(SAID, STALE, sound()) == []


def test_answers_may_leave_together() -> None:
    together = {**sound().seen, "wm1": [seen("t1", "答 t1\n\n答 t2")]}
    assert kf_problems(SAID, STALE, replace(sound(), seen=together)) == []


def test_what_failed_at_wecom_is_a_dead_letter() -> None:
    failed = {of_turn("t3"): "答 t3"}
    lost = replace(sound(), failed=failed, seen={"wm1": sound().seen["wm1"]})
    assert any("counts as delivered" in one for one in kf_problems(SAID, STALE, lost))
    lost.rows.deliveries[2]["status"] = "dead"
    assert kf_problems(SAID, STALE, lost) == []


def test_answers_that_left_together_fail_together() -> None:
    failed = {of_turn("t1"): "答 t1\n\n答 t2"}
    lost = replace(sound(), failed=failed, seen={"wm2": sound().seen["wm2"]})
    lost.rows.deliveries[0]["status"] = "dead"
    assert any("wm1 reads other words" in one for one in kf_problems(SAID, STALE, lost))
    lost.rows.deliveries[1]["status"] = "dead"
    assert kf_problems(SAID, STALE, lost) == []


def refused(rule: str) -> dict[str, Any]:
    return {"path": "kf/send_msg", "rule": rule, "errcode": 95001, "reason": "no", "body": ""}


DAMAGE: dict[str, Callable[[KfRecords], object]] = {
    "message 'm3' is lost": lambda r: r.rows.messages.pop(),
    "message 'm2' was handled by 2 turns": lambda r: r.rows.turns[0].update(
        message_ids="[0, 1, 2]"
    ),
    "stale message 'old' is stored 0 times": lambda r: r.stale.clear(),
    "stale message 'old' was answered": lambda r: r.stale[0].update(turn_id="t1"),
    "wm2 reads other words": lambda r: r.seen["wm2"].clear(),
    "wm1 reads other words": lambda r: r.seen["wm1"].reverse(),
    "wm1 sees 'other', which is no answer": lambda r: r.seen["wm1"].append(
        {**seen("t1"), "msgid": "other"}
    ),
    f"wm2 sees {of_turn('t3')!r} 2 times": lambda r: r.seen["wm2"].append(seen("t3")),
    f"wm2 sees {of_turn('t1')!r}, which is no answer": lambda r: r.seen["wm2"].append(seen("t1")),
    "wmOld was written to": lambda r: r.seen["wmOld"].append(seen("t1")),
    "was given up: spent": lambda r: r.rows.deliveries[0].update(status="dead", last_error="spent"),
    "'t1:reply' is pending": lambda r: r.rows.deliveries[0].update(status="pending"),
    "3 messages were not handled in their order": lambda r: r.rows.turns[0].update(
        message_ids="[1, 0]"
    ),
    "WeCom refused kf/send_msg for quota": lambda r: r.refused.append(refused("quota")),
    "WeCom refused kf/send_msg for msgid": lambda r: r.refused.append(refused("msgid")),
    "6 messages were sent for one": lambda r: r.report["kf"].update(most_sent=6),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_damage_to_a_storm_is_reported(problem: str) -> None:
    damaged = sound()
    DAMAGE[problem](damaged)
    assert any(problem in found for found in kf_problems(SAID, STALE, damaged))
