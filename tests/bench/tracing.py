"""``python -m tests.bench.tracing``: what a span costs, with and without anybody looking."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from domain.spans import Span, span
from engine.metrics import Metrics
from engine.otel import OtelTracing
from engine.tracing import Target

SPANS = 20_000
SPANS_A_TURN = 9
"""Of a turn with a search and a call of a model."""


def _each(open_span: Callable[[], AbstractContextManager[Span]]) -> float:
    """Microseconds for one, the best of three rounds."""
    rounds = []
    for _ in range(3):
        began = time.thread_time()
        for _ in range(SPANS):
            with open_span() as seen:
                seen.note({"kefu.node": "classify"})
        rounds.append((time.thread_time() - began) / SPANS * 1e6)
    return min(rounds)


def main() -> None:
    untraced = _each(lambda: span("node classify", {"kefu.node": "classify"}))
    # Nobody listens on this port, so nothing is sent; that is the exporter's thread's affair.
    away = Target("otlp", "http://127.0.0.1:9/v1/traces")
    tracing = OtelTracing([away], Metrics(), service="bench", texts=False, timeout_s=0.2)
    traced = _each(lambda: tracing.root("turn", {"kefu.channel": "web"}, of="t_1"))
    print(f"- a span that nobody looks at: {untraced:.2f} µs, a turn's {SPANS_A_TURN}: ", end="")
    print(f"{untraced * SPANS_A_TURN:.1f} µs")
    print(f"- a span that is sent: {traced:.1f} µs, a turn's {SPANS_A_TURN}: ", end="")
    print(f"{traced * SPANS_A_TURN / 1000:.2f} ms of processor time")


if __name__ == "__main__":
    main()
