"""The human desk over rows: one queue for two channels, and replies that go where they belong."""

from dataclasses import replace

import pytest

from domain.desk_hours import Hours, parse_hours
from domain.messages import InboundMessage, MessageKind
from engine.desk.campus import CampusDesk, QueueFull
from storage import history, inbox
from storage.database import Database
from tests.engine.desk.bench import POLICY, Bench


class Desk(Bench):
    """A desk of three places whose official account delivers."""

    def __init__(self, database: Database) -> None:
        channels = frozenset({"wechat", "staff"})
        super().__init__(database, replace(POLICY, channels=channels, max_waiting=3))
        self.campus = CampusDesk(self.desk)

    async def says(self, channel: str, user: str, *, account: str = "wx1") -> InboundMessage:
        message = InboundMessage(
            channel=channel,
            account=account,
            channel_message_id=f"{channel}-{user}",
            chat_id=user,
            sender_id=user,
            text="在吗",
            received_at=self.now,
        )
        await self.database.write(lambda c: inbox.receive(c, message))
        return message


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_the_official_account_and_the_page_wait_in_one_queue(desk: Desk) -> None:
    await desk.says("wechat", "openid-1")
    places = [await desk.campus.wait(user) for user in ("openid-1", "page-user", "openid-1")]
    assert [place.number for place in places] == [1, 2, 1]
    channels = await desk.rows(
        "SELECT c.channel FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
        " ORDER BY h.id"
    )
    assert [row["channel"] for row in channels] == ["wechat", "campus"]


async def test_the_fourth_is_turned_away_and_leaves_no_row(desk: Desk) -> None:
    for user in ("a", "b", "c"):
        await desk.campus.wait(user)
    with pytest.raises(QueueFull, match="3 人"):
        await desk.campus.wait("d")
    assert len(await desk.rows("SELECT id FROM conversations")) == 3
    assert await desk.campus.place("d") is None


async def test_who_waits_on_other_channels_is_not_in_this_queue(desk: Desk) -> None:
    elsewhere = await desk.says("webhook", "buyer", account="shop")
    await desk.campus.say(elsewhere.contact, "您好", by="小王", ends=True)
    assert (await desk.campus.wait("page-user")).number == 1
    assert await desk.campus.waiting() == 1


async def test_a_reply_on_the_official_account_is_history_and_is_delivered(desk: Desk) -> None:
    message = await desk.says("wechat", "openid-1")
    await desk.campus.say("openid-1", "您好，请讲", by="小王", message_id="r1")
    await desk.campus.say("openid-1", "您好，请讲", by="小王", message_id="r1")
    said = await desk.rows("SELECT role, content FROM messages WHERE role <> 'user'")
    assert said == [{"role": "staff", "content": "您好，请讲"}]
    (sent,) = await desk.rows("SELECT channel, account, queue, payload, status FROM outbox")
    assert (sent["channel"], sent["account"], sent["status"]) == ("wechat", "wx1", "pending")
    assert "您好，请讲" in str(sent["payload"])
    assert desk.told.queues == [message.conversation]
    assert await desk.rows("SELECT mode FROM conversations") == [{"mode": "human"}]


async def test_a_reply_on_the_page_is_history_only(desk: Desk) -> None:
    await desk.says("campus", "page-user", account="campus")
    await desk.campus.say("page-user", "您好", by="小王")
    assert await desk.rows("SELECT id FROM outbox") == []
    assert len(await desk.rows("SELECT id FROM messages WHERE role = 'staff'")) == 1


async def test_the_last_word_gives_the_talk_back_to_the_bot(desk: Desk) -> None:
    await desk.campus.wait("page-user")
    await desk.campus.say("page-user", "再见", by="小王", ends=True)
    assert await desk.campus.place("page-user") is None
    assert await desk.rows("SELECT mode FROM conversations") == [{"mode": "bot"}]
    assert await desk.rows("SELECT status, agent FROM handoffs") == [
        {"status": "closed", "agent": "小王"}
    ]


async def test_events_are_no_part_of_the_talk(desk: Desk) -> None:
    asked = await desk.says("campus", "page-user", account="campus")
    event = replace(asked, channel_message_id="e1", kind=MessageKind.EVENT, text="", event="paid:1")
    await desk.database.write(lambda c: inbox.receive(c, event))
    said = await desk.database.read(
        lambda c: history.recent_messages(c, asked.conversation, limit=9)
    )
    assert [row["content"] for row in said] == ["在吗"]
    total, page = await desk.database.read(
        lambda c: history.messages_between(
            c, asked.conversation, since="0", until="9", limit=9, offset=0
        )
    )
    assert (total, [row["content"] for row in page]) == (1, ["在吗"])


async def test_everything_a_person_does_is_in_the_audit_log(desk: Desk) -> None:
    await desk.campus.wait("page-user")
    await desk.campus.say("page-user", "您好", by="小王")
    done = await desk.rows("SELECT actor, action FROM audit ORDER BY id")
    assert done == [
        {"actor": "customer", "action": "handoff.open"},
        {"actor": "小王", "action": "handoff.taken"},
    ]


async def test_what_is_said_on_the_surface_is_seen_at_the_desk(desk: Desk) -> None:
    ann = await desk.agent("ann")
    message = await desk.says("wechat", "openid-1")
    await desk.campus.wait("openid-1")
    await desk.desk.take(ann, message.conversation)
    await desk.campus.say("openid-1", "请讲", by="小王")
    assert await desk.stands(message.conversation) == ("human", "taken", "ann")
    seen = await desk.desk.conversation(ann, message.conversation)
    assert [(one.role, one.agent) for one in seen.messages] == [("user", ""), ("staff", "小王")]
    assert await desk.kinds(message.conversation) == ["queued", "taken", "message"]


async def test_outside_the_hours_nobody_is_online(desk: Desk) -> None:
    hours = Hours(parse_hours("1-5 13:00-18:00"))
    later, _ = desk.process(replace(POLICY, hours=hours))
    assert (desk.campus.status, CampusDesk(later).status) == ("online", "offline")
    away, _ = desk.process(replace(POLICY, online=False))
    assert CampusDesk(away).status == "offline"
