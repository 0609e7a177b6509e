"""A call of a tool is permitted, run, applied, audited and remembered: together, or not at all."""

import asyncio
import json
import logging
from datetime import UTC
from typing import Any

import pytest
from sqlalchemy import text

from domain.errors import InvalidInput, KefuError, NotFound, PeerUnavailable
from domain.messages import InboundMessage
from engine.refusals import RefusalLimit
from engine.tool_desk import FORGET_EVERY_S, REMEMBERED_S, ToolDesk
from storage import inbox
from storage.database import Database
from storage.tasks import TaskBook
from tests.api.tools.sample import Samples
from tools.registry import Caller, NotAllowed, Role, ToolRegistry

NOW = 1_770_000_000.0
BOSS = Caller(Role.ADMIN, "老板")
MING = Caller(Role.CUSTOMER, "小明", "platform:shop:ming")
HONG = Caller(Role.CUSTOMER, "小红", "platform:shop:hong")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def samples() -> Samples:
    return Samples()


def desk_over(database: Database, samples: Samples, clock: Clock, **more: Any) -> ToolDesk:
    return ToolDesk(
        ToolRegistry(samples.tools()),
        database,
        book=TaskBook(UTC, callbacks=False),
        zone=UTC,
        channels=frozenset({"webhook"}),
        on_queues=lambda queues: None,
        clock=clock,
        **more,
    )


@pytest.fixture
def desk(database: Database, samples: Samples, clock: Clock) -> ToolDesk:
    return desk_over(database, samples, clock)


def rows(database: Database, sql: str) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(sql))]


def audit(database: Database) -> list[dict[str, Any]]:
    found = rows(database, "SELECT actor, action, subject, detail FROM audit ORDER BY id")
    return [row | {"detail": json.loads(row["detail"])} for row in found]


def tags(database: Database) -> list[tuple[str, str]]:
    found = rows(database, "SELECT contact_id, tag FROM customer_tags ORDER BY contact_id, tag")
    return [(row["contact_id"], row["tag"]) for row in found]


async def talked(database: Database, contact: str, chat: str, *, at: float) -> str:
    """The id of the conversation in which that customer wrote."""
    channel, account, sender = contact.split(":")
    said = InboundMessage(channel, account, chat, chat, sender, "你好", received_at=at)
    await database.write(lambda connection: inbox.receive(connection, said))
    return said.conversation


async def test_a_call_applies_its_effects_and_leaves_one_record(
    desk: ToolDesk, database: Database
) -> None:
    answer = await desk.call("sample_note", {"tag": "老客", "about": "a:b:c"}, BOSS, key="k1")
    assert answer == {
        "tool": "sample_note",
        "result": {"tag": "老客", "about": "a:b:c"},
        "effects": [{"kind": "tag", "name": "note"}],
        "duplicate": False,
    }
    assert tags(database) == [("a:b:c", "老客")]
    assert audit(database) == [
        {
            "actor": "老板",
            "action": "tool.call",
            "subject": "sample_note",
            "detail": {
                "role": "admin",
                "key": "k1",
                "effects": [{"kind": "tag", "name": "note"}],
            },
        }
    ]


async def test_the_same_key_gets_the_same_answer_and_does_nothing(
    desk: ToolDesk, database: Database, samples: Samples
) -> None:
    first = await desk.call("sample_note", {"tag": "甲", "about": "a:b:c"}, BOSS, key="k")
    again = await desk.call("sample_note", {"about": "a:b:c", "tag": "甲"}, BOSS, key="k")
    assert again == first | {"duplicate": True}
    assert samples.runs == {"sample_note": 1}
    assert len(audit(database)) == 1


async def test_without_a_key_each_call_is_one_of_its_own(desk: ToolDesk, samples: Samples) -> None:
    for expected in (1, 2):
        assert (await desk.call("sample_count", {}, BOSS))["result"] == {"runs": expected}
    assert len(set(samples.keys)) == 2


async def test_the_same_key_with_other_arguments_is_a_conflict(
    desk: ToolDesk, database: Database
) -> None:
    await desk.call("sample_note", {"tag": "甲", "about": "a:b:c"}, BOSS, key="k")
    with pytest.raises(InvalidInput) as caught:
        await desk.call("sample_note", {"tag": "乙", "about": "a:b:c"}, BOSS, key="k")
    assert (caught.value.status, caught.value.field) == (409, "Idempotency-Key")
    assert tags(database) == [("a:b:c", "甲")]


