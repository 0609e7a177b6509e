"""What a customer's level means for how they are served. Levels in, limits out."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from domain.customers import Level


@dataclass(frozen=True, slots=True)
class TierLimits:
    """``priority``: of whoever hands them to a person. ``wording``: how they are addressed.
    ``messages_per_hour``: more are not answered by a turn of work, None: no limit. ``quotes``: the
    bot may name a price, ``discounts``: and lower it; ``dispatches``: work goes to a designer
    without a person's word. ``campaigns``: may be written to unasked."""

    priority: Literal["high", "normal"] = "normal"
    wording: Literal["vip", "plain"] = "plain"
    messages_per_hour: int | None = None
    quotes: bool = True
    discounts: bool = True
    dispatches: bool = True
    campaigns: bool = True


BLACK_MESSAGES_PER_HOUR = 20
LIMITS: Final = MappingProxyType(
    {
        Level.WHITE: TierLimits(priority="high", wording="vip"),
        Level.GRAY: TierLimits(),
        Level.BLACK: TierLimits(
            messages_per_hour=BLACK_MESSAGES_PER_HOUR,
            quotes=False,
            discounts=False,
            dispatches=False,
            campaigns=False,
        ),
    }
)
_KNOWN: Final = frozenset(LIMITS)


def limits_of(level: str) -> TierLimits:
    """A level that nobody knows is an ordinary one."""
    return LIMITS[Level(level)] if level in _KNOWN else LIMITS[Level.GRAY]


def is_over(level: str, last_hour: int) -> bool:
    """``last_hour``: messages of the customer in the hour before now, the present ones included."""
    most = limits_of(level).messages_per_hour
    return most is not None and last_hour > most
