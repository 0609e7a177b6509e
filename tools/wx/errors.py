"""What an errcode means: to us (refresh the token, come back later, never) and to operators."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from domain.errors import PeerRejected, PeerUnavailable

MASK = "***"
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """``advice``: for operators. ``again``: the same call may be taken later, ``after_s`` seconds
    from now at the earliest, and up to ``spread_s`` later so that not all come back at once."""

    advice: str
    again: bool = False
    after_s: float | None = None
    spread_s: float = 0.0


class WxRejected(PeerRejected):
    """The platform refused with ``errcode``: the same call will fail again."""

    def __init__(self, peer: str, reason: str, *, errcode: int, advice: str) -> None:
        self.errcode, self.advice = errcode, advice
        super().__init__(peer, reason)


class WxUnavailable(PeerUnavailable):
    """The platform refused with ``errcode``: the same call may succeed later."""

    def __init__(
        self,
        peer: str,
        reason: str,
        *,
        errcode: int,
        advice: str,
        retry_after: float | None = None,
    ) -> None:
        self.errcode, self.advice = errcode, advice
        super().__init__(peer, reason, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """``refresh``: codes after which another token helps. ``unknown``: advice for all codes that
    are not in ``faults``, with ``{errcode}``. ``says_ok``: whether success says errcode 0 too, so
    that an answer without it is a proxy's."""

    faults: Mapping[int, Fault]
    refresh: frozenset[int]
    unknown: str
    says_ok: bool
    spread: Callable[[], float] = random.random
    """From 0 to 1."""

    def fault(self, errcode: int) -> Fault:
        return self.faults.get(errcode) or Fault(self.unknown.format(errcode=errcode))

    def error(
        self, peer: str, errcode: int, errmsg: str, *, hidden: tuple[str, ...] = ()
    ) -> WxRejected | WxUnavailable:
        """``hidden``: what the platform may repeat of our call and nobody is to see."""
        fault = self.fault(errcode)
        reason = _reason(errcode, fault.advice, masked(errmsg, hidden))
        if not fault.again:
            return WxRejected(peer, reason, errcode=errcode, advice=fault.advice)
        wait = None if fault.after_s is None else fault.after_s + fault.spread_s * self.spread()
        return WxUnavailable(peer, reason, errcode=errcode, advice=fault.advice, retry_after=wait)


def masked(text: str, hidden: tuple[str, ...]) -> str:
    for secret in filter(None, hidden):
        text = text.replace(secret, MASK)
    return text


def _reason(errcode: int, advice: str, errmsg: str) -> str:
    shown = " ".join(errmsg.split())[:_SHOWN_CHARS]
    return f"errcode {errcode}: {advice}" + (f" ({shown})" if shown else "")