@pytest.mark.parametrize(
    "other",
    [Caller(Role.AGENT, "老板"), Caller(Role.ADMIN, "老板娘"), MING, HONG],
    ids=lambda caller: f"{caller.role}-{caller.name}",
)
async def test_a_key_is_its_callers_alone(desk: ToolDesk, other: Caller) -> None:
    """Whoever guessed another's key would otherwise read that other's answer."""
    await desk.call("sample_count", {}, BOSS, key="k")
    assert await desk.call("sample_count", {}, other, key="k") == {
        "tool": "sample_count",
        "result": {"runs": 2},
        "effects": [],
        "duplicate": False,
    }


async def test_customers_of_one_name_do_not_share_keys(desk: ToolDesk) -> None:
    await desk.call("sample_count", {}, MING, key="k")
    namesake = Caller(Role.CUSTOMER, MING.name, "platform:shop:other")
    assert (await desk.call("sample_count", {}, namesake, key="k"))["result"] == {"runs": 2}


async def test_a_repetition_during_the_first_call_waits_for_its_answer(
    desk: ToolDesk, samples: Samples
) -> None:
    calls = [
        asyncio.create_task(desk.call("sample_wait", {}, BOSS, key="impatient")) for _ in range(5)
    ]
    await samples.started.acquire()
    samples.go.set()
    answers = await asyncio.gather(*calls)
    assert [answer["result"] for answer in answers] == [{"runs": 1}] * 5
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 4


async def test_of_two_processes_with_one_key_one_acts(
    database: Database, clock: Clock, samples: Samples
) -> None:
    desks = [desk_over(database, samples, clock) for _ in range(2)]
    calls = [asyncio.create_task(desk.call("sample_wait", {}, BOSS, key="k")) for desk in desks]
    for _ in desks:
        await samples.started.acquire()
    samples.go.set()
    answers = await asyncio.gather(*calls)
    assert answers[0]["result"] == answers[1]["result"]
    assert sorted(answer["duplicate"] for answer in answers) == [False, True]
    assert len(set(samples.keys)) == 1
    assert [row["action"] for row in audit(database)] == ["tool.call"]


async def test_what_failed_left_nothing_and_its_key_is_good_for_another_try(
    desk: ToolDesk, database: Database, samples: Samples
) -> None:
    for _ in range(2):
        with pytest.raises(PeerUnavailable):
            await desk.call("sample_fail", {"how": "peer"}, BOSS, key="k")
    assert samples.runs == {"sample_fail": 2}
    assert len(set(samples.keys)) == 1, "the peer sees the same key"
    assert rows(database, "SELECT * FROM tool_calls") == []
    assert {row["action"] for row in audit(database)} == {"tool.failed"}
    assert "s3cret" not in str(audit(database))


async def test_a_tool_that_does_not_answer_ends_at_its_deadline(
    database: Database, samples: Samples, clock: Clock
) -> None:
    with pytest.raises(PeerUnavailable, match="no answer in time"):
        await desk_over(database, samples, clock, timeout_s=0.05).call("sample_wait", {}, BOSS)


async def test_a_result_that_breaks_the_tools_promise_is_no_answer(
    desk: ToolDesk, database: Database
) -> None:
    with pytest.raises(KefuError, match="does not fit"):
        await desk.call("sample_fail", {"how": "result"}, BOSS, key="k")
    assert rows(database, "SELECT * FROM tool_calls") == []


async def test_a_tools_bug_is_not_hidden(desk: ToolDesk) -> None:
    with pytest.raises(ZeroDivisionError):
        await desk.call("sample_fail", {"how": "bug"}, BOSS)


async def test_refusals_are_audited_without_what_was_said(
    desk: ToolDesk, database: Database
) -> None:
    with pytest.raises(NotFound):
        await desk.call("不存在\n" + "x" * 1_000, {}, BOSS)
    with pytest.raises(NotAllowed):
        await desk.call("sample_wait", {}, MING)
    with pytest.raises(InvalidInput):
        await desk.call("sample_note", {"tag": 7, "secret": "s3cret"}, BOSS)
    with pytest.raises(InvalidInput):
        await desk.call("sample_note", {"tag": "a", "y" * 5_000: "s3cret"}, BOSS)
    seen = audit(database)
    assert [row["action"] for row in seen] == ["tool.refused"] * 4
    assert [row["detail"]["status"] for row in seen] == [404, 403, 422, 422]
    assert seen[1]["detail"]["contact_id"] == MING.contact_id
    assert "s3cret" not in str(seen)
    assert max(len(row["subject"]) + len(str(row["detail"])) for row in seen) < 500


