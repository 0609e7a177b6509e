"""Faults to order: what each kind takes, and which one the next request gets."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,1024}$")]

_BROKEN_JSON = '{"id": "sandbox-garbage", "choices": [{"message": {"content": "您好'


class Params(BaseModel):
    """``after``: how many requests pass before the fault begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    after: int = Field(default=0, ge=0)


class StatusParams(Params):
    status: int = Field(default=500, ge=200, le=599)
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: JsonValue = None


class LatencyParams(Params):
    """Delays by ``seconds`` plus up to ``jitter`` more."""

    seconds: float = Field(ge=0, le=3600)
    jitter: float = Field(default=0.0, ge=0, le=3600)


class CutParams(Params):
    """A stream ends after ``chunks`` of its pieces, a whole body after ``fraction`` of it."""

    chunks: int = Field(default=3, ge=0)
    fraction: float = Field(default=0.5, ge=0, lt=1)


class GarbageParams(Params):
    body: str = Field(default=_BROKEN_JSON, max_length=65_536)


class DuplicateParams(Params):
    times: int = Field(default=2, ge=2, le=50)


class _Spec(BaseModel):
    """``rate``: chance of each request; ``count``: how often at most; neither: until cleared."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    peer: str = Field(min_length=1, max_length=128)
    request_kind: str | None = Field(default=None, min_length=1, max_length=64)
    count: int | None = Field(default=None, ge=1)
    rate: float | None = Field(default=None, gt=0, le=1)


class PlainFault(_Spec):
    kind: Literal["refuse", "hang", "lost_answer", "empty"]
    params: Params = Params()


class StatusFault(_Spec):
    kind: Literal["status"]
    params: StatusParams = StatusParams()


class LatencyFault(_Spec):
    kind: Literal["latency"]
    params: LatencyParams


class CutFault(_Spec):
    kind: Literal["cut_stream"]
    params: CutParams = CutParams()


class GarbageFault(_Spec):
    kind: Literal["garbage"]
    params: GarbageParams = GarbageParams()


class DuplicateFault(_Spec):
    kind: Literal["duplicate"]
    params: DuplicateParams = DuplicateParams()


AnswerFault = PlainFault | StatusFault | CutFault | GarbageFault
FaultSpec = Annotated[
    PlainFault | StatusFault | LatencyFault | CutFault | GarbageFault | DuplicateFault,
    Field(discriminator="kind"),
]


@dataclass(slots=True)
class _Standing:
    id: str
    spec: AnswerFault | LatencyFault | DuplicateFault
    seen: int = 0
    hits: int = 0

    def concerns(self, peer: str, request_kind: str | None) -> bool:
        return self.spec.peer in ("*", peer) and self.spec.request_kind in (None, request_kind)

    def strikes(self, chance: random.Random) -> bool:
        self.seen += 1
        if self.seen <= self.spec.params.after:
            return False
        if self.spec.rate is not None and chance.random() >= self.spec.rate:
            return False
        self.hits += 1
        return True

    def spent(self) -> bool:
        return self.spec.count is not None and self.hits >= self.spec.count

    def as_dict(self) -> dict[str, Any]:
        left = None if self.spec.count is None else self.spec.count - self.hits
        return self.spec.model_dump() | {"id": self.id, "hits": self.hits, "left": left}


@dataclass(frozen=True, slots=True)
class Struck:
    """What one request gets: delays add up, and at most one fault decides the answer."""

    delay: float = 0.0
    fault: AnswerFault | None = None


@dataclass(slots=True)
class FaultBook:
    """Faults in force, in the order they were ordered; a spent one leaves the book."""

    chance: random.Random = field(default_factory=random.Random)
    _standing: dict[str, _Standing] = field(default_factory=dict)
    _last: int = 0

    def add(self, spec: AnswerFault | LatencyFault | DuplicateFault) -> dict[str, Any]:
        self._last += 1
        fault = _Standing(f"f{self._last}", spec)
        self._standing[fault.id] = fault
        return fault.as_dict()

    def list(self) -> list[dict[str, Any]]:
        return [fault.as_dict() for fault in self._standing.values()]

    def remove(self, fault_id: str) -> bool:
        return self._standing.pop(fault_id, None) is not None

    def clear(self, peer: str | None = None) -> int:
        gone = [fault.id for fault in self._standing.values() if peer in (None, fault.spec.peer)]
        for fault_id in gone:
            del self._standing[fault_id]
        return len(gone)

    def strike(self, peer: str, request_kind: str) -> Struck:
        """Which fault the request that has just arrived gets; the first that strikes wins."""
        if not self._standing:
            return Struck()
        delay, chosen = 0.0, None
        for fault in self._concerned(peer, request_kind):
            spec = fault.spec
            if isinstance(spec, DuplicateFault) or (
                chosen is not None and not isinstance(spec, LatencyFault)
            ):
                continue
            if not fault.strikes(self.chance):
                continue
            if isinstance(spec, LatencyFault):
                delay += spec.params.seconds + self.chance.random() * spec.params.jitter
            else:
                chosen = spec
            self._retire(fault)
        return Struck(round(delay, 6), chosen)

    def copies(self, peer: str) -> int:
        """How many times the next delivery made by ``peer`` goes out."""
        for fault in self._concerned(peer, None):
            if isinstance(fault.spec, DuplicateFault) and fault.strikes(self.chance):
                self._retire(fault)
                return fault.spec.params.times
        return 1

    def _concerned(self, peer: str, request_kind: str | None) -> Iterator[_Standing]:
        for fault in tuple(self._standing.values()):
            if fault.concerns(peer, request_kind):
                yield fault

    def _retire(self, fault: _Standing) -> None:
        if fault.spent():
            del self._standing[fault.id]
