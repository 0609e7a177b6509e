"""Sessions of customers at customer service accounts: their states, quotas and codes."""

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import Field

from sandbox.wecom.api import (
    BAD_MESSAGE_TYPE,
    BAD_SESSION_STATE,
    BAD_TRANSITION,
    BAD_WELCOME_CODE,
    KF_QUOTA,
    KF_WINDOW,
    WELCOMED,
)
from sandbox.wx.calls import Clock, JsonObject, Refused, Setting, require

NEW, ASSISTANT, QUEUE, HUMAN, ENDED = 0, 1, 2, 3, 4
HOURS_48 = 48 * 3_600.0
_MAY_BECOME = {
    NEW: {ASSISTANT, QUEUE, HUMAN},
    ASSISTANT: {QUEUE, HUMAN, ENDED},
    QUEUE: {HUMAN, ENDED},
    HUMAN: {HUMAN, ENDED},
    ENDED: set[int](),
}
_UNCERTAIN = {(ASSISTANT, ENDED), (QUEUE, ENDED)}
CodeKind = Literal["welcome", "queued", "taken", "ended"]
CODE_SECONDS: dict[CodeKind, float] = {
    "welcome": 20.0,
    "queued": HOURS_48,
    "taken": HOURS_48,
    "ended": 20.0,
}
_TYPES_OF: dict[CodeKind, frozenset[str]] = {
    "welcome": frozenset({"text", "msgmenu"}),
    "queued": frozenset({"text"}),
    "taken": frozenset({"text"}),
    "ended": frozenset({"text", "msgmenu"}),
}
_MAX_CODES = 50_000
_MAX_SESSIONS = 100_000


class SessionRules(Setting):
    """``messages``: how many per message of the customer, within ``window_s``. ``may_end_early``:
    whether states 1 and 2 can be ended by API, of which the official table says nothing."""

    messages: int = Field(default=5, ge=1, le=1_000)
    window_s: float = Field(default=HOURS_48, gt=0)
    may_end_early: bool = True


@dataclass(slots=True)
class Session:
    """``sent``: since the customer's last message; ``most_sent``: the most there ever was of it."""

    open_kfid: str
    external_userid: str
    state: int = ENDED
    servicer: str = ""
    said: int = 0
    said_at: float | None = None
    sent: int = 0
    sent_all: int = 0
    most_sent: int = 0
    active_at: float = 0.0
    welcomed_at: float | None = None
    scenes: tuple[str, str] | None = None

    def shown(self) -> JsonObject:
        return asdict(self)


@dataclass(slots=True)
class _Code:
    kind: CodeKind
    session: Session
    state: int
    expires_at: float
    used: bool = False


class Sessions:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rules = SessionRules()
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    def of(self, open_kfid: str, customer: str) -> Session:
        """Its state as it is now: two days without a word end it."""
        key = (open_kfid, customer)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(open_kfid, customer)
            if len(self._sessions) > _MAX_SESSIONS:
                self._sessions.popitem(last=False)
        if self._clock.now() - session.active_at >= HOURS_48:
            session.state, session.servicer = ENDED, ""
        return session

    def known(self, open_kfid: str, customer: str) -> bool:
        return (open_kfid, customer) in self._sessions

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    # What happens --------------------------------------------------------------------------

    def customer_says(self, session: Session, at: float) -> None:
        session.said += 1
        session.sent = 0
        session.said_at = session.active_at = max(at, session.said_at or 0.0)
        if session.state == ENDED:
            session.state = NEW

    def enter(self, session: Session) -> str | None:
        """A welcome code, if the customer was neither welcomed nor there in the last two days."""
        now = self._clock.now()
        recent = [at for at in (session.welcomed_at, session.said_at) if at is not None]
        if any(now - at < HOURS_48 for at in recent):
            return None
        return self.code("welcome", session)

    def code(self, kind: CodeKind, session: Session) -> str:
        code = "CODE" + secrets.token_urlsafe(24)
        expires_at = self._clock.now() + CODE_SECONDS[kind]
        self._codes[code] = _Code(kind, session, session.state, expires_at)
        while len(self._codes) > _MAX_CODES:
            self._codes.popitem(last=False)
        return code

    # What the service wants ----------------------------------------------------------------

    def spend_message(self, session: Session) -> None:
        """One of the messages that the customer's last one allows. Raises Refused."""
        allowed = session.state in (NEW, ASSISTANT)
        require(allowed, BAD_SESSION_STATE, "send msg session status invalid", "state")
        now, said_at = self._clock.now(), session.said_at
        open_ = said_at is not None and now - said_at < self.rules.window_s
        require(open_, KF_WINDOW, "send msg time limit", "window")
        left = session.sent < self.rules.messages
        require(left, KF_QUOTA, "send msg count limit", "quota")
        session.sent += 1
        session.sent_all += 1
        session.most_sent = max(session.most_sent, session.sent)
        session.active_at = now

    def redeem(self, code: str, msgtype: str) -> Session:
        """Use up a code; whose it is. Raises Refused."""
        known = self._codes.get(code)
        if known is None:
            raise Refused(BAD_WELCOME_CODE, "invalid code", "welcome")
        require(not known.used, WELCOMED, "code was used", "welcome")
        late = self._clock.now() > known.expires_at
        require(not late, BAD_WELCOME_CODE, "code expired", "welcome")
        fits = msgtype in _TYPES_OF[known.kind]
        require(fits, BAD_MESSAGE_TYPE, "invalid message type for this code")
        here = known.kind == "welcome" or known.session.state == known.state
        require(here, BAD_SESSION_STATE, "send msg session status invalid", "state")
        known.used = True
        if known.kind == "welcome":
            known.session.welcomed_at = self._clock.now()
        return known.session

    def become(self, session: Session, state: int, servicer: str) -> str | None:
        """Go on to ``state``; the code for the word that goes with it. Raises Refused."""
        before = session.state
        may = state in _MAY_BECOME[before]
        may = may and (self.rules.may_end_early or (before, state) not in _UNCERTAIN)
        require(may, BAD_TRANSITION, f"state {before} can not change to {state}", "state")
        session.state, session.servicer = state, servicer if state == HUMAN else ""
        session.active_at = self._clock.now()
        if state == QUEUE:
            return self.code("queued", session)
        if state == ENDED:
            return self.code("ended", session)
        return self.code("taken", session) if state == HUMAN and before != HUMAN else None

    def clear(self) -> None:
        self.rules = SessionRules()
        self._sessions.clear()
        self._codes.clear()
