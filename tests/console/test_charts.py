"""Charts: where the shapes stand; the arithmetic is beside each."""

import pytest

from api.console.charts import bars, lines, round_top


@pytest.mark.parametrize(
    ("highest", "top"),
    [
        (0, 1.0),  # an empty chart has an axis too
        (0.4, 0.5),
        (1, 1.0),
        (7, 10.0),
        (11, 20.0),
        (21, 25.0),
        (99, 100.0),
        (100, 100.0),
        (2_001, 2_500.0),
        (1_212_200, 2_000_000.0),
    ],
)
def test_an_axis_ends_at_the_next_round_number(highest: float, top: float) -> None:
    assert round_top(highest) == pytest.approx(top)


def test_a_bar_is_as_high_as_its_value_and_stands_in_its_room() -> None:
    chart = bars([50, 0, 100, 25], ["a", "b", "c", "d"])
    assert chart.top == 100
    assert [(one.y, one.height) for one in chart.bars] == [(50, 50), (100, 0), (0, 100), (75, 25)]
    # Four rooms of 25, of which 28 % are left free: 3.5 on each side.
    assert [one.x for one in chart.bars] == [3.5, 28.5, 53.5, 78.5]
    assert {one.width for one in chart.bars} == {18.0}
    assert [one.said for one in chart.bars] == ["a", "b", "c", "d"]


def test_a_day_without_a_value_is_a_hole_in_the_line() -> None:
    chart = lines([("rate", [0.5, 1.0, None, 0.25, 0.75])], list("abcde"), top=1.0)
    (line,) = chart.lines
    # Five rooms of 20, points in their middles; a rate of 1 is at the top.
    assert line.paths == ("M10.0 50.0 L30.0 0.0", "M70.0 75.0 L90.0 25.0")
    assert line.dots == ()


def test_a_value_between_holes_is_a_dot() -> None:
    chart = lines([("rate", [None, 0.5, None])], list("abc"), top=1.0)
    assert chart.lines[0].paths == ()
    assert chart.lines[0].dots == ((50.0, 50.0),)


def test_each_day_can_be_pointed_at() -> None:
    chart = lines([("rate", [None, None])], ["a", "b"])
    assert [(one.x, one.width, one.said) for one in chart.slices] == [(0, 50, "a"), (50, 50, "b")]


def test_a_chart_of_nothing_is_empty() -> None:
    assert bars([], []).bars == ()
    assert lines([("rate", [])], []).slices == ()
