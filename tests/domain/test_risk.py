"""May we answer, must we ask, or does a person take over: every row with its reason."""

import pytest

from domain.decisions import RiskDecision, RiskOutcome
from domain.intents import Intent, Sentiment
from domain.risk import FORBIDDEN_WORK, RiskFacts, RiskPolicy, assess, forbidden_work, priority

POLICY = RiskPolicy()
ACCEPT, CLARIFY = RiskOutcome.ACCEPT, RiskOutcome.CLARIFY
DECLINE, HANDOFF = RiskOutcome.DECLINE, RiskOutcome.HANDOFF


def facts(intent: Intent = Intent.USAGE, text: str = "怎么安装充电桩", **more: object) -> RiskFacts:
    given: dict[str, object] = {"intent_confidence": 0.9, **more}
    return RiskFacts(text, intent, **given)  # type: ignore[arg-type]


ROWS = [
    # Rules and lists go before everything else.
    (facts(rule="complaint", rule_hands_over=True, retrieval=1.0), HANDOFF, "complaint"),
    (facts(rule="sensitive", rule_hands_over=True, quoted=True), HANDOFF, "sensitive"),
    (facts(rule="prompt_injection", retrieval=0.9), ACCEPT, "evidence"),
    (facts(level="black", retrieval=1.0), HANDOFF, "blacklist"),
    (facts(rule="complaint", rule_hands_over=True, level="black"), HANDOFF, "complaint"),
    # Forbidden pictures are declined where a picture is to be worked on.
    (facts(Intent.PROCESS_IMAGE, "把身份证p一下", retrieval=1.0), DECLINE, "forbidden_content"),
    (facts(Intent.PRICE, "公章抠图多少钱", quoted=True), DECLINE, "forbidden_content"),
    (facts(Intent.OTHER, "身份证", has_image=True), DECLINE, "forbidden_content"),
    # A question about documents is no such order, not even with a picture of the problem.
    (facts(Intent.USAGE, "认证要身份证吗", retrieval=0.9), ACCEPT, "evidence"),
    (facts(Intent.FAULT, "身份证认证失败", has_image=True, retrieval=0.9), ACCEPT, "evidence"),
    # A person where one is wanted, if we are sure of it.
    (facts(Intent.HUMAN, "找人", retrieval=None), HANDOFF, "human_request"),
    (facts(Intent.COMPLAINT, "太差", intent_confidence=0.6), HANDOFF, "complaint"),
    (facts(Intent.COMPLAINT, "太差", intent_confidence=0.59, retrieval=0.8), ACCEPT, "evidence"),
    (facts(Intent.HUMAN, "人", intent_confidence=0.5, retrieval=0.1), HANDOFF, "low_confidence"),
    # Small talk that needed no search is answered; small talk that did is a question.
    (facts(Intent.GREETING, "你好"), ACCEPT, "chat"),
    (facts(Intent.CONFIRM, "好的"), ACCEPT, "chat"),
    (facts(Intent.SMALLTALK, "哈", retrieval=0.2), HANDOFF, "low_confidence"),
    (facts(Intent.OTHER, "?!", retrieval=0.0), ACCEPT, "chat"),
    (facts(Intent.OTHER, "", retrieval=None), HANDOFF, "low_confidence"),
    # Yes to an offer is an order; a price that hangs on the picture needs it first.
    (facts(Intent.CONFIRM, "好的", offer="open"), HANDOFF, "order_confirmed"),
    (facts(Intent.CONFIRM, "好的", offer="needs_image"), CLARIFY, "order_confirmed"),
    (facts(Intent.CONFIRM, "好", offer="open", intent_confidence=0.5), ACCEPT, "chat"),
    (facts(Intent.THANKS, "谢谢", offer="open"), ACCEPT, "chat"),
    # Orders are looked up by number, by a person; how to look is knowledge.
    (facts(Intent.ORDER_STATUS, "到哪", has_order_no=True, retrieval=0.9), HANDOFF, "order_lookup"),
    (facts(Intent.ORDER_STATUS, "到哪了", retrieval=0.74), CLARIFY, "order_lookup"),
    (facts(Intent.ORDER_STATUS, "到哪了", retrieval=0.75), ACCEPT, "evidence"),
    # A quote is given, and without the picture it wants one.
    (facts(Intent.PRICE, "抠图多少钱", quoted=True, retrieval=0.1), ACCEPT, "quoted"),
    (facts(Intent.OTHER, "", has_image=True), CLARIFY, "unclear_request"),
    (facts(Intent.PROCESS_IMAGE, "帮我弄图", retrieval=0.5), CLARIFY, "unclear_request"),
    (facts(Intent.PROCESS_IMAGE, "帮我弄图", retrieval=0.6), CLARIFY, "uncertain"),
    # The rest goes by confidence, each threshold included.
    (facts(retrieval=0.75), ACCEPT, "evidence"),
    (facts(retrieval=0.7499), CLARIFY, "uncertain"),
    (facts(retrieval=0.55), CLARIFY, "uncertain"),
    (facts(retrieval=0.5499), HANDOFF, "low_confidence"),
    (facts(retrieval=None), HANDOFF, "low_confidence"),
    # 「多少钱」 as the first words: of what, only the customer knows.
    (facts(Intent.PRICE, "多少钱？", retrieval=0.98, opening=True), CLARIFY, "vague"),
    (facts(Intent.PRICE, "老板，怎么卖啊", retrieval=0.98, opening=True), CLARIFY, "vague"),
    (facts(Intent.PRICE, "多少钱？", retrieval=0.98), ACCEPT, "evidence"),
    (facts(Intent.PRICE, "卫衣多少钱？", retrieval=0.98, opening=True), ACCEPT, "evidence"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "outcome", "reason"), ROWS)
