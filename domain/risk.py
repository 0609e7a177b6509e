"""May we answer, must we ask, or does a person take over? Facts in, decision with reasons out."""

from dataclasses import dataclass

from domain.decisions import RiskDecision, RiskOutcome
from domain.intents import DIALOGUE_TYPE, DialogueType, Intent, Sentiment
from domain.text import letters

FORBIDDEN_WORK = (
    "身份证", "护照", "驾驶证", "行驶证", "户口本", "结婚证", "毕业证", "学位证", "资格证",
    "营业执照", "公章", "印章", "发票章", "钞票", "人民币", "纸币", "假币", "银行流水", "病历",
    "检测报告", "成绩单", "假证", "改发票",
)  # fmt: skip
"""Pictures that no shop may restore, alter or copy for a customer."""

_IMAGE_WORK = frozenset({Intent.FIND_IMAGE, Intent.PROCESS_IMAGE})
_PERSON_INTENT_CONFIDENCE = 0.6


@dataclass(frozen=True, slots=True)
class RiskFacts:
    """``rule``: category of the rule that hit, "" if none; confidences in 0..1.

    ``retrieval`` is None where nothing was searched for.
    """

    text: str
    intent: Intent
    intent_confidence: float
    sentiment: Sentiment = Sentiment.NEUTRAL
    rule: str = ""
    rule_hands_over: bool = False
    level: str = "gray"
    retrieval: float | None = None
    quoted: bool = False
    has_image: bool = False
    has_order_no: bool = False


@dataclass(frozen=True, slots=True)
class RiskPolicy:
    """Thresholds of the design: answer at or above, ask back at or above, below a person."""

    answer: float = 0.75
    clarify: float = 0.55


def assess(facts: RiskFacts, policy: RiskPolicy) -> RiskDecision:
    return (
        _by_rule(facts)
        or _by_content(facts)
        or _by_intent(facts)
        or _by_order(facts, policy)
        or _by_quote(facts, policy)
        or _by_confidence(facts, policy)
    )


def priority(decision: RiskDecision, facts: RiskFacts) -> str:
    """``high`` for whoever must not wait."""
    urgent = {"complaint", "sensitive"} & set(decision.reasons)
    if urgent or facts.sentiment is Sentiment.NEGATIVE or facts.level == "white":
        return "high"
    return "normal"


def forbidden_work(text: str) -> str | None:
    """The forbidden kind of document that ``text`` names, if any."""
    plain = letters(text)
    return next((word for word in FORBIDDEN_WORK if word in plain), None)


def _by_rule(facts: RiskFacts) -> RiskDecision | None:
    if facts.rule and facts.rule_hands_over:
        return RiskDecision(RiskOutcome.HANDOFF, (facts.rule,))
    if facts.level == "black":
        return RiskDecision(RiskOutcome.HANDOFF, ("blacklist",))
    return None


def _by_content(facts: RiskFacts) -> RiskDecision | None:
    if facts.intent in _IMAGE_WORK or facts.quoted or facts.has_image:
        word = forbidden_work(facts.text)
        if word:
            return RiskDecision(RiskOutcome.DECLINE, ("forbidden_content", word))
    return None


def _by_intent(facts: RiskFacts) -> RiskDecision | None:
    sure = facts.intent_confidence >= _PERSON_INTENT_CONFIDENCE
    if sure and facts.intent is Intent.COMPLAINT:
        return RiskDecision(RiskOutcome.HANDOFF, ("complaint",))
    if sure and facts.intent is Intent.HUMAN:
        return RiskDecision(RiskOutcome.HANDOFF, ("human_request",))
    if DIALOGUE_TYPE[facts.intent] is DialogueType.CHAT and facts.retrieval is None:
        return RiskDecision(RiskOutcome.ACCEPT, ("chat",))
    return None


def _by_order(facts: RiskFacts, policy: RiskPolicy) -> RiskDecision | None:
    if facts.intent is not Intent.ORDER_STATUS:
        return None
    if facts.has_order_no:
        return RiskDecision(RiskOutcome.HANDOFF, ("order_lookup",))
    if (facts.retrieval or 0.0) < policy.answer:
        return RiskDecision(RiskOutcome.CLARIFY, ("order_lookup",), ("order_no",))
    return None


def _by_quote(facts: RiskFacts, policy: RiskPolicy) -> RiskDecision | None:
    if facts.quoted:
        missing = () if facts.has_image else ("image",)
        return RiskDecision(RiskOutcome.ACCEPT, ("quoted",), missing)
    if facts.has_image and (facts.retrieval or 0.0) < policy.answer:
        return RiskDecision(RiskOutcome.CLARIFY, ("unclear_request",), ("service",))
    if facts.intent in _IMAGE_WORK and (facts.retrieval or 0.0) < policy.clarify:
        return RiskDecision(RiskOutcome.CLARIFY, ("unclear_request",), ("image",))
    return None


def _by_confidence(facts: RiskFacts, policy: RiskPolicy) -> RiskDecision:
    confidence = facts.retrieval or 0.0
    if confidence >= policy.answer:
        return RiskDecision(RiskOutcome.ACCEPT, ("evidence",))
    if confidence >= policy.clarify:
        return RiskDecision(RiskOutcome.CLARIFY, ("uncertain",), ("question",))
    return RiskDecision(RiskOutcome.HANDOFF, ("low_confidence",))
