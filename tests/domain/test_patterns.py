"""Patterns of operators: what they may hold, and that no message makes them slow."""

import re
import time

import pytest

from domain.patterns import MAX_WAYS, checked_pattern

GOOD = [
    (r"订单\d{1,20}没到", "订单123没到"),
    (r"(?:没|还没)收到", "还没收到"),
    (r"退.{0,10}款", "退给我货款"),
    (r"colou?r", "color"),
    (r"(红|蓝|绿)色?的", "蓝的"),
    (r"^在吗$", "在吗"),
    (r"[a-z]{2}\-\d{3}", "ab-123"),
]
BAD = [
    ("a+", "no end"),
    ("a.*b", "no end"),
    ("(a|b){2,3}", "follow a single"),
    (r"(a)\1", "not supported"),
    ("(?=a)b", "follow a single"),
    ("(?P<x>a)", "follow a single"),
    ("a{1,90}", "up to 40"),
    ("a{3,1}", "up to 40"),
    ("(ab", "not closed"),
    ("ab)", "too many"),
    ("a?", "every message"),
    ("a{0,5}", "every message"),
    (".{0,30}.{0,30}x", f"more than {MAX_WAYS}"),
    ("(a|aa)" * 10 + "x", f"more than {MAX_WAYS}"),
    ("a?" * 12 + "x", f"more than {MAX_WAYS}"),
]


@pytest.mark.parametrize(("pattern", "text"), GOOD)
def test_a_bounded_pattern_is_taken_and_finds(pattern: str, text: str) -> None:
    assert re.search(checked_pattern(pattern), text)


@pytest.mark.parametrize(("pattern", "why"), BAD)
def test_a_pattern_without_bounds_is_refused_with_its_reason(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        checked_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        (".{0,20}.{0,20}x", "a"),
        ("(?:a|aa|ab)(?:a|aa|ab)(?:a|aa|ab)(?:a|aa|ab)(?:a|aa|ab)x", "a"),
        ("a?a?a?a?a?a?a?a?x", "a"),
        ("[ab]{0,6}[ab]{0,6}[ab]{0,7}x", "ab"),
    ],
)
def test_the_slowest_patterns_take_a_time_that_grows_with_the_message(
    pattern: str, unit: str
) -> None:
    found = re.compile(checked_pattern(pattern))

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))

        def once() -> float:
            started = time.process_time()
            found.search(text)
            return time.process_time() - started

        return min(once() for _ in range(3))

    assert seconds(20_000) < 40 * seconds(2_000) + 0.02
