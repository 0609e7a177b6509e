"""A turn is opened with all that it did, and run again from each of its nodes without a trace."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from domain.approvals import Verdict
from domain.errors import InvalidInput, NotFound
from engine.desk.desk import Forbidden
from engine.reviews.fork import supersteps
from engine.reviews.keeping import RecordKeeping
from engine.reviews.reviews import Reviews
from graphs.context import NodeRun
from storage import approvals, drafts
from storage import reviews as rows
from tests.engine.processes import Process, Tasks, a_message, answer_to, running_process
from tests.engine.reviews.conftest import AGENT, DAY_S, STRANGER, VIEWER, Known, reviews_of
from tests.engine.tasks.orders import on_keyword, receive

TABLES = ("turns", "messages", "effects", "outbox", "handoffs", "image_tasks", "checkpoints")
QUOTED = "设计1个logo多少钱"


async def counted(process: Process) -> dict[str, int]:
    return {table: await process.count(table) for table in TABLES}


async def turn_of(process: Process, text: str = "一号", **options: Any) -> dict[str, Any]:
    return await process.engine.ask(a_message(text, **options))


async def test_an_opened_turn_tells_what_was_said_its_path_and_what_each_node_gave(
    process: Process, reviews: Reviews
) -> None:
    message = a_message("一号")
    answer = await process.engine.ask(message)
    turn = await reviews.turn(AGENT, answer["turn_id"])
    assert (turn.channel, turn.account, turn.customer) == ("api", "shop", "甲")
    assert [one.text for one in turn.said] == [turn.text] == [message.text]
    assert [step.node for step in turn.steps] == ["classify", "retrieve", "risk_check", "reply"]
    assert turn.steps[0].goes_to == ("retrieve",)
    assert turn.classification is not None
    assert turn.classification["text"] == message.text
    assert turn.steps[1].gave["retrieval"]["query"] == message.text
    assert turn.steps[3].gave["decision"]["content"] == answer_to(message)
    assert (turn.answer["content"], turn.retrieval_confidence) == (answer_to(message), 0.97)
    assert [one["id"] for one in turn.evidence] == ["e1"]
    assert turn.recorded
    assert turn.kept_until_ts == pytest.approx(turn.ended_ts + 7 * DAY_S)


async def test_a_turns_quote_is_shown_in_yuan_also_while_it_waits_for_approval(
    process: Process, reviews: Reviews
) -> None:
    answer = await turn_of(process, whole="设计2个logo多少钱")
    turn = await reviews.turn(AGENT, answer["turn_id"])
    assert (answer["quote"], turn.answer["decision"]) == (None, "approval")
    assert turn.quote is not None
    assert turn.quote["total"] == 600.0


@pytest.mark.parametrize("node", ["classify", "retrieve", "risk_check", "reply"])
async def test_run_again_with_nothing_changed_it_says_the_same(
    process: Process, known: Known, tmp_path: Path, node: str
) -> None:
    await turn_of(process, "零号")
    answer = await turn_of(process)
    same = reviews_of(process, known, tmp_path, changed=False)
    again = await same.rerun(AGENT, answer["turn_id"], from_node=node)
    assert again.changes == ()
    assert [step.node for step in again.steps] == answer["nodes"]


async def test_from_retrieve_it_says_what_the_base_says_now_and_leaves_no_trace(
    process: Process, reviews: Reviews, known: Known
) -> None:
    answer = await turn_of(process)
    before = await counted(process)
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="retrieve")
    assert again.answer["content"] == "现在的答案。"
    assert [one["id"] for one in again.evidence] == ["k_new"]
    assert set(again.changes) == {"content", "confidence", "evidence"}
    assert known.refreshed == 1
    assert await counted(process) == before
    opened = await reviews.turn(AGENT, answer["turn_id"])
    assert opened.answer["content"] == answer["content"]


async def test_from_reply_what_was_found_then_counts(
    process: Process, reviews: Reviews, known: Known
) -> None:
    answer = await turn_of(process)
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="reply")
    assert (again.changes, known.asked) == ((), [])


async def test_where_the_base_knows_nothing_any_more_a_person_would_be_called_and_is_not(
    process: Process, reviews: Reviews, known: Known
) -> None:
    answer, known.answer = await turn_of(process), ""
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="retrieve")
    assert again.answer["decision"] == "handoff"
    assert again.answer["nodes"] == ["classify", "retrieve", "risk_check", "escalate"]
    assert {"decision", "path"} <= set(again.changes)
    assert await process.count("handoffs") == 0
    assert await process.count("unknown_questions") == 0


async def test_other_words_are_classified_anew_from_the_start(
    process: Process, reviews: Reviews
) -> None:
    answer = await turn_of(process)
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="classify", text=QUOTED)
    assert (again.answer["decision"], again.answer["intent"]) == ("quote", "price")
    assert again.answer["quote"]["total"] == 300.0
    assert {"quote", "intent", "path"} <= set(again.changes)


async def test_other_words_are_searched_for_from_retrieve(
    process: Process, reviews: Reviews, known: Known
) -> None:
    answer = await turn_of(process)
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="retrieve", text=" 别的\u200b ")
    assert known.asked == ["别的"]
    assert again.answer["intent"] == answer["intent"]


async def test_another_intent_takes_effect_behind_classify(
    process: Process, reviews: Reviews
) -> None:
    answer = await turn_of(process)
    again = await reviews.rerun(
        AGENT, answer["turn_id"], from_node="risk_check", intent="complaint"
    )
    assert (again.answer["decision"], again.answer["intent"]) == ("handoff", "complaint")


async def test_another_level_of_the_customer_has_another_price(
    process: Process, reviews: Reviews
) -> None:
    answer = await turn_of(process, whole=QUOTED)
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="price_estimate", level="white")
    assert (answer["quote"]["total"], again.answer["quote"]["total"]) == (300.0, 285.0)


async def test_nodes_that_ran_side_by_side_run_again_together(
    process: Process, reviews: Reviews, known: Known
) -> None:
    answer = await turn_of(process, whole=QUOTED)
    assert {"retrieve", "price_estimate"} <= set(answer["nodes"])
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="price_estimate")
    assert (len(known.asked), again.answer["quote"]) == (1, answer["quote"])


async def test_a_turn_that_would_wait_for_approval_says_so(
    process: Process, reviews: Reviews
) -> None:
    answer = await turn_of(process)
    again = await reviews.rerun(
        AGENT, answer["turn_id"], from_node="classify", text="设计2个logo多少钱"
    )
    assert (again.stopped, again.answer["decision"]) == ("quote_approval", "approval")
    assert await process.count("approvals") == 0


async def test_a_turn_that_went_on_with_a_persons_word_is_run_again_with_it(
    process: Process, reviews: Reviews
) -> None:
    await turn_of(process, whole="设计2个logo多少钱")
    (waits,) = await process.database.read(
        lambda c: approvals.listed(c, status="pending", limit=1, offset=0)
    )
    await process.engine.decide_approval(waits["id"], Verdict.EDITED, by="主管", total=55_000)
    await process.quiet()
    (row,) = await process.rows(
        "SELECT turn_id FROM turns WHERE message_ids <> '[]' ORDER BY started_ts DESC LIMIT 1"
    )
    turn = await reviews.turn(AGENT, row["turn_id"])
    assert [step.node for step in turn.steps] == ["approve", "reply"]
    assert (turn.text, turn.resumed["verdict"], turn.answer["quote"]["total"]) == (
        "",
        "edited",
        550.0,
    )
    for node in ("approve", "reply"):
        again = await reviews.rerun(AGENT, row["turn_id"], from_node=node)
        assert again.changes == ()
    with pytest.raises(InvalidInput, match="没有客户的话可改"):
        await reviews.rerun(AGENT, row["turn_id"], from_node="reply", text="别的")


async def test_older_turns_are_run_again_as_they_stood_then(
    process: Process, reviews: Reviews
) -> None:
    """Long after their checkpoints were pruned."""
    first = await turn_of(process, whole=QUOTED)
    taken = await turn_of(process, whole="好的")
    for number in range(4):
        await turn_of(process, f"{number}号")
    assert taken["risk"]["reasons"] == ["order_confirmed"]
    again = await reviews.rerun(AGENT, taken["turn_id"], from_node="classify")
    assert again.answer["risk"]["reasons"] == ["order_confirmed"]
    without = await reviews.rerun(AGENT, first["turn_id"], from_node="classify", text="好的")
    assert without.answer["risk"]["reasons"] != ["order_confirmed"]


async def test_what_cannot_be_run_again_is_told(process: Process, reviews: Reviews) -> None:
    turn = (await turn_of(process))["turn_id"]
    with pytest.raises(InvalidInput, match="没有经过这个节点；可选 classify、retrieve") as caught:
        await reviews.rerun(AGENT, turn, from_node="escalate")
    assert (caught.value.field, caught.value.status) == ("from_node", 422)
    with pytest.raises(InvalidInput, match="不能指定"):
        await reviews.rerun(AGENT, turn, from_node="classify", intent="price")
    with pytest.raises(InvalidInput, match="应为 greeting"):
        await reviews.rerun(AGENT, turn, from_node="retrieve", intent="nonsense")
    with pytest.raises(InvalidInput, match="white、gray、black"):
        await reviews.rerun(AGENT, turn, from_node="retrieve", level="gold")
    with pytest.raises(InvalidInput, match="不能为空"):
        await reviews.rerun(AGENT, turn, from_node="classify", text=" \u200b")
    with pytest.raises(NotFound):
        await reviews.rerun(AGENT, "t_none", from_node="classify")


async def test_a_turn_is_seen_and_run_within_scope_and_role_only(
    process: Process, reviews: Reviews
) -> None:
    turn = (await turn_of(process))["turn_id"]
    assert (await reviews.turn(VIEWER, turn)).recorded
    with pytest.raises(Forbidden):
        await reviews.rerun(VIEWER, turn, from_node="classify")
    for act in (
        reviews.turn(STRANGER, turn),
        reviews.rerun(STRANGER, turn, from_node="classify"),
    ):
        with pytest.raises(NotFound):
            await act


async def test_steps_are_forgotten_in_time_and_the_answer_stays(
    process: Process, reviews: Reviews
) -> None:
    turn = (await turn_of(process))["turn_id"]
    keeping = RecordKeeping(process.database, keep_s=DAY_S)
    assert await keeping.tidy() == 0
    later = RecordKeeping(process.database, keep_s=DAY_S, clock=lambda: time.time() + DAY_S + 1)
    assert (await later.tidy(), await later.tidy()) == (1, 0)
    opened = await reviews.turn(AGENT, turn)
    assert (opened.recorded, opened.steps, opened.kept_until_ts) == (False, (), None)
    assert (opened.answer["decision"], [one["id"] for one in opened.evidence]) == ("answer", ["e1"])
    with pytest.raises(InvalidInput, match="没有保存") as caught:
        await reviews.rerun(AGENT, turn, from_node="classify")
    assert caught.value.status == 409


async def test_a_run_again_is_written_to_the_audit_log(process: Process, reviews: Reviews) -> None:
    turn = (await turn_of(process))["turn_id"]
    await reviews.rerun(AGENT, turn, from_node="retrieve", text="别的")
    (row,) = await process.rows(
        "SELECT actor, detail FROM audit WHERE action = 'turn.rerun' AND subject = :turn", turn=turn
    )
    assert row == {"actor": "xiaowang", "detail": '{"from": "retrieve", "edited": ["text"]}'}


async def test_a_turn_whose_commit_failed_leaves_no_record(process: Process) -> None:
    process.knowledge.fail("坏的", times=1)
    answer = await turn_of(process, "坏的")
    assert answer["decision"] == "answer"
    assert await process.count("turn_records") == await process.count("turns") == 1
    kept = await process.database.read(lambda c: rows.find_record(c, answer["turn_id"]))
    assert kept is not None


def run(name: str, *goes_to: str) -> NodeRun:
    return NodeRun(name, 1.0, {}, goes_to)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], []),
        ([run("a", "b"), run("b")], [["a"], ["b"]]),
        (
            [run("a", "b", "c"), run("c"), run("b"), run("d", "e"), run("e")],
            [["a"], ["c", "b"], ["d"], ["e"]],
        ),
        ([run("a", "b", "c"), run("b"), run("d")], [["a"], ["b"], ["d"]]),
    ],
)
def test_steps_are_told_apart_by_where_the_step_before_went(
    runs: list[NodeRun], expected: list[list[str]]
) -> None:
    assert [[one.name for one in group] for group in supersteps(runs)] == expected


async def in_mode(process: Process, mode: str) -> None:
    def unit(connection: Connection) -> None:
        connection.execute(text("UPDATE conversations SET mode = :mode"), {"mode": mode})

    await process.write(unit)


async def test_what_waits_as_a_draft_is_run_again_as_what_the_bot_would_say(
    process: Process, reviews: Reviews
) -> None:
    await turn_of(process, "零号")
    await in_mode(process, "copilot")
    answer = await turn_of(process)
    assert (answer["decision"], answer["content"]) == ("draft", "")
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="retrieve")
    assert (again.stopped, again.answer["content"]) == ("draft", "现在的答案。")
    assert await process.count("desk_drafts") == 1


async def test_a_turn_that_sent_a_draft_is_run_again_with_the_word_on_it(
    process: Process, reviews: Reviews
) -> None:
    await turn_of(process, "零号")
    await in_mode(process, "copilot")
    waits = await turn_of(process)

    def edit(connection: Connection) -> str:
        return drafts.decide(
            connection, 1, status="edited", text="改过的。", agent="小王", now=time.time()
        )

    conversation = await process.write(edit)
    process.turns.wake(conversation, 0.0)
    await process.quiet()
    sent = await process.rows("SELECT turn_id FROM turns ORDER BY ended_ts DESC LIMIT 1")
    assert sent[0]["turn_id"] != waits["turn_id"]
    turn = await reviews.turn(AGENT, sent[0]["turn_id"])
    assert [step.node for step in turn.steps] == ["draft"]
    assert (turn.answer["content"], turn.resumed["verdict"]) == ("改过的。", "edited")
    again = await reviews.rerun(AGENT, turn.turn_id, from_node="draft")
    assert again.changes == ()


async def test_a_turn_of_somebody_who_waits_is_run_again_as_at_the_desk(
    process: Process, reviews: Reviews, known: Known
) -> None:
    """The bot still says what it surely knows, and calls nobody a second time."""
    looks = await turn_of(process, whole="我的订单 20260101123456 到哪了")
    assert looks["risk"]["reasons"] == ["order_lookup"]
    answer, known.answer = await turn_of(process), ""
    assert (answer["decision"], await process.count("handoffs")) == ("answer", 1)
    again = await reviews.rerun(AGENT, answer["turn_id"], from_node="retrieve")
    assert "escalate" not in again.answer["nodes"]
    assert again.answer["decision"] == "desk"


async def test_tasks_are_not_fired_again(database_url: str, known: Known, tmp_path: Path) -> None:
    async with running_process(database_url, tasks=Tasks()) as process:
        reviews = reviews_of(process, known, tmp_path)
        customer = {"id": "甲"}
        await receive(process, customer=customer, trigger=on_keyword("好的"))
        answer = await turn_of(process, whole="好的,充电桩一号怎么安装")
        turn = await reviews.turn(AGENT, answer["turn_id"])
        assert "act" in answer["nodes"]
        assert len(turn.tasks) == 1
        assert {step.node for step in turn.steps if not step.again} == {"act"}
        before = await process.count("outbox"), await process.count("messages")
        afterwards = await reviews.rerun(AGENT, turn.turn_id, from_node="retrieve")
        assert afterwards.answer["content"].splitlines() == ["文件在这里", "现在的答案。"]
        anew = await reviews.rerun(AGENT, turn.turn_id, from_node="classify")
        assert (anew.answer["content"], "act" in anew.answer["nodes"]) == ("现在的答案。", False)
        with pytest.raises(InvalidInput, match="任务的动作已经做过"):
            await reviews.rerun(AGENT, turn.turn_id, from_node="act")
        assert (await process.count("outbox"), await process.count("messages")) == before


async def test_a_turn_that_came_while_a_quote_waited_is_run_again(
    process: Process, reviews: Reviews
) -> None:
    """Its thread began with a node that was about to go on."""
    await turn_of(process, whole="设计2个logo多少钱")
    answer = await turn_of(process)
    for node in ("classify", "retrieve", "reply"):
        again = await reviews.rerun(AGENT, answer["turn_id"], from_node=node)
        assert again.answer["nodes"] == ["classify", "retrieve", "risk_check", "reply"]
        assert again.stopped == ""
