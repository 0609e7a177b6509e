"""Seed 001 from end to end: the real service, simulated Tuhui, WeCom, designers and customers."""

import itertools
from collections.abc import Iterator

import pytest

from sandbox.dispatch import DESIGNERS
from tests.demo.tuhui import (
    ARRANGED,
    DELIVERED,
    SCENARIOS,
    SEED_CALLS,
    SORRY,
    Scenario,
    TuhuiStage,
    running_stage,
)

QUICK = {"KEFU_OUTBOX_BACKOFF_BASE_S": "0.05", "KEFU_OUTBOX_BACKOFF_MAX_S": "0.2"}
_numbers = itertools.count(7001)


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TuhuiStage]:
    with running_stage(tmp_path_factory.mktemp("tuhui"), QUICK) as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: TuhuiStage) -> Iterator[TuhuiStage]:
    yield shared_stage
    shared_stage.on_line(*DESIGNERS)
    shared_stage.sandbox.clear_faults()
    shared_stage.sandbox.put("/_sandbox/tuhui/automatic", {"on": False})
    shared_stage.sandbox.put("/_sandbox/wecom/key", {"key": None})


@pytest.fixture
def customer() -> str:
    """One whose task at Tuhui is named like no other's."""
    return f"customer_{next(_numbers)}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_runs_from_the_picture_to_its_end(stage: TuhuiStage, scenario: Scenario) -> None:
    assert len(list(scenario(stage))) >= 6


def test_over_seed_003s_surface_the_answer_says_that_a_designer_gets_it(
    stage: TuhuiStage, customer: str
) -> None:
    message = {
        "id": f"{customer}-1",
        "chat_id": customer,
        "sender": customer,
        "content": "这个能做吗",
        "attachments": [{"kind": "image", "url": stage.upload("poster_blurred")}],
    }
    body = {"agent_id": "shop", "message": message}
    answer = stage.client.post("/api/v1/messages", json=body).json()
    assert (answer["action"], answer["content"]) == ("escalate", SORRY)
    task = stage.task_when(customer, lambda task: task["status"] == "assigned", "not assigned")
    assert "图片:" in task["description"]
    assert stage.order_when(customer, "dispatched")["designer"] == task["assigned_to"]


def test_designers_are_told_by_the_robot_and_nowhere_else(stage: TuhuiStage, customer: str) -> None:
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    stage.shown_to(customer, at_least=2)
    stage.group_reads("**新任务派单**", customer)
    assert stage.sandbox.notices() == []


def test_a_busy_robot_is_asked_again_before_the_customer_is_told(
    stage: TuhuiStage, customer: str
) -> None:
    busy = {"errcode": -1, "errmsg": "system busy"}
    stage.sandbox.fault("wecom", "status", count=1, status=200, body=busy)
    since = stage.last_request()
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    assert stage.shown_to(customer, at_least=2) == [SORRY, ARRANGED]
    told = SEED_CALLS.index("POST /wecom/webhook/send")
    expected = [*SEED_CALLS[:told], SEED_CALLS[told], *SEED_CALLS[told:]]
    assert stage.calls(since, customer) == expected
    stage.group_reads("**新任务派单**", customer)


def test_a_robot_that_was_removed_keeps_nobody_from_the_work(
    stage: TuhuiStage, customer: str
) -> None:
    stage.sandbox.put("/_sandbox/wecom/key", {"key": "another"})
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    assert stage.shown_to(customer, at_least=2) == [SORRY, ARRANGED]
    talk = stage.order_of(customer)["conversation_id"]
    dead = stage.client.get("/api/ops/deliveries", params={"status": "dead"}).json()["items"]
    (told,) = [one["last_error"] for one in dead if one["conversation_id"] == talk]
    assert "93000" in told
    assert "WECOM_ROBOT_URL" in told, "it says what is to be done"
    assert "key=" not in told


def test_designers_who_work_by_themselves_see_an_order_to_its_end(
    stage: TuhuiStage, customer: str
) -> None:
    stage.sandbox.put("/_sandbox/tuhui/automatic", {"accept_s": 1.0, "finish_s": 0.1})
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    *_, word, file = stage.messages(customer, at_least=4)
    assert DELIVERED in word["text"]
    picture = stage.sandbox.client.get(file["attachments"][0]["url"])
    assert picture.headers["content-type"] == "image/png"


def test_work_that_was_finished_while_the_service_was_dead_is_delivered_once_on_its_return(
    stage: TuhuiStage, customer: str
) -> None:
    stage.customer_sends(customer, "这个能做吗", "poster_blurred")
    stage.shown_to(customer, at_least=2)
    task = stage.task_when(customer, lambda task: task["status"] == "assigned", "not assigned")
    stage.service.kill()
    url = stage.designer_made("done.png", b"\x89PNG")
    stage.designer_does(task["task_id"], "finish", notes="已完成", files=[url])
    stage.service.start()
    word, file = stage.messages(customer, at_least=4)[2:]
    assert DELIVERED in word["text"]
    assert (file["attachments"][0]["url"], file["received"]) == (url, 1)
    assert stage.order_when(customer, "delivered")["deliverables"] == [url]
