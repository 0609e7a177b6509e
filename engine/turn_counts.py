"""What the metrics are told of a committed turn."""

from typing import Any

from engine.metrics import Metrics
from engine.model_calls import count_call
from storage.turns import TurnCommit


def count_turn(
    metrics: Metrics, commit: TurnCommit, answer: dict[str, Any], seconds: float
) -> None:
    """``seconds``: from its claim to its commit."""
    metrics.turns.labels(commit.action, answer["decision"]).inc()
    metrics.turn_seconds.observe(seconds)
    metrics.confidence.observe(answer["confidence"])
    metrics.talk.count(commit)
    for node, ms in answer.get("timings_ms", {}).items():
        metrics.node_seconds.labels(node).observe(ms / 1000)
    for call in commit.model_calls:
        count_call(metrics, call)
