"""What every call at WeCom and WeChat has in common: its form, its refusals, the time there."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sandbox.peer import Sandbox

JsonObject = dict[str, Any]
# ``again``: a message that was taken before, as a client repeats it whose answer was lost.
Rule = Literal[
    "token",
    "quota",
    "window",
    "state",
    "msgid",
    "again",
    "nobody",
    "welcome",
    "frequency",
    "media",
    "form",
]


class Refused(Exception):
    """``rule``: what kind of rule the caller has broken."""

    def __init__(self, code: int, reason: str, rule: Rule = "form") -> None:
        self.code, self.reason, self.rule = code, reason, rule
        super().__init__(reason)


class Body(BaseModel):
    """What a call takes; like Tencent it ignores what it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Setting(BaseModel):
    """What the sandbox's own routes take; they know their fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Body):
    """A call without arguments."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``takes`` is read from the query of a GET and the JSON body of a POST. ``says_ok``: also
    where nothing is wrong its answer has an errcode."""

    path: str
    takes: type[Body]
    answer: Callable[[Any], JsonObject]
    methods: tuple[str, ...] = ("POST",)
    says_ok: bool = True


GET = ("GET",)
BOTH = ("GET", "POST")


def answered(fields: JsonObject | None = None) -> JsonObject:
    return {"errcode": 0, "errmsg": "ok", **(fields or {})}


class Clock:
    """Tencent's time: the sandbox's, moved by as much as somebody wants."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.shift_s = 0.0

    def now(self) -> float:
        return self._sandbox.clock() + self.shift_s


@dataclass(frozen=True, slots=True)
class Broken:
    """A call that broke a rule."""

    at: float
    path: str
    errcode: int
    rule: Rule
    reason: str
    body: Any


class RefusedCalls:
    """The latest calls that broke a rule, and how many there were of each rule."""

    def __init__(self, clock: Clock, kept: int = 10_000) -> None:
        self._clock = clock
        self._latest: deque[Broken] = deque(maxlen=kept)
        self.counts: dict[str, int] = {}

    def add(self, path: str, refused: Refused, body: Any) -> None:
        broken = Broken(
            self._clock.now(), path, refused.code, refused.rule, refused.reason, _brief(body)
        )
        self._latest.append(broken)
        self.counts[refused.rule] = self.counts.get(refused.rule, 0) + 1

    def shown(self, rules: Iterable[str] = ()) -> list[JsonObject]:
        wanted = set(rules)
        return [asdict(one) for one in self._latest if not wanted or one.rule in wanted]

    def clear(self) -> None:
        self._latest.clear()
        self.counts.clear()


def _brief(body: Any) -> Any:
    text = str(body)
    return body if len(text) <= 2_000 else text[:2_000]


def require(condition: object, code: int, reason: str, rule: Rule = "form") -> None:
    if not condition:
        raise Refused(code, reason, rule)


def bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
