"""The gateway's one error."""

from collections.abc import Sequence

from domain.errors import KefuError
from tools.models.calls import ModelCall


class ModelsExhausted(KefuError):
    """No provider answered: fall back to knowledge. ``calls`` says what was tried, in order."""

    def __init__(self, purpose: str, calls: Sequence[ModelCall]) -> None:
        self.purpose, self.calls = purpose, tuple(calls)
        super().__init__(f"no model answered {purpose!r}: {self._reasons()}")

    def _reasons(self) -> str:
        if not self.calls:
            return "no provider is configured; set the key of at least one"
        last = {call.provider: call for call in self.calls}
        return "; ".join(_reason(call) for call in last.values())


def _reason(call: ModelCall) -> str:
    facts = [f"HTTP {call.status}"] if call.status else []
    if call.attempt > 1:
        facts.append(f"{call.attempt} attempts")
    shown = f" ({', '.join(facts)})" if facts else ""
    return f"{call.provider}: {call.outcome}{shown}" + (f", {call.error}" if call.error else "")
