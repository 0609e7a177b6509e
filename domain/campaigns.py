"""Messages that we begin: whom they may go to, when, and who wants no more of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from domain.desk_hours import Hours
from domain.text import letters
from domain.tiers import limits_of

OPTED_OUT = "退订"
"""The tag of a customer who wants no proactive message."""

OPT_OUT_WORDS = frozenset(
    [
        "退订",
        "td",
        "t",
        "不要再发了",
        "别再发了",
        "别发了",
        "不要再发",
        "取消订阅",
        "拒收",
        "回t退订",
    ]
)
OPT_IN_WORDS = frozenset({"恢复订阅", "重新订阅", "取消退订"})
NAME_MARK = "{name}"
MAX_TEXT_CHARS = 500
TICK_S = 5.0
"""Between two handfuls of one campaign."""


class CampaignStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


STATUS_WORDS = {
    CampaignStatus.DRAFT: "草稿",
    CampaignStatus.SCHEDULED: "待开始",
    CampaignStatus.RUNNING: "进行中",
    CampaignStatus.PAUSED: "已暂停",
    CampaignStatus.DONE: "已结束",
    CampaignStatus.CANCELLED: "已取消",
}
FOLLOWS: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.CANCELLED}),
    CampaignStatus.SCHEDULED: frozenset(
        {CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.CANCELLED}
    ),
    CampaignStatus.RUNNING: frozenset(
        {CampaignStatus.PAUSED, CampaignStatus.DONE, CampaignStatus.CANCELLED}
    ),
    CampaignStatus.PAUSED: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.CANCELLED}),
    CampaignStatus.DONE: frozenset(),
    CampaignStatus.CANCELLED: frozenset(),
}
"""Paused goes on as scheduled: it is due at once, and quiet hours are asked anew."""


class Skip(StrEnum):
    """Why a customer of the segment gets nothing."""

    OPTED_OUT = "opted_out"
    BLACK = "black"
    WITH_PERSON = "with_person"
    """Talks with a person, or waits for one."""
    RECENT = "recent"
    """Got a proactive message within the gap."""
    TALKING = "talking"
    """Is in the middle of a conversation."""
    NO_CHANNEL = "no_channel"
    """Their channel cannot be written to."""
    QUOTA = "quota"
    """The platform allows no more, or only what answers need."""
    ENDED = "ended"
    """The campaign was over before their turn came."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Customers that are all of this; what is empty does not count. ``levels``: white, gray,
    black; ``tags_all``, ``tags_none``: with each, with none of them. ``active_within_days``: wrote
    within so many days; ``quiet_for_days``: wrote nothing for so many. ``contacts``: only these."""

    levels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    tags_all: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    active_within_days: float | None = None
    quiet_for_days: float | None = None
    min_score: int | None = None
    min_messages: int = 0
    contacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CampaignPolicy:
    """``quiet``: hours at which nobody is written to. ``gap_s``: between two proactive messages to
    one customer. ``talking_s``: who wrote or was written to within it is in the middle of a talk.
    ``spare``: messages of a platform's quota that are left for answers."""

    quiet: Hours | None = None
    gap_s: float = 7 * 86_400
    talking_s: float = 1_800
    spare: int = 3
    most_a_minute: int = 60


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether one customer is written to now. ``room``: messages that the platform
    still allows, None: it does not count. ``written_ts``: the last proactive message to them;
    ``active_ts``: the last word of either side."""

    level: str = "gray"
    tags: frozenset[str] = frozenset()
    mode: str = "bot"
    pushes: bool = True
    room: int | None = None
    written_ts: float | None = None
    active_ts: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a campaign would do now. ``skipped``: by reason; ``seconds``: at the campaign's pace,
    without quiet hours."""

    matched: int = 0
    sends: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    sample: Sequence[str] = ()


def skip_reason(facts: Facts, policy: CampaignPolicy, *, now: float) -> Skip | None:
    """Why not, the weightiest reason first; None: they may be written to."""
    if OPTED_OUT in facts.tags:
        return Skip.OPTED_OUT
    if not limits_of(facts.level).campaigns:
        return Skip.BLACK
    if facts.mode != "bot":
        return Skip.WITH_PERSON
    if not facts.pushes:
        return Skip.NO_CHANNEL
    if facts.written_ts is not None and now - facts.written_ts < policy.gap_s:
        return Skip.RECENT
    if facts.active_ts is not None and now - facts.active_ts < policy.talking_s:
        return Skip.TALKING
    if facts.room is not None and facts.room <= policy.spare:
        return Skip.QUOTA
    return None


def opted(text: str) -> Literal["out", "in"] | None:
    """What the whole of a message says of proactive messages."""
    said = letters(text)
    if said in OPT_OUT_WORDS:
        return "out"
    return "in" if said in OPT_IN_WORDS else None


def wording(text: str, name: str) -> str:
    """``text`` for one customer. A name is data: nothing in it is replaced again."""
    called = name.strip()[:20] or "您好"
    return called.join(text.split(NAME_MARK))


def loud_at(at: datetime, policy: CampaignPolicy) -> datetime:
    """``at``, or the end of the quiet hours that it falls into. All hours quiet: a day later."""
    quiet = policy.quiet
    if quiet is None or not quiet.is_open(at):
        return at
    step, probe = timedelta(minutes=1), at.replace(second=0, microsecond=0)
    for _ in range(24 * 60):
        probe += step
        if not quiet.is_open(probe):
            return probe
    return at + timedelta(days=1)


def handful(per_minute: int, *, tick_s: float = TICK_S) -> int:
    """How many of a campaign leave at once; at least one."""
    return max(1, round(per_minute * tick_s / 60))


def pause_s(per_minute: int, *, tick_s: float = TICK_S) -> float:
    """Until the next handful, so that no more than ``per_minute`` leave."""
    return handful(per_minute, tick_s=tick_s) * 60 / per_minute
