"""May we answer, must we ask, or does a person take over? Facts in, decision with reasons out."""

import re
from dataclasses import dataclass
from typing import Literal

from domain.decisions import RiskDecision, RiskOutcome
from domain.intents import DIALOGUE_TYPE, DialogueType, Intent, Sentiment
from domain.text import letters
from domain.tiers import is_over, limits_of

FORBIDDEN_WORK = (
    "身份证", "护照", "驾驶证", "行驶证", "户口本", "结婚证", "毕业证", "学位证", "资格证",
    "营业执照", "公章", "印章", "发票章", "钞票", "人民币", "纸币", "假币", "银行流水", "病历",
    "检测报告", "成绩单", "假证", "改发票", "户口簿", "驾照", "离婚证", "房产证", "不动产证",
    "诊断证明", "收据", "转账截图", "转账记录", "付款截图", "支付截图", "聊天记录", "合同签名",
)  # fmt: skip
"""Pictures that no shop may restore, alter or copy for a customer."""

_CURRENCY = re.compile(
    r"(?:\d|[一二两三四五六七八九十百千万]|多少|几|元|块|数字)人民币|人民币(?:支付|付款|结算)"
)
_STYLE = re.compile(r"(?:印章|公章|人民币|钞票)(?:风格?|样式|效果|字体|感)")
_PORTRAIT = re.compile(
    r"(?:身份证|护照|驾驶证|驾照|行驶证|结婚证|毕业证|学位证|资格证)"
    r"(?:用的?|上的?)?(?:证件|登记)?[照相]"
)
_PORTRAIT_WORK = re.compile(r"底色|[蓝红白]底|[一二两12]寸|寸照|正装|换装|换衣服")

_ASKS_NOTHING = re.compile(
    r"(?:请问|你好|您好|老板|亲|那|这个?|现在)*"
    r"(?:多少钱|多少|怎么卖|什么价格?|价格|几块钱?|怎么收费|怎么弄|怎么样|可以吗|行吗|有货吗|有吗|多久)"
    r"(?:一[个件张台]|啊|呀|呢|吗)*"
)
"""「多少钱」 as the first words of a customer: of what, only they know."""

TIER_LIMIT = "tier_limit"
"""The reason where a customer has written more than their level lets them."""
_IMAGE_WORK = frozenset({Intent.FIND_IMAGE, Intent.PROCESS_IMAGE})
_PERSON_INTENT_CONFIDENCE = 0.6
_OFF_TOPIC_CONFIDENCE = 0.8


@dataclass(frozen=True, slots=True)
class RiskFacts:
    """``rule``: category of the rule that hit, "" if none; confidences in 0..1.

    ``retrieval`` is None where nothing was searched for. ``offer``: our last message was a quote,
    to be taken as it is or after a look at the picture. ``opening``: nothing was said before.
    ``last_hour``: messages of the customer since an hour ago, where their level has a limit.
    ``urgent``: a rule says that the customer must not wait.
    """

    text: str
    intent: Intent
    intent_confidence: float
    sentiment: Sentiment = Sentiment.NEUTRAL
    rule: str = ""
    rule_hands_over: bool = False
    level: str = "gray"
    retrieval: float | None = None
    exact: bool = False
    quoted: bool = False
    has_image: bool = False
    has_order_no: bool = False
    offer: Literal["", "open", "needs_image"] = ""
    opening: bool = False
    last_hour: int = 0
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class RiskPolicy:
    """Thresholds of the design: answer at or above, ask back at or above, below a person."""

    answer: float = 0.75
    clarify: float = 0.55


def assess(facts: RiskFacts, policy: RiskPolicy) -> RiskDecision:
    return (
        _by_rule(facts)
        or _by_content(facts, policy)
        or _by_offer(facts)
        or _by_intent(facts)
        or _by_order(facts, policy)
        or _by_quote(facts, policy)
        or _by_confidence(facts, policy)
    )


