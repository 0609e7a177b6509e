import pytest

from knowledge.keywords import is_follow_up, terms_of, wording_key
from knowledge.scoring import token_match


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("你好，请问可以退货吗？", "可以退货"),
        ("我想问一下怎么开发票呢", "怎么开发票"),
        ("  ７ＫＷ 多少钱 ", "7kw多少钱"),
        ("你好", "你好"),
    ],
)
def test_courtesies_and_particles_do_not_make_another_wording(said: str, meant: str) -> None:
    assert wording_key(said) == wording_key(meant)


def test_ways_of_saying_one_thing_share_a_term() -> None:
    shared = set(terms_of("这个多少钱")) & set(terms_of("报价给我"))
    assert any(len(term) > 1 for term in shared)


@pytest.mark.parametrize(
    ("text", "leans"),
    [
        ("多少钱", True),
        ("那要多久呢", True),
        ("这个支持定制吗，我想做一百个", True),
        ("充电桩安装需要物业开什么证明", False),
    ],
)
def test_short_or_pointing_messages_lean_on_what_was_said(text: str, leans: bool) -> None:
    assert is_follow_up(text) is leans


@pytest.mark.parametrize(
    ("query", "entry", "match"),
    [
        ({"e03"}, {"e03", "e05"}, (1.0, 0.0)),
        ({"e03"}, {"e05"}, (0.0, 1.0)),
        ({"e03"}, {"7kw"}, (0.0, 0.0)),
        ({"7kw", "5"}, {"11kw", "3"}, (0.0, 0.5)),
        ({"wifi"}, {"app"}, (0.0, 0.0)),
    ],
)
def test_another_code_of_one_kind_contradicts_and_a_bare_number_does_not(
    query: set[str], entry: set[str], match: tuple[float, float]
) -> None:
    assert token_match(query, frozenset(entry)) == match
