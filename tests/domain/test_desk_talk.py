"""What customers say to the human desk."""

from datetime import datetime

import pytest

from domain.desk_talk import is_same_question, leaves_queue, mark_of, opening_words

MARKS = [
    # Figures, with what people put around them.
    ("5", (5, "")),
    ("５分", (5, "")),
    ("五星", (5, "")),
    ("给5分好评", (5, "")),
    ("我打4分", (4, "")),
    ("好的\n5", (5, "")),
    ("3 谢谢客服", (3, "")),
    # Words, the scale's own and others.
    ("非常满意", (5, "")),
    ("满意", (4, "")),
    ("一般般吧", (3, "")),
    ("不满意", (2, "")),
    ("非常不满意", (1, "")),
    ("差评", (1, "")),
    # A mark and more.
    ("4分，另外充电桩怎么安装", (4, "另外充电桩怎么安装")),
    ("不满意，还是充不进电", (2, "还是充不进电")),
    # No marks: numbers of something, numbers that are no marks, other talk.
    ("有5个吗", None),
    ("我要5个", None),
    ("6", None),
    ("15", None),
    ("2024010112345678", None),
    ("充电桩怎么安装", None),
    ("好的", None),
    ("谢谢", None),
    ("", None),
    ("5" * 201, None),
]


@pytest.mark.parametrize(("said", "mark"), MARKS)
def test_a_mark_is_told_from_a_question(said: str, mark: tuple[int, str] | None) -> None:
    assert mark_of(said) == mark


LEAVES = [
    "不用了",
    "不用了，谢谢",
    "取消排队",
    "我不等了",
    "算了，我自己看看",
    "不用人工了",
    "别转了",
]
STAYS = [
    "不用安装吗",
    "不要红色的",
    "算了不要了退款",
    "取消订单",
    "还要等多久",
    "转人工",
    "好的",
    "",
]


@pytest.mark.parametrize("said", LEAVES)
def test_who_waits_no_longer_is_understood(said: str) -> None:
    assert leaves_queue(said)


@pytest.mark.parametrize("said", STAYS)
def test_whoever_says_something_else_keeps_the_place(said: str) -> None:
    assert not leaves_queue(said)


SAME = [
    ("充电桩冬天掉电快吗", "充电桩冬天掉电快吗？", True),
    ("充电桩在冬天里掉电会不会很快呢", "充电桩在冬天里掉电会不会很快", True),
    ("7kW的桩怎么接线", "11kW的桩怎么接线", False),
    ("怎么退货", "怎么换货", False),
    ("充电桩怎么安装", "保修多久", False),
    ("", "", False),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME)
def test_a_question_is_the_same_word_for_word_or_all_but(one: str, other: str, same: bool) -> None:
    assert is_same_question(one, other) is same
    assert is_same_question(other, one) is same


OPENINGS = [
    (datetime(2026, 11, 23, 14, 0), "今天 14:00 "),
    (datetime(2026, 11, 24, 9, 0), "明天 09:00 "),
    (datetime(2026, 11, 30, 9, 30), "11月30日（周一）09:30 "),
]


@pytest.mark.parametrize(("opens", "words"), OPENINGS)
def test_an_opening_is_said_as_people_say_it(opens: datetime, words: str) -> None:
    assert opening_words(opens, datetime(2026, 11, 23, 10, 0)) == words
