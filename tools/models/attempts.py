"""One provider's turn: its attempts, their time, and what is learnt and recorded from each."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base, wait_exponential_jitter

from domain.spans import Value, current, span
from tools.models import tokens
from tools.models.breaker import CircuitBreaker
from tools.models.calls import ChatMessage, ModelAnswer, ModelCall, Outcome, Picture, SkipReason
from tools.models.failures import BadAnswer, Failure, classify_failure
from tools.models.lanes import Lanes
from tools.models.ledger import Ledger, ProviderSnapshot
from tools.models.prices import PriceTable
from tools.models.providers import ProviderConfig, call_arguments
from tools.models.reply import CallerFailed, Input, OnToken, Reply

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)

OnRestart = Callable[[], Awaitable[None]]

SHARE = 0.5
"""Of the time left, for a provider that others follow: a hanging one leaves them the rest."""

MIN_ATTEMPT = 0.05
"""Seconds below which no attempt is worth its cost."""

FAIR_TIMEOUT = 2.0
"""Seconds that a provider must have had before a time-out counts against it."""

_EXPLAINED: dict[SkipReason, str] = {
    "open": "not asked after repeated failures",
    "budget": "token budget of the day used up",
    "deadline": "no time left",
}


@dataclass(slots=True)
class Terms:
    """What holds for every provider of a gateway."""

    prices: PriceTable
    attempt_timeout: float
    first_pause: float
    clock: Callable[[], float]
    wall: Callable[[], float]


@dataclass
class Request:
    """``ends``: on the gateway's clock. ``calls`` fills as providers are tried."""

    messages: Sequence[ChatMessage]
    purpose: str
    ends: float
    on_token: OnToken | None = None
    on_restart: OnRestart | None = None
    json_mode: bool = False
    max_tokens: int | None = None
    calls: list[ModelCall] = field(default_factory=list)

    @cached_property
    def tokens_in(self) -> int:
        return tokens.count(self.messages)


class AttemptFailed(Exception):
    def __init__(self, failure: Failure, *, shown: bool) -> None:
        self.failure, self.shown = failure, shown
        super().__init__(failure.detail)


