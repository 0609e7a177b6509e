"""Seed 000's scenarios from end to end: the real service, simulated Tianwang and customers."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.tianwang import SCENARIOS, Scenario, TianwangStage, running_stage

MESSAGE = "这是您要的文件"
TELLING = {"KEFU_OUTBOX_BACKOFF_BASE_S": "0.05", "KEFU_OUTBOX_BACKOFF_MAX_S": "0.2"}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TianwangStage]:
    with running_stage(tmp_path_factory.mktemp("tianwang"), TELLING) as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: TianwangStage) -> Iterator[TianwangStage]:
    yield shared_stage
    shared_stage.sandbox.clear_faults()


@pytest.fixture
def customer() -> str:
    """One whom no other task is for."""
    return f"customer-{next(_numbers)}"


def wait_for_yes(stage: TianwangStage, customer: str) -> str:
    """A task that sends MESSAGE when ``customer`` agrees; its id."""
    trigger = {"customer_id": customer, "customer_name": ""}
    sent = stage.hand_over("reply", customer={"id": customer, "name": ""}, trigger=trigger)
    return str(sent["task_id"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_of_the_seed_runs_from_the_order_to_the_verified_callback(
    stage: TianwangStage, scenario: Scenario
) -> None:
    steps = list(scenario(stage))
    assert steps[-1].endswith("验签通过")


def test_order_and_answer_delivered_thrice_are_acted_on_once(
    stage: TianwangStage, customer: str
) -> None:
    stage.sandbox.fault("tianwang", "duplicate", count=1, times=3)
    task_id = wait_for_yes(stage, customer)
    stage.sandbox.fault("webhook", "duplicate", count=1, times=3)
    stage.customer_says(customer, "好的")
    assert stage.ended(task_id)["status"] == "completed"
    (callback,) = stage.callbacks(task_id)
    assert (callback["received"], callback["conflicts"]) == (1, 0)
    (shown,) = stage.messages(customer, at_least=1)
    assert (shown["text"], shown["received"]) == (MESSAGE, 1)


def test_in_a_group_the_named_customer_alone_fires_and_the_group_sees_the_message(
    stage: TianwangStage, customer: str
) -> None:
    group = f"group-{customer}"
    task_id = wait_for_yes(stage, customer)
    stage.customer_says("somebody-else", "好的", chat_id=group)
    assert stage.status(task_id)["status"] == "pending"
    stage.customer_says(customer, "好的", chat_id=group)
    assert stage.ended(task_id)["status"] == "completed"
    assert MESSAGE in stage.shown_to(group, at_least=1)
    assert stage.sandbox.chat(customer) == []


def test_agreement_with_a_question_gets_the_action_and_then_the_answer(
    stage: TianwangStage, customer: str
) -> None:
    task_id = wait_for_yes(stage, customer)
    stage.customer_says(customer, "好的。充电桩怎么安装？")
    file, answer = stage.shown_to(customer, at_least=2)
    assert file == MESSAGE
    assert "固定车位证明" in answer
    assert stage.ended(task_id)["status"] == "completed"


def test_a_payment_event_fires_without_a_word(stage: TianwangStage, customer: str) -> None:
    sent = stage.hand_over("payment", customer={"id": customer, "name": ""})
    stage.customer_says(customer, "", type="event", event="payment")
    assert stage.ended(sent["task_id"])["status"] == "completed"
    assert stage.shown_to(customer, at_least=1) == [sent["action"]["message"]]


def test_a_cancelled_task_is_told_and_fires_no_more(stage: TianwangStage, customer: str) -> None:
    task_id = wait_for_yes(stage, customer)
    order = {"task_id": task_id, "reason": "客户取消订单"}
    answer = stage.sandbox.post("/_sandbox/tianwang/cancel", order)
    assert answer["answer"] == {
        "code": 200,
        "message": "任务已取消",
        "data": {"task_id": task_id, "status": "cancelled"},
    }
    (callback,) = stage.callbacks(task_id)
    assert (callback["status"], callback["verified"]) == ("cancelled", True)
    stage.customer_says(customer, "好的")
    assert MESSAGE not in stage.shown_to(customer, at_least=1)
    assert stage.status(task_id)["status"] == "cancelled"


def test_a_receiver_that_fails_in_every_way_gets_the_same_event_until_it_says_yes(
    stage: TianwangStage, customer: str
) -> None:
    failures = ["refuse", "status", "garbage", "lost_answer"]
    for kind in failures:
        stage.sandbox.fault("tianwang", kind, count=1, request_kind="callback")
    stage.sandbox.clear_journal()
    task_id = wait_for_yes(stage, customer)
    stage.customer_says(customer, "好的")
    assert stage.shown_to(customer, at_least=1) == [MESSAGE]
    tries = stage.sandbox.journal("tianwang", kind="callback", at_least=5, wait=20)
    assert [entry["fault"] for entry in tries] == [*failures, None]
    assert len({entry["headers"]["x-tianwang-event-id"] for entry in tries}) == 1
    (callback,) = stage.callbacks(task_id)
    assert (callback["received"], callback["conflicts"]) == (2, 0), "the lost one, and the last"
    assert callback["verified"] is True


def test_a_greeting_whose_time_passed_while_the_service_was_dead_is_sent_once_on_its_return(
    tmp_path: Path,
) -> None:
    with running_stage(tmp_path) as stage:
        stage.customer_says("customer_789", "你好")
        before = len(stage.shown_to("customer_789", at_least=1))
        task = stage.hand_over("greeting", in_seconds=1)
        stage.service.kill()
        time.sleep(2.0)
        stage.service.start()
        assert stage.ended(task["task_id"])["status"] == "completed"
        (callback,) = stage.callbacks(task["task_id"])
        assert (callback["status"], callback["verified"]) == ("completed", True)
        (greeting,) = stage.messages("customer_789", at_least=before + 1)[before:]
        assert (greeting["text"], greeting["received"]) == (task["action"]["message"], 1)