def priority(decision: RiskDecision, facts: RiskFacts) -> str:
    """``high`` for whoever must not wait."""
    urgent = facts.urgent or bool({"complaint", "sensitive"} & set(decision.reasons))
    if urgent or facts.sentiment is Sentiment.NEGATIVE:
        return "high"
    return limits_of(facts.level).priority


def forbidden_work(text: str) -> str | None:
    """The forbidden kind of document that ``text`` names, if any.

    A price in yuan, a seal-like style and the portrait on a document's form are innocent.
    """
    plain = _STYLE.sub("", _CURRENCY.sub("", letters(text)))
    if _PORTRAIT_WORK.search(plain):
        plain = _PORTRAIT.sub("", plain)
    return next((word for word in FORBIDDEN_WORK if word in plain), None)


def _by_rule(facts: RiskFacts) -> RiskDecision | None:
    if facts.rule and facts.rule_hands_over:
        return RiskDecision(RiskOutcome.HANDOFF, (facts.rule,))
    if is_over(facts.level, facts.last_hour):
        return RiskDecision(RiskOutcome.DECLINE, (TIER_LIMIT,))
    if not limits_of(facts.level).answers:
        return RiskDecision(RiskOutcome.HANDOFF, ("blacklist",))
    return None


def _by_content(facts: RiskFacts, policy: RiskPolicy) -> RiskDecision | None:
    # A picture with a question that the knowledge base answers is no order.
    unclear = facts.has_image and (facts.retrieval or 0.0) < policy.answer
    if facts.intent in _IMAGE_WORK or facts.quoted or unclear:
        word = forbidden_work(facts.text)
        if word:
            return RiskDecision(RiskOutcome.DECLINE, ("forbidden_content", word))
    return None


def _by_offer(facts: RiskFacts) -> RiskDecision | None:
    """「好的」 to a quote is an order, and orders are for designers."""
    sure = facts.intent_confidence >= _PERSON_INTENT_CONFIDENCE
    if not facts.offer or facts.intent is not Intent.CONFIRM or not sure or facts.has_image:
        return None
    if facts.offer == "needs_image":
        return RiskDecision(RiskOutcome.CLARIFY, ("order_confirmed",), ("image",))
    return RiskDecision(RiskOutcome.HANDOFF, ("order_confirmed",))


def _by_intent(facts: RiskFacts) -> RiskDecision | None:
    sure = facts.intent_confidence >= _PERSON_INTENT_CONFIDENCE
    if sure and facts.intent is Intent.COMPLAINT:
        return RiskDecision(RiskOutcome.HANDOFF, ("complaint",))
    if sure and facts.intent is Intent.HUMAN:
        return RiskDecision(RiskOutcome.HANDOFF, ("human_request",))
    wordless = bool(facts.text.strip()) and not letters(facts.text) and not facts.has_image
    chat = DIALOGUE_TYPE[facts.intent] is DialogueType.CHAT and facts.retrieval is None
    if chat or wordless:
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
    if (
        confidence >= policy.answer
        and facts.opening
        and _ASKS_NOTHING.fullmatch(letters(facts.text))
    ):
        return RiskDecision(RiskOutcome.CLARIFY, ("vague",), ("question",))
    if confidence >= policy.answer and _is_off_topic(facts):
        return RiskDecision(RiskOutcome.CLARIFY, ("off_topic",), ("question",))
    if confidence >= policy.answer:
        return RiskDecision(RiskOutcome.ACCEPT, ("evidence",))
    if confidence >= policy.clarify:
        return RiskDecision(RiskOutcome.CLARIFY, ("uncertain",), ("question",))
    return RiskDecision(RiskOutcome.HANDOFF, ("low_confidence",))


def _is_off_topic(facts: RiskFacts) -> bool:
    """Words may match where the topic does not: «今天天气怎么样» against delivery times.

    On the development questions this halves the answers to far-off questions at 1 % of coverage.
    """
    sure = facts.intent_confidence >= _OFF_TOPIC_CONFIDENCE
    return sure and facts.intent is Intent.OTHER and not facts.exact
