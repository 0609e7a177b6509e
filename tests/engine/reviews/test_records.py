"""What is kept of a turn comes back as it was, and never costs the turn."""

import logging
from dataclasses import replace
from typing import Any

import orjson
import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.types import Command

from domain.amendments import OpenOrder
from domain.decisions import CustomerFacts, Quote, QuoteItem
from domain.desk import Mode
from domain.messages import Attachment
from domain.orders import OrderStatus, Workflow
from engine.bootstrap import build_services
from engine.reviews.records import MAX_PROMPT_CHARS, Recorded, record_turn, recorded
from engine.settings import load_settings
from graphs.context import NodeRun, Prompted, TurnContext
from graphs.desk import AtDesk, Returned, Standing
from graphs.orders import OrdersInTalk
from storage import reviews
from storage.checkpoints import StoredCheckpoint
from storage.database import Database
from storage.inbox import Claim
from storage.orders import OrderRow
from tests.engine.processes import EchoKnowledge
from tools.models.calls import ChatMessage

QUOTE = Quote("cutout", "抠图", (QuoteItem("抠图", 800, "8元/张"),), 800, 500, 24, "v1")
ORDERS = OrdersInTalk(
    lambda _row, _text: None,
    rows=(
        OrderRow(
            id=3,
            key="k",
            contact_id="api:shop:甲",
            conversation_id="c1",
            title="图片处理",
            requirement="抠图",
            images=("http://pics/a",),
            pictures=("ab" * 32,),
            status=OrderStatus.QUOTED,
            workflow=Workflow.PROCESS,
            service="cutout",
            quote=QUOTE,
            tried=({"by": "x", "result": "given_up"},),
            deliverables=(),
            designer=None,
            priority="normal",
            deadline_ts=None,
            version=2,
            attempts=0,
            due_at=5.5,
            created_at="2026-01-01T00:00:00.000+00:00",
            updated_at="2026-01-01T00:00:00.000+00:00",
        ),
    ),
    open=(OpenOrder(3, "抠图", "抠图", ("包", "棕色"), 1, recent=True),),
)
BASE = StoredCheckpoint("c1", "", "id1", None, "kefu1", b"\x00\x01 base", b"meta")


@pytest.fixture(scope="module")
def context() -> TurnContext:
    services = build_services(load_settings(env_files=None), EchoKnowledge(), None)
    return TurnContext(
        services,
        turn_id="t1",
        conversation_id="c1",
        customer=CustomerFacts("api:shop:甲", "甲", "white", 80, "active", 3),
        attachments=(Attachment("image", "http://pics/a"),),
        now=1_700_000_000.5,
        asks="还问",
        orders=ORDERS,
        desk=AtDesk(
            Mode.QUEUED,
            "order_lookup",
            standing=Standing(2, open=False, opens="明天 9:00", full=True),
            answered=True,
            returned=Returned(7, "怎么退款", asks_mark=True),
        ),
        runs=[
            NodeRun("classify", 0.5, {"classification": {"text": "问"}}, ("retrieve", "desk")),
            NodeRun("reply", 1.5, {"messages": [AIMessage("答", id="a1")], "summary": "s"}),
            NodeRun("desk", 2.5, {"messages": [RemoveMessage(id="__remove_all__")]}),
        ],
        prompts=[Prompted("reply", (ChatMessage("system", "规则"),), "说", ("numbers",))],
    )


def claim(checkpoint: StoredCheckpoint | None = BASE) -> Claim:
    return Claim(
        conversation_id="c1",
        owner="p1",
        fence=1,
        until=0.0,
        channel="api",
        account="shop",
        chat_id="甲",
        sender_id="甲",
        contact_id="api:shop:甲",
        mode="bot",
        session_no=1,
        session_last_ts=0.0,
        received=1,
        attempts=1,
        failures=0,
        last_error=None,
        messages=(),
        more=False,
        checkpoint=checkpoint,
    )


async def kept(database: Database, values: Any) -> Recorded:
    await database.write(lambda c: reviews.keep_record(c, values))
    row = await database.read(lambda c: reviews.find_record(c, values["turn_id"]))
    assert row is not None
    return recorded(row)


async def test_everything_comes_back_as_it_was(database: Database, context: TurnContext) -> None:
    said = {"messages": [HumanMessage("问", id="m1")]}
    found = await kept(database, record_turn(claim(), context, said, ended=5.0))  # type: ignore[arg-type]
    assert found == Recorded(
        turn_id="t1",
        at_ts=5.0,
        now=1_700_000_000.5,
        said=("m1", "问"),
        resume=None,
        attachments=context.attachments,
        customer=context.customer,
        asks="还问",
        tasks=(),
        desk=context.desk,
        orders=ORDERS.rows,
        open_orders=ORDERS.open,
        runs=tuple(context.runs),
        prompts=tuple(context.prompts),
        base_kind="kefu1",
        base=BASE.body,
    )


async def test_a_word_that_a_run_went_on_with_is_kept_in_place_of_words_said(
    database: Database, context: TurnContext
) -> None:
    word = {"verdict": "edited", "total": 100, "note": ""}
    values = record_turn(claim(None), context, Command(resume=word), ended=5.0)
    found = await kept(database, values)
    assert (found.said, found.resume, found.base, found.base_kind) == (None, word, None, "")


async def test_a_prompt_is_cut_at_its_bound(database: Database, context: TurnContext) -> None:
    long = "长" * (MAX_PROMPT_CHARS + 1)
    told = replace(context, prompts=[Prompted("reply", (ChatMessage("user", long),), long)])
    found = await kept(database, record_turn(claim(), told, Command(resume=1), ended=5.0))
    (prompt,) = found.prompts
    assert prompt.answer is not None
    assert (len(prompt.messages[0].content), len(prompt.answer)) == (MAX_PROMPT_CHARS,) * 2


def test_what_cannot_be_written_is_left_out_and_told(
    context: TurnContext, caplog: pytest.LogCaptureFixture
) -> None:
    odd = replace(context, runs=[NodeRun("classify", 0.5, {"classification": {"x": object()}})])
    with caplog.at_level(logging.ERROR):
        assert record_turn(claim(), odd, Command(resume=1), ended=5.0) is None
    assert "turn t1 cannot be kept for review" in caplog.text


async def test_a_record_of_another_release_is_read_as_far_as_it_goes(
    database: Database, context: TurnContext
) -> None:
    values = record_turn(claim(), context, Command(resume=1), ended=5.0)
    await kept(database, values)
    row = await database.read(lambda c: reviews.find_record(c, "t1"))
    assert row is not None
    body = orjson.loads(row.body)
    body["customer"] |= {"gone": 1}
    body["desk"] |= {"gone": 1}
    del body["customer"]["score"]
    found = recorded(replace(row, body=orjson.dumps(body)))
    assert found.customer == replace(context.customer, score=60)
    assert found.desk == context.desk


async def test_records_are_packed(database: Database, context: TurnContext) -> None:
    long = NodeRun("retrieve", 1.0, {"retrieval": {"evidence": ["同样的话"] * 1_000}})
    values = record_turn(claim(), replace(context, runs=[long]), Command(resume=1), ended=5.0)
    assert values is not None
    assert len(values["body"]) < 1_000
    assert (await kept(database, values)).runs == (long,)
