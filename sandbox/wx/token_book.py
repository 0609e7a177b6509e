"""Access tokens that a simulated platform has given out, and what became of them."""

import random
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.wx.calls import Clock, JsonObject

State = Literal["missing", "unknown", "taken back", "expired", "good"]
_KEPT = 1_000


@dataclass(slots=True)
class _Given:
    expires_at: float
    taken_back: bool = False


class TokenBook:
    """Of the newest 1,000. ``size``: bytes of chance in a token."""

    def __init__(self, clock: Clock, chance: random.Random, size: int) -> None:
        self._clock, self._chance, self._size = clock, chance, size
        self._given: OrderedDict[str, _Given] = OrderedDict()
        self.issued = self.bad_uses = 0

    def issue(self, now: float, lifetime_s: float) -> str:
        token = secrets.token_urlsafe(self._size)
        self._given[token] = _Given(now + lifetime_s)
        self.issued += 1
        while len(self._given) > _KEPT:
            self._given.popitem(last=False)
        return token

    def answer(self, token: str, now: float) -> JsonObject:
        """As it is given to whoever asks for one."""
        return {"access_token": token, "expires_in": int(self._given[token].expires_at - now)}

    def lasts(self, token: str, seconds: float = 0.0) -> bool:
        """Whether it is good still, and for longer than that."""
        given = self._given.get(token)
        ends = self._clock.now() + seconds
        return given is not None and not given.taken_back and given.expires_at > ends

    def use(self, query: Mapping[str, str], early_end_rate: float) -> State:
        """What a call finds that shows its token; by that chance, one that was taken back."""
        token = query.get("access_token", "")
        given = self._given.get(token)
        if given is not None and self._chance.random() < early_end_rate:
            given.taken_back = True
        good = self.lasts(token)
        self.bad_uses += not good
        if good:
            return "good"
        if given is None:
            return "unknown" if token else "missing"
        return "taken back" if given.taken_back else "expired"

    def end_within(self, token: str, seconds: float) -> None:
        given = self._given.get(token)
        if given is not None:
            given.expires_at = min(given.expires_at, self._clock.now() + seconds)

    def take_back(self, *tokens: str) -> int:
        """How many of these, or of all, were not taken back before."""
        wanted = tokens or tuple(self._given)
        out = [self._given[token] for token in wanted if token in self._given]
        out = [given for given in out if not given.taken_back]
        for given in out:
            given.taken_back = True
        return len(out)

    def expire(self) -> int:
        """How many of all had not expired before."""
        now = self._clock.now()
        out = [given for given in self._given.values() if given.expires_at > now]
        for given in out:
            given.expires_at = now
        return len(out)

    def forget(self) -> int:
        """How many it had known."""
        count = len(self._given)
        self._given.clear()
        return count

    def clear(self) -> None:
        self._given.clear()
        self.issued = self.bad_uses = 0
