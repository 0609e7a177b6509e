"""How calls of the service are let in and answered: token first, every refusal in a body."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from sandbox.peer import Sandbox, call_of, json_answer
from sandbox.wecom.api import (
    BAD_PARAMETER,
    TOO_OFTEN,
    Body,
    Clock,
    Endpoint,
    JsonObject,
    Refused,
    RefusedCalls,
    Setting,
    answered,
    refusal,
    require,
)
from sandbox.wecom.limits import Limiter
from sandbox.wecom.tokens import Tokens


class CallLimit(Setting):
    """How often each call can be made; who exceeds it is refused for a minute. 0: without end."""

    per_minute: int = Field(default=10_000, ge=0)


class CallGate:
    """Where calls arrive."""

    def __init__(
        self, sandbox: Sandbox, clock: Clock, tokens: Tokens, refused: RefusedCalls
    ) -> None:
        self._sandbox, self._clock = sandbox, clock
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

            def work() -> JsonObject:
                self.admit(request)
                return endpoint.answer(taken(endpoint.takes, given))

            return self.json(request, work, given)

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
            return json_answer(refusal(refused.code, refused.reason))
        call.verdict(accepted=True)
        return answer

    def admit(self, request: Request) -> None:
        """A good token, and not too often. Raises Refused."""
        self._check_token(request)
        path, now = request.url.path, self._clock.now()
        blocked = self._blocked.get(path, now) > now
        if not blocked and not self._made.take(path, self.limit.per_minute, 60.0):
            self._blocked[path], blocked = now + 60.0, True
        require(not blocked, TOO_OFTEN, "api freq out of limit", "frequency")

    def _check_token(self, request: Request) -> None:
        early = self._sandbox.chance.random() < self._tokens.settings.early_end_rate
        self._tokens.check(request.query_params, ended_early=early)


def taken(model: type[Body], given: dict[str, str] | bytes) -> Body:
    """Raises Refused."""
    try:
        if isinstance(given, bytes):
            return model.model_validate_json(given or b"{}")
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused(BAD_PARAMETER, "Warning: wrong json format.") from None
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(BAD_PARAMETER, f"invalid Request Parameter, {field}") from None


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


_SECRET = frozenset({"access_token", "corpsecret"})
