"""Lines drawn on a page -> the cells of the tables that they rule."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowledge.formats.layout import Line, Piece

_NEAR = 2.5
"""Points within which two rules are one: a border drawn twice, or the two edges of a thin box."""
_MAX_RULES = 600
_MIN_LENGTH = 6.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A line at ``at`` (y of a horizontal, x of a vertical one) from ``start`` to ``end``."""

    horizontal: bool
    at: float
    start: float
    end: float
    straight: bool = True

    @classmethod
    def between(cls, one: tuple[float, float], other: tuple[float, float]) -> "Rule":
        wide, high = abs(one[0] - other[0]), abs(one[1] - other[1])
        if high <= wide:
            start, end = sorted((one[0], other[0]))
            return cls(True, (one[1] + other[1]) / 2, start, end, high <= 1 and wide > _MIN_LENGTH)
        start, end = sorted((one[1], other[1]))
        return cls(False, (one[0] + other[0]) / 2, start, end, wide <= 1 and high > _MIN_LENGTH)

    def divides(self, before: Piece, after: Piece) -> bool:
        """Whether a vertical rule stands between two neighbours of a line."""
        return (
            before.right - 1 <= self.at <= after.left + 1 and self.start <= after.bottom <= self.end
        )

    def crosses(self, other: "Rule") -> bool:
        return (
            self.start - _NEAR <= other.at <= self.end + _NEAR
            and other.start - _NEAR <= self.at <= other.end + _NEAR
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """A table by the places of its rules, ascending."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    @property
    def top(self) -> float:
        return self.ys[0]

    @property
    def rows(self) -> int:
        return len(self.ys) - 1

    @property
    def columns(self) -> int:
        return len(self.xs) - 1

    def precedes(self, line: Line) -> bool:
        """Whether a line stands below, not in another column of the page."""
        return line.top >= self.top and line.left < self.xs[-1] and line.right > self.xs[0]

    def holds(self, piece: Piece) -> bool:
        return self.cell(piece) is not None

    def cell(self, piece: Piece) -> tuple[int, int] | None:
        x = piece.left + min(piece.right - piece.left, piece.height) / 2
        y = (piece.top + piece.bottom) / 2
        row, column = bisect_right(self.ys, y) - 1, bisect_right(self.xs, x) - 1
        if 0 <= row < self.rows and 0 <= column < self.columns:
            return row, column
        return None


def grids_of(rules: Iterable[Rule]) -> list[Cells]:
    """Tables of at least two columns and two rows, or none where a drawing has too many lines."""
    straight = _merged([rule for rule in rules if rule.straight])
    if len(straight) > _MAX_RULES:
        return []
    across = [rule for rule in straight if rule.horizontal]
    down = [rule for rule in straight if not rule.horizontal]
    grids = (_grid(group) for group in _connected(across, down))
    return sorted((grid for grid in grids if grid is not None), key=lambda grid: grid.top)


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Borders are often drawn cell by cell: pieces in one line that touch are one rule."""
    merged: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (rule.horizontal, round(rule.at / 2), rule.start)):
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.horizontal == rule.horizontal
            and abs(last.at - rule.at) <= _NEAR
            and rule.start <= last.end + _NEAR
        ):
            merged[-1] = Rule(last.horizontal, last.at, last.start, max(last.end, rule.end))
        else:
            merged.append(rule)
    return merged


def _connected(across: Sequence[Rule], down: Sequence[Rule]) -> list[set[Rule]]:
    """Groups of rules that cross each other, directly or through others."""
    groups: list[set[Rule]] = []
    for rule in across:
        group = {rule, *(other for other in down if rule.crosses(other))}
        apart = [other for other in groups if other.isdisjoint(group)]
        group.update(*(other for other in groups if not other.isdisjoint(group)))
        groups = [*apart, group]
    return groups


def _grid(rules: Iterable[Rule]) -> Cells | None:
    xs = _places(rule.at for rule in rules if not rule.horizontal)
    ys = _places(rule.at for rule in rules if rule.horizontal)
    return Cells(xs, ys) if len(xs) >= 3 and len(ys) >= 3 else None


def _places(values: Iterable[float]) -> tuple[float, ...]:
    places: list[float] = []
    for value in sorted(values):
        if not places or value - places[-1] > _NEAR:
            places.append(value)
    return tuple(places)
