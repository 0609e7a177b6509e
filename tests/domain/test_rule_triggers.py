"""Triggers of the rules file: when they act, and which files are refused."""

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from domain.decisions import CustomerFacts
from domain.errors import ConfigurationError
from domain.intents import Intent, Sentiment
from domain.rule_triggers import MAX_FIRED, Occasion
from domain.rules import RuleSet

ZONE = ZoneInfo("Asia/Shanghai")
TUESDAY_NOON = datetime(2026, 9, 29, 12, 0, tzinfo=ZONE)
NATIONAL_DAY = datetime(2026, 10, 1, 12, 0, tzinfo=ZONE)  # a Thursday


def rules_of(*triggers: dict[str, Any], **file: Any) -> RuleSet:
    words = {"category": "complaint", "action": "handoff", "words": ["投诉"]}
    return RuleSet.parse(yaml.safe_dump({"rules": [words], "triggers": list(triggers)} | file))


def trigger(rule: str = "one", when: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    when = when if when is not None else {"text": {"words": ["发货"]}}
    return {"id": rule, "name": rule, "when": when, "then": [{"flag": "x"}]} | more


def said(text: str = "什么时候发货", **facts: Any) -> Occasion:
    known: dict[str, Any] = {
        "intent": Intent.ORDER_STATUS,
        "intent_confidence": 0.9,
        "sentiment": Sentiment.NEUTRAL,
        "at": TUESDAY_NOON,
    }
    return Occasion(text, **known | facts)


def ids(rules: RuleSet, occasion: Occasion, **paused: float) -> list[str]:
    return [one.trigger.id for one in rules.fired(occasion, paused)]


VIP = CustomerFacts("web:shop:u1", "王", "white", 85, "deal", 12, ("大客户",))
OCCASIONS: list[tuple[str, dict[str, Any], Occasion, bool]] = [
    ("a word", {"text": {"words": ["发货"]}}, said("什么时候 发-货"), True),
    ("no word", {"text": {"words": ["发货"]}}, said("什么时候到"), False),
    (
        "an exception",
        {"text": {"words": ["发货"], "exceptions": ["不发货"]}},
        said("不发货"),
        False,
    ),
    ("the whole", {"text": {"whole": ["发货"]}}, said("发货!"), True),
    ("not the whole", {"text": {"whole": ["发货"]}}, said("发货吗"), False),
    ("a pattern", {"text": {"pattern": r"[1-9]\d{1,3}张"}}, said("要做200张"), True),
    ("a pattern in vain", {"text": {"pattern": r"[1-9]\d{1,3}张"}}, said("要做2张"), False),
    ("each group", {"text": {"all": [["又"], ["坏了", "不行"]]}}, said("灯又坏了"), True),
    ("one group short", {"text": {"all": [["又"], ["坏了", "不行"]]}}, said("灯坏了"), False),
    ("a Latin word alone", {"text": {"words": ["ok"]}}, said("is it OK?"), True),
    ("a Latin word inside", {"text": {"words": ["ok"]}}, said("look"), False),
    ("the intent", {"intents": ["order_status"]}, said(), True),
    ("an unsure intent", {"intents": ["order_status"]}, said(intent_confidence=0.5), False),
    ("the feeling", {"sentiments": ["negative"]}, said(sentiment=Sentiment.NEGATIVE), True),
    ("another feeling", {"sentiments": ["negative"]}, said(), False),
    ("twice upset", {"upset": 2}, said(upset=2), True),
    ("once upset", {"upset": 2}, said(upset=1), False),
    ("the level", {"customer": {"levels": ["white"]}}, said(customer=VIP), True),
    ("another level", {"customer": {"levels": ["black"]}}, said(customer=VIP), False),
    ("the state", {"customer": {"states": ["deal", "repurchase"]}}, said(customer=VIP), True),
    ("one of the tags", {"customer": {"tags": ["大客户", "x"]}}, said(customer=VIP), True),
    ("a tag too many", {"customer": {"without_tags": ["大客户"]}}, said(customer=VIP), False),
    ("score, both ends", {"customer": {"score": {"min": 85, "max": 85}}}, said(customer=VIP), True),
    ("score above", {"customer": {"score": {"max": 84}}}, said(customer=VIP), False),
    ("messages", {"customer": {"messages": {"min": 13}}}, said(customer=VIP), False),
    ("the contact", {"customer": {"contacts": ["web:shop:u1"]}}, said(customer=VIP), True),
    ("the channel", {"channels": ["web"]}, said(channel="web", account="a"), True),
    ("the account", {"channels": ["web:a"]}, said(channel="web", account="a"), True),
    ("another account", {"channels": ["web:b"]}, said(channel="web", account="a"), False),
    ("within hours", {"time": {"hours": "1-5 09:00-18:00"}}, said(), True),
    ("outside hours", {"time": {"hours": "1-5 09:00-18:00", "outside": True}}, said(), False),
    ("a holiday is closed", {"time": {"hours": "1-5 09:00-18:00"}}, said(at=NATIONAL_DAY), False),
    ("only holidays", {"time": {"holidays": "only"}}, said(at=NATIONAL_DAY), True),
    ("never on holidays", {"time": {"holidays": "never"}}, said(at=NATIONAL_DAY), False),
    ("no holiday", {"time": {"holidays": "never"}}, said(), True),
    ("the last day", {"time": {"until": "2026-09-29"}}, said(), True),
    ("over", {"time": {"until": "2026-09-28"}}, said(), False),
    ("not yet", {"time": {"since": "2026-09-30"}}, said(), False),
    ("all must hold", {"intents": ["order_status"], "channels": ["web"]}, said(), False),
]


@pytest.mark.parametrize(
    ("when", "occasion", "acts"), [case[1:] for case in OCCASIONS], ids=[c[0] for c in OCCASIONS]
)
def test_a_trigger_acts_where_all_that_it_asks_for_holds(
    when: dict[str, Any], occasion: Occasion, acts: bool
) -> None:
    rules = rules_of(trigger(when=when), holidays=["2026-10-01"])
    assert bool(ids(rules, occasion)) is acts


def test_the_highest_priority_goes_first_and_then_the_order_of_the_file() -> None:
    rules = rules_of(trigger("a"), trigger("b"), trigger("c", priority=200))
    assert ids(rules, said()) == ["c", "a", "b"]


def test_behind_a_trigger_that_stops_none_acts() -> None:
    rules = rules_of(trigger("a", priority=1), trigger("b", stop=True))
    assert ids(rules, said()) == ["b"]


def test_what_is_switched_off_or_rests_does_not_act() -> None:
    rules = rules_of(trigger("off", enabled=False), trigger("rests"), trigger("rested"))
    now = TUESDAY_NOON.timestamp()
    assert ids(rules, said(), rests=now + 1, rested=now) == ["rested"]


def test_no_more_than_ten_act_on_one_message() -> None:
    rules = rules_of(*(trigger(f"t{at}") for at in range(MAX_FIRED + 5)))
    assert len(ids(rules, said())) == MAX_FIRED


def test_a_trigger_says_which_word_it_found() -> None:
    (hit,) = rules_of(trigger(when={"text": {"words": ["发(货|快递)"]}})).fired(said("发 快递吗"))
    assert hit.word == "发快递"


def test_an_entry_that_is_switched_off_decides_nothing() -> None:
    words = {"category": "complaint", "action": "handoff", "words": ["投诉"], "whole": ["差评"]}
    off = RuleSet.parse(yaml.safe_dump({"rules": [words | {"enabled": False}]}))
    assert off.match("我要投诉") is None
    assert off.match("差评") is None


def test_a_hit_names_the_entry() -> None:
    words = {"id": "angry", "category": "complaint", "action": "handoff", "words": ["投诉"]}
    hit = RuleSet.parse(yaml.safe_dump({"rules": [words]})).match("我要投诉")
    assert hit is not None
    assert hit.rule == "angry"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("nothing asked", trigger(when={}), "triggers.0"),
    ("nothing done", trigger(then=[]), "triggers.0.then"),
    (
        "two things in one step",
        trigger(then=[{"flag": "a", "handoff": "high"}]),
        "triggers.0.then.0",
    ),
    (
        "arguments without a tool",
        trigger(then=[{"flag": "a", "arguments": {"a": 1}}]),
        "triggers.0",
    ),
    ("an unknown field", trigger(then=[{"reply": "{{customer.password}}"}]), "triggers.0.then.0"),
    ("the customer's words", trigger(then=[{"reply": "{{trigger.text}}"}]), "triggers.0.then.0"),
    ("an unknown intent", trigger(when={"intents": ["steal"]}), "triggers.0.when.intents"),
    ("odd hours", trigger(when={"time": {"hours": "9-5"}}), "triggers.0.when.time.hours"),
    ("an empty group", trigger(when={"text": {"all": [[]]}}), "triggers.0.when.text"),
    ("an id with spaces", trigger("a b"), "triggers.0.id"),
    ("no end", trigger(when={"text": {"pattern": "a.*b"}}), "triggers.0.when.text.pattern"),
]


@pytest.mark.parametrize(
    ("wrong", "key"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_trigger_that_cannot_be_used_is_refused_by_its_key(
    wrong: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rules_of(wrong)
    assert caught.value.variable.startswith(f"rules.yaml.{key}")


def test_an_id_is_used_once() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        rules_of(trigger("a"), trigger("a"))


def test_many_triggers_cost_little_more_than_few() -> None:
    def seconds(number: int) -> float:
        many = [
            trigger(f"t{at}", {"text": {"words": [f"{word}{at}号" for word in ("坏了", "要退")]}})
            for at in range(number)
        ]
        rules, text = rules_of(*many), "我的充电桩装好以后一直没有反应" * 20

        def once() -> float:
            occasion, started = said(text), time.process_time()
            for _ in range(50):
                rules.fired(occasion)
            return time.process_time() - started

        return min(once() for _ in range(3))

    assert seconds(400) < 10 * seconds(10) + 0.02
