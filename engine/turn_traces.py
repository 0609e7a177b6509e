"""A turn as a span: which request began it, what went in and what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from domain.spans import UNTRACED, Span, Value, current
from engine.tracing import NO_TRACING, Tracing
from engine.turn_rows import turn_of
from storage.inbox import Claim
from storage.turns import TurnCommit


class TurnTraces:
    """``tracing`` may be set until the first turn."""

    def __init__(self) -> None:
        self.tracing: Tracing = NO_TRACING
        self._asked: dict[tuple[str, int], Span] = {}

    def asked(self, claim: Claim | None) -> None:
        """It was claimed for the request that is under way: the turn is a part of that."""
        if claim is not None and current.get() is not UNTRACED:
            self._asked[claim.conversation_id, claim.fence] = current.get()

    def apart(self) -> None:
        """What this task does belongs to no request but those that its claims were made for."""
        if current.get() is not UNTRACED:
            current.set(UNTRACED)

    @contextmanager
    def turn(self, claim: Claim) -> Iterator[Span]:
        if not self.tracing.on:
            yield UNTRACED
            return
        asker = self._asked.pop((claim.conversation_id, claim.fence), UNTRACED)
        token = current.set(asker)
        try:
            with self.tracing.root(
                "turn", _told(claim), of=turn_of(claim), of_request=True
            ) as seen:
                said = (("user", message.text) for message in claim.messages if message.text)
                seen.say("gen_ai.input.messages", said, [claim.customer.name])
                yield seen
        finally:
            current.reset(token)


def _told(claim: Claim) -> dict[str, Value]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "kefu",
        "gen_ai.conversation.id": claim.conversation_id,
        "session.id": claim.conversation_id,
        "kefu.turn.id": turn_of(claim),
        "kefu.channel": claim.channel,
        "kefu.turn.messages": len(claim.messages),
        "kefu.turn.attempt": claim.attempts,
    }


def note_commit(commit: TurnCommit, answer: dict[str, Any]) -> None:
    """What came of the turn that is under way."""
    seen = current.get()
    seen.note(
        {
            "kefu.action": commit.action,
            "kefu.intent": commit.intent,
            "kefu.decision": str(answer["decision"]),
            "kefu.confidence": float(answer["confidence"]),
            "kefu.deliveries": len(commit.deliveries),
            "gen_ai.usage.input_tokens": sum(c["tokens_in"] for c in commit.model_calls),
            "gen_ai.usage.output_tokens": sum(c["tokens_out"] for c in commit.model_calls),
        }
    )
    content = str(answer.get("content") or "")
    if content:
        name = commit.claim.customer.name
        seen.say("gen_ai.output.messages", [("assistant", content)], [name])
