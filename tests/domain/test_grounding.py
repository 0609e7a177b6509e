"""Numbers, prices and codes of an answer must stand in its evidence."""

import pytest

from domain.grounding import cited, ungranted, unsupported, without_marks

SOURCE = (
    "7kW 998 元起，21kW 2,298 元起；E03 是通信故障，拨打 95598。质保 3 年，约 0.5～0.6 元一度。"
)

UNSUPPORTED = [
    # What the source says, in whatever width and case.
    ("7kW 的是 998 元", set()),
    ("７ＫＷ 的是 ９９８ 元", set()),
    ("21kw 是 2298 元", set()),
    ("e03 请拨 95598", set()),
    ("每度 0.5 到 0.6 元", set()),
    ("没有数字的回答", set()),
    ("", set()),
    # What it does not.
    ("7kW 只要 888 元", {"888"}),
    ("E05 是通信故障", {"e05"}),
    ("11kW 也有", {"11"}),
    ("质保 5 年，满 100 减 20", {"5", "100", "20"}),
    ("每度 0.55 元", {"0.55"}),
    # A number inside another one is not in the source.
    ("99 元", {"99"}),
    ("E0 故障", {"e0"}),
    # Marks of citation are no facts, other brackets are.
    ("质保 3 年[1]。", set()),
    ("质保 3 年【2】", set()),
    ("质保 3 年[1234]", {"1234"}),
]


@pytest.mark.parametrize(("answer", "invented"), UNSUPPORTED)
def test_only_what_no_source_says_is_unsupported(answer: str, invented: set[str]) -> None:
    assert unsupported(answer, [SOURCE]) == invented


@pytest.mark.parametrize(
    ("answer", "invented"),
    [
        ("只要 7 元", {"7"}),
        ("¥3 就行", {"3"}),
        ("7kW，质保 3 年", set()),
        ("每度 0.5 元", set()),
        ("2298 块", set()),
    ],
)
def test_a_price_needs_a_price_in_the_evidence(answer: str, invented: set[str]) -> None:
    assert unsupported(answer, [SOURCE]) == invented


OFFERS = "帆布包 99 元，学生认证后 95 折，满 200 元免费送货；退货扣 10% 手续费。一元换购每周一次。"


@pytest.mark.parametrize(
    ("answer", "invented"),
    [
        ("帆布包 99 元", set()),
        ("学生 95折", set()),
        ("一元换购", set()),
        ("免费送货，手续费 10 %", set()),
        ("帆布包 1 元", {"1"}),
        ("打 8 折", {"8折"}),
        ("八折", {"八折"}),
        ("两元一个", {"两元"}),
        ("半价", {"半价"}),
        ("扣 5%", {"5%"}),
        ("全额退款", {"全额退"}),
    ],
)
def test_an_offer_needs_the_same_offer_in_the_evidence(answer: str, invented: set[str]) -> None:
    assert ungranted(answer, [OFFERS]) == invented


def test_every_source_counts() -> None:
    assert unsupported("3 年，300 元", ["质保 3 年", "300 元"]) == set()
    assert unsupported("3 年", []) == {"3"}


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("甲[1]乙[2]", [1, 2]),
        ("乙[2]甲[1]又[2]", [2, 1]),
        ("【3】", [3]),
        ("没有", []),
        ("[123]", []),
    ],
)
def test_citations_are_read_in_order_once_each(answer: str, numbers: list[int]) -> None:
    assert cited(answer) == numbers


@pytest.mark.parametrize(
    ("answer", "shown"),
    [("质保 3 年 [1]。", "质保 3 年。"), ("甲【1】乙[2]", "甲乙"), ("[图片] 收到", "[图片] 收到")],
)
def test_customers_see_no_marks(answer: str, shown: str) -> None:
    assert without_marks(answer) == shown
