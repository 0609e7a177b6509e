"""Campaigns at work: each customer once, at the pace, within what is allowed, whatever dies."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC

import pytest
from sqlalchemy import Connection, text

from domain.campaigns import OPTED_OUT, CampaignPolicy, CampaignStatus, Segment
from domain.desk_hours import Hours, parse_hours
from domain.errors import InvalidInput
from engine.campaigns.desk import CampaignDesk
from engine.campaigns.runner import CampaignRunner
from engine.campaigns.sending import Room, Sending
from storage.campaigns import Campaign, CampaignBook, NewCampaign, note_opted
from storage.clock import iso
from storage.customer_merges import merge
from storage.database import Database
from storage.tasks import TaskBook

NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC
LEASE_S = 30.0
S = CampaignStatus
NEW = NewCampaign("活动", "{name},八折", Segment(), per_minute=60)


@dataclass
class Floor:
    """A shop's customers, and runners over them; the clock is the test's."""

    database: Database
    policy: CampaignPolicy = field(default_factory=lambda: CampaignPolicy(talking_s=60))
    rooms: dict[str, Room] = field(default_factory=dict)
    now: float = NOON
    woken: list[str] = field(default_factory=list)
    runners: list[CampaignRunner] = field(default_factory=list)
    book: CampaignBook = field(default_factory=CampaignBook)

    def __post_init__(self) -> None:
        tasks = TaskBook(UTC, callbacks=False)
        self.sending = Sending(
            self.policy, frozenset({"webhook"}), tasks, self.rooms, hint="回复 TD 退订"
        )
        self.desk = CampaignDesk(self.database, self.book, self.sending, clock=lambda: self.now)

    async def customer(
        self, sender: str, *, level: str = "gray", channel: str = "webhook", mode: str = "bot"
    ) -> str:
        contact = f"{channel}:shop:{sender}"
        values = {
            "id": f"c_{channel}_{sender}",
            "channel": channel,
            "sender": sender,
            "contact": contact,
            "level": level,
            "mode": mode,
            "ts": self.now - 3_600,
            "at": iso(self.now - 3_600),
        }

        def unit(connection: Connection) -> None:
            connection.execute(
                text(
                    "INSERT INTO conversations (id, channel, account, chat_id, sender_id,"
                    " contact_id, customer_name, mode, session_no, session_last_ts, received,"
                    " lease_until, fence, attempts, failures, created_at, last_active_at)"
                    " VALUES (:id, :channel, 'shop', :sender, :sender, :contact, :sender, :mode, 1,"
                    " :ts, 1, 0, 0, 0, 0, :at, :at)"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO customers (contact_id, name, level, score, state, total_messages,"
                    " last_active_at, remark) VALUES (:contact, :sender, :level, 60, 'new', 1, :at,"
                    " '')"
                ),
                values,
            )

        await self.database.write(unit)
        return contact

    async def started(self, new: NewCampaign = NEW) -> Campaign:
        made = await self.desk.create(new, actor="tests")
        return await self.desk.start(made.id, actor="tests")

    def runner(self, owner: str = "p1", *, alone: bool = True) -> CampaignRunner:
        runner = CampaignRunner(
            self.database,
            self.book,
            self.sending,
            zone=UTC,
            owner=owner,
            alone=alone,
            lease_s=LEASE_S,
            on_queues=self.woken.extend,
            clock=lambda: self.now,
        )
        self.runners.append(runner)
        return runner

    async def worked(self, runner: CampaignRunner, seconds: float) -> None:
        """Look, second after second, as if that time passed."""
        for _ in range(int(seconds)):
            await self.look(runner)
            self.now += 1

    async def look(self, runner: CampaignRunner) -> None:
        for _ in range(4):  # noting the people and writing to them follow at once
            await runner._take(self.now, waits=True)
            tasks = [task for lane in runner._running.values() for task in lane.values()]
            await asyncio.gather(*tasks)

    async def sent(self) -> list[str]:
        def unit(connection: Connection) -> list[str]:
            rows = connection.execute(
                text("SELECT payload FROM outbox WHERE kind = 'message' ORDER BY id")
            )
            return [json.loads(row[0])["text"] for row in rows]

        return await self.database.read(unit)

    async def people(self, campaign: Campaign) -> dict[str, str]:
        found = await self.desk.people(campaign.id, status="", after=0, limit=1_000)
        return {one.contact_id.rpartition(":")[2]: one.reason or one.status for one in found}

    async def status(self, campaign: Campaign) -> CampaignStatus:
        return (await self.desk.get(campaign.id))[0].status


@pytest.fixture
async def floor(database: Database) -> Floor:
    return Floor(database)


async def test_everybody_of_the_segment_gets_it_once_and_the_campaign_ends(floor: Floor) -> None:
    for name in ("甲", "乙", "丙"):
        await floor.customer(name)
    campaign = await floor.started()
    await floor.worked(floor.runner(), 12)
    assert sorted(await floor.sent()) == sorted(
        f"{name},八折\n回复 TD 退订" for name in ("甲", "乙", "丙")
    )
    assert await floor.status(campaign) is S.DONE
    history = await floor.database.read(
        lambda c: c.execute(text("SELECT COUNT(*) FROM messages WHERE role = 'assistant'")).scalar()
    )
    assert history == 3
    assert len(floor.woken) == 3


async def test_who_may_not_be_written_to_is_left_out_and_the_row_says_why(floor: Floor) -> None:
    await floor.customer("甲")
    await floor.customer("乙", level="black")
    await floor.customer("丙", mode="human")
    await floor.customer("丁", channel="api")
    opted = await floor.customer("戊")
    await floor.database.write(lambda c: note_opted(c, opted, "out", now=NOON))
    campaign = await floor.started()
    await floor.worked(floor.runner(), 12)
    assert await floor.people(campaign) == {
        "甲": "sent",
        "乙": "black",
        "丙": "with_person",
        "丁": "no_channel",
        "戊": "opted_out",
    }


async def test_who_opts_out_while_it_runs_gets_nothing(floor: Floor) -> None:
    first, second = [await floor.customer(name) for name in ("甲", "乙")]
    campaign = await floor.started(NewCampaign("活动", "好", Segment(), per_minute=6))
    runner = floor.runner()
    await floor.worked(runner, 1)
    assert await floor.people(campaign) == {"甲": "sent", "乙": "planned"}
    await floor.database.write(lambda c: note_opted(c, second, "out", now=floor.now))
    await floor.worked(runner, 25)
    assert await floor.people(campaign) == {"甲": "sent", "乙": "opted_out"}
    assert first != second


async def test_a_second_campaign_leaves_alone_whom_the_first_wrote_to(floor: Floor) -> None:
    await floor.customer("甲")
    await floor.started()
    runner = floor.runner()
    await floor.worked(runner, 10)
    second = await floor.started()
    floor.now += 3_600
    await floor.worked(runner, 10)
    assert await floor.people(second) == {"甲": "recent"}


async def test_the_pace_is_kept(floor: Floor) -> None:
    for number in range(30):
        await floor.customer(f"客{number}")
    await floor.started(NewCampaign("活动", "好", Segment(), per_minute=60))
    runner = floor.runner()
    await floor.worked(runner, 10)
    assert len(await floor.sent()) == 10
    await floor.worked(runner, 10)
    assert len(await floor.sent()) == 20


async def test_quiet_hours_are_waited_out(database: Database) -> None:
    policy = CampaignPolicy(quiet=Hours(parse_hours("1-7 10:00-13:00")), talking_s=60)
    floor = Floor(database, policy)
    await floor.customer("甲")
    campaign = await floor.started()
    runner = floor.runner()
    await floor.worked(runner, 3)
    assert await floor.sent() == []
    floor.now = NOON + 3_600
    await floor.worked(runner, 3)
    assert len(await floor.sent()) == 1
    assert await floor.status(campaign) is S.DONE


async def test_what_answers_need_of_a_platforms_quota_is_left(database: Database) -> None:
    floor = Floor(
        database, rooms={"webhook": lambda _c, to, _now: 3 if "甲" in to.sender_id else 4}
    )
    await floor.customer("甲")
    await floor.customer("乙")
    campaign = await floor.started()
    await floor.worked(floor.runner(), 10)
    assert await floor.people(campaign) == {"甲": "quota", "乙": "sent"}


async def test_a_paused_campaign_writes_to_nobody_until_it_goes_on(floor: Floor) -> None:
    for number in range(4):
        await floor.customer(f"客{number}")
    campaign = await floor.started(NewCampaign("活动", "好", Segment(), per_minute=12))
    runner = floor.runner()
    await floor.worked(runner, 1)
    await floor.desk.pause(campaign.id, actor="tests")
    await floor.worked(runner, 30)
    assert len(await floor.sent()) == 1
    await floor.desk.start(campaign.id, actor="tests")
    await floor.worked(runner, 30)
    assert len(await floor.sent()) == 4
    assert await floor.status(campaign) is S.DONE


async def test_its_end_leaves_the_rest_without(floor: Floor) -> None:
    for number in range(4):
        await floor.customer(f"客{number}")
    new = NewCampaign("活动", "好", Segment(), per_minute=12, ends_ts=NOON + 4)
    campaign = await floor.started(new)
    await floor.worked(floor.runner(), 12)
    assert sorted((await floor.people(campaign)).values()) == ["ended", "ended", "ended", "sent"]


async def test_a_process_that_wakes_up_late_writes_to_nobody_again(floor: Floor) -> None:
    for number in range(3):
        await floor.customer(f"客{number}")
    campaign = await floor.started()
    slow, other = floor.runner("p1", alone=False), floor.runner("p2", alone=False)
    await floor.database.write(
        lambda c: floor.book.claim_due(c, owner="p1", now=floor.now, lease_s=LEASE_S, limit=1)
    )
    asleep = (await floor.desk.get(campaign.id))[0]
    floor.now += LEASE_S + 1
    await floor.worked(other, 12)
    assert len(await floor.sent()) == 3
    await slow._plan(asleep, floor.now)
    await slow._send(asleep, floor.now)
    assert len(await floor.sent()) == 3
    assert set((await floor.people(campaign)).values()) == {"sent"}


async def test_a_forecast_says_what_a_run_then_does(floor: Floor) -> None:
    await floor.customer("甲")
    await floor.customer("乙", level="black")
    forecast = await floor.desk.forecast(NEW)
    assert (forecast.matched, forecast.sends, forecast.skipped) == (2, 1, {"black": 1})
    assert list(forecast.sample) == ["甲,八折\n回复 TD 退订"]
    campaign = await floor.started()
    await floor.worked(floor.runner(), 10)
    assert await floor.people(campaign) == {"甲": "sent", "乙": "black"}


async def test_a_segment_asks_for_all_that_it_names(floor: Floor) -> None:
    await floor.customer("甲", level="white")
    await floor.customer("乙", level="white", channel="api")
    await floor.customer("丙")
    segment = Segment(levels=("white",), channels=("webhook",), tags_none=(OPTED_OUT,))
    campaign = await floor.started(NewCampaign("活动", "好", segment, per_minute=60))
    await floor.worked(floor.runner(), 10)
    assert await floor.people(campaign) == {"甲": "sent"}


async def test_a_campaign_that_has_begun_is_edited_no_more(floor: Floor) -> None:
    campaign = await floor.started()
    with pytest.raises(InvalidInput, match="只有草稿"):
        await floor.desk.edit(campaign.id, NEW, actor="tests", version=None)
    await floor.desk.cancel(campaign.id, actor="tests")
    with pytest.raises(InvalidInput, match="已取消"):
        await floor.desk.start(campaign.id, actor="tests")


async def test_a_pace_above_the_limit_is_refused(floor: Floor) -> None:
    with pytest.raises(InvalidInput, match="每分钟最多 60"):
        await floor.desk.create(NewCampaign("活动", "好", Segment(), per_minute=61), actor="tests")


async def test_a_person_with_several_contacts_gets_it_once_where_they_wrote_last(
    floor: Floor,
) -> None:
    speaker = await floor.customer("甲", channel="api")
    floor.now += 60
    other = await floor.customer("乙")
    await floor.database.write(lambda c: merge(c, speaker, other, actor="tests", now=floor.now))
    campaign = await floor.started()
    floor.now += 3_600
    await floor.worked(floor.runner(), 10)
    assert await floor.sent() == ["乙,八折\n回复 TD 退订"]
    assert await floor.people(campaign) == {"甲": "sent"}


async def test_who_opts_out_on_one_channel_is_left_alone_on_all(floor: Floor) -> None:
    speaker, other = await floor.customer("甲"), await floor.customer("乙")
    await floor.database.write(lambda c: merge(c, speaker, other, actor="tests", now=floor.now))
    await floor.database.write(lambda c: note_opted(c, other, "out", now=floor.now))
    campaign = await floor.started()
    await floor.worked(floor.runner(), 10)
    assert await floor.people(campaign) == {"甲": "opted_out"}