class Provider:
    """``lanes`` is set by the gateway once the SDKs are loaded."""

    lanes: Lanes

    def __init__(
        self, config: ProviderConfig, breaker: CircuitBreaker, ledger: Ledger, terms: Terms
    ) -> None:
        self.config = config
        self._breaker, self._ledger, self._terms = breaker, ledger, terms

    def why_not(self, tokens_in: int = 1) -> SkipReason | None:
        """Why it would not be asked now."""
        budget = self.config.daily_token_budget
        if (
            budget is not None
            and self._ledger.tokens_today(self._terms.wall()) + tokens_in > budget
        ):
            return "budget"
        return None if self._breaker.would_admit(self._terms.clock()) else "open"

    def skip(self, request: Request, reason: SkipReason) -> None:
        started = _Start(0, self._terms.clock(), self._terms.wall())
        self._record(request, started, Reply(), reason, error=_EXPLAINED[reason])

    async def ask(self, request: Request, *, followed: bool) -> ModelAnswer | None:
        """Attempts until one succeeds or no further one makes sense; None then."""
        now = self._terms.clock()
        window = now + (request.ends - now) * (SHARE if followed else 1.0)
        retrying = AsyncRetrying(
            stop=lambda state: self._out_of_time(state, window) or self._out_of_attempts(state),
            wait=_WaitAsAsked(self._terms.first_pause),
            retry=retry_if_exception(lambda error: self._worth_retrying(error, followed)),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    number = attempt.retry_state.attempt_number
                    with span(f"chat {self.config.model}", self._told(request), "client") as seen:
                        said = ((one.role, one.content) for one in request.messages)
                        seen.say("gen_ai.input.messages", said)
                        answer = await self._attempt(request, number, window, followed)
                        seen.say("gen_ai.output.messages", [("assistant", answer.text)])
                        return answer
        except AttemptFailed:
            return None
        except CallerFailed as error:
            raise error.cause from None
        return None

    def snapshot(self) -> ProviderSnapshot:
        config = self.config
        return self._ledger.snapshot(
            config.name,
            config.model,
            self._breaker.state(self._terms.clock()),
            config.daily_token_budget,
            self._terms.wall(),
        )

    def _told(self, request: Request) -> dict[str, Value]:
        """What a trace is told beforehand, in the words of OpenTelemetry's GenAI conventions."""
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.config.name,
            "gen_ai.request.model": self.config.model,
            "gen_ai.output.type": "json" if request.json_mode else "text",
            "kefu.purpose": request.purpose,
        }

    async def _attempt(
        self, request: Request, number: int, window: float, followed: bool
    ) -> ModelAnswer:
        started = _Start(number, self._terms.clock(), self._terms.wall())
        limit = min(self._longest, window - started.clock)
        reply = Reply()
        self._breaker.admits(started.clock)
        try:
            await self._receive(request, reply, limit, followed)
            text = reply.check(json_mode=request.json_mode)
        except CallerFailed:
            self._breaker.released()
            raise
        except Exception as error:
            failure = self._failed(request, started, reply, error, limit)
            if reply.shown and request.on_restart is not None:
                await request.on_restart()
            raise AttemptFailed(failure, shown=reply.shown) from error
        except BaseException:
            self._breaker.released()
            raise
        self._breaker.succeeded(self._terms.clock())
        self._record(request, started, reply, "ok")
        config = self.config
        return ModelAnswer(text, config.name, config.model, tuple(request.calls), reply.finish)

    async def _receive(self, request: Request, reply: Reply, limit: float, followed: bool) -> None:
        messages = _input(request.messages, self.config)
        arguments = call_arguments(
            self.config,
            max_tokens=request.max_tokens or self.config.max_tokens,
            json_mode=request.json_mode,
        )
        timer = asyncio.timeout(limit)
        try:
            async with timer:
                with self.lanes.take() as model:
                    if request.on_token is None:
                        await reply.read(model, messages, arguments)
                        return
                    idle = self._idle_limit(request, followed)
                    await reply.stream(model, messages, arguments, request.on_token, timer, idle)
        except TimeoutError as error:
            if not timer.expired():
                raise
            detail = "the stream stalled" if reply.shown else f"no answer within {limit:.1f} s"
            raise BadAnswer("timeout", detail) from error

    def _idle_limit(self, request: Request, followed: bool) -> Callable[[], float]:
        """A stream that flows may use all the time there is; one that stalls leaves some."""
        loop = asyncio.get_running_loop()

        def limit() -> float:
            left = request.ends - self._terms.clock()
            return loop.time() + min(self._longest, left * (SHARE if followed else 1.0))

        return limit

    @property
    def _longest(self) -> float:
        return min(self.config.timeout_s, self._terms.attempt_timeout)

    def _failed(
        self, request: Request, started: "_Start", reply: Reply, error: Exception, limit: float
    ) -> Failure:
        failure = classify_failure(error, answering=reply.arrived)
        detail = self._without_secrets(failure.detail)
        if failure.kind == "timeout" and limit < min(FAIR_TIMEOUT, self._longest):
            self._breaker.released()
        else:
            self._breaker.failed(failure.kind, self._terms.clock(), failure.retry_after)
        self._record(request, started, reply, failure.kind, status=failure.status, error=detail)
        logger.warning(
            "model %s of %s failed for %s: %s (status %s, attempt %d): %s",
            self.config.model,
            self.config.name,
            request.purpose,
            failure.kind,
            failure.status,
            started.number,
            detail,
        )
        return failure

    def _record(
        self,
        request: Request,
        started: "_Start",
        reply: Reply,
        outcome: Outcome,
        *,
        status: int | None = None,
        error: str = "",
    ) -> None:
        tokens_in, tokens_out, estimated = _tokens(request, reply)
        cost = self._terms.prices.cost(self.config.model, tokens_in, tokens_out)
        call = ModelCall(
            provider=self.config.name,
            model=self.config.model,
            purpose=request.purpose,
            outcome=outcome,
            status=200 if outcome == "ok" else status,
            attempt=started.number,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            tokens_estimated=estimated,
            latency_ms=(self._terms.clock() - started.clock) * 1000,
            cost=cost.amount if cost else None,
            currency=cost.currency if cost else "",
            error=error,
            started_at=started.wall,
        )
        self._ledger.record(call)
        request.calls.append(call)
        if started.number:
            _note(call)

    def _worth_retrying(self, error: BaseException, followed: bool) -> bool:
        if not isinstance(error, AttemptFailed) or not error.failure.retryable:
            return False
        # What has already cost the customer's time is better tried elsewhere.
        if followed and (error.shown or error.failure.kind == "timeout"):
            return False
        return self._breaker.would_admit(self._terms.clock())

    def _out_of_attempts(self, state: RetryCallState) -> bool:
        return stop_after_attempt(self.config.max_attempts)(state)

    def _out_of_time(self, state: RetryCallState, window: float) -> bool:
        return self._terms.clock() + state.upcoming_sleep + MIN_ATTEMPT > window

    def _without_secrets(self, detail: str) -> str:
        for secret in (self.config.api_key.get_secret_value(), *self.config.headers.values()):
            if secret:
                detail = detail.replace(secret, "***")
        return detail


