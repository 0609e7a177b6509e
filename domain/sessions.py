"""How long a session lives, and how it ended (seed 003). Pure; times in seconds."""

from enum import StrEnum


class Life(StrEnum):
    """By the time since the last message."""

    ACTIVE = "active"
    IDLE = "idle"
    DORMANT = "dormant"
    EXPIRED = "expired"


class Outcome(StrEnum):
    SOLVED = "solved"
    UNSOLVED = "unsolved"
    TRANSFERRED = "transferred"


IDLE_S = 300.0
DORMANT_S = 900.0
EXPIRED_S = 1_800.0
_BEGINS = ((Life.ACTIVE, 0.0), (Life.IDLE, IDLE_S), (Life.DORMANT, DORMANT_S))
ENDS: dict[Life, float] = {
    Life.ACTIVE: IDLE_S,
    Life.IDLE: DORMANT_S,
    Life.DORMANT: EXPIRED_S,
}
"""Where each stage is over, exclusive; the last one is never."""


def life_of(silent_s: float) -> Life:
    """A clock that runs behind gives a negative silence: somebody has just written.

    5 minutes to the second are IDLE, 15 are DORMANT, 30 are DORMANT still and only more than that
    EXPIRED, which is when a new message begins a new session.
    """
    if silent_s > EXPIRED_S:
        return Life.EXPIRED
    return next(life for life, begins in reversed(_BEGINS) if silent_s >= begins or begins == 0.0)
