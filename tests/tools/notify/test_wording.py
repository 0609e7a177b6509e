"""One notice as one text, and texts that are cut as platforms count."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tools.notify.notices import NOTICE, SEEN, notice
from tools.notify.wording import fitting, headline, plain, utf16_units


def test_a_notice_reads_as_seed_004_prints_it() -> None:
    assert plain(NOTICE) == SEEN


def test_a_title_with_a_sign_of_its_own_keeps_it_and_loses_its_stars() -> None:
    assert headline(notice("x", "📋 **新任务派单**")) == "📋 新任务派单"
    assert headline(notice("x", "派单\r\n受阻")) == "🚨 派单 受阻"
    assert headline(notice("x", "")) == "🚨 "


def test_what_cannot_be_encoded_does_not_stop_a_notice() -> None:
    assert plain(notice("a\ud800b\0c")).endswith("a?bc")


@given(st.text(max_size=300), st.integers(3, 200), st.sampled_from(["bytes", "utf16", "chars"]))
def test_what_is_cut_is_the_longest_beginning_that_fits(text: str, limit: int, count: str) -> None:
    size = {"bytes": lambda part: len(part.encode()), "utf16": utf16_units, "chars": len}[count]
    cut = fitting(text, limit, size)
    assert size(cut) <= limit
    if cut != text:
        assert cut.endswith("…")
        assert text.startswith(cut[:-1])
        assert size(text[: len(cut)] + "…") > limit, "one character more would not fit"


def test_a_sign_outside_the_first_plane_counts_twice_in_utf_16() -> None:
    assert utf16_units("🚨a") == 3
    assert fitting("🚨🚨🚨", 4, utf16_units) == "🚨…"
