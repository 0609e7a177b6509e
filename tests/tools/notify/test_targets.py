"""NOTIFICATION_CHANNEL is read, or what is wrong with it is said."""

import pytest

from tools.notify.targets import MAX_TARGETS, Target, parse_targets


def test_a_list_is_read_in_its_order_and_each_place_once() -> None:
    found = parse_targets(" telegram:8518085684, feishu ,dingtalk,mail:a@b.example, WeCom,feishu,")
    assert found == (
        Target("telegram", "8518085684"),
        Target("feishu"),
        Target("dingtalk"),
        Target("mail", "a@b.example"),
        Target("wecom"),
    )
    assert parse_targets(",".join(target.name for target in found)) == found


@pytest.mark.parametrize(
    "text",
    ["telegram:-1001234567890", "telegram:@shop_desk", "wecom:lisi|wangwu", "url", "mail:a+b@c"],
)
def test_a_name_is_written_as_it_was_read(text: str) -> None:
    (target,) = parse_targets(text)
    assert target.name == text


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_nothing_is_no_place(text: str) -> None:
    assert parse_targets(text) == ()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("telegram", "telegram:ID"),
        ("telegram:", "telegram:ID"),
        ("telegram:小明", "telegram:ID"),
        ("telegram:１２３", "telegram:ID"),
        ("telegram:12345678901234567890", "telegram:ID"),
        ("mail", "mail:name@host"),
        ("mail:nobody", "mail:name@host"),
        ("mail:a@b@c", "mail:name@host"),
        ("mail:a b@c.example", "mail:name@host"),
        ("mail:a@b\nBcc: c@d", "mail:name@host"),
        (f"mail:a@{'b' * 260}", "mail:name@host"),
        ("wecom:li si", "wecom:USERID"),
        ("dingtalk:123", "dingtalk alone"),
        ("slack:x", "a list of wecom, telegram"),
        (",".join(f"telegram:{n}" for n in range(MAX_TARGETS + 1)), "at most 20"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_right(text: str, right: str) -> None:
    with pytest.raises(ValueError, match=right):
        parse_targets(text)
