"""The 300 messages, hidden as the gateway hides them."""

from domain.placeholders import Placeholders
from tests.privacy.messages import FILE, personal_messages
from tests.privacy.unseen import UNSEEN
from tests.privacy.writing import SIZE, messages

MESSAGES = personal_messages()
LEAST_FOUND = 0.85


def test_the_file_is_what_its_writing_gives() -> None:
    assert len(MESSAGES) == SIZE
    assert [one["text"] for one in messages()] == [one.text for one in MESSAGES]
    assert FILE.stat().st_size > 0


def test_no_marked_value_is_left_in_any_message() -> None:
    left = {
        one.id: [v for v in one.values if v in Placeholders().hide(one.text)] for one in MESSAGES
    }
    assert {name: values for name, values in left.items() if values} == {}


def test_order_numbers_and_amounts_are_left_in_every_message() -> None:
    lost = {
        one.id: [k for k in one.kept if k not in Placeholders().hide(one.text)] for one in MESSAGES
    }
    assert {name: values for name, values in lost.items() if values} == {}


def test_what_was_hidden_in_all_of_them_comes_back() -> None:
    placeholders = Placeholders()
    hidden = [placeholders.hide(one.text) for one in MESSAGES]
    assert [placeholders.restore(text) for text in hidden] == [one.text for one in MESSAGES]


def test_of_messages_in_other_words_most_values_are_hidden() -> None:
    left = [
        value for text, values in UNSEEN for value in values if value in Placeholders().hide(text)
    ]
    total = sum(len(values) for _, values in UNSEEN)
    assert 1 - len(left) / total >= LEAST_FOUND, left
