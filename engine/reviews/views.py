"""What the console and the API show of turns, re-runs, judgements and kept conversations."""

from dataclasses import dataclass
from typing import Any

from knowledge.learning import Suggestion
from storage.reviews import Review, SaidMessage


@dataclass(frozen=True, slots=True)
class StepView:
    """A node that ran. ``gave``: what it put into the state, JSON-ready. ``again``: the turn can
    be run again from here."""

    node: str
    ms: float
    gave: dict[str, Any]
    goes_to: tuple[str, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class PromptView:
    """``messages``: role and content. ``answer``: the model's words before they were checked,
    None: none came; ``refused``: what spoke against them, empty where they were said."""

    purpose: str
    messages: tuple[dict[str, str], ...]
    answer: str | None
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """A turn with all that is known of it. ``text``: the customer's words as the graph was asked;
    empty for a turn that went on with a person's word (``resumed``: that word). ``answer``: as it
    was given (`engine.answers.build_answer`: content, decision, confidence, intent, nodes,
    timings_ms, evidence, citations, quote in yuan, risk). ``evidence``: everything that was found,
    the best first. ``calls``: rows of model_calls. ``recorded``: its steps are kept, until
    ``kept_until_ts``; otherwise only ``answer`` is left, and nothing can be re-run. ``tasks``: that
    it fired, which a re-run does not."""

    turn_id: str
    conversation_id: str
    channel: str
    account: str
    contact_id: str
    customer: str
    level: str
    status: str
    error: str | None
    started_ts: float
    ended_ts: float
    said: tuple[SaidMessage, ...]
    text: str
    resumed: Any
    answer: dict[str, Any]
    steps: tuple[StepView, ...]
    classification: dict[str, Any] | None
    evidence: tuple[dict[str, Any], ...]
    retrieval_confidence: float | None
    quote: dict[str, Any] | None
    prompts: tuple[PromptView, ...]
    calls: tuple[dict[str, Any], ...]
    tasks: tuple[str, ...]
    recorded: bool
    kept_until_ts: float | None
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a turn would answer now. Nothing of it was done: no message, no order, no hand-over.
    ``answer`` like `OpenedTurn.answer`; ``steps``: those before ``from_node`` are the turn's own.
    ``stopped``: what it would wait for, a person's word on a ``quote_approval`` or a ``draft``.
    ``changes``: in what it differs from the old answer: decision, intent, content, confidence,
    evidence, quote, path."""

    turn_id: str
    from_node: str
    answer: dict[str, Any]
    steps: tuple[StepView, ...]
    evidence: tuple[dict[str, Any], ...]
    retrieval_confidence: float | None
    prompts: tuple[PromptView, ...]
    stopped: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """``suggestion``: what was learned from the correct answer, waiting for review, or dropped
    with its reason; None where none was given."""

    review: Review
    suggestion: Suggestion | None


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """``counts``: by state, of everything that the asking agent may see."""

    items: tuple[Review, ...]
    total: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class RegressionView:
    """A kept conversation. ``title``: its name in the file; ``text``: the file; ``problem``: why
    it cannot be played."""

    name: str
    title: str
    turns: int
    saved_ts: float
    text: str
    problem: str = ""
