"""Texts as keys: the same terms whether a text comes alone or in a batch."""

from collections import Counter

import numpy as np
import pytest

from knowledge.features import token_match
from knowledge.terms import (
    STOP_WEIGHT,
    encode,
    is_follow_up,
    is_strong,
    strengths,
    term_keys,
    tokens_of,
    wording_key,
)


def terms(*texts: str) -> list[Counter[int]]:
    keys, owners = term_keys(encode(texts))
    found: list[Counter[int]] = [Counter() for _ in texts]
    for key, owner in zip(keys.tolist(), owners.tolist(), strict=True):
        found[owner][key] += 1
    return found


def shared(one: str, other: str) -> Counter[int]:
    first, second = terms(one, other)
    return first & second


def test_characters_and_pairs_are_terms_with_their_counts() -> None:
    (found,) = terms("天天向")
    pair = ord("天") << 21
    assert found == {ord("天"): 2, ord("向"): 1, pair | ord("天"): 1, pair | ord("向"): 1}


def test_punctuation_spaces_and_width_make_no_difference() -> None:
    assert terms("Ｅ０３，故障！") == terms("e03 故障")


def test_pairs_do_not_reach_over_from_one_text_to_the_next() -> None:
    assert terms("充电", "安装") == [*terms("充电"), *terms("安装")]


def test_ways_of_saying_one_thing_share_one_term() -> None:
    assert not set("多少钱") & set("报价")
    assert sum(shared("多少钱", "报价").values()) == 1
    assert not shared("多少钱", "发票")


def test_the_longest_way_of_saying_it_counts_once() -> None:
    """不收费 (free) holds 收费 (price): only the first is said."""
    assert shared("不收费", "免费") - shared("不收费", "费") != Counter()
    assert not [key for key in shared("不收费", "报价") if key >> 63]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("e03报错", "屏幕E03", True), ("e03报错", "e05报错", False), ("7kw", "7kw的桩", True)],
)
def test_model_names_and_codes_are_terms_of_their_own(one: str, other: str, same: bool) -> None:
    hashed = [key for key in shared(one, other) if key >> 63]
    tokens = set(tokens_of(one)) & set(tokens_of(other))
    assert bool(tokens) is same
    assert (len(hashed) > len([key for key in shared("报错", other) if key >> 63])) is same


def test_words_apart_are_two_tokens_and_joined_are_one() -> None:
    """The space counts for tokens, although it does not for characters."""
    apart, joined = terms("iphone pro", "iphonepro")
    assert {key for key in apart if not key >> 63} == {key for key in joined if not key >> 63}
    assert {key for key in apart if key >> 63}.isdisjoint(key for key in joined if key >> 63)


def test_a_text_has_the_same_terms_alone_and_in_a_batch() -> None:
    texts = ["", "多少钱 E03 免费吗", "\n\n", "😀 ok", "运费谁出？包邮吗", "\ud800坏"]
    assert terms(*texts) == [terms(text)[0] for text in texts]


def test_function_words_count_little_and_single_characters_are_weak() -> None:
    keys = np.array([ord("的"), ord("桩"), ord("怎") << 21 | ord("么")], dtype=np.uint64)
    assert strengths(keys).tolist() == [STOP_WEIGHT, 1.0, STOP_WEIGHT]
    assert is_strong(keys).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "key"),
    [("请问能退货吗？", "能退货"), ("你好，在吗", "你好在吗"), ("吗", "吗"), ("ＯＫ！", "ok")],
)
def test_wordings_are_compared_without_courtesies_and_particles(text: str, key: str) -> None:
    assert wording_key(text) == key


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
