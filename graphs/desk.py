"""What a run knows of the human desk: who has the conversation, and how the queue stands."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.desk import Mode

_FIRM = frozenset({"human_request", "complaint", "sensitive", "blacklist", "staff_reply"})
"""Whoever waits for that is answered by a person only, while one is to be expected."""
_ALWAYS_FIRM = _FIRM - {"human_request"}


@dataclass(frozen=True, slots=True)
class DeskTalk:
    """Durations in seconds.

    ``loop_limit``: how often the bot hands one question over within ``loop_s``; then it says so and
    offers a person instead. ``told_s``: a customer who waits is told of the queue at most so often.
    ``mark_s``: how long after it was asked for a mark is understood. ``firm_s``: whoever asked for
    a person and waits for longer is told what the bot surely knows; ``always_firm_s``: whoever
    complained.
    """

    loop_s: float = 86_400.0
    loop_limit: int = 1
    told_s: float = 60.0
    mark_s: float = 86_400.0
    firm_s: float = 600.0
    always_firm_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Standing:
    """The queue as a customer in it, or about to join it, sees it. ``open``: somebody should be
    there; ``opens``: when somebody is again, in words, where that is known. ``full``: as many wait
    as should."""

    ahead: int = 0
    open: bool = True
    opens: str = ""
    full: bool = False


Stand = Callable[[], Awaitable[Standing]]


@dataclass(frozen=True, slots=True)
class Returned:
    """A person gave the conversation back. ``handoff``: what ended; ``question``: what it was
    about; ``asks_mark``: the customer is to be asked how it was."""

    handoff: int
    question: str
    asks_mark: bool


@dataclass(frozen=True, slots=True)
class AtDesk:
    """``reason``: of the hand-over that waits, for ``waited_s``. ``answered``: a person has
    answered what a draft was for."""

    mode: Mode
    reason: str = ""
    standing: Standing = Standing()
    answered: bool = False
    returned: Returned | None = None
    waited_s: float = 0.0

    def is_firm(self, policy: DeskTalk) -> bool:
        """Nothing but a person will do. Outside the hours, and where nobody comes, the bot says
        what it surely knows to whoever asked for a person."""
        if self.reason in _ALWAYS_FIRM:
            return self.waited_s < policy.always_firm_s
        return self.reason in _FIRM and self.standing.open and self.waited_s < policy.firm_s
