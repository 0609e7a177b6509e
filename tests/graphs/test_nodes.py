"""Each node alone, on a state made up for it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from domain.decisions import CustomerFacts, Evidence, Retrieval, as_dict
from domain.errors import KnowledgeError
from domain.messages import Attachment
from domain.pricing import QuoteRequest, quote
from graphs.context import Services, TurnContext
from graphs.memory import merge_entities, summarise
from graphs.nodes.classify import MAX_CLASSIFIED_CHARS, classify
from graphs.nodes.escalate import escalate
from graphs.nodes.price_estimate import price_estimate
from graphs.nodes.reply import MAX_CITATION_CHARS, reply
from graphs.nodes.retrieve import retrieve
from graphs.nodes.risk_check import risk_check
from graphs.state import MAX_ENTITY_VALUES, MAX_SUMMARY_CHARS, ConversationState
from graphs.talk import chosen_option, is_order_no

FOUND: dict[str, Any] = {
    "text": "充电桩怎么安装",
    "intent": "usage",
    "confidence": 0.9,
    "dialogue_type": "consult",
    "sentiment": "neutral",
    "entities": {},
    "rule": None,
    "images": [],
}
WARRANTY = Evidence("k1", "质保几年？", "整机质保 3 年。", "charging_pile.md#售后", score=0.9)
RETURNS = Evidence("k2", "怎么退货？", "7 天内可退。", "campus_store.md#售后", score=0.4)


def found(**changed: Any) -> dict[str, Any]:
    return {**FOUND, **changed}


def searched(confidence: float, *evidence: Evidence, exact: bool = False) -> dict[str, Any]:
    return as_dict(Retrieval("q", confidence, evidence, exact))


def risk(outcome: str, reason: str, *missing: str) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "reasons": [reason],
        "missing": list(missing),
        "priority": "normal",
    }


def asked(text: str, **more: Any) -> ConversationState:
    state: ConversationState = {"messages": [HumanMessage(text)]}
    state.update(more)  # type: ignore[typeddict-item]
    return state


@pytest.fixture
def context(services: Services) -> TurnContext:
    return TurnContext(services, turn_id="t1", customer=CustomerFacts("c", "王女士"))


class Shelf:
    """Stands in for the retriever: keeps what it was asked, gives what it was told."""

    def __init__(self, answer: Retrieval | KnowledgeError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def search(
        self,
        query: str,
        *,
        context: Sequence[str] = (),
        category: str | None = None,
        top_k: int | None = None,
    ) -> Retrieval:
        self.asked.append((query, tuple(context)))
        if isinstance(self.answer, KnowledgeError):
            raise self.answer
        return self.answer


def with_shelf(context: TurnContext, shelf: Shelf) -> TurnContext:
    return replace(context, services=replace(context.services, retriever=shelf))


# classify


async def test_classify_clears_what_the_last_turn_left(context: TurnContext) -> None:
    update = await classify(asked("你好", quote={"total": 1}, retrieval={}, effects=[{}]), context)
    assert (update["quote"], update["retrieval"], update["effects"]) == (None, None, [])


async def test_a_rule_decides_the_intent_over_the_classifier(context: TurnContext) -> None:
    update = await classify(asked("再不解决我要投诉"), context)
    result = update["classification"]
    assert (result["intent"], result["confidence"]) == ("complaint", 1.0)
    assert result["rule"]["action"] == "handoff"


async def test_pictures_come_from_the_message_and_from_the_channel(services: Services) -> None:
    block = {"type": "image_url", "image_url": {"url": "http://a/1.jpg"}}
    text = {"type": "text", "text": "这张多少钱"}
    attached = (Attachment("image", "http://a/2.jpg"), Attachment("voice", "http://a/3.amr"))
    context = TurnContext(services, attachments=attached)
    state: ConversationState = {"messages": [HumanMessage(content=[text, block])]}
    result = (await classify(state, context))["classification"]
    assert result["images"] == ["http://a/1.jpg", "http://a/2.jpg"]
    assert result["text"] == "这张多少钱"


async def test_entities_are_remembered_newest_first(context: TurnContext) -> None:
    state = asked("E05 呢", entities={"error_code": ["E03"], "phone": ["13800138000"]})
    update = await classify(state, context)
    assert update["entities"] == {"error_code": ["E05", "E03"], "phone": ["13800138000"]}
    assert update["classification"]["entities"] == {"error_code": ["E05"]}


async def test_a_message_of_any_length_is_classified_by_its_beginning(
    context: TurnContext,
) -> None:
    update = await classify(asked("怎么安装" * 5_000), context)
    assert len(update["classification"]["text"]) == MAX_CLASSIFIED_CHARS


@pytest.mark.parametrize("messages", [[], [AIMessage("您好")], [HumanMessage("")]])
async def test_a_state_without_words_is_classified_too(
    context: TurnContext, messages: list[Any]
) -> None:
    result = (await classify({"messages": messages}, context))["classification"]
    assert (result["text"], result["images"]) == ("", [])


async def test_classification_is_plain_json(context: TurnContext) -> None:
    update = await classify(asked("订单AB12345678到哪了，投诉你们"), context)
    assert json.loads(json.dumps(update)) == update


# retrieve


@pytest.mark.parametrize(
    ("dialogue", "turns"), [("chat", ["四"]), ("business", ["二", "三", "四"])]
)
async def test_the_kind_of_talk_says_how_far_to_look_back(
    context: TurnContext, dialogue: str, turns: list[str]
) -> None:
    shelf = Shelf(Retrieval("q"))
    messages: list[Any] = [HumanMessage(text) for text in "一二三四"]
    state: ConversationState = {
        "messages": [*messages, AIMessage("答"), HumanMessage("现在")],
        "classification": found(text="现在", dialogue_type=dialogue),
    }
    await retrieve(state, with_shelf(context, shelf))
    assert shelf.asked == [("现在", tuple(turns))]


async def test_nothing_is_searched_for_a_message_without_words(context: TurnContext) -> None:
    shelf = Shelf(Retrieval("q"))
    state = asked("", classification=found(text="  "))
    assert await retrieve(state, with_shelf(context, shelf)) == {"retrieval": None}
    assert shelf.asked == []


async def test_knowledge_that_cannot_be_read_is_no_confidence(context: TurnContext) -> None:
    shelf = Shelf(KnowledgeError("index", "is away"))
    update = await retrieve(asked("x", classification=FOUND), with_shelf(context, shelf))
    assert update["retrieval"]["confidence"] == 0.0
    assert update["retrieval"]["evidence"] in ([], ())


# price_estimate


async def test_what_has_no_price_gets_no_quote_and_keeps_the_open_one(
    context: TurnContext,
) -> None:
    state = asked("", classification=found(text="泰国旅游多少钱"))
    assert await price_estimate(state, context) == {"quote": None}


async def test_a_quote_becomes_the_open_one(context: TurnContext) -> None:
    update = await price_estimate(asked("", classification=found(text="抠图多少钱")), context)
    assert update["quote"] == update["open_quote"]
    assert (update["quote"]["service"], update["quote"]["total"]) == ("cutout", 800)
    assert json.loads(json.dumps(update)) is not None


@pytest.mark.parametrize(
    ("text", "images", "last", "service"),
    [
        # The count in the unit of the open quote, right after it.
        ("三张", [], {"decision": {"decision": "quote"}}, "cutout"),
        ("三件", [], {"decision": {"decision": "quote"}}, None),
        ("三张", [], {"decision": {"decision": "answer"}}, None),
        # The picture that we asked for.
        ("", ["u"], {"risk": {"missing": ["image"]}}, "cutout"),
        ("", ["u"], {"risk": {"missing": []}}, None),
        # What the message names goes first.
        ("改字三张", [], {"decision": {"decision": "quote"}}, "text_edit"),
    ],
)
async def test_what_is_priced_after_a_quote(
    context: TurnContext,
    text: str,
    images: list[str],
    last: dict[str, Any],
    service: str | None,
) -> None:
    classified = await classify(asked(text), context)
    result = {**classified["classification"], "images": images}
    state = asked(text, classification=result, open_quote={"service": "cutout"}, **last)
    offered = (await price_estimate(state, context))["quote"]
    assert (offered and offered["service"]) == service


async def test_an_open_quote_for_a_service_that_is_no_more_is_ignored(
    context: TurnContext,
) -> None:
    last = {"decision": {"decision": "quote"}, "open_quote": {"service": "gone"}}
    state = asked("", classification=found(text="三张", entities={"quantity": ["3张"]}), **last)
    assert await price_estimate(state, context) == {"quote": None}


# risk_check


async def test_risk_check_reads_its_facts_from_the_state(context: TurnContext) -> None:
    state = asked("x", classification=FOUND, retrieval=searched(0.6, WARRANTY))
    wanted = risk("clarify", "uncertain", "question") | {"approval": []}
    assert await risk_check(state, context) == {"risk": wanted}


async def test_the_level_comes_from_the_context(context: TurnContext) -> None:
    black = replace(context, customer=CustomerFacts("c", level="black"))
    update = await risk_check(asked("x", classification=FOUND, retrieval=searched(1.0)), black)
    assert update["risk"]["reasons"] == ["blacklist"]


# reply


async def replied(context: TurnContext, **state: Any) -> dict[str, Any]:
    return await reply(asked("x", **{"classification": FOUND, **state}), context)


async def test_the_best_entry_answers_and_is_cited(context: TurnContext) -> None:
    update = await replied(
        context, risk=risk("accept", "evidence"), retrieval=searched(0.8, WARRANTY, RETURNS)
    )
    decision = update["decision"]
    assert (decision["content"], decision["source"]) == ("整机质保 3 年。", "knowledge")
    assert [item["id"] for item in decision["citations"]] == ["k1"]
    assert (decision["action"], decision["confidence"]) == ("reply", 0.8)


async def test_a_long_entry_is_cited_by_its_beginning(context: TurnContext) -> None:
    long = replace(WARRANTY, answer="长" * 500)
    update = await replied(context, risk=risk("accept", "evidence"), retrieval=searched(0.8, long))
    assert len(update["decision"]["citations"][0]["quote"]) == MAX_CITATION_CHARS
    assert len(update["decision"]["content"]) == 500


async def test_one_near_question_is_asked_back(context: TurnContext) -> None:
    update = await replied(
        context, risk=risk("clarify", "uncertain", "question"), retrieval=searched(0.6, WARRANTY)
    )
    assert "「质保几年？」" in update["decision"]["content"]
    assert update["decision"]["options"] == ["质保几年？"]


async def test_several_near_questions_are_numbered(context: TurnContext) -> None:
    update = await replied(
        context,
        risk=risk("clarify", "uncertain", "question"),
        retrieval=searched(0.6, WARRANTY, RETURNS),
    )
    assert "1. 质保几年？\n2. 怎么退货？" in update["decision"]["content"]
    assert [item["id"] for item in update["decision"]["citations"]] == ["k1", "k2"]


@pytest.mark.parametrize(
    ("decided", "source"),
    [
        (risk("decline", "forbidden_content"), "template:decline_content"),
        (risk("clarify", "order_lookup", "order_no"), "template:ask_order_no"),
        (risk("clarify", "unclear_request", "image"), "template:ask_image"),
        (risk("clarify", "unclear_request", "service"), "template:clarify_many"),
    ],
)
async def test_what_is_missing_is_asked_for(
    context: TurnContext, decided: dict[str, Any], source: str
) -> None:
    assert (await replied(context, risk=decided))["decision"]["source"] == source


async def test_braces_and_format_signs_in_knowledge_are_said_as_they_are(
    context: TurnContext,
) -> None:
    odd = replace(WARRANTY, answer="{answer} %s {0.__class__}")
    update = await replied(context, risk=risk("accept", "evidence"), retrieval=searched(0.9, odd))
    assert update["decision"]["content"] == "{answer} %s {0.__class__}"


async def test_words_are_told_to_whoever_watches(context: TurnContext) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    watched = replace(context, emit=lambda event, data: heard.append((event, data)))
    update = await replied(watched, risk=risk("decline", "forbidden_content"))
    assert heard == [("token", {"text": update["decision"]["content"]})]


async def test_the_same_turn_says_the_same_words_again(context: TurnContext) -> None:
    state: dict[str, Any] = {
        "risk": risk("accept", "chat"),
        "classification": found(intent="greeting"),
    }
    first, again = await replied(context, **state), await replied(context, **state)
    assert first["decision"] == again["decision"]


# escalate


async def escalated(context: TurnContext, reason: str, **state: Any) -> dict[str, Any]:
    given = {"classification": FOUND, "entities": {}, **state}
    return await escalate(asked("x", **given, risk=risk("handoff", reason)), context)


def effects(update: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {effect["kind"]: effect["payload"] for effect in update["effects"]}


@pytest.mark.parametrize(
    ("changed", "target"),
    [
        ({}, "desk"),
        ({"intent": "find_image"}, "designer"),
        ({"intent": "process_image"}, "designer"),
        ({"images": ["u"]}, "designer"),
    ],
)
async def test_picture_work_goes_to_designers_and_all_else_to_the_desk(
    context: TurnContext, changed: dict[str, Any], target: str
) -> None:
    update = await escalated(context, "human_request", classification=found(**changed))
    assert effects(update)["handoff"]["target"] == target


async def test_a_confirmed_quote_tells_the_designer_what_was_ordered(
    context: TurnContext,
) -> None:
    offered = quote(context.services.price_book, QuoteRequest("抠20张图"))
    assert offered is not None
    update = await escalated(
        context,
        "order_confirmed",
        classification=found(text="好的", intent="confirm"),
        open_quote=as_dict(offered),
    )
    handoff = effects(update)["handoff"]
    assert handoff["target"] == "designer"
    assert handoff["question"] == "好的（报价：抠图去背景 × 20，144元）"
    assert handoff["question"] in effects(update)["notice"]["text"]
    assert update["open_quote"] is None


async def test_other_handovers_keep_the_open_quote(context: TurnContext) -> None:
    kept = {"service": "cutout"}
    assert (await escalated(context, "human_request", open_quote=kept))["open_quote"] == kept


@pytest.mark.parametrize(
    ("reason", "kinds"),
    [
        ("low_confidence", ["message", "handoff", "notice", "unknown_question"]),
        ("complaint", ["message", "handoff", "notice"]),
        ("a_reason_of_tomorrow", ["message", "handoff", "notice"]),
    ],
)
async def test_a_handover_has_its_effects_by_unique_names(
    context: TurnContext, reason: str, kinds: list[str]
) -> None:
    update = await escalated(context, reason, retrieval=searched(0.2))
    assert [effect["kind"] for effect in update["effects"]] == kinds
    assert len({effect["name"] for effect in update["effects"]}) == len(kinds)
    assert update["decision"]["content"].endswith("请稍候...")


async def test_the_notice_shows_a_long_question_cut_and_the_handover_whole(
    context: TurnContext,
) -> None:
    update = await escalated(context, "human_request", classification=found(text="长" * 2_000))
    assert effects(update)["notice"]["text"].count("长") == 500
    assert effects(update)["handoff"]["question"] == "长" * 2_000


# What a conversation keeps


def test_remembered_entities_are_bounded_and_of_known_kinds() -> None:
    many = {"phone": [str(number) for number in range(50)], "url": ["http://x"]}
    kept = merge_entities({"phone": ["old"]}, many)
    assert kept == {"phone": [str(number) for number in range(MAX_ENTITY_VALUES)]}


def test_the_summary_forgets_its_oldest_lines() -> None:
    state = asked("x", classification=FOUND, summary="")
    for number in range(100):
        state["summary"] = summarise(state, f"第{number}次")
    assert len(state["summary"]) <= MAX_SUMMARY_CHARS
    assert state["summary"].endswith("第99次")
    assert "第1次" not in state["summary"]


THREE = {"options": ["甲？", "乙？", "丙？"]}
ONE = {"options": ["甲？"]}


@pytest.mark.parametrize(
    ("last", "said", "chosen"),
    [
        (THREE, "1", "甲？"),
        (THREE, "第二个", "乙？"),
        (THREE, "选3吧", "丙？"),
        (THREE, " ２。", "乙？"),
        (THREE, "4", None),
        (THREE, "是的", None),
        (THREE, "1台多少钱", None),
        (THREE, "12", None),
        (ONE, "是的", "甲？"),
        (ONE, "嗯嗯", "甲？"),
        (ONE, "1", "甲？"),
        (ONE, "2", None),
        (ONE, "不是", None),
        ({}, "1", None),
        (None, "1", None),
    ],
)
def test_short_answers_pick_from_what_was_offered(
    last: dict[str, Any] | None, said: str, chosen: str | None
) -> None:
    state: ConversationState = {} if last is None else {"decision": last}
    assert chosen_option(state, said) == chosen


@pytest.mark.parametrize(
    ("text", "order_nos", "alone"),
    [
        ("20240501123456", ["20240501123456"], True),
        ("单号：ab-12345678", ["AB-12345678"], True),
        ("麻烦查一下，我的订单号是 20240501123456", ["20240501123456"], True),
        ("20240501123456 我要退款", ["20240501123456"], False),
        ("20240501123456 这单我想换个颜色", ["20240501123456"], False),
        ("你好", [], False),
    ],
)
def test_an_order_number_that_stands_alone_is_known(
    text: str, order_nos: list[str], alone: bool
) -> None:
    assert is_order_no(text, order_nos) is alone
