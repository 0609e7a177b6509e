"""A memory with a bound in bytes, a time and versions."""

import random
from dataclasses import dataclass

from domain.lru import ENTRY_BYTES, ByteLru, Found, weigh


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lru(max_bytes: int = 100_000, **parts: object) -> ByteLru[str, str]:
    return ByteLru(max_bytes, ttl_s=60.0, **parts)  # type: ignore[arg-type]


def test_whatever_is_put_the_bytes_stay_within_the_bound() -> None:
    kept, rng = lru(50_000), random.Random(8)
    for number in range(2_000):
        kept.put(f"k{rng.randrange(500)}", "话" * rng.randrange(3_000))
        assert kept.bytes <= 50_000, number
    assert len(kept) > 5


def test_bytes_are_given_back_when_a_key_is_put_again_or_taken_out() -> None:
    kept = lru()
    kept.put("a", "x" * 1_000)
    once = kept.bytes
    kept.put("a", "x" * 1_000)
    assert kept.bytes == once
    kept.pop("a")
    assert (kept.bytes, len(kept)) == (0, 0)


def test_the_least_recently_used_goes_first() -> None:
    kept = lru(40_000)
    for name in "abcd":
        kept.put(name, "x", size=9_000 // 2)
    assert kept.get("a") == "x"
    for name in "efghi":
        kept.put(name, "x", size=9_000 // 2)
    assert kept.get("a") == "x"
    assert kept.get("b") is None


def test_no_more_entries_are_kept_than_allowed() -> None:
    kept = lru(max_entries=3)
    for name in "abcde":
        kept.put(name, name)
    assert [kept.get(name) for name in "abcde"] == [None, None, "c", "d", "e"]


def test_nothing_is_found_after_its_time_and_a_shorter_time_is_kept_to() -> None:
    clock = Clock()
    kept = lru(clock=clock)
    kept.put("long", "x")
    kept.put("short", "x", ttl_s=5.0)
    clock.now = 6.0
    assert (kept.get("long"), kept.get("short")) == ("x", None)
    clock.now = 60.0
    assert kept.get("long") is None
    assert kept.bytes == 0


def test_what_was_kept_under_another_version_is_not_found() -> None:
    seen: list[Found] = []
    kept = lru(count=seen.append)
    kept.put("c1", "old", 1)
    assert kept.get("c1", 2) is None
    kept.put("c1", "new", 2)
    assert (kept.get("c1", 1), kept.get("c1", 2), kept.get("c2", 1)) == (None, "new", None)
    assert seen == ["stale", "stale", "hit", "miss"]


def test_one_value_never_pushes_out_all_others() -> None:
    kept = lru(8_000)
    kept.put("small", "x")
    kept.put("huge", "x" * 2_000)
    assert (kept.get("huge"), kept.get("small")) == (None, "x")


@dataclass(frozen=True, slots=True)
class _Pair:
    left: str
    right: tuple[str, ...]


def test_a_value_weighs_at_least_its_text() -> None:
    pair = _Pair("话" * 1_000, ("x" * 5_000, "y" * 5_000))
    assert 12_000 < weigh(pair) < 13_000
    assert weigh({"k": pair}) > weigh(pair)
    assert ENTRY_BYTES > 0