async def test_a_flood_of_refusals_does_not_fill_the_disk(
    desk: ToolDesk, database: Database, clock: Clock
) -> None:
    for _ in range(500):
        with pytest.raises(NotAllowed):
            await desk.call("sample_wait", {}, MING)
    assert len(audit(database)) == 20
    with pytest.raises(NotAllowed):
        await desk.call("sample_wait", {}, HONG)
    assert audit(database)[-1]["detail"]["unwritten"] == 480, "and others' are still seen"
    clock.now += 30
    with pytest.raises(NotAllowed):
        await desk.call("sample_wait", {}, MING)
    assert len(audit(database)) == 22


def test_many_names_share_one_budget_of_records() -> None:
    limit = RefusalLimit()
    written = [limit.take(f"caller {n}", NOW) for n in range(5_000)]
    assert sum(taken is not None for taken in written) == 200
    assert limit.take("caller 9999", NOW + 10) == 4_800


@pytest.mark.parametrize(
    "arguments",
    [
        {"tag": "a\ud800"},
        {"tag": "a", "extra": {"deep": ["\udfff"]}},
        {"tag": "a", "extra": {"number": float("nan")}},
        {"tag": "a", "extra": {"number": float("inf")}},
        {"tag": "a\x00b"},
        {"tag": "a", "extra": {"\x00": 1}},
    ],
    ids=ascii,
)
async def test_what_no_database_takes_is_refused(
    desk: ToolDesk, arguments: dict[str, Any], samples: Samples
) -> None:
    with pytest.raises(InvalidInput):
        await desk.call("sample_note", arguments, BOSS)
    assert samples.runs == {}


async def test_a_backslash_is_no_null_character(desk: ToolDesk) -> None:
    arguments = {"tag": "\\u0000 \\\\u0000", "about": "a:b:c"}
    answer = await desk.call("sample_note", arguments, BOSS, key="k")
    assert answer["result"]["tag"] == "\\u0000 \\\\u0000"


async def test_a_customers_call_is_for_the_conversation_where_that_customer_wrote_last(
    desk: ToolDesk, database: Database
) -> None:
    await talked(database, MING.contact_id, "old", at=NOW)
    newest = await talked(database, MING.contact_id, "new", at=NOW + 2)
    await talked(database, HONG.contact_id, "hers", at=NOW + 3)
    answer = await desk.call("sample_note", {"tag": "自己"}, MING)
    assert answer["result"]["about"] == MING.contact_id
    assert audit(database)[-1]["detail"] == {
        "role": "customer",
        "contact_id": MING.contact_id,
        "conversation_id": newest,
        "effects": [{"kind": "tag", "name": "note"}],
    }


async def test_a_customer_whose_id_somebody_took_for_a_name_gets_no_strange_conversation(
    desk: ToolDesk, database: Database
) -> None:
    """A contact id may stand as sender id elsewhere, where senders choose their own ids."""
    posing = InboundMessage("campus", "shop", "m", "chat", MING.contact_id, "你好", received_at=NOW)
    await database.write(lambda connection: inbox.receive(connection, posing))
    answer = await desk.call("sample_note", {"tag": "自己"}, MING)
    assert answer["result"]["about"] == MING.contact_id
    assert "conversation_id" not in audit(database)[-1]["detail"]


async def test_whatever_a_tool_does_a_customers_call_touches_nobody_else(
    desk: ToolDesk, database: Database
) -> None:
    with pytest.raises(NotAllowed):
        await desk.call("sample_note", {"tag": "坏", "about": HONG.contact_id}, MING, key="k")
    assert tags(database) == []
    assert rows(database, "SELECT * FROM tool_calls") == []


async def test_answers_are_remembered_for_a_week(
    desk: ToolDesk, database: Database, clock: Clock
) -> None:
    await desk.call("sample_count", {}, BOSS, key="old")
    clock.now += REMEMBERED_S - 1
    assert (await desk.call("sample_count", {}, BOSS, key="old"))["duplicate"] is True
    clock.now += FORGET_EVERY_S
    await desk.call("sample_count", {}, BOSS, key="new")
    assert len(rows(database, "SELECT * FROM tool_calls")) == 1


async def test_a_closed_database_is_not_reported_as_a_refusal(
    desk: ToolDesk, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        await asyncio.to_thread(database.close)
        with pytest.raises(KefuError):
            await desk.call("sample_count", {}, BOSS)
    assert caplog.records == []
