"""Charts as shapes of an SVG, 100 wide and 100 high, which its page stretches. Pure; what a chart
shows stands in a table beside it too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GAP = 0.28
"""Of the room of a bar: what is left free."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    said: str


@dataclass(frozen=True, slots=True)
class Line:
    """``paths``: one for each stretch without a hole; ``dots``: values with holes on both sides."""

    name: str
    paths: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """What is told of one day when somebody points at it."""

    x: float
    width: float
    said: str


@dataclass(frozen=True, slots=True)
class Chart:
    top: float
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    slices: tuple[Slice, ...] = ()


def round_top(highest: float) -> float:
    """The next round number: the axis ends there."""
    if highest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(highest))
    return next(step * unit for step in _STEPS if step * unit >= highest * (1 - 1e-9))


def bars(values: Sequence[float], said: Sequence[str]) -> Chart:
    """``said``: of each value, for whoever points at it."""
    top = round_top(max(values, default=0.0))
    room = 100 / max(1, len(values))
    found = (
        Bar(
            x=_rounded((at + GAP / 2) * room),
            y=_rounded(100 - 100 * value / top),
            width=_rounded((1 - GAP) * room),
            height=_rounded(100 * value / top),
            said=text,
        )
        for at, (value, text) in enumerate(zip(values, said, strict=True))
    )
    return Chart(top, bars=tuple(found))


def lines(
    series: Sequence[tuple[str, Sequence[float | None]]],
    said: Sequence[str],
    *,
    top: float | None = None,
) -> Chart:
    """Each (name, values); None is a hole, not a zero. ``top``: of the axis, where it is known."""
    known = [value for _, values in series for value in values if value is not None]
    top = top or round_top(max(known, default=0.0))
    room = 100 / max(1, len(said))
    drawn = tuple(_line(name, values, top, room) for name, values in series)
    slices = (Slice(_rounded(at * room), _rounded(room), text) for at, text in enumerate(said))
    return Chart(top, lines=drawn, slices=tuple(slices))


def _line(name: str, values: Sequence[float | None], top: float, room: float) -> Line:
    stretches: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            stretches.append([])
            continue
        point = (_rounded((at + 0.5) * room), _rounded(100 - 100 * min(1.0, value / top)))
        stretches[-1].append(point)
    paths = (
        "M" + " L".join(f"{x} {y}" for x, y in stretch) for stretch in stretches if len(stretch) > 1
    )
    dots = tuple(stretch[0] for stretch in stretches if len(stretch) == 1)
    return Line(name, tuple(paths), dots)


def _rounded(value: float) -> float:
    return round(value, 3)
