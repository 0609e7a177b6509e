"""The human desk's vocabulary and pure policies: who may see what, who gets whom, who is next, and
until when."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

EVERYTHING = "*"
_ID = re.compile(r"[a-z0-9_.-]{1,64}")
_SCOPE = re.compile(r"\*|[a-z0-9_.-]{1,64}(:[^\s:*]{1,128})?")
_TIERS = {"white": 0, "gray": 1, "black": 2}
MAX_DOUBLINGS = 5


class Mode(StrEnum):
    """Who answers a conversation. ``conversations.mode``."""

    BOT = "bot"
    QUEUED = "queued"
    """It waits for a person; the bot still says what it surely knows."""
    HUMAN = "human"
    """A person answers, the bot keeps quiet."""
    COPILOT = "copilot"
    """The bot drafts, a person approves, edits or discards."""


WITH_PERSON = frozenset({Mode.HUMAN, Mode.COPILOT})


class AgentRole(StrEnum):
    AGENT = "agent"
    ADMIN = "admin"
    """Acts everywhere in its scope, and looks after agents and canned replies."""
    VIEWER = "viewer"
    """Reads."""


class Presence(StrEnum):
    ONLINE = "online"
    AWAY = "away"
    """Keeps its conversations and gets no new ones."""
    OFFLINE = "offline"


class EventKind(StrEnum):
    """``desk_events.kind``. MESSAGE is anybody's: the data say whose."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    TAKEN = "taken"
    TRANSFERRED = "transferred"
    MESSAGE = "message"
    DRAFT = "draft"
    NOTE = "note"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    RATING = "rating"
    PRESENCE = "presence"
    MODE = "mode"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Agent:
    """``scopes``: «*», «channel» or «channel:account», what this agent may see at all; ``load``:
    conversations that are with them; ``seen_ts``: the last sign of life."""

    id: str
    name: str
    role: AgentRole = AgentRole.AGENT
    skills: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    max_load: int = 8
    status: Presence = Presence.OFFLINE
    seen_ts: float = 0.0
    enabled: bool = True
    created_at: str = ""
    load: int = 0

    @property
    def acts(self) -> bool:
        return self.role is not AgentRole.VIEWER

    @property
    def rules(self) -> bool:
        return self.role is AgentRole.ADMIN


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hand-over in the queue, as far as its place and its agent depend on it. ``returned``: it
    was with an agent before who is gone or did not answer."""

    handoff: int
    conversation: str
    channel: str
    account: str
    priority: str = "normal"
    level: str = "gray"
    skill: str = ""
    since_ts: float = 0.0
    returned: bool = False
    previous_agent: str = ""


def is_agent_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def is_scope(text: str) -> bool:
    return _SCOPE.fullmatch(text) is not None


def in_scope(scopes: Collection[str], channel: str, account: str) -> bool:
    return not {EVERYTHING, channel, f"{channel}:{account}"}.isdisjoint(scopes)


def covers(scopes: Collection[str], others: Collection[str]) -> bool:
    """Whether all that ``others`` let somebody see, ``scopes`` do too."""
    return all(not {EVERYTHING, one, one.partition(":")[0]}.isdisjoint(scopes) for one in others)


def meets(scopes: Collection[str], others: Collection[str]) -> bool:
    """Whether there may be something that both let somebody see."""
    return any(covers(scopes, {one}) for one in others) or any(
        covers(others, {one}) for one in scopes
    )


def place_key(one: Waiting) -> tuple[int, int, int, float, int]:
    """Smaller is served earlier: high priority, then who comes back from an agent, then the
    customer's tier, then who has waited longer."""
    return (
        0 if one.priority == "high" else 1,
        0 if one.returned else 1,
        _TIERS.get(one.level, 1),
        one.since_ts,
        one.handoff,
    )


def choose_agent(
    candidates: Sequence[Agent], one: Waiting, *, barred: Collection[str] = ()
) -> Agent | None:
    """Who gets ``one``: of those online, in scope, with the skill and with room, the agent who had
    this conversation before, else the least loaded (by share of their room). ``barred``: agents who
    have just let it lie."""
    able = [a for a in candidates if _may_get(a, one) and a.id not in barred]
    before = next((a for a in able if a.id == one.previous_agent), None)
    return before or min(able, key=lambda a: (a.load / a.max_load, a.load, a.id), default=None)


def _may_get(agent: Agent, one: Waiting) -> bool:
    return (
        agent.enabled
        and agent.acts
        and agent.status is Presence.ONLINE
        and agent.load < agent.max_load
        and in_scope(agent.scopes, one.channel, one.account)
        and (not one.skill or one.skill in agent.skills)
    )


def next_deadline(now: float, limit_s: float, *, overdue: int = 0) -> float:
    """When an act is due that is awaited since ``now``; each time it passed, twice as late, so that
    nobody is told of the same neglect every minute."""
    return now + limit_s * 2.0 ** min(overdue, MAX_DOUBLINGS)
