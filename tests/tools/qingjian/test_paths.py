"""Paths and templates of the mapping file."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.qingjian.paths import compile_path, fill, find_all, places

FRAME: dict[str, Any] = {
    "a": {"b": [{"c": 1}, {"c": 2}, {}], "d": None},
    "x.y": "quoted",
    "*": "star",
    "list": ["甲", "乙"],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", [1]),
        ("a.b[-2].c", [2]),
        ("a.b[*].c", [1, 2]),
        ("a.b[9].c", []),
        ("a.d", [None]),
        ("a.d.e", []),
        ("nothing", []),
        ('["x.y"]', ["quoted"]),
        ("*", ["star"]),
        ("list[*]", ["甲", "乙"]),
        ("list.0", []),
        ("a[0]", []),
        ("", [FRAME]),
    ],
)
def test_a_path_leads_to_its_values_or_nowhere(path: str, found: list[Any]) -> None:
    assert find_all(path, FRAME) == found


def test_a_frame_that_is_a_list_begins_with_an_index() -> None:
    assert find_all("[1].t", [{}, {"t": "甲"}]) == ["甲"]


@pytest.mark.parametrize(
    "path", ["a..b", "a.", ".a[", "a[x]", "a b", "a[1", "{a}", "a" + ".b" * 40]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|steps"):
        compile_path(path)


@given(st.text(max_size=30), st.recursive(st.none() | st.text(), st.lists, max_leaves=4))
def test_any_text_is_a_path_or_a_value_error(path: str, frame: object) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(find_all(path, frame), list)


def test_a_place_alone_keeps_the_type_and_within_a_text_it_is_text() -> None:
    template = {"n": "{number}", "s": "no. {number}", "l": ["{text}", 1, None, True]}
    assert fill(template, {"number": 7, "text": "好"}) == {
        "n": 7,
        "s": "no. 7",
        "l": ["好", 1, None, True],
    }


def test_an_optional_place_without_value_drops_its_member() -> None:
    assert fill({"a": "{x?}", "b": "{y?}"}, {"x": "", "y": 0}) == {"b": 0}


def test_what_a_customer_writes_is_never_read_as_a_template() -> None:
    assert fill({"t": "{text}!"}, {"text": "{secret} {frame.a}"}) == {"t": "{secret} {frame.a}!"}


def test_a_frames_own_value_is_given_back_as_it_came() -> None:
    template = {"id": "{frame.a.b[0].c}", "gone": "{frame.z}", "dropped": "{frame.z?}"}
    assert fill(template, {}, FRAME) == {"id": 1, "gone": None}


def test_all_places_of_a_template_are_found() -> None:
    template = {"a": ["{x} {y?}", {"b": "{frame.a[0]}"}], "{k}": 1, "c": "{ no } {}"}
    assert sorted(places(template)) == ["frame.a[0]", "k", "x", "y"]
