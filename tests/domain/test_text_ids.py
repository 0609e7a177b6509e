"""Text normalisation and identifiers: what is the same, what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import (
    TurnId,
    contact_id,
    conversation_id,
    effect_key,
    new_message_id,
    turn_id,
)
from domain.text import clean, fold, letters


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("  你好 \n", "你好"),
        ("第一行\n第二行\t格", "第一行\n第二行\t格"),
        ("投\u200b诉\ufeff", "投诉"),
        ("\u202e反转\u202c", "反转"),
        ("a\x00b\x7f", "ab"),
        ("半个\ud83d表情", "半个表情"),
        ("😀", "😀"),
    ],
)
def test_invisible_characters_go_and_line_breaks_stay(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("ＫＷ　７", "kw 7"),
        ("  多个   空格\n换行 ", "多个 空格 换行"),
        ("E０３", "e03"),
        ("①", "1"),
    ],
)
def test_width_case_and_spaces_do_not_count(raw: str, folded: str) -> None:
    assert fold(raw) == folded


@pytest.mark.parametrize(
    ("raw", "kept"),
    [("投-诉，你_们！", "投诉你们"), ("7 kW?", "7kw"), ("?!。…", ""), ("😀", "")],
)
def test_letters_are_what_exact_matching_compares(raw: str, kept: str) -> None:
    assert letters(raw) == kept


@given(st.text())
def test_normalising_twice_is_normalising_once(raw: str) -> None:
    assert clean(clean(raw)) == clean(raw)
    assert letters(letters(raw)) == letters(raw)


@given(st.text())
def test_cleaned_text_can_always_be_encoded(raw: str) -> None:
    clean(raw).encode("utf-8")


def test_a_conversation_is_one_sender_in_one_chat_of_one_account() -> None:
    parts = [("web", "shop", "chat", "u"), ("web", "shop", "chat", "v"), ("web", "shop", "c", "u")]
    parts += [("web", "b", "chat", "u"), ("wecom", "shop", "chat", "u")]
    # Parts are kept apart: "ab"+"c" is not "a"+"bc".
    parts += [("web", "shop", "chatu", ""), ("websho", "p", "chat", "u")]
    assert len({conversation_id(*each) for each in parts}) == len(parts)
    assert conversation_id(*parts[0]) == conversation_id(*parts[0])
    assert conversation_id(*parts[0]).startswith("c_")


def test_a_contact_is_the_same_in_every_chat() -> None:
    assert contact_id("web", "shop", "u") == "web:shop:u"


def test_a_replayed_turn_has_the_same_effects_and_the_next_one_others() -> None:
    first, again = turn_id("c_1", 7, 9), turn_id("c_1", 7, 9)
    assert effect_key(first, "reply") == effect_key(again, "reply")
    others = [turn_id("c_1", 8, 9), turn_id("c_1", 7, 10), turn_id("c_2", 7, 9)]
    assert len({first, *others}) == 4
    assert effect_key(TurnId("t"), "reply") != effect_key(TurnId("t"), "notice")


def test_message_ids_of_our_own_never_repeat() -> None:
    assert len({new_message_id() for _ in range(1_000)}) == 1_000
