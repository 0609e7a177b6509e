"""What figures ask of the rest of the service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.models.breaker import BreakerState
from tools.models.ledger import ProviderSnapshot


@dataclass(frozen=True, slots=True)
class ProviderStand:
    """``used``: the share of its daily tokens that is used; None: there is no budget."""

    name: str
    open: bool
    used: float | None


@dataclass(frozen=True, slots=True)
class Outside:
    """``providers``: the models that are configured, as they stand. ``knows``: whether questions
    can be looked up."""

    providers: Callable[[], Sequence[ProviderSnapshot]]
    knows: Callable[[], bool]

    def stands(self) -> list[ProviderStand]:
        return [_stand(one) for one in self.providers()]

    def has_models(self) -> bool:
        return any(not one.open for one in self.stands())


def _stand(one: ProviderSnapshot) -> ProviderStand:
    budget = one.daily_token_budget
    used = one.tokens_today / budget if budget else None
    return ProviderStand(one.name, one.state is BreakerState.OPEN, used)
