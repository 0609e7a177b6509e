"""An order is read strictly in meaning and tolerantly in form."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.envelopes import describe
from domain.errors import InvalidInput
from domain.tasks import PAYMENT_WORDS, Matching, TaskPriority, Trigger, TriggerKind
from tests.tools.tianwang.orders import SEED, SHANGHAI, order, triggered_by, without
from tools.tianwang.protocol import TaskOrder

NINE = datetime(2026, 2, 28, 9, tzinfo=SHANGHAI).timestamp()


def refused(body: Any) -> tuple[str, str]:
    """(field, message) as the service tells the caller."""
    with pytest.raises(ValidationError) as caught:
        TaskOrder.model_validate(body)
    return describe([{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()])


# Triggers


def test_the_seeds_example_waits_for_that_customers_agreement() -> None:
    assert order().trigger_for(SHANGHAI) == Trigger(
        TriggerKind.SPECIFIED_CUSTOMER_REPLY, ("好的",), "customer_123", "小明"
    )


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (
            {"type": "specified_customer_reply", "keyword": "好的"},
            Trigger(TriggerKind.SPECIFIED_CUSTOMER_REPLY, ("好的",), "customer_123"),
        ),
        (
            {"type": "customer_reply", "keyword": "好的"},
            Trigger(TriggerKind.CUSTOMER_REPLY, ("好的",)),
        ),
        (
            {"type": "customer_keyword", "keywords": ["好的", "可以", "行", "好的"]},
            Trigger(TriggerKind.CUSTOMER_KEYWORD, ("好的", "可以", "行")),
        ),
        (
            {"type": "customer_keyword", "keywords": "可以", "customer_id": "only"},
            Trigger(TriggerKind.CUSTOMER_KEYWORD, ("可以",), "only"),
        ),
        (
            {"type": "customer_payment"},
            Trigger(TriggerKind.CUSTOMER_PAYMENT, PAYMENT_WORDS, "customer_123"),
        ),
        (
            {"type": "customer_payment", "keywords": ["转账了"]},
            Trigger(TriggerKind.CUSTOMER_PAYMENT, ("转账了",), "customer_123"),
        ),
        (
            {"type": "time_reach", "time": "2026-02-28 09:00:00"},
            Trigger(TriggerKind.TIME_REACH, customer_id="customer_123", at=NINE),
        ),
    ],
)
def test_each_trigger_type_says_whose_words_count(
    trigger: dict[str, Any], expected: Trigger
) -> None:
    assert triggered_by(**trigger).trigger_for(SHANGHAI) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Matching.AGREEMENT),
        ({"exact_match": False}, Matching.AGREEMENT),
        ({"exact_match": True}, Matching.EXACT),
        ({"match": "contains"}, Matching.CONTAINS),
        ({"match": "contains", "exact_match": False}, Matching.CONTAINS),
        ({"match": " Exact "}, Matching.EXACT),
        ({"match": "exact", "exact_match": True}, Matching.EXACT),
        ({"match": "contains", "exact_match": None}, Matching.CONTAINS),
    ],
)
def test_a_task_says_how_its_keyword_is_looked_for(
    fields: dict[str, Any], expected: Matching
) -> None:
    trigger = triggered_by(type="customer_reply", keyword="好的", **fields).trigger_for(SHANGHAI)
    assert trigger.matching is expected


@pytest.mark.parametrize(
    ("match", "exact_match"), [("contains", True), ("agreement", True), ("exact", False)]
)
def test_match_and_exact_match_must_not_contradict(match: str, exact_match: bool) -> None:
    trigger = {"type": "customer_reply", "keyword": "好", "match": match}
    field, message = refused(SEED | {"trigger": trigger | {"exact_match": exact_match}})
    assert field == "trigger.exact_match"
    assert match in message


@pytest.mark.parametrize(
    ("trigger", "field", "told"),
    [
        ({"type": "customer_reply", "keyword": ""}, "trigger.keyword", "不能为空"),
        ({"type": "customer_reply", "keyword": "  　"}, "trigger.keyword", "不能为空"),
        ({"type": "customer_reply", "keyword": "\u200b"}, "trigger.keyword", "不能为空"),
        ({"type": "customer_reply"}, "trigger.keyword", "缺少"),
        ({"type": "customer_reply", "keyword": None}, "trigger.keyword", "缺少"),
        ({"type": "customer_reply", "keyword": "好" * 129}, "trigger.keyword", "128"),
        ({"type": "customer_keyword"}, "trigger.keywords", "缺少"),
        ({"type": "customer_keyword", "keywords": []}, "trigger.keywords", "不能为空"),
        ({"type": "customer_keyword", "keywords": ["好", " "]}, "trigger.keywords.1", "不能为空"),
        ({"type": "customer_payment", "keywords": [""]}, "trigger.keywords.0", "不能为空"),
        (
            {"type": "nope", "keyword": "好"},
            "trigger.type",
            "specified_customer_reply、customer_re",
        ),
        ({"type": 7}, "trigger.type", "time_reach"),
        ({"keyword": "好"}, "trigger.type", "缺少"),
        ("好的", "trigger", "JSON 对象"),
        ({"type": "time_reach"}, "trigger.time", "缺少"),
        ({"type": "time_reach", "time": "明天九点"}, "trigger.time", "2026-02-28 09:00:00"),
        ({"type": "time_reach", "time": "2026-02-28"}, "trigger.time", "不是合法的时间"),
        ({"type": "time_reach", "time": "2026-02-30 09:00:00"}, "trigger.time", "不是合法的时间"),
        ({"type": "time_reach", "time": 1_772_240_400}, "trigger.time", "不是合法的时间"),
        ({"type": "customer_reply", "keyword": "好", "keywrod": 1}, "trigger.keywrod", "不支持"),
        (
            {"type": "specified_customer_reply", "customer_id": "other", "keyword": "好"},
            "trigger.customer_id",
            "'other' 与 customer.id 'customer_123' 不一致",
        ),
        ({"type": "customer_reply", "keyword": "好", "match": "fuzzy"}, "trigger.match", "agree"),
        (
            {"type": "customer_reply", "keyword": "好", "exact_match": "maybe"},
            "trigger.exact_match",
            "布尔",
        ),
    ],
)
def test_a_trigger_that_cannot_be_meant_is_refused_by_name(
    trigger: Any, field: str, told: str
) -> None:
    named, message = refused(SEED | {"trigger": trigger})
    assert named == field
    assert told in message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task_id": ""}, "task_id"),
        ({"task_id": "a\nb"}, "task_id"),
        ({"task_id": "x" * 129}, "task_id"),
        ({"task_id": "\ud800"}, "task_id"),
        ({"type": " "}, "type"),
        ({"customer": {}}, "customer.id"),
        ({"customer": {"id": " "}}, "customer.id"),
        ({"customer": "customer_123"}, "customer"),
        ({"action": {"message": "hi"}}, "action.type"),
        ({"action": {"type": "send_message", "message": ["hi"]}}, "action.message"),
        ({"action": {"type": "t", "size": float("nan")}}, "action.size"),
        ({"action": {"type": "t", "size": 2**63}}, "action.size"),
        ({"priority": "asap"}, "priority"),
        ({"timeout_hours": 0}, "timeout_hours"),
        ({"timeout_hours": 8_761}, "timeout_hours"),
        ({"timeout_hours": True}, "timeout_hours"),
        ({"timeout_hours": float("nan")}, "timeout_hours"),
        ({"max_retry": -1}, "max_retry"),
        ({"max_retry": 21}, "max_retry"),
        ({"max_retry": 1.5}, "max_retry"),
    ],
)
def test_other_fields_out_of_their_limits_are_refused_by_name(
    change: dict[str, Any], field: str
) -> None:
    named, message = refused(SEED | change)
    assert named == field
    assert message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["task_id", "type", "customer", "trigger", "action"])
def test_what_is_required_is_missed_by_name(name: str) -> None:
    assert refused(without(SEED, name)) == (name, "缺少该字段")


def test_what_is_nested_without_end_is_refused() -> None:
    nested: Any = 1
    for _ in range(50):
        nested = [nested]
    assert refused(SEED | {"action": {"type": "t", "x": nested}})[0] == "action.x"


# Form


def test_left_out_fields_have_the_seeds_defaults() -> None:
    read = TaskOrder.model_validate(without(SEED, "priority", "timeout_hours", "created_by"))
    assert (read.priority, read.timeout_hours, read.max_retry) == (TaskPriority.NORMAL, 24, 3)
    assert read.created_by == ""


def test_the_actions_other_fields_are_the_tools_arguments() -> None:
    action = {"type": "send_file", "file_url": "https://f/1", "message": "", "file_name": "1.pdf"}
    assert order(action=action | {"note": None}).arguments() == {
        "file_url": "https://f/1",
        "file_name": "1.pdf",
    }


def test_what_no_database_takes_is_dropped_from_arguments() -> None:
    action = {"type": "t", "message": "a\0b", "texts": ["\ud83d\0", {"k\0": "好\n的"}]}
    assert order(action=action).arguments() == {"message": "ab", "texts": ["", {"k": "好\n的"}]}


SAME: list[dict[str, Any]] = [
    {"task_id": "  TASK_20260227_001 "},
    {"timeout_hours": 24.0},
    {"timeout_hours": "24"},
    {"max_retry": 3},
    {"max_retry": None},
    {"priority": "NORMAL"},
    {"priority": None},
    {"customer": {"name": "小明 ", "id": "customer_123", "channel": "", "account": None}},
    {"trigger": {"keyword": "好的", "type": "specified_customer_reply", "customer_name": "小明"}},
    {"trigger": SEED["trigger"] | {"match": "agreement"}},
    {"action": {"message": "这是您要的文件", "type": "send_message", "file_url": None}},
    {"unknown": "field"},
]


@pytest.mark.parametrize("change", SAME)
def test_the_same_order_written_otherwise_is_the_same(change: dict[str, Any]) -> None:
    known = json.loads(json.dumps(order().canonical(SHANGHAI)))
    assert order(**change).differences(known, SHANGHAI) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-02-28 09:00:00", "2026-02-28T09:00:00"),
        ("2026-02-28 09:00", "2026-02-28T09:00:00+08:00"),
        ("2026-02-28 09:00:00", "2026-02-28T01:00:00Z"),
        ("2026-02-28 09:00:00", "２０２６-02-28 09：00：00"),
    ],
)
def test_one_instant_written_in_two_ways_is_the_same(one: str, other: str) -> None:
    known = triggered_by(type="time_reach", time=one).canonical(SHANGHAI)
    again = triggered_by(type="time_reach", time=other)
    assert again.fires_at(SHANGHAI) == NINE
    assert again.differences(known, SHANGHAI) == []


def test_keywords_in_another_order_are_the_same() -> None:
    known = triggered_by(type="customer_keyword", keywords=["好的", "行"]).canonical(SHANGHAI)
    again = triggered_by(type="customer_keyword", keywords=["行", "好的", "行"])
    assert again.differences(known, SHANGHAI) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"priority": "high"}, ["priority"]),
        ({"created_by": None}, ["created_by"]),
        ({"timeout_hours": 48, "max_retry": 0}, ["timeout_hours", "max_retry"]),
        (
            {"customer": {"id": "customer_123", "account": "shop"}},
            ["customer.name", "customer.acc"],
        ),
        ({"trigger": SEED["trigger"] | {"keyword": "行"}}, ["trigger.keyword"]),
        ({"trigger": SEED["trigger"] | {"exact_match": True}}, ["trigger.match"]),
        ({"action": SEED["action"] | {"message": "别的"}}, ["action.message"]),
        ({"action": {"type": "send_file", "file_url": "https://f/1"}}, ["action.type"]),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], names: list[str]) -> None:
    known = json.loads(json.dumps(order().canonical(SHANGHAI)))
    found = order(**change).differences(known, SHANGHAI)
    for name in names:
        assert any(told.startswith(name) for told in found)


def test_nothing_that_is_the_same_is_named_as_different() -> None:
    known = order().canonical(SHANGHAI)
    assert order(priority="high").differences(known, SHANGHAI) == ["priority"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), json_values, max_size=4))
def test_what_was_stored_as_json_is_still_the_same_order(arguments: dict[str, Any]) -> None:
    given_order = order(action=arguments | {"type": "t", "message": "m", "file_url": "f"})
    stored = json.loads(json.dumps(given_order.canonical(SHANGHAI)))
    assert given_order.differences(stored, SHANGHAI) == []


# Times


def test_a_wait_for_a_message_ends_after_timeout_hours() -> None:
    assert order(timeout_hours=0.5).expires_at(1_000.0) == 2_800.0
    assert order().fires_at(SHANGHAI) is None


def test_a_time_to_come_does_not_expire_before_it() -> None:
    timed = triggered_by(type="time_reach", time="2026-02-28 09:00:00")
    assert timed.expires_at(1_000.0) is None
    timed.check_times(NINE - 1, SHANGHAI)


@pytest.mark.parametrize(
    ("late", "told"),
    [(0, "0 秒"), (30, "30 秒"), (300, "5 分钟"), (7_200, "2 小时"), (3 * 86_400, "3 天")],
)
def test_a_time_in_the_past_is_refused_with_how_long_ago_it_was(late: float, told: str) -> None:
    timed = triggered_by(type="time_reach", time="2026-02-28 09:00:00")
    with pytest.raises(InvalidInput) as caught:
        timed.check_times(NINE + late, SHANGHAI)
    assert (caught.value.field, caught.value.status) == ("trigger.time", 422)
    assert told in caught.value.reason


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01 00:00:00+14:00"])
def test_the_ends_of_the_calendar_are_refused_without_breaking(time: str) -> None:
    timed = triggered_by(type="time_reach", time=time)
    timed.canonical(SHANGHAI)
    with pytest.raises(InvalidInput):
        timed.check_times(NINE, SHANGHAI)


def test_a_task_for_a_message_has_no_time_to_be_past() -> None:
    order().check_times(4e9, SHANGHAI)
