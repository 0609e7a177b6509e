"""Access tokens: of ``token``, which makes a new one each time, and of ``stable_token``."""

import random
import secrets
from collections.abc import Mapping

from pydantic import Field

from sandbox.wechat.codes import (
    BAD_APPID,
    BAD_APPSECRET,
    BAD_GRANT,
    BAD_IP,
    BAD_SECRET_OR_TOKEN,
    BAD_TICKET_TYPE,
    BAD_TOKEN,
    DAILY_QUOTA,
    EXPIRED_TOKEN,
    NO_APPID,
    NO_SECRET,
    NO_TOKEN,
    TOO_OFTEN,
)
from sandbox.wx.calls import Body, Clock, JsonObject, Setting, require
from sandbox.wx.limits import Limiter
from sandbox.wx.token_book import TokenBook

_GRANT = "client_credential"
_OVERLAP_S = 300.0
_FORCED_APART_S = 30.0
_DAY_S = 86_400.0


class TokenSettings(Setting):
    """``appid`` and ``secret``: the only ones that are believed; None believes any.
    ``blocked_ip``: the address that is told to be on no list; None: everybody is.
    ``early_end_rate``: chance that a call finds its token replaced."""

    appid: str | None = Field(default=None, max_length=64)
    secret: str | None = Field(default=None, max_length=100)
    lifetime_s: float = Field(default=7_200, gt=_OVERLAP_S, le=86_400)
    per_day: int = Field(default=2_000, ge=0)
    forced_per_day: int = Field(default=20, ge=0)
    blocked_ip: str | None = Field(default=None, max_length=64)
    early_end_rate: float = Field(default=0.0, ge=0, lt=1)


class Classic(Body):
    grant_type: str = ""
    appid: str = ""
    secret: str = ""


class Stable(Classic):
    force_refresh: bool = False


class TicketWanted(Body):
    type: str = ""


class Tokens:
    """What it gives out and what it believes. Both kinds live beside each other, and calls take
    either. Of the newest of a kind the one before is good for five minutes more."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock, self._book = clock, TokenBook(clock, chance, 102)
        self.settings = TokenSettings()
        self._classic = self._stable = self._ticket = ""
        self._ticket_ends = self._forced_at = 0.0
        self._limits = Limiter(clock)
        self.calls = self.forced = self.tickets = 0

    def classic(self, wanted: Classic) -> JsonObject:
        """``token``: another one each time. Raises Refused."""
        self._believe(wanted)
        taken = self._limits.take("classic", self.settings.per_day, _DAY_S)
        require(taken, DAILY_QUOTA, "reach max api daily quota limit", "frequency")
        now = self._clock.now()
        self._book.end_within(self._classic, _OVERLAP_S)
        self._classic = self._book.issue(now, self.settings.lifetime_s)
        return self._book.answer(self._classic, now)

    def stable(self, wanted: Stable) -> JsonObject:
        """``stable_token``: the same one until five minutes before its end. Raises Refused."""
        self._believe(wanted)
        if wanted.force_refresh:
            return self._force()
        now = self._clock.now()
        if not self._book.lasts(self._stable, _OVERLAP_S):
            self._stable = self._book.issue(now, self.settings.lifetime_s)
        return self._book.answer(self._stable, now)

    def ticket(self, wanted: TicketWanted) -> JsonObject:
        """``ticket/getticket``: the same one until it expires. Raises Refused."""
        require(wanted.type == "jsapi", BAD_TICKET_TYPE, "invalid args, type")
        now = self._clock.now()
        if self._ticket_ends <= now:
            self._ticket, self._ticket_ends = secrets.token_urlsafe(64), now + 7_200
        self.tickets += 1
        return {"ticket": self._ticket, "expires_in": int(self._ticket_ends - now)}

    def check(self, query: Mapping[str, str]) -> None:
        """Raises Refused unless the call shows a token that is good."""
        found = self._book.use(query, self.settings.early_end_rate)
        require(found != "missing", NO_TOKEN, "access_token missing", "token")
        require(found != "unknown", BAD_TOKEN, "invalid access_token", "token")
        latest = "invalid credential, access_token is invalid or not latest,"
        require(found != "taken back", BAD_SECRET_OR_TOKEN, latest, "token")
        require(found != "expired", EXPIRED_TOKEN, "access_token expired", "token")
        self._admit()

    def take_back(self) -> int:
        """No token that is out is good any more (40001)."""
        return self._book.take_back()

    def expire(self) -> int:
        """Every token that is out has expired (42001)."""
        return self._book.expire()

    def forget(self) -> int:
        """No token that is out was ever given (40014)."""
        return self._book.forget()

    def shown(self) -> JsonObject:
        """How often tokens were asked for and made, and how often a call showed a bad one."""
        return {
            "calls": self.calls,
            "issued": self._book.issued,
            "forced": self.forced,
            "bad_uses": self._book.bad_uses,
            "tickets": self.tickets,
            "lifetime_s": self.settings.lifetime_s,
        }

    def clear(self) -> None:
        self.settings = TokenSettings()
        self._book.clear()
        self._limits.clear()
        self._classic = self._stable = self._ticket = ""
        self._ticket_ends = self._forced_at = 0.0
        self.calls = self.forced = self.tickets = 0

    def _believe(self, wanted: Classic) -> None:
        self.calls += 1
        right, secret = self.settings.appid, self.settings.secret
        require(wanted.grant_type == _GRANT, BAD_GRANT, "invalid grant_type", "token")
        require(wanted.appid, NO_APPID, "appid missing", "token")
        require(wanted.secret, NO_SECRET, "appsecret missing", "token")
        require(right in (None, wanted.appid), BAD_APPID, "invalid appid", "token")
        require(secret in (None, wanted.secret), BAD_APPSECRET, "invalid appsecret", "token")
        self._admit()

    def _admit(self) -> None:
        ip = self.settings.blocked_ip
        require(ip is None, BAD_IP, f"invalid ip {ip} ipv6 ::ffff:{ip}, not in whitelist", "token")

    def _force(self) -> JsonObject:
        now = self._clock.now()
        apart = now - self._forced_at >= _FORCED_APART_S
        require(apart, TOO_OFTEN, "api minute-quota reach limit", "frequency")
        taken = self._limits.take("forced", self.settings.forced_per_day, _DAY_S)
        require(taken, DAILY_QUOTA, "reach max api daily quota limit", "frequency")
        self._book.take_back(self._stable)
        self._forced_at = now
        self.forced += 1
        self._stable = self._book.issue(now, self.settings.lifetime_s)
        return self._book.answer(self._stable, now)
