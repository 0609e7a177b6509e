"""Several providers behind one call: asked in order, each within its share of the time."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from domain.errors import ConfigurationError
from tools.models.attempts import MIN_ATTEMPT, OnRestart, Provider, Request, Terms
from tools.models.breaker import BreakerPolicy, CircuitBreaker
from tools.models.calls import ChatMessage, ModelAnswer, SkipReason
from tools.models.errors import ModelsExhausted
from tools.models.hiding import Hidden
from tools.models.lanes import COUNT, Lanes
from tools.models.ledger import Ledger, ProviderSnapshot
from tools.models.prices import NO_PRICES, PriceTable
from tools.models.providers import ProviderConfig, build_chat_model
from tools.models.reply import OnToken

if TYPE_CHECKING:
    import httpx2

_JSON_HINT = "Answer with one valid JSON object and nothing else."


class ModelGateway:
    """``attempt_timeout``: upper bound of one attempt; ``first_pause``: before the first retry at
    the same provider, doubling from there, where it names no other. Both in seconds.

    ``tokens_today``: by provider, what earlier processes used today of the daily budget.
    ``clock`` is monotonic, ``wall`` seconds since the epoch. A gateway belongs to the event loop
    that first uses it, and must be closed there.
    """

    def __init__(
        self,
        providers: Sequence[ProviderConfig],
        prices: PriceTable = NO_PRICES,
        *,
        attempt_timeout: float = 20.0,
        first_pause: float = 0.2,
        breaker: BreakerPolicy | None = None,
        tokens_today: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        _refuse_duplicates(providers)
        used, terms = tokens_today or {}, Terms(prices, attempt_timeout, first_pause, clock, wall)
        self._providers = tuple(
            Provider(
                config, CircuitBreaker(breaker), Ledger(used.get(config.name, 0), wall()), terms
            )
            for config in providers
        )
        self._clock = clock
        self._clients: list[httpx2.AsyncClient] = []
        self._building: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """Is there a provider that would be asked now?"""
        return any(provider.why_not() is None for provider in self._providers)

    async def warm(self) -> None:
        """Import the SDKs and build the models, in a thread; later calls return at once."""
        if self._clients or not self._providers:
            return
        if self._building is None or self._building.done():
            self._building = asyncio.create_task(self._build())
        # Shielded: a caller that gives up waiting must not take it from the others.
        await asyncio.shield(self._building)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        purpose: str,
        deadline: float,
        on_token: OnToken | None = None,
        on_restart: OnRestart | None = None,
        json_mode: bool = False,
        max_tokens: int | None = None,
        names: Sequence[str] = (),
    ) -> ModelAnswer:
        """Ask the providers in order until one answers; ``deadline``: seconds for everything.

        No provider is told personal data, nor any of ``names``: placeholders stand for them, and
        whoever asks gets the answer with what they stand for (`tools.models.hiding`).

        ``on_token`` gets the answer's pieces as they come. If a provider fails after some went
        out, ``on_restart`` is called: they are void, and the next ones begin a new answer. A
        caller without it goes by ``ModelAnswer.text``. What either raises, this raises.
        ``json_mode``: the text is valid JSON; anything else counts as a failure.

        Raises ModelsExhausted.
        """
        hidden = Hidden(messages, names, on_token, on_restart)
        request = Request(
            messages=_asking_for_json(hidden.messages) if json_mode else hidden.messages,
            purpose=purpose,
            ends=self._clock() + deadline,
            on_token=hidden.on_token if on_token is not None else None,
            on_restart=hidden.on_restart,
            json_mode=json_mode,
            max_tokens=max_tokens,
        )
        if await self._ready(request):
            for provider, later in self._in_order():
                if answer := await self._ask(provider, later, request):
                    return await hidden.restored(answer, json_mode=json_mode)
        raise ModelsExhausted(purpose, request.calls)

    def snapshot(self) -> tuple[ProviderSnapshot, ...]:
        """Every provider as it stands, in order of priority."""
        return tuple(provider.snapshot() for provider in self._providers)

    async def aclose(self) -> None:
        if self._building is not None:
            await asyncio.gather(self._building, return_exceptions=True)
        await asyncio.gather(*(client.aclose() for client in self._clients))

    def _in_order(self) -> list[tuple[Provider, tuple[Provider, ...]]]:
        """Each provider with those that follow it."""
        return [(one, self._providers[n + 1 :]) for n, one in enumerate(self._providers)]

    async def _ask(
        self, provider: Provider, later: tuple[Provider, ...], request: Request
    ) -> ModelAnswer | None:
        tokens_in = request.tokens_in if _counts_tokens(provider, *later) else 1
        skip: SkipReason | None = provider.why_not(tokens_in)
        if request.ends - self._clock() < MIN_ATTEMPT:
            skip = "deadline"
        if skip:
            provider.skip(request, skip)
            return None
        followed = any(other.why_not(tokens_in) is None for other in later)
        return await provider.ask(request, followed=followed)

    async def _ready(self, request: Request) -> bool:
        if self._clients:
            return True
        try:
            async with asyncio.timeout(request.ends - self._clock()):
                await self.warm()
        except TimeoutError:
            for provider in self._providers:
                provider.skip(request, "deadline")
            return False
        return True

    async def _build(self) -> None:
        configs = [provider.config for provider in self._providers]
        clients, lanes = await asyncio.to_thread(_build_models, configs)
        for provider, own in zip(self._providers, lanes, strict=True):
            provider.lanes = own
        self._clients = clients


def _build_models(
    configs: Sequence[ProviderConfig],
) -> tuple[list["httpx2.AsyncClient"], list[Lanes]]:
    """Imports the SDKs and reads the CA bundle: seconds, once."""
    from tools.models.transport import build_http_clients

    clients = build_http_clients(COUNT)
    models = [[build_chat_model(config, client) for client in clients] for config in configs]
    return clients, [Lanes(own) for own in models]


def _asking_for_json(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """JSON mode is refused where the prompt does not say so (OpenAI, DeepSeek)."""
    if any("json" in message.content.lower() for message in messages):
        return messages
    first, *rest = messages or (ChatMessage("system", ""),)
    if first.role == "system":
        return [replace(first, content=f"{first.content}\n\n{_JSON_HINT}".strip()), *rest]
    return [ChatMessage("system", _JSON_HINT), *messages]


def _counts_tokens(*providers: Provider) -> bool:
    return any(provider.config.daily_token_budget is not None for provider in providers)


def _refuse_duplicates(providers: Sequence[ProviderConfig]) -> None:
    names = [config.name for config in providers]
    for name in names:
        if names.count(name) > 1:
            expected = "one provider of each name; give the second one another"
            raise ConfigurationError("model providers", f"{name!r} appears twice", expected)