@dataclass(frozen=True, slots=True)
class _Start:
    number: int
    clock: float
    wall: float


class _WaitAsAsked(wait_base):
    """As long as the provider asks for; else exponentially, with jitter."""

    def __init__(self, first: float) -> None:
        self._otherwise = wait_exponential_jitter(multiplier=first, max=4.0, jitter=first)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.failure.retry_after if isinstance(error, AttemptFailed) else None
        return self._otherwise(retry_state) if asked is None else asked


def _note(call: ModelCall) -> None:
    found: dict[str, Value] = {
        "gen_ai.usage.input_tokens": call.tokens_in,
        "gen_ai.usage.output_tokens": call.tokens_out,
        "kefu.attempt": call.attempt,
    }
    if call.status is not None:
        found["http.response.status_code"] = call.status
    if call.cost is not None:
        found |= {"kefu.cost": call.cost, "kefu.currency": call.currency}
    current.get().note(found)
    if call.outcome != "ok":
        current.get().failed(call.outcome)


def _tokens(request: Request, reply: Reply) -> tuple[int, int, bool]:
    """In, out, and whether we had to estimate either. Nothing arrived: nothing was charged."""
    if not reply.arrived:
        return 0, 0, False
    reported = reply.tokens_in, reply.tokens_out
    tokens_in = request.tokens_in if reported[0] is None else reported[0]
    tokens_out = tokens.estimate_tokens(reply.text) if reported[1] is None else reported[1]
    return tokens_in, tokens_out, None in reported


def _input(messages: Sequence[ChatMessage], config: ProviderConfig) -> Input:
    """Anthropic's protocol knows one system text, and needs a message beside it."""
    if config.kind != "anthropic":
        return [(message.role, _content(message)) for message in messages]
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    talk: Input = [(m.role, _content(m)) for m in messages if m.role != "system"]
    if not talk:
        return [("user", system)]
    return [("system", system), *talk] if system else talk


def _content(message: ChatMessage) -> str | list[str | dict[str, Any]]:
    """Pictures as OpenAI's protocol has them; LangChain turns them into Anthropic's."""
    if not message.pictures:
        return message.content
    return [{"type": "text", "text": message.content}, *map(_picture_part, message.pictures)]


def _picture_part(picture: Picture) -> dict[str, Any]:
    encoded = base64.b64encode(picture.data).decode()
    return {
        "type": "image_url",
        "image_url": {"url": f"data:{picture.media_type};base64,{encoded}"},
    }
