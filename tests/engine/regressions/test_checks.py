"""What an answer must be: each expectation holds for the right answer and fails for another."""

from typing import Any

import pytest

from engine.regressions.checks import expectation_of, failures
from engine.regressions.script import Expect

CITED = {"id": "k_1", "question": "充电桩怎么安装？", "source": "pile.md#安装", "score": 0.9}
OTHER = {"id": "k_2", "question": "几点营业？", "source": "shop.md#门店", "score": 0.3}


def answer(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "action": "reply",
        "decision": "answer",
        "intent": "usage",
        "content": "１．准备 固定车位，合计 Ａ 35 元",
        "confidence": 0.8,
        "citations": [CITED],
        "evidence": [CITED, OTHER],
        "quote": None,
        "risk": {"reasons": ["evidence"]},
        "nodes": ["classify", "retrieve", "risk_check", "reply"],
    }
    return made | changes


QUOTED = answer(decision="quote", quote={"total": 35.5, "service_name": "抠图"}, citations=[])
HANDED = answer(action="escalate", decision="handoff", risk={"reasons": ["complaint", "x"]})
SILENT = answer(action="none", content="", risk=None)


@pytest.mark.parametrize(
    ("expect", "given"),
    [
        ({"decision": "answer"}, answer()),
        ({"decision": ["chat", "answer"]}, answer()),
        ({"intent": ["price", "usage"]}, answer()),
        ({"contains": ["固定车位", "1.准备"]}, answer(content="1.准备 固定车位")),
        ({"contains": "a 35 元"}, answer()),
        ({"absent": "人工"}, answer()),
        ({"evidence": "k_1"}, answer()),
        ({"evidence": "pile.md"}, answer()),
        ({"evidence": ["pile.md#安装", "充电桩怎么安装？"]}, answer()),
        ({"evidence": "k_2"}, answer(citations=[])),
        ({"min_confidence": 0.8}, answer()),
        ({"quote": 35.5}, QUOTED),
        ({"quote": "35.50元"}, QUOTED),
        ({"quote": "no"}, answer()),
        ({"handoff": "complaint"}, HANDED),
        ({"handoff": "有"}, HANDED),
        ({"handoff": "no"}, answer()),
        ({"handoff": "no"}, SILENT),
        ({"passes": ["retrieve", "reply"]}, answer()),
    ],
)
def test_the_right_answer_meets_it(expect: dict[str, Any], given: dict[str, Any]) -> None:
    assert failures(Expect.model_validate(expect), given) == []


@pytest.mark.parametrize(
    ("expect", "given", "told"),
    [
        ({"decision": "quote"}, answer(), ["decision 应为 quote，实际是 answer"]),
        ({"decision": ["a", "b"]}, answer(), ["decision 应为 a 或 b，实际是 answer"]),
        ({"intent": "price"}, answer(intent=""), ["intent 应为 price，实际是 无"]),
        (
            {"contains": ["固定车位", "免费", "勘测"]},
            answer(content="固定\n车位  固定车位"),
            [
                "contains 应为 含「免费」，实际是 「固定 车位 固定车位」",
                "contains 应为 含「勘测」，实际是 「固定 车位 固定车位」",
            ],
        ),
        ({"contains": "a"}, SILENT, ["contains 应为 含「a」，实际是 没有回复（none）"]),
        ({"absent": "固定车位"}, answer(content="固定车位"), None),
        ({"evidence": "k_2"}, answer(), None),
        ({"evidence": "pile"}, answer(), None),
        ({"evidence": "k_1"}, answer(citations=[], evidence=[]), ["evidence 应为 k_1，实际是 无"]),
        ({"min_confidence": 0.81}, answer(), ["min_confidence 应为 至少 0.81，实际是 0.800"]),
        ({"quote": 35}, QUOTED, ["quote 应为 35 元，实际是 35.5 元（抠图）"]),
        ({"quote": 35}, answer(), ["quote 应为 35 元，实际是 无"]),
        ({"quote": "no"}, QUOTED, ["quote 应为 无，实际是 35.5 元（抠图）"]),
        ({"handoff": "no"}, HANDED, ["handoff 应为 无，实际是 转人工（complaint）"]),
        ({"handoff": "any"}, answer(), ["handoff 应为 转人工，实际是 无"]),
        ({"handoff": "sensitive"}, HANDED, None),
        ({"handoff": "x"}, HANDED, None),
        ({"passes": "look"}, answer(), None),
    ],
)
def test_another_answer_fails_and_both_are_told(
    expect: dict[str, Any], given: dict[str, Any], told: list[str] | None
) -> None:
    found = failures(Expect.model_validate(expect), given)
    assert [one.check for one in found] == list(expect) * len(found)
    assert found
    if told is not None:
        assert [one.sentence for one in found] == told


def test_long_answers_are_shown_short() -> None:
    (found,) = failures(Expect(contains=("x",)), answer(content="长" * 500))
    assert found.got == "「" + "长" * 200 + "…」"


@pytest.mark.parametrize("given", [answer(), QUOTED, HANDED])
def test_an_answer_meets_what_is_made_of_it(given: dict[str, Any]) -> None:
    assert failures(expectation_of(given), given) == []


def test_what_is_made_of_an_answer_names_kind_ground_price_and_person() -> None:
    assert expectation_of(answer()) == Expect(decision=("answer",), evidence=("充电桩怎么安装？",))
    assert expectation_of(QUOTED) == Expect(decision=("quote",), quote=35.5)
    assert expectation_of(HANDED).handoff == "complaint"
