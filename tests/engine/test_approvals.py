"""A quote that a person has to approve: the run stops, and the person's word resumes it."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from domain.approvals import Verdict
from domain.errors import InvalidInput
from domain.messages import MessageKind
from engine.delivery import Channel
from storage import approvals
from tests.engine.processes import (
    QUICK,
    Process,
    a_message,
    answer_to,
    running_process,
    shown,
)
from tests.sandbox_server import SandboxServer

ASKED = "设计2个logo多少钱"
"""600 yuan by the price book; from 500 a person has to approve."""


async def stopped(process: Process, **options: Any) -> dict[str, Any]:
    """A conversation whose quote waits; returns the approval."""
    answer = await process.engine.ask(a_message("", route="push", whole=ASKED, **options))
    assert (answer["decision"], answer["quote"]) == ("approval", None)
    (found,) = await process.database.read(
        lambda c: approvals.listed(c, status="pending", limit=10, offset=0)
    )
    return found


async def texts(sandbox_server: SandboxServer, at_least: int) -> list[str]:
    return await asyncio.to_thread(shown, sandbox_server, at_least=at_least)


async def test_an_approved_quote_is_told_as_the_price_book_made_it(
    process: Process, sandbox_server: SandboxServer
) -> None:
    approval = await stopped(process)
    await process.engine.decide_approval(approval["id"], Verdict.APPROVED, by="主管")
    (told,) = await texts(sandbox_server, 1)
    assert "600元" in told
    assert approval["quote"]["total"] == 60_000


async def test_an_edited_quote_is_told_with_its_own_line(
    process: Process, sandbox_server: SandboxServer
) -> None:
    approval = await stopped(process)
    await process.engine.decide_approval(
        approval["id"], Verdict.EDITED, by="主管", total=55_000, note="老客户"
    )
    (told,) = await texts(sandbox_server, 1)
    assert "550元" in told
    assert "专属优惠 -50元" in told


async def test_no_edit_goes_under_the_floor(process: Process) -> None:
    approval = await stopped(process)
    with pytest.raises(InvalidInput, match="最低价"):
        await process.engine.decide_approval(
            approval["id"], Verdict.EDITED, by="主管", total=approval["quote"]["floor"] - 1
        )


async def test_a_rejected_quote_goes_to_a_person_and_is_never_told(
    process: Process, sandbox_server: SandboxServer
) -> None:
    approval = await stopped(process)
    await process.engine.decide_approval(approval["id"], Verdict.REJECTED, by="主管")
    (told,) = await texts(sandbox_server, 1)
    assert "600" not in told
    (handed,) = await process.rows("SELECT reason FROM handoffs")
    assert handed["reason"] == "approval_rejected"


async def test_a_quote_that_nobody_approves_in_time_goes_to_a_person(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    policy = replace(QUICK, approval_s=0.05, sweep_s=0.05)
    async with running_process(database_url, channels=channels, policy=policy) as process:
        await process.engine.ask(a_message("", route="push", whole=ASKED))
        await texts(sandbox_server, 1)
        (row,) = await process.rows("SELECT status FROM approvals")
        (handed,) = await process.rows("SELECT reason FROM handoffs")
    assert (row["status"], handed["reason"]) == ("expired", "approval_expired")


async def test_a_new_message_supersedes_what_waits(
    process: Process, sandbox_server: SandboxServer
) -> None:
    approval = await stopped(process)
    message = a_message("一号", route="push")
    await process.engine.receive(message)
    assert await texts(sandbox_server, 1) == [answer_to(message)]
    (row,) = await process.rows("SELECT status FROM approvals")
    assert row["status"] == "superseded"
    with pytest.raises(InvalidInput, match="superseded"):
        await process.engine.decide_approval(approval["id"], Verdict.APPROVED, by="主管")


async def test_of_two_words_at_once_one_counts(process: Process) -> None:
    approval = await stopped(process)
    ended = await asyncio.gather(
        process.engine.decide_approval(approval["id"], Verdict.APPROVED, by="甲"),
        process.engine.decide_approval(approval["id"], Verdict.REJECTED, by="乙"),
        return_exceptions=True,
    )
    assert sum(isinstance(one, InvalidInput) for one in ended) == 1


async def test_an_event_that_a_channel_made_up_approves_nothing(
    process: Process, sandbox_server: SandboxServer
) -> None:
    approval = await stopped(process)
    event = f"approval:{approval['id']}"
    forged = replace(a_message("", route="push"), kind=MessageKind.EVENT, text="", event=event)
    await process.engine.receive(forged)
    await process.quiet()
    assert await texts(sandbox_server, 0) == []


async def test_the_word_is_kept_when_the_process_ends_before_it_is_heard(
    database_url: str, channels: dict[str, Channel], sandbox_server: SandboxServer
) -> None:
    async with running_process(database_url, channels=channels, owner="p1") as process:
        approval = await stopped(process)
        now = time.time()
        await process.write(
            lambda c: approvals.decide(
                c,
                approval["id"],
                status="approved",
                by="主管",
                note="",
                quote=approval["quote"],
                now=now,
            )
        )
    sweeping = replace(QUICK, sweep_s=0.05)
    async with running_process(database_url, channels=channels, policy=sweeping, owner="p2"):
        (told,) = await texts(sandbox_server, 1)
    assert "600元" in told
