"""What a customer's level means for how they are served. Levels in, limits out."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from domain.customers import Level


@dataclass(frozen=True, slots=True)
class TierLimits:
    """``priority``: with which they are handed to a person. ``wording``: how they are addressed.
    ``messages_per_hour``: what is beyond is put off, and troubles nobody; None: no limit.
    ``answers``: the bot settles by itself what they want, prices included; else a person does.
    ``discounts``: a price may be lowered. ``dispatches``: work on pictures is taken on without a
    person's word. ``campaigns``: they may be written to unasked."""

    priority: Literal["high", "normal"] = "normal"
    wording: Literal["vip", "plain"] = "plain"
    messages_per_hour: int | None = None
    answers: bool = True
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
            answers=False,
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


def is_vip(level: str) -> bool:
    return limits_of(level).wording == "vip"


def is_over(level: str, last_hour: int) -> bool:
    """``last_hour``: messages of the customer in the hour before now, the present ones included."""
    most = limits_of(level).messages_per_hour
    return most is not None and last_hour > most
