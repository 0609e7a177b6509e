"""Access tokens: one per secret, the same until it expires or somebody changes that."""

import hashlib
import random
from collections.abc import Mapping

from pydantic import Field

from sandbox.wecom.api import BAD_CORP_ID, BAD_SECRET, BAD_TOKEN, EXPIRED_TOKEN, NO_TOKEN, TOO_OFTEN
from sandbox.wx.calls import Clock, JsonObject, Refused, Setting, require
from sandbox.wx.limits import Limiter
from sandbox.wx.token_book import TokenBook


class TokenSettings(Setting):
    """``corp_id`` and ``secrets``: the only ones that are believed; None believes any.
    ``per_hour``: gettoken calls of one secret; 0: as many as they like. ``early_end_rate``: chance
    that a call finds its token taken back."""

    corp_id: str | None = Field(default=None, max_length=64)
    secrets: tuple[str, ...] | None = Field(default=None, max_length=100)
    lifetime_s: float = Field(default=7_200, gt=0, le=86_400)
    per_hour: int = Field(default=2_000, ge=0)
    early_end_rate: float = Field(default=0.0, ge=0, lt=1)


class Tokens:
    """What it gives out and what it believes. Secrets are kept as digests only, but those set."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock, self._book = clock, TokenBook(clock, chance, 96)
        self.settings = TokenSettings()
        self._current: dict[str, str] = {}
        self._asked = Limiter(clock)
        self.calls = 0

    def get(self, query: Mapping[str, str]) -> JsonObject:
        """gettoken. Raises Refused."""
        self.calls += 1
        secret = self._trusted(query.get("corpid", ""), query.get("corpsecret", ""))
        if not self._asked.take(secret, self.settings.per_hour, 3_600):
            raise Refused(TOO_OFTEN, "api freq out of limit", "frequency")
        token, now = self._current.get(secret, ""), self._clock.now()
        if not self._book.lasts(token):
            token = self._current[secret] = self._book.issue(now, self.settings.lifetime_s)
        return self._book.answer(token, now)

    def check(self, query: Mapping[str, str]) -> None:
        """Raises Refused unless the call shows a token that is good."""
        found = self._book.use(query, self.settings.early_end_rate)
        require(found != "missing", NO_TOKEN, "access_token missing", "token")
        known = found not in ("unknown", "taken back")
        require(known, BAD_TOKEN, "invalid access_token", "token")
        require(found != "expired", EXPIRED_TOKEN, "access_token expired", "token")

    def take_back(self) -> int:
        """No token that is out is good any more (40014)."""
        return self._book.take_back()

    def expire(self) -> int:
        """Every token that is out has expired (42001)."""
        return self._book.expire()

    def shown(self) -> JsonObject:
        """How often tokens were asked for and made, and how often a call showed a bad one."""
        return {
            "calls": self.calls,
            "issued": self._book.issued,
            "bad_uses": self._book.bad_uses,
            "lifetime_s": self.settings.lifetime_s,
            "secrets": len(self._current),
        }

    def clear(self) -> None:
        self.settings = TokenSettings()
        self._book.clear()
        self._current.clear()
        self._asked.clear()
        self.calls = 0

    def _trusted(self, corp_id: str, secret: str) -> str:
        wanted = self.settings
        right = bool(corp_id) and wanted.corp_id in (None, corp_id)
        require(right, BAD_CORP_ID, "invalid corpid", "token")
        believed = bool(secret) and (wanted.secrets is None or secret in wanted.secrets)
        require(believed, BAD_SECRET, "invalid credential", "token")
        return hashlib.sha256(f"{corp_id}\n{secret}".encode()).hexdigest()
