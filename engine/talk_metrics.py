"""Prometheus metrics of how conversations go, counted by the process that ran the turn."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from domain.messages import MessageKind
from storage.figures import response_ms
from storage.turns import TurnCommit


class TalkMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.response_seconds = Histogram(
            "kefu_response_seconds",
            "From the customer's last word to the committed answer",
            ["channel"],
            buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 15, 30, 60, 300),
            registry=registry,
        )
        self.answers = Counter(
            "kefu_answers_total",
            "Answers by what they came to: solved, unsolved, transferred",
            ["channel", "outcome"],
            registry=registry,
        )
        self.handoffs = Counter(
            "kefu_handoffs_total",
            "Turns that handed over to a person, by whom for: desk or designer",
            ["channel", "target"],
            registry=registry,
        )
        self.sentiments = Counter(
            "kefu_sentiment_total",
            "Turns by how the customer felt: positive, neutral, negative",
            ["sentiment"],
            registry=registry,
        )
        self.passive_misses = Counter(
            "kefu_passive_misses_total",
            "Callbacks whose answer was not ready before the platform hangs up (WeChat: 5 s)",
            ["channel"],
            registry=registry,
        )

    def count(self, turn: TurnCommit) -> None:
        claim = turn.claim
        if turn.sentiment:
            self.sentiments.labels(turn.sentiment).inc()
        if turn.handoff is not None:
            self.handoffs.labels(claim.channel, turn.handoff.target).inc()
        if turn.reply is None or claim.messages[-1].kind == MessageKind.EVENT:
            return
        self.answers.labels(claim.channel, turn.outcome).inc()
        waited = response_ms(claim, turn.ended) / 1_000
        self.response_seconds.labels(claim.channel).observe(waited)
