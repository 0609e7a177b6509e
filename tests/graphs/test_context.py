"""What of the conversation a prompt holds: little, and what the question needs."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from domain.decisions import Evidence
from graphs.classifier.model import IntentClassifier
from graphs.facts import MAX_FACTS, Fact, facts_of, need, noted
from graphs.focus import ContextPolicy, Focus, focus_of, window
from graphs.following import PAUSE_TURNS
from graphs.memory import kept_of
from graphs.prompts import RULES, grounded_answer
from tests.bench.context import measure
from tests.bench.needs import Question
from tests.bench.talks import Talk, told_text
from tests.graphs.conftest import Customer
from tools.models.tokens import count, estimate_tokens

TALKS = Path(__file__).parent / "data" / "long_talks.yaml"
SAVED, KEPT = 0.75, 0.98
"""What issue 8 asks of conversations of 10 turns and more."""
POLICY = ContextPolicy()


@pytest.fixture(scope="module")
def classifier() -> IntentClassifier:
    return IntentClassifier.load()


@pytest.fixture
def talk(classifier: IntentClassifier) -> Talk:
    return Talk(classifier)


def talks() -> list[list[Question]]:
    found: list[dict[str, Any]] = yaml.safe_load(TALKS.read_text("utf-8"))
    return [
        [
            Question(turn["ask"], turn["answer"], dict.fromkeys(turn.get("needs", ()), "told"))
            for turn in one["turns"]
        ]
        for one in found
    ]


def says(talk: Talk, ask: str, answer: str, **more: Any) -> Focus:
    focus = talk.asks(ask, **more)
    talk.is_answered(ask, answer)
    return focus


@pytest.mark.parametrize("times", [2, 3])
def test_long_talks_cost_a_quarter_and_their_questions_miss_nothing_they_need(
    classifier: IntentClassifier, times: int
) -> None:
    tally = measure([one * times for one in talks()], classifier, POLICY)
    assert tally.turns / tally.talks >= 10
    assert tally.saved >= SAVED
    assert tally.recall >= KEPT, tally.missed


def test_a_talk_of_ten_turns_misses_nothing_it_needs(classifier: IntentClassifier) -> None:
    tally = measure(talks(), classifier, POLICY)
    assert tally.recall >= KEPT, tally.missed


def test_a_talk_of_a_hundred_turns_costs_no_more_than_one_of_ten(
    classifier: IntentClassifier,
) -> None:
    talk, costs, sizes = Talk(classifier), [], []
    turns = [turn for one in talks() for turn in one]
    for number in range(100):
        turn = turns[number % len(turns)]
        asked = f"{turn.text}，编号{number}"
        costs.append(estimate_tokens(told_text(says(talk, asked, turn.answer))))
        sizes.append(len(orjson.dumps({k: v for k, v in talk.state.items() if k != "messages"})))
    assert max(costs) <= POLICY.talk + POLICY.summary + 30  # headings and who said what
    assert max(sizes[40:]) <= 1.15 * max(sizes[20:40])
    assert len(talk.state["facts"]) <= MAX_FACTS


def test_a_short_talk_is_told_as_it_was(talk: Talk) -> None:
    says(talk, "有保温杯吗", "有的，380ml。")
    focus = talk.asks("多少钱")
    assert focus.recent == ("客户:有保温杯吗", "客服:有的，380ml。")
    assert focus.known == ()


def test_what_the_question_says_itself_is_not_told_again(talk: Talk) -> None:
    for ask, answer in [("想看星河保温杯", "星河保温杯380ml，售价89元。")] * 1:
        says(talk, ask, answer)
    for number in range(4):
        says(talk, f"第{number}个问题：杯盖可以换颜色吗", "可以换，有红色、白色和墨绿色可选。")
    known = talk.asks("星河保温杯有礼盒装吗").known
    assert "星河保温杯" not in known
    assert any("89元" in one for one in known)


def test_the_customers_last_order_number_is_never_left_out(talk: Talk) -> None:
    says(talk, "订单AB20261101发货了吗", "已经发货。")
    for number in range(30):
        says(talk, f"第{number}款蓝牙耳机续航{number}小时吗", f"第{number}款续航{number + 1}小时。")
    assert any("AB20261101" in one for one in talk.asks("我的快递到哪了").known)


def test_another_topic_closes_the_window_and_keeps_what_was_named(talk: Talk) -> None:
    says(talk, "星河7kW充电桩安装要多久", "星河7kW充电桩安装需要半天时间，物业要先同意。")
    says(talk, "安装之前物业要准备什么材料", "需要车位产权证明和物业同意书，您可以先和物业沟通。")
    says(talk, "对了，老照片修复怎么收费", "老照片修复每张30元，严重破损的另外报价。")
    topic = talk.state["topic"]
    assert topic is not None
    assert (topic["turn"], topic["why"]) == (3, "signal")
    assert window(talk.state) == []
    talk.asks("那要几天")
    assert window(talk.state) == ["对了，老照片修复怎么收费"]
    assert any("星河7kW充电桩" in fact.value for fact in facts_of(talk.state["facts"]))


def test_the_window_is_as_wide_as_the_type_of_the_talk(talk: Talk) -> None:
    asked = [f"星河充电桩第{number}种安装方式怎么样" for number in range(7)]
    for ask in asked:
        says(talk, ask, "星河充电桩支持这种安装方式，需要现场勘测。")
    talk.asks("现在")
    widths = {}
    for kind in ("chat", "consult", "business"):
        talk.state["classification"] = {"text": "现在", "dialogue_type": kind}
        talk.state["topic"] = {"turn": 1, "type": kind, "why": ""}
        widths[kind] = len(window({**talk.state, "turn": 8}))
    assert widths == {"chat": 1, "consult": 5, "business": 3}


def test_who_comes_back_is_met_with_the_summary_and_an_empty_window(talk: Talk) -> None:
    says(talk, "星河7kW充电桩安装要多久", "安装需要半天。", session=1)
    says(talk, "订单AB20261101预约明天", "已经预约。", session=1)
    summary = talk.state["summary"]
    focus = talk.asks("你好，还在吗", session=2)
    assert window(talk.state) == []
    assert focus.recent == ()
    assert focus.summary
    assert focus.summary in summary
    assert "AB20261101" in "".join(focus.known)
    talk.is_answered("你好，还在吗", "在的。")
    assert talk.state["session"]["before"] == summary
    assert "星河" not in talk.state["summary"]
    assert talk.state["turn"] == 3 + PAUSE_TURNS


def test_a_summary_has_a_line_for_what_was_asked_and_what_the_answer_named(talk: Talk) -> None:
    says(talk, "星河7kW充电桩多少钱", "星河7kW充电桩售价2680元。")
    talk.asks("谢谢")
    talk.state.update(kept_of(talk.state, "不客气。", "chat"))  # type: ignore[typeddict-item]
    assert talk.state["summary"] == "客户:星河7kW充电桩多少钱 → 已答:星河7kW充电桩售价2680元"


def test_the_last_sessions_summary_is_told_for_a_few_turns_only(talk: Talk) -> None:
    says(talk, "星河7kW充电桩安装要多久", "安装需要半天。", session=1)
    told = [bool(says(talk, f"保温杯{n}号有货吗", "有货。", session=2).summary) for n in range(5)]
    assert told == [True, True, True, False, False]


def test_who_speaks_of_earlier_gets_the_summary_of_this_talk(talk: Talk) -> None:
    for number in range(6):
        says(talk, f"保温杯{number}号容量多少毫升", f"{number}号容量是{number}80毫升，304不锈钢。")
    assert not talk.asks("保温杯8号容量多少毫升").summary
    talk.is_answered("保温杯8号容量多少毫升", "880毫升。")
    assert "保温杯" in talk.asks("之前说的那几款里哪个最大").summary


EVIDENCE = tuple(
    Evidence(f"k{n}", f"问题{n}", f"答案{n}。" + "内容" * 200, "a.md") for n in range(3)
)
FOCUS = Focus(("星河保温杯", "AB20261101"), ("客户:有货吗",), "客户:问了保温杯 → answer")


def prompt(budget: int) -> str:
    policy = ContextPolicy(budget=budget)
    made = grounded_answer("多少钱", EVIDENCE, focus=FOCUS, customer="", policy=policy)
    assert count(made) <= budget
    return made[1].content


def test_too_long_a_prompt_loses_first_what_it_needs_least() -> None:
    whole = count(
        grounded_answer("多少钱", EVIDENCE, focus=FOCUS, customer="", policy=ContextPolicy())
    )
    marks = ("【此前对话摘要】", "【最近对话】", "[3]", "[2]", "【已知信息】")
    lost: list[str] = []
    for budget in range(whole, 380, -10):
        text = prompt(budget)
        lost += [mark for mark in marks if mark not in text and mark not in lost]
        assert "[1] 问题0:答案0" in text
        assert "【客户问题】\n多少钱" in text
    assert lost == list(marks)


def test_rules_come_first_whatever_the_budget() -> None:
    policy = ContextPolicy(budget=1)
    made = grounded_answer("多少钱", EVIDENCE, focus=FOCUS, customer="", policy=policy)
    assert made[0].content == RULES


@pytest.mark.parametrize(
    ("more", "less"),
    [
        # the last turn's before those of the turn before it, and of earlier ones
        (Fact("保温杯", 4, True, False, False), Fact("保温杯", 2, True, False, False)),
        (Fact("保温杯", 3, True, False, False), Fact("保温杯", 2, True, False, False)),
        # what the customer said before what only we said
        (Fact("保温杯", 4, False, False, False), Fact("保温杯", 4, True, False, False)),
        # a name before talk
        (Fact("星河保温杯", 4, True, False, False), Fact("还能再便宜点不", 4, True, False, False)),
        # the customer's number before a telephone number of ours
        (Fact("20261101001", 1, False, False, False), Fact("010-5550100", 4, True, False, False)),
        # an order number of long ago before a word of the last turn
        (Fact("AB20261101", 0, True, False, False), Fact("红色", 4, True, False, False)),
    ],
)
def test_some_facts_are_needed_more_than_others(more: Fact, less: Fact) -> None:
    assert need(more, 5) > need(less, 5)


def test_a_fact_that_is_named_again_is_new_and_the_customers_for_good() -> None:
    rows = noted([], "星河保温杯有货吗", 1, ours=False)
    rows = noted(rows, "推荐您看看墨绿色的。", 1, ours=True)
    rows = noted(rows, "星河保温杯有货的。", 2, ours=True)
    named = {fact.value: fact for fact in facts_of(rows)}
    fact = next(fact for value, fact in named.items() if "星河保温杯" in value)
    assert (fact.turn, fact.ours) == (2, False)


async def test_the_graph_keeps_turn_topic_and_facts_from_turn_to_turn(customer: Customer) -> None:
    await customer.says("充电桩怎么安装")
    state = await customer.says("订单AB20261101到哪了")
    assert state["turn"] == 2
    assert state["topic"]["turn"] == 2
    assert any("AB20261101" in fact.value for fact in facts_of(state["facts"]))
    assert focus_of(state, POLICY).summary == ""  # type: ignore[arg-type]
