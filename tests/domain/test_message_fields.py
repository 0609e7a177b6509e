"""Fields in the texts of a task's action."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.message_fields import LONGEST, MAX_DEPTH, check, fields_in, fill, longest_values

KNOWN = frozenset(LONGEST)
VALUES = {
    "customer.name": "小明",
    "customer.id": "customer_123",
    "trigger.keyword": "好的",
    "trigger.text": "好的,发我吧",
    "trigger.time": "2026-02-27 18:00:00",
    "task.id": "TASK_001",
}


def test_fields_are_found_in_nested_arguments() -> None:
    arguments = {
        "message": "{{customer.name}}您好",
        "tags": ["{{ trigger.keyword }}", 3, None],
        "more": {"deep": ("{{task.id}}{{nobody}}",)},
    }
    assert fields_in(arguments) == {"customer.name", "trigger.keyword", "task.id", "nobody"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("这是您要的文件", "这是您要的文件"),
        ("{{customer.name}},您好", "小明,您好"),
        ("{{ customer.name\t}}", "小明"),
        ("{{customer.name}}{{customer.name}}", "小明小明"),
        ("{customer.name}", "{customer.name}"),
        ("{{{customer.name}}}", "{小明}"),
        ("}}{{task.id}}}} {", "}}TASK_001}} {"),
        ("a { b } c }} d", "a { b } c }} d"),
        ("", ""),
    ],
)
def test_a_checked_template_is_filled_and_single_braces_are_text(
    template: str, filled: str
) -> None:
    arguments = {"message": template}
    check(arguments, KNOWN)
    assert fill(arguments, VALUES) == {"message": filled}


@pytest.mark.parametrize(
    ("arguments", "path", "hint"),
    [
        ({"message": "{{customer.phone}}"}, "message", "'customer.phone' 不存在"),
        ({"message": "{{}}"}, "message", "'' 不存在"),
        ({"a": {"b": ["x", "{{trigger.text}}"]}}, "a.b.1", "'trigger.text' 在这个任务里没有值"),
        ({"message": "{{customer.name"}, "message", "未闭合"),
        ({"message": "{{customer.name}"}, "message", "未闭合"),
        ({"message": "{{a{{customer.name}}"}, "message", "未闭合"),
        ({"message": "{{customer.name}} {{"}, "message", "未闭合"),
        ({"message": "{{customer.__class__}}"}, "message", "不存在"),
    ],
)
def test_what_could_not_be_filled_is_refused_with_its_path(
    arguments: dict[str, Any], path: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(arguments, KNOWN - {"trigger.text"})
    assert caught.value.field == path
    assert hint in caught.value.reason


def test_a_refusal_names_what_may_be_used() -> None:
    with pytest.raises(InvalidInput, match=r"可用字段:customer\.id, task\.id"):
        check({"message": "{{x}}"}, frozenset({"task.id", "customer.id"}))


def test_arguments_without_end_are_refused_not_an_error() -> None:
    value: Any = "text"
    for _ in range(5_000):
        value = [value]
    with pytest.raises(InvalidInput, match=str(MAX_DEPTH)):
        check({"message": value}, KNOWN)


def test_a_customers_braces_are_not_read_again() -> None:
    values = VALUES | {"trigger.text": "{{task.id}} {{", "customer.name": "{{trigger.text}}"}
    filled = fill({"message": "{{customer.name}}: {{trigger.text}}"}, values)
    assert filled == {"message": "{{trigger.text}}: {{task.id}} {{"}


def test_values_are_cut_and_lose_control_characters() -> None:
    values = VALUES | {
        "customer.name": "小\x00\n明\u202e" + "长" * 400,
        "trigger.text": "一\n二\x07",
    }
    filled = fill({"name": "{{customer.name}}", "text": "{{trigger.text}}"}, values)
    assert filled["name"].startswith("小 明长")
    assert len(filled["name"]) == LONGEST["customer.name"]
    assert filled["text"] == "一\n二"


def test_a_backslash_in_a_value_is_a_backslash() -> None:
    assert fill({"m": "{{task.id}}"}, {"task.id": r"\1\g<0>"}) == {"m": r"\1\g<0>"}


def test_a_field_without_a_value_is_refused_when_filling() -> None:
    with pytest.raises(InvalidInput) as caught:
        fill({"a": ["{{trigger.text}}"]}, {"task.id": "T"})
    assert caught.value.field == "a.0"


def test_the_arguments_themselves_stay_as_they_are() -> None:
    arguments = {"message": "{{task.id}}", "tags": ["{{task.id}}"]}
    fill(arguments, VALUES)
    assert arguments == {"message": "{{task.id}}", "tags": ["{{task.id}}"]}


@given(st.dictionaries(st.sampled_from(sorted(LONGEST)), st.text(max_size=700)))
def test_no_value_is_longer_than_the_longest(values: dict[str, str]) -> None:
    template = {name: f"{{{{{name}}}}}" for name in values}
    filled, longest = fill(template, values), fill(template, longest_values())
    assert all(len(filled[name]) <= len(longest[name]) for name in values)


@given(st.text(alphabet="{} ax.customernametask\n", max_size=40))
def test_what_check_accepts_can_be_filled_and_what_it_refuses_has_a_double_brace(text: str) -> None:
    try:
        check({"message": text}, KNOWN)
    except InvalidInput:
        assert "{{" in text
        return
    assert fields_in(text) <= KNOWN
    fill({"message": text}, VALUES)
