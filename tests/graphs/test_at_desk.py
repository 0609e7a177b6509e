"""What the talk keeps of the human desk: hand-overs in circles, marks, offers, who must wait."""

from dataclasses import replace
from typing import Any

import pytest

from domain.desk import Mode
from domain.orders import OrderStatus, Workflow
from graphs.at_desk import goes_round, heard_at_desk, kept_at_desk, queue_word, with_handed
from graphs.context import Services, TurnContext
from graphs.desk import AtDesk, DeskTalk, Standing
from graphs.orders import OrdersInTalk
from graphs.state import ConversationState
from storage.clock import iso
from storage.orders import OrderRow

NOW = 1_700_000_000.0
DAY = 86_400.0
ASKED = "充电桩冬天掉电快吗"


def asked(question: str = ASKED, desk: dict[str, Any] | None = None, **more: Any) -> Any:
    return {"classification": {"text": question, "images": [], **more}, "desk": desk}


def context(services: Services, now: float = NOW, **policy: Any) -> TurnContext:
    return TurnContext(replace(services, desk=DeskTalk(**policy)), turn_id="t", now=now)


def handed(services: Services, times: int, question: str = ASKED) -> dict[str, Any]:
    """``desk`` of the state after so many hand-overs of one question."""
    desk: dict[str, Any] | None = None
    for _ in range(times):
        desk = with_handed(asked(question, desk), context(services))
    assert desk is not None
    return desk


@pytest.mark.parametrize(("limit", "times", "round_"), [(1, 1, True), (2, 1, False), (2, 2, True)])
def test_a_question_is_handed_over_as_often_as_it_may(
    services: Services, limit: int, times: int, round_: bool
) -> None:
    state = asked(desk=handed(services, times))
    assert goes_round(state, context(services, loop_limit=limit), "low_confidence") is round_


def test_what_was_handed_over_long_ago_is_handed_over_again(services: Services) -> None:
    state = asked(desk=handed(services, 1))
    assert not goes_round(state, context(services, NOW + DAY + 1), "low_confidence")


@pytest.mark.parametrize("reason", ["human_request", "complaint", "sensitive", "order_confirmed"])
def test_who_wants_a_person_gets_one_however_often(services: Services, reason: str) -> None:
    assert not goes_round(asked(desk=handed(services, 5)), context(services), reason)


def test_another_question_and_a_picture_are_other_affairs(services: Services) -> None:
    desk = handed(services, 1)
    assert not goes_round(asked("保修多久", desk), context(services), "low_confidence")
    assert not goes_round(asked(desk=desk, images=["u"]), context(services), "low_confidence")


def test_only_the_newest_questions_are_kept(services: Services) -> None:
    desk: dict[str, Any] | None = None
    for number in range(9):
        desk = with_handed(asked(f"第{number}个问题是什么", desk), context(services))
    assert desk is not None
    assert [one["question"][1] for one in desk["handed"]] == list("45678")


RATING = {"rating": {"handoff": 7, "question": ASKED, "at": NOW}}


def test_a_mark_is_understood_for_a_day_and_by_the_next_message_only(services: Services) -> None:
    state: ConversationState = asked(desk=RATING)
    heard = heard_at_desk("5", state, context(services, NOW + 60))
    assert heard is not None
    assert (heard["does"], heard["mark"], heard["handoff"]) == ("mark", 5, 7)
    assert heard_at_desk("5", state, context(services, NOW + DAY + 1)) is None
    kept = kept_at_desk(state, context(services), None, "保修多久")
    assert heard_at_desk("5", asked(desk=kept["desk"]), context(services)) is None


@pytest.mark.parametrize(("said", "takes"), [("好的", True), ("转", True), ("不是", False)])
def test_a_yes_to_the_person_that_was_offered_is_heard(
    services: Services, said: str, takes: bool
) -> None:
    state = asked(desk={"offered": ASKED})
    heard = heard_at_desk(said, state, context(services))
    assert (heard == {"does": "person", "question": ASKED}) is takes


def delivered(at: float) -> OrderRow:
    return OrderRow(
        id=1,
        key="k",
        contact_id="web:shop:u1",
        conversation_id="c1",
        title="抠图",
        requirement="抠图",
        images=(),
        pictures=(),
        status=OrderStatus.DELIVERED,
        workflow=Workflow.PROCESS,
        service="cutout",
        quote=None,
        tried=(),
        deliverables=(),
        designer=None,
        priority="normal",
        deadline_ts=None,
        version=1,
        attempts=0,
        due_at=None,
        created_at=iso(at),
        updated_at=iso(at),
    )


@pytest.mark.parametrize(("said", "does"), [("满意", None), ("5", "mark")])
def test_praise_of_work_that_came_after_the_question_is_the_works(
    services: Services, said: str, does: str | None
) -> None:
    at = context(services, NOW + 60)
    at.orders = OrdersInTalk(lambda _row, _text: None, (delivered(NOW + 5),))
    heard = heard_at_desk(said, asked(desk=RATING), at)
    assert (heard or {}).get("does") == does


FIRM = [
    # Nobody but a person answers who asked for one, while one is to be expected.
    ("human_request", 0.0, True, True),
    ("human_request", 599.0, True, True),
    ("human_request", 600.0, True, False),
    ("human_request", 0.0, False, False),
    # A complaint waits for a person, also outside the hours.
    ("complaint", 3_600.0, True, True),
    ("sensitive", 0.0, False, True),
    ("complaint", DAY, True, False),
    # What the bot handed over by itself keeps it from nothing else.
    ("low_confidence", 0.0, True, False),
    ("order_lookup", 0.0, True, False),
]


@pytest.mark.parametrize(("reason", "waited_s", "is_open", "firm"), FIRM)
def test_who_waits_is_answered_by_the_bot_or_by_a_person_only(
    reason: str, waited_s: float, is_open: bool, firm: bool
) -> None:
    at = AtDesk(Mode.QUEUED, reason, Standing(open=is_open), waited_s=waited_s)
    assert at.is_firm(DeskTalk()) is firm


PLACES = [
    (Standing(), False, "下一位就是您"),
    (Standing(), True, ""),
    (Standing(ahead=3), True, "前面还有 3 位"),
    (Standing(ahead=3, full=True), True, "可能要等比较久"),
    (Standing(ahead=0, full=True), True, ""),
    (Standing(open=False, opens="明天 09:00 "), True, "会在明天 09:00 上班后"),
    (Standing(open=False), False, "会在上班后"),
]


@pytest.mark.parametrize(("standing", "joined", "said"), PLACES)
def test_the_place_is_told_as_it_is(
    services: Services, standing: Standing, joined: bool, said: str
) -> None:
    word = queue_word(context(services), standing, joined=joined)
    assert (said in word) if said else word == ""
