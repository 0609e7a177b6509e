"""Whom a proactive message may go to, when, and who wants none."""

from datetime import datetime

import pytest

from domain.campaigns import (
    FOLLOWS,
    OPTED_OUT,
    CampaignPolicy,
    CampaignStatus,
    Facts,
    Skip,
    handful,
    loud_at,
    opted,
    pause_s,
    skip_reason,
    wording,
)
from domain.desk_hours import Hours, parse_hours

NOW = 1_000_000.0
POLICY = CampaignPolicy(
    quiet=Hours(parse_hours("1-7 21:00-09:00")), gap_s=600, talking_s=60, spare=3
)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (Facts(), None),
        (Facts(tags=frozenset({OPTED_OUT}), level="black"), Skip.OPTED_OUT),
        (Facts(level="black"), Skip.BLACK),
        (Facts(mode="human"), Skip.WITH_PERSON),
        (Facts(mode="queued"), Skip.WITH_PERSON),
        (Facts(pushes=False), Skip.NO_CHANNEL),
        (Facts(written_ts=NOW - 599), Skip.RECENT),
        (Facts(written_ts=NOW - 600), None),
        (Facts(active_ts=NOW - 59), Skip.TALKING),
        (Facts(active_ts=NOW - 60), None),
        (Facts(room=3), Skip.QUOTA),
        (Facts(room=4), None),
    ],
)
def test_the_weightiest_reason_against_a_message_is_named(
    facts: Facts, reason: Skip | None
) -> None:
    assert skip_reason(facts, POLICY, now=NOW) is reason


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("退订", "out"),
        (" TD ", "out"),
        ("回T退订", "out"),
        ("别再发了!", "out"),
        ("恢复订阅", "in"),
        ("怎么退订会员", None),
        ("我要退货", None),
        ("", None),
    ],
)
def test_only_a_message_that_says_nothing_else_opts_out_or_in(text: str, word: str | None) -> None:
    assert opted(text) == word


def test_a_name_is_put_in_as_it_is_and_nothing_in_it_is_replaced() -> None:
    assert wording("{name},您好。{name}!", "小{name}") == "小{name},您好。小{name}!"
    assert wording("{name},", " ") == "您好,"


@pytest.mark.parametrize(
    ("at", "loud"),
    [
        ("2026-11-21 20:59:59", "2026-11-21 20:59:59"),
        ("2026-11-21 21:00:00", "2026-11-22 09:00:00"),
        ("2026-11-22 03:12:07", "2026-11-22 09:00:00"),
        ("2026-11-22 09:00:00", "2026-11-22 09:00:00"),
    ],
)
def test_what_is_due_in_quiet_hours_waits_until_they_end(at: str, loud: str) -> None:
    assert loud_at(datetime.fromisoformat(at), POLICY) == datetime.fromisoformat(loud)


def test_hours_that_are_always_quiet_are_asked_again_the_next_day() -> None:
    never = CampaignPolicy(quiet=Hours(parse_hours("1-7 00:00-24:00")))
    at = datetime(2026, 11, 21, 12)
    assert loud_at(at, never) == datetime(2026, 11, 22, 12)


@pytest.mark.parametrize("pace", [1, 7, 30, 60, 600])
def test_no_more_than_the_pace_leave_in_a_minute(pace: int) -> None:
    assert handful(pace) * 60 / pause_s(pace) == pytest.approx(pace)


def test_what_has_ended_never_begins_again() -> None:
    for ended in (CampaignStatus.DONE, CampaignStatus.CANCELLED):
        assert FOLLOWS[ended] == frozenset()
