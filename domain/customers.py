"""How a customer stands: score, level and state. Counters in, standing out; seed 003's formulas.

score = 40 % satisfaction + 30 % activity + 30 % value, each a share in 0..1, in points of 0..100:
satisfaction is positive talks by all that were rated or judged, activity the messages of the last
30 days by all, value the amount paid by the average deal. A share of which nothing is known counts
as `NEUTRAL`, so that who is new starts gray with 60 points.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from domain.intents import Intent

WEIGHTS: Final = (40, 30, 30)
"""Points for all of satisfaction, of activity, of value."""
WHITE_FROM = 80
BLACK_BELOW = 40
VERDICTS = 3
"""For fewer nobody is put on the black list, nor, without having bought, on the white one: one talk
says more of us than of them."""
RECENT_DAYS = 30
AVERAGE_FROM = 5
"""Deals of the shop; the average of fewer says nothing: the first buyer would be a VIP at once."""
POSITIVE_FROM = 4
"""Of ratings 1 to 5."""
CONSULTED = 3
"""Who writes more often than that is interested, whatever about; seed 003 counts the same."""
DAY_S = 86_400.0


class Share(NamedTuple):
    """``part`` of ``whole``, which is above 0: whole numbers, so that a half is a half."""

    part: int
    whole: int

    def __float__(self) -> float:
        return self.part / self.whole


NEUTRAL: Final = Share(3, 5)


class Level(StrEnum):
    WHITE = "white"
    GRAY = "gray"
    BLACK = "black"


class State(StrEnum):
    NEW = "new"
    POTENTIAL = "potential"
    DEAL = "deal"
    REPURCHASE = "repurchase"
    CHURN = "churn"


class Happening(StrEnum):
    """What moves a customer from state to state."""

    INTEREST = "interest"
    FIRST_DEAL = "first_deal"
    ANOTHER_DEAL = "another_deal"
    SILENCE = "silence"
    RETURN = "return"


INTERESTED: Final[frozenset[str]] = frozenset(
    {Intent.PRICE, Intent.FIND_IMAGE, Intent.PROCESS_IMAGE, Intent.PAYMENT, Intent.ORDER_STATUS}
)
"""Intents of somebody who is about to buy."""
_RANK = {State.NEW: 0, State.POTENTIAL: 1, State.DEAL: 2, State.REPURCHASE: 3}
_REACHED = {
    Happening.INTEREST: State.POTENTIAL,
    Happening.FIRST_DEAL: State.DEAL,
    Happening.ANOTHER_DEAL: State.REPURCHASE,
}


@dataclass(frozen=True, slots=True)
class Counters:
    """What is counted of a customer. ``positive`` of ``judged`` talks; ``recent`` of ``messages``;
    ``paid`` in fen over ``deals``."""

    messages: int = 0
    recent: int = 0
    positive: int = 0
    judged: int = 0
    paid: int = 0
    deals: int = 0

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(
            self.messages + other.messages,
            self.recent + other.recent,
            self.positive + other.positive,
            self.judged + other.judged,
            self.paid + other.paid,
            self.deals + other.deals,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """``score`` 0..100 and its three shares, each as it went in."""

    score: int
    level: Level
    satisfaction: Share
    activity: Share
    value: Share


@dataclass(frozen=True, slots=True)
class Stage:
    """``before``: of who is gone, the state to come back to."""

    state: State = State.NEW
    before: State = State.NEW


def standing(counters: Counters, average_deal: int, pinned: str = "") -> Standing:
    """``average_deal`` in fen over all customers, 0: not known. ``pinned``: a level
    that a person has decided on, whatever the score says."""
    satisfaction = _share(counters.positive, counters.judged)
    activity = _share(counters.recent, counters.messages)
    value = _share(counters.paid, average_deal) if counters.paid else NEUTRAL
    score = _points(satisfaction, activity, value)
    level = Level(pinned) if pinned else level_of(score, counters)
    return Standing(score, level, satisfaction, activity, value)


def level_of(score: int, counters: Counters) -> Level:
    """``counters``: what the score rests on."""
    if score >= WHITE_FROM:
        known = counters.deals or counters.judged >= VERDICTS
        return Level.WHITE if known else Level.GRAY
    return Level.BLACK if score < BLACK_BELOW and counters.judged >= VERDICTS else Level.GRAY


def after(stage: Stage, happening: Happening) -> Stage:
    """The state machine. Nobody falls back but into churn, from which one comes back to where one
    was; a deal brings back by itself."""
    gone = stage.state is State.CHURN
    if happening is Happening.SILENCE:
        return stage if gone else Stage(State.CHURN, stage.state)
    at = stage.before if gone else stage.state
    if happening is Happening.RETURN:
        return Stage(at, at)
    reached = _REACHED[happening]
    further = reached if _RANK[reached] > _RANK[at] else at
    return Stage(further, further)


def dealt(stage: Stage, deals: int) -> Stage:
    """Having ``deals`` now, one more than before."""
    return after(stage, Happening.FIRST_DEAL if deals <= 1 else Happening.ANOTHER_DEAL)


def undealt(stage: Stage, deals: int) -> Stage:
    """A deal was called off, ``deals`` are left: nobody is called a buyer who is none."""
    most = State.POTENTIAL if deals <= 0 else State.DEAL if deals == 1 else State.REPURCHASE
    return Stage(_at_most(stage.state, most), _at_most(stage.before, most))


def as_bought(stage: Stage, deals: int) -> Stage:
    """At least as far as ``deals`` bring one, here or gone."""
    if deals <= 0:
        return stage
    reached = State.DEAL if deals == 1 else State.REPURCHASE
    before = max(stage.before, reached, key=_RANK.__getitem__)
    if stage.state is State.CHURN:
        return Stage(State.CHURN, before)
    state = max(stage.state, reached, key=_RANK.__getitem__)
    return Stage(state, state)


def joined(stages: list[Stage]) -> Stage:
    """Of one person whom we knew as several: there as long as one of them is, and as far as the one
    who came furthest."""
    here = [stage.state for stage in stages if stage.state is not State.CHURN]
    best = max((stage.before for stage in stages), key=_RANK.__getitem__)
    best = max([best, *here], key=_RANK.__getitem__)
    return Stage(best, best) if here else Stage(State.CHURN, best)


def is_interested(intent: str, messages: int) -> bool:
    """``intent``: of the turn, "" if none; ``messages``: so far."""
    return messages > CONSULTED or intent in INTERESTED


def has_churned(silent_s: float, churn_days: float) -> bool:
    return silent_s >= churn_days * DAY_S


def average_of(amount: int, deals: int) -> int:
    """0: there are too few deals to know."""
    return amount // deals if deals >= AVERAGE_FROM else 0


def is_positive(rating: int | None, outcome: str) -> bool | None:
    """A talk's verdict: the customer's rating, 1 to 5, else what the agent says came of it; None:
    nobody has judged it."""
    if rating is not None:
        return rating >= POSITIVE_FROM
    return {"solved": True, "unsolved": False}.get(outcome)


def day_of(at: float) -> int:
    """Days since the epoch, in UTC."""
    return int(at // DAY_S)


def first_recent_day(today: int) -> int:
    return today - RECENT_DAYS + 1


def _points(satisfaction: Share, activity: Share, value: Share) -> int:
    """The weighted sum, rounded half up. Every turn of a customer's asks for it: whole numbers are
    a hundred times faster than fractions, and as exact."""
    (a, b), (c, d), (e, f) = satisfaction, activity, value
    of_satisfaction, of_activity, of_value = WEIGHTS
    points = of_satisfaction * a * d * f + of_activity * c * b * f + of_value * e * b * d
    return (2 * points + b * d * f) // (2 * b * d * f)


def _share(part: int, whole: int) -> Share:
    return NEUTRAL if whole <= 0 else Share(max(0, min(part, whole)), whole)


def _at_most(state: State, most: State) -> State:
    if state is State.CHURN:
        return state
    return state if _RANK[state] <= _RANK[most] else most
