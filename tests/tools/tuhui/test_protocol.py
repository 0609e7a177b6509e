"""Tuhui's answers and our bodies, without a network."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError, PeerError, PeerRejected, PeerUnavailable
from tools.tuhui.protocol import (
    DesignTask,
    DispatchOrder,
    Queue,
    assign_body,
    check_done,
    create_body,
    key_headers,
    parse_designers,
    parse_queue,
    parse_task,
    parse_task_id,
    task_of,
    task_path,
)

ORDER = DispatchOrder("task:1:dispatch", "图片处理-1234", "客户需要做高清修复")


def _bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "answer",
    [
        ["橘子", "婷婷"],  # seed 001, step 1
        {"designers": ["橘子", "婷婷"]},
        {"count": 2, "designers": ["橘子", "婷婷"]},
        {"online_designers": {"count": 2, "designers": ["橘子", "婷婷"]}},
        {"code": 200, "data": ["橘子", "婷婷"]},
        {"code": 200, "data": {"designers": ["橘子", "婷婷"]}},
        [{"name": "橘子", "load": 2}, {"designer_name": "婷婷"}],
        ["橘子", " 婷婷 ", "橘子", "", None, 7, {"id": 1}, "a\nb", "长" * 129],
    ],
)
def test_designers_are_read_in_every_shape(answer: Any) -> None:
    assert parse_designers(_bytes(answer)) == ("橘子", "婷婷")


def test_nobody_online_is_an_answer() -> None:
    assert parse_designers(b"[]") == ()


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"a": 1}', b'"x"', b"null", b"[" * 90_000])
def test_what_is_no_list_may_be_one_at_the_next_attempt(answer: bytes) -> None:
    with pytest.raises(PeerUnavailable, match="holds no usable"):
        parse_designers(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"task_id": "ea853bd9"},  # seed 001, step 2
        {"id": "ea853bd9"},
        {"data": {"task_id": "ea853bd9"}},
        {"success": True, "task": {"task_id": "ea853bd9"}},
    ],
)
def test_the_task_id_is_read_in_every_shape(answer: Any) -> None:
    assert parse_task_id(_bytes(answer)) == "ea853bd9"


def test_a_number_is_a_task_id_too() -> None:
    assert parse_task_id(b'{"task_id": 42}') == "42"


@pytest.mark.parametrize("task_id", ["", "..", ".", "a\nb", "x" * 129, None, True, 1.5, ["a"]])
def test_what_cannot_stand_in_a_path_is_no_task_id(task_id: Any) -> None:
    with pytest.raises(PeerUnavailable):
        parse_task_id(_bytes({"task_id": task_id}))


def test_a_task_id_stays_one_segment_of_the_path() -> None:
    assert task_path("a/../b?c", "assign") == "/tasks/a%2F..%2Fb%3Fc/assign"


def test_the_seeds_queue_is_understood() -> None:
    answer = {
        "pending_tasks": {"count": 1, "tasks": [{"task_id": "a1", "reference": "r"}, "?"]},
        "online_designers": {"count": 2, "designers": ["橘子", "婷婷"]},
        "suggestion": "橘子",
    }
    assert parse_queue(_bytes(answer)) == Queue((DesignTask("a1", reference="r"),), "橘子")


def test_a_queue_without_its_parts_is_empty() -> None:
    assert parse_queue(b"{}") == Queue()
    assert parse_queue(b'{"pending_tasks": [], "suggestion": null}') == Queue()


def test_the_seeds_task_status_is_understood() -> None:
    answer = _bytes({"status": "assigned", "assigned_to": "橘子"})
    assert parse_task(answer) == DesignTask("", "assigned", "橘子")


def test_a_new_task_carries_the_seeds_fields_and_our_reference() -> None:
    assert json.loads(create_body(ORDER)) == {
        "task_name": "图片处理-1234",
        "description": "客户需要做高清修复\n单号:[task:1:dispatch]",
        "task_type": "image_process",
        "priority": 2,
        "reference": "task:1:dispatch",
    }
    assert json.loads(assign_body("橘子", "AI 客服自动派单")) == {
        "designer_name": "橘子",
        "notes": "AI 客服自动派单",
    }


def test_a_lone_surrogate_does_not_stop_an_order() -> None:
    assert b"?" in create_body(DispatchOrder("r", "t", "\ud800"))


def test_our_task_is_recognised_by_field_or_description() -> None:
    described = json.loads(create_body(ORDER))["description"]
    by_field = DesignTask("a", reference=ORDER.reference)
    by_mark = DesignTask("b", description=described)
    longer = DesignTask("c", description=described.replace("dispatch]", "dispatch2]"))
    assert task_of(Queue((longer, by_field)), ORDER.reference) == by_field
    assert task_of(Queue((longer, by_mark)), ORDER.reference) == by_mark
    assert task_of(Queue((longer,)), ORDER.reference) is None


def test_only_a_clear_no_is_a_failure() -> None:
    for answer in (b"", b"ok", b"true", b"{}", b'{"success": true}', b'{"success": null}'):
        check_done(answer)
    for answer in (b"false", b'{"success": false}', b'{"data": {"success": false}}'):
        with pytest.raises(PeerRejected):
            check_done(answer)


@pytest.mark.parametrize("key", ["", "a b", "密钥", "key\r\nX-Other: 1", "k" * 513])
def test_a_key_that_no_header_can_carry_is_named_but_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        key_headers(key)
    assert caught.value.variable == "TUHUI_API_KEY"
    assert not key or key not in str(caught.value)


def test_without_a_key_none_is_sent() -> None:
    assert key_headers(None) == {}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("data", "designers", "online_designers", "pending_tasks", "tasks", "task"),
                    *("task_id", "id", "name", "suggestion", "assigned_to", "status"),
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_read_or_a_peers_error(answer: Any) -> None:
    raw = json.dumps(answer).encode()
    for parse in (parse_designers, parse_queue, parse_task, parse_task_id, check_done):
        try:
            parse(raw)
        except PeerError:
            continue
