"""Which designer gets the next one. Facts in, names in order out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Offer:
    """Who is there, and whom Tuhui suggests."""

    online: tuple[str, ...]
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """``open``: how many of our dispatches each designer has; ``latest``: the number of the newest
    that each got, so that of equals the one is next whose turn is longest ago."""

    open: Mapping[str, int] = field(default_factory=dict)
    latest: Mapping[str, int] = field(default_factory=dict)


def ranked(
    offer: Offer,
    load: Load,
    *,
    wanted: str = "",
    kinds: Collection[str] = (),
    skills: Mapping[str, Collection[str]] | None = None,
    refused: Collection[str] = (),
) -> tuple[str, ...]:
    """Who may get it, the best first: who is wanted, then who can do one of its ``kinds``, then who
    has least of ours, then whom Tuhui suggests, then whose turn it is.

    The suggestion comes after the load: of many that are dispatched at once all read the same one,
    made before any of them was assigned.
    ``skills``: kinds of work by designer; who is not named there does everything. Nobody who
    ``refused`` it.
    """
    known = skills or {}

    def rank(name: str) -> tuple[bool, bool, int, bool, int]:
        unskilled = name in known and not set(kinds) & set(known[name])
        return (
            name != wanted,
            unskilled,
            load.open.get(name, 0),
            name != offer.suggestion,
            load.latest.get(name, 0),
        )

    return tuple(sorted((name for name in offer.online if name not in refused), key=rank))
