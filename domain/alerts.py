"""When an alert fires and when it is over. Pure: values and the time are passed in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

NEVER = -1.0
"""As a threshold: this alert is off."""


class AlertState(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"


class AlertName(StrEnum):
    """The first four are seed 003's."""

    CPU_HIGH = "cpu_high"
    MEMORY_HIGH = "memory_high"
    RESPONSE_SLOW = "response_slow"
    TOKEN_HIGH = "token_high"  # noqa: S105 - of a model, not a secret
    DISK_HIGH = "disk_high"
    ANSWERS_LATE = "answers_late"
    QUEUE_AGE = "queue_age"
    OUTBOX_AGE = "outbox_age"
    DEAD_LETTERS = "dead_letters"
    PROVIDER_OPEN = "provider_open"
    QUOTA_LOW = "quota_low"
    CLIENT_OFFLINE = "client_offline"
    PROCESS_LOST = "process_lost"


Turn = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires once the value has been over ``threshold`` for ``for_s`` seconds; over only once it has
    been at ``ends_at`` or below for ``calm_s``, so that a value that swings around the threshold is
    told of once."""

    name: AlertName
    threshold: float
    ends_at: float
    for_s: float
    calm_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """As `storage.figures_tables.AlertRow` says."""

    state: AlertState = AlertState.OK
    value: float | None = None
    detail: str = ""
    since: float = 0.0
    calm: float | None = None
    fired: float | None = None
    resolved: float | None = None
    fires: int = 0


def judge(
    rule: AlertRule, standing: Standing, value: float | None, now: float, detail: str = ""
) -> tuple[Standing, Turn | None]:
    """How it stands now, and what there is to tell. A value that is not known changes nothing: no
    news is not good news."""
    if value is None:
        return standing, None
    seen = replace(standing, value=value, detail=detail)
    if standing.state is AlertState.FIRING:
        return _while_firing(rule, seen, value, now)
    if value <= rule.threshold:
        if standing.state is AlertState.OK:
            return seen, None
        return replace(seen, state=AlertState.OK, since=now), None
    since = standing.since if standing.state is AlertState.PENDING else now
    if now - since < rule.for_s:
        return replace(seen, state=AlertState.PENDING, since=since), None
    fired = replace(
        seen, state=AlertState.FIRING, since=now, calm=None, fired=now, fires=standing.fires + 1
    )
    return fired, "firing"


def _while_firing(
    rule: AlertRule, seen: Standing, value: float, now: float
) -> tuple[Standing, Turn | None]:
    if value > rule.ends_at:
        return replace(seen, calm=None), None
    calm = seen.calm if seen.calm is not None else now
    if now - calm < rule.calm_s:
        return replace(seen, calm=calm), None
    return replace(seen, state=AlertState.OK, since=now, calm=None, resolved=now), "resolved"


def rules_of(
    threshold: Callable[[AlertName], float], *, for_s: float, calm_s: float
) -> tuple[AlertRule, ...]:
    """Of all whose threshold is not NEVER. Measures end a tenth below it; counts are over when they
    are at the threshold again, and fire at once: a dead letter does not go away by itself."""
    found = []
    for name in AlertName:
        level = threshold(name)
        if level < 0:
            continue
        counted = name in _COUNTED
        ends_at = level if counted else level * 0.9
        found.append(AlertRule(name, level, ends_at, 0.0 if name in _AT_ONCE else for_s, calm_s))
    return tuple(found)


_COUNTED = frozenset(
    {
        AlertName.DEAD_LETTERS,
        AlertName.PROVIDER_OPEN,
        AlertName.CLIENT_OFFLINE,
        AlertName.PROCESS_LOST,
    }
)
# What they count has lasted a while already.
_AT_ONCE = frozenset(
    {
        AlertName.DEAD_LETTERS,
        AlertName.CLIENT_OFFLINE,
        AlertName.PROCESS_LOST,
        AlertName.QUEUE_AGE,
        AlertName.OUTBOX_AGE,
        AlertName.TOKEN_HIGH,
        AlertName.QUOTA_LOW,
    }
)
