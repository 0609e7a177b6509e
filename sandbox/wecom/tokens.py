"""Access tokens: one per secret, the same until it expires or somebody changes that."""

import hashlib
import random
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from sandbox.wecom.api import BAD_CORP_ID, BAD_SECRET, BAD_TOKEN, EXPIRED_TOKEN, NO_TOKEN, TOO_OFTEN
from sandbox.wx.calls import Clock, JsonObject, Refused, Setting, require
from sandbox.wx.limits import Limiter

_KEPT = 1_000


class TokenSettings(Setting):
    """``corp_id`` and ``secrets``: the only ones that are believed; None believes any.
    ``per_hour``: gettoken calls of one secret; 0: as many as they like. ``early_end_rate``: chance
    that a call finds its token taken back."""

    corp_id: str | None = Field(default=None, max_length=64)
    secrets: tuple[str, ...] | None = Field(default=None, max_length=100)
    lifetime_s: float = Field(default=7_200, gt=0, le=86_400)
    per_hour: int = Field(default=2_000, ge=0)
    early_end_rate: float = Field(default=0.0, ge=0, lt=1)


@dataclass(slots=True)
class _Token:
    secret: str
    expires_at: float
    taken_back: bool = False


class Tokens:
    """What it gives out and what it believes. Secrets are kept as digests only, but those set."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock, self._chance = clock, chance
        self.settings = TokenSettings()
        self._known: OrderedDict[str, _Token] = OrderedDict()
        self._current: dict[str, str] = {}
        self._asked = Limiter(clock)
        self.calls = self.issued = self.bad_uses = 0

    def get(self, query: Mapping[str, str]) -> JsonObject:
        """gettoken. Raises Refused."""
        self.calls += 1
        secret = self._trusted(query.get("corpid", ""), query.get("corpsecret", ""))
        if not self._asked.take(secret, self.settings.per_hour, 3_600):
            raise Refused(TOO_OFTEN, "api freq out of limit", "frequency")
        now = self._clock.now()
        token = self._current.get(secret, "")
        known = self._known.get(token)
        if known is None or known.taken_back or known.expires_at <= now:
            token = self._issue(secret, now)
        left = int(self._known[token].expires_at - now)
        return {"access_token": token, "expires_in": left}

    def check(self, query: Mapping[str, str]) -> None:
        """Raises Refused unless the call shows a token that is good."""
        token = query.get("access_token", "")
        known = self._known.get(token)
        if known is not None and self._chance.random() < self.settings.early_end_rate:
            known.taken_back = True
        good = known is not None and not known.taken_back
        self.bad_uses += not good or known is None or known.expires_at <= self._clock.now()
        require(token, NO_TOKEN, "access_token missing", "token")
        require(good, BAD_TOKEN, "invalid access_token", "token")
        assert known is not None
        alive = known.expires_at > self._clock.now()
        require(alive, EXPIRED_TOKEN, "access_token expired", "token")

    def take_back(self) -> int:
        """No token that is out is good any more (40014)."""
        out = [known for known in self._known.values() if not known.taken_back]
        for known in out:
            known.taken_back = True
        return len(out)

    def expire(self) -> int:
        """Every token that is out has expired (42001)."""
        now = self._clock.now()
        out = [known for known in self._known.values() if known.expires_at > now]
        for known in out:
            known.expires_at = now
        return len(out)

    def shown(self) -> JsonObject:
        """How often tokens were asked for and made, and how often a call showed a bad one."""
        return {
            "calls": self.calls,
            "issued": self.issued,
            "bad_uses": self.bad_uses,
            "lifetime_s": self.settings.lifetime_s,
            "secrets": len(self._current),
        }

    def clear(self) -> None:
        self.settings = TokenSettings()
        self._known.clear()
        self._current.clear()
        self._asked.clear()
        self.calls = self.issued = self.bad_uses = 0

    def _trusted(self, corp_id: str, secret: str) -> str:
        wanted = self.settings
        right = bool(corp_id) and wanted.corp_id in (None, corp_id)
        require(right, BAD_CORP_ID, "invalid corpid", "token")
        believed = bool(secret) and (wanted.secrets is None or secret in wanted.secrets)
        require(believed, BAD_SECRET, "invalid credential", "token")
        return hashlib.sha256(f"{corp_id}\n{secret}".encode()).hexdigest()

    def _issue(self, secret: str, now: float) -> str:
        token = secrets.token_urlsafe(96)
        self._known[token] = _Token(secret, now + self.settings.lifetime_s)
        self._current[secret] = token
        self.issued += 1
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return token
