"""How calls of the service are let in and answered: token first, every refusal in a body."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import call_of, json_answer
from sandbox.wx.calls import (
    Body,
    Clock,
    Endpoint,
    JsonObject,
    Refused,
    RefusedCalls,
    Setting,
    answered,
    require,
)
from sandbox.wx.limits import Limiter


class CallLimit(Setting):
    """How often each call can be made; who exceeds it is refused for a minute. 0: without end."""

    per_minute: int = Field(default=10_000, ge=0)


Taken = TypeVar("Taken", bound=Body)


class Doorkeeper(Protocol):
    def check(self, query: Mapping[str, str]) -> None:
        """Raises Refused unless the call shows a token that is good."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a platform says no. ``look``: at a body as it came; raises Refused."""

    refusal: Callable[[int, str], JsonObject]
    bad_form: int
    too_often: int
    look: Callable[[bytes], None] = lambda _body: None


class CallGate:
    """Where calls arrive."""

    def __init__(
        self, clock: Clock, tokens: Doorkeeper, refused: RefusedCalls, manners: Manners
    ) -> None:
        self._clock, self._manners = clock, manners
        self._tokens, self._refused = tokens, refused
        self.limit = CallLimit()
        self._made = Limiter(clock)
        self._blocked: dict[str, float] = {}

    def clear(self) -> None:
        self.limit = CallLimit()
        self._made.clear()
        self._blocked.clear()

    async def set_limit(self, wanted: CallLimit) -> JsonObject:
        """How often each call can be made in a minute; who is blocked is so no more."""
        self.limit = wanted
        self._blocked.clear()
        return wanted.model_dump()

    def route(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            is_get = request.method == "GET"
            given = dict(request.query_params) if is_get else await request.body()

            def work() -> Response:
                self.admit(request)
                found = endpoint.answer(self.taken(endpoint.takes, given))
                return json_answer(answered(found) if endpoint.says_ok else found)

            return self.respond(request, work, given)

        return answer

    def json(self, request: Request, work: Callable[[], JsonObject], given: Any) -> Response:
        return self.respond(request, lambda: json_answer(answered(work())), given)

    def respond(self, request: Request, work: Callable[[], Response], given: Any) -> Response:
        """What ``work`` answers, or why it does not; ``given`` is shown with a refusal."""
        call = call_of(request)
        try:
            answer = work()
        except Refused as refused:
            call.verdict(accepted=False)
            self._refused.add(call.entry.kind, refused, _shown(given))
            return json_answer(self._manners.refusal(refused.code, refused.reason))
        call.verdict(accepted=True)
        return answer

    def admit(self, request: Request) -> None:
        """A good token, and not too often. Raises Refused."""
        self._tokens.check(request.query_params)
        path, now = request.url.path, self._clock.now()
        blocked = self._blocked.get(path, now) > now
        if not blocked and not self._made.take(path, self.limit.per_minute, 60.0):
            self._blocked[path], blocked = now + 60.0, True
        require(not blocked, self._manners.too_often, "api freq out of limit", "frequency")

    def taken(self, model: type[Taken], given: dict[str, str] | bytes) -> Taken:
        """Raises Refused."""
        bad = self._manners.bad_form
        try:
            if isinstance(given, bytes):
                self._manners.look(given)
                return model.model_validate_json(given or b"{}")
            return model.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["type"] == "json_invalid":
                raise Refused(bad, "Warning: wrong json format.") from None
            field = ".".join(str(part) for part in first["loc"])
            raise Refused(bad, f"invalid Request Parameter, {field}") from None


def _shown(given: Any) -> Any:
    """A call's arguments, without what opens doors."""
    if isinstance(given, bytes):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            return given.decode("utf-8", "replace")
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if name not in _SECRET}


_SECRET = frozenset({"access_token", "corpsecret", "secret"})