def test_each_case_is_decided_for_its_reason(
    given: RiskFacts, outcome: RiskOutcome, reason: str
) -> None:
    decision = assess(given, POLICY)
    assert (decision.outcome, decision.reasons[0]) == (outcome, reason)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (facts(Intent.PRICE, quoted=True), ("image",)),
        (facts(Intent.PRICE, quoted=True, has_image=True), ()),
        (facts(Intent.OTHER, "", has_image=True), ("service",)),
        (facts(Intent.FIND_IMAGE, "找", retrieval=0.1), ("image",)),
        (facts(Intent.ORDER_STATUS, "到哪了", retrieval=0.1), ("order_no",)),
        (facts(Intent.CONFIRM, "好的", offer="needs_image"), ("image",)),
        (facts(retrieval=0.6), ("question",)),
    ],
)
def test_what_is_missing_is_named(given: RiskFacts, missing: tuple[str, ...]) -> None:
    assert assess(given, POLICY).missing == missing


def test_thresholds_are_the_policys() -> None:
    strict = RiskPolicy(answer=0.95, clarify=0.9)
    outcomes = [assess(facts(retrieval=c), strict).outcome for c in (0.96, 0.92, 0.85)]
    assert outcomes == [ACCEPT, CLARIFY, HANDOFF]


@pytest.mark.parametrize(
    ("reasons", "given", "expected"),
    [
        (("complaint",), facts(), "high"),
        (("sensitive",), facts(), "high"),
        (("low_confidence",), facts(sentiment=Sentiment.NEGATIVE), "high"),
        (("low_confidence",), facts(level="white"), "high"),
        (("low_confidence",), facts(), "normal"),
        (("human_request",), facts(level="black"), "normal"),
    ],
)
def test_who_must_not_wait_has_priority(
    reasons: tuple[str, ...], given: RiskFacts, expected: str
) -> None:
    assert priority(RiskDecision(HANDOFF, reasons), given) == expected


@pytest.mark.parametrize("word", FORBIDDEN_WORK)
def test_every_forbidden_kind_is_found_through_spaces_and_signs(word: str) -> None:
    spaced = "帮我修一下 " + "-".join(word) + " 的图"
    assert forbidden_work(spaced) in FORBIDDEN_WORK


@pytest.mark.parametrize(
    "text",
    [
        "抠图100人民币可以吗",
        "一共多少人民币",
        "可以用人民币付款吗",
        "数字人民币",
        "设计一个印章风格的logo",
        "护照照片换蓝底",
        "身份证照换成白底",
        "结婚证用的登记照换红底",
        "",
        "帮我抠图",
    ],
)
def test_innocent_wordings_are_left_alone(text: str) -> None:
    assert forbidden_work(text) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("身份证照片弄清晰", "身份证"),
        ("护照首页换底色", "护照"),
        ("把人民币p成一百张", "人民币"),
        ("抠图100人民币，把公章抠出来", "公章"),
        ("印章风格的公章", "公章"),
    ],
)
def test_innocent_words_cover_no_forbidden_ones(text: str, word: str) -> None:
    assert forbidden_work(text) == word
