"""The engine's numbers, taken from the settings by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """Durations in seconds.

    ``failure_limit``: runs that may fail before messages are parked. ``crash_limit``: claims that
    may end without a word (the process died) before the same happens. ``approval_s``: how long a
    quote waits for a person's word. ``patience_s``: channels
    whose deliveries are tried for so long, however often (a task's only as often as it says).
    ``passive_s``: channels whose callbacks may carry the answer in their response, and for how long
    after a message it is kept back for that. ``deliveries_per_channel``: under way at once; the
    cost of each request grows with how many others wait for the client's connections.
    """

    sync_deadline_s: float = 20.0
    turn_timeout_s: float = 60.0
    failure_limit: int = 3
    crash_limit: int = 10
    retry_base_s: float = 0.1
    debounce_sync_s: float = 0.0
    debounce_async_s: float = 0.8
    debounce_max_s: float = 3.0
    debounce_channels: Mapping[str, float] = field(default_factory=dict)
    merge_limit: int = 10
    merge_polled: bool = False
    rebuild_limit: int = 1
    lease_s: float = 30.0
    sweep_s: float = 2.0
    checkpoints_per_thread: int = 2
    concurrent_turns: int = 512
    outbox_max_attempts: int = 12
    outbox_backoff_base_s: float = 1.0
    outbox_backoff_max_s: float = 300.0
    deliveries_per_channel: int = 16
    approval_s: float = 14_400.0
    patience_s: Mapping[str, float] = field(default_factory=dict)
    passive_s: Mapping[str, float] = field(default_factory=dict)

    def debounce(self, channel: str, route: str) -> float:
        """Quiet seconds to wait for more; ``route`` ``poll``: a caller waits for the response."""
        default = self.debounce_sync_s if route == "poll" else self.debounce_async_s
        return min(self.debounce_channels.get(channel, default), self.debounce_max_s)

    def retry_delay(self, failures: int) -> float:
        return float(self.retry_base_s * 4 ** min(failures, 6))

    def redelivery_delay(self, attempts: int) -> float:
        return float(
            min(self.outbox_backoff_base_s * 2 ** (attempts - 1), self.outbox_backoff_max_s)
        )
