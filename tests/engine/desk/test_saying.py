"""What agents say reaches the customer once, and what they write beside stays inside."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from domain.desk import Mode
from domain.errors import InvalidInput, NotFound
from domain.messages import Attachment
from engine.desk.desk import Conflict, Forbidden
from storage import drafts
from storage.database import Database
from storage.drafts import NewDraft
from tests.engine.desk.bench import Bench


async def draft(bench: Bench, conversation: str, text: str = "您好，可以的") -> int:
    return await bench.database.write(
        lambda c: drafts.open_draft(
            c, NewDraft(text), conversation_id=conversation, turn_id="t_1", now=bench.now
        )
    )


async def heard_all(bench: Bench) -> None:
    """As a turn does with what it has read."""
    await bench.database.write(
        lambda c: c.exec_driver_sql("UPDATE messages SET status = 'handled' WHERE role = 'user'")
    )


async def test_the_same_message_id_is_delivered_once_however_often_and_wherever_it_is_said(
    bench: Bench, second: Database
) -> None:
    other, _ = bench.process(name="p2", database=second)
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    said = await asyncio.gather(
        *(desk.say(ann, talk, "您好", message_id="r1") for desk in (bench.desk, other) * 3)
    )
    assert sorted(one.duplicate for one in said) == [False] + [True] * 5
    rows = await bench.rows("SELECT message_id, status, queue FROM outbox")
    assert rows == [{"message_id": said[0].message_id, "status": "pending", "queue": talk}]
    assert len(await bench.rows("SELECT id FROM messages WHERE role = 'staff'")) == 1
    assert bench.told.queues == [talk]
    assert (await bench.kinds(talk)).count("message") == 1


async def test_a_word_takes_a_conversation_that_nobody_has_and_none_that_another_has(
    bench: Bench,
) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.hears("a")
    await bench.desk.say(ann, talk, "您好", message_id="r1")
    assert await bench.stands(talk) == ("human", "taken", "ann")
    with pytest.raises(Conflict, match="ann的名字"):
        await bench.desk.say(ben, talk, "您好", message_id="r2")
    assert len(await bench.sent()) == 1


async def test_where_no_channel_delivers_what_is_said_waits_in_the_history(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a", channel="campus")
    said = await bench.desk.say(ann, talk, "您好", message_id="r1")
    assert said.delivery == "poll"
    assert await bench.sent() == []
    assert len(await bench.rows("SELECT id FROM messages WHERE role = 'staff'")) == 1


async def test_attachments_follow_the_words_in_order_and_only_once(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    files = [
        Attachment("image", "https://s.example/1.png"),
        Attachment("file", "https://s.example/2"),
    ]
    for _ in range(2):
        await bench.desk.say(ann, talk, "请看", message_id="r1", attachments=files)
    sent = [json.loads(one) for one in await bench.sent()]
    assert [(one.get("type", "text"), one.get("url", "")) for one in sent] == [
        ("text", ""),
        ("image", "https://s.example/1.png"),
        ("file", "https://s.example/2"),
    ]
    seen = await bench.desk.conversation(ann, talk)
    assert [message.agent for message in seen.messages] == ["", "ann", "ann", "ann"]
    assert [message.delivery for message in seen.messages] == ["", *["pending"] * 3]


async def test_a_picture_alone_is_said_once_too(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    picture = [Attachment("image", "https://s.example/1.png")]
    said = [
        await bench.desk.say(ann, talk, "", message_id="r1", attachments=picture) for _ in range(2)
    ]
    assert [one.duplicate for one in said] == [False, True]
    assert len(await bench.sent()) == 1


@pytest.mark.parametrize(
    ("text", "message_id", "attachments"),
    [
        ("", "r1", ()),
        ("\u200b \n", "r1", ()),
        ("x" * 4_001, "r1", ()),
        ("您好", "", ()),
        ("您好", "r" * 129, ()),
        ("您好", "a\nb", ()),
        ("您好", "r1", (Attachment("image", "javascript:alert(1)"),)),
        ("您好", "r1", (Attachment("voice", "https://s.example/1"),)),
        ("您好", "r1", (Attachment("image", "https://s.example/1"),) * 10),
    ],
)
async def test_what_cannot_be_said_is_refused_and_leaves_nothing(
    bench: Bench, text: str, message_id: str, attachments: Sequence[Attachment]
) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    with pytest.raises(InvalidInput) as refused:
        await bench.desk.say(ann, talk, text, message_id=message_id, attachments=attachments)
    assert refused.value.status == 422
    assert await bench.stands(talk) == ("queued", "open", "")
    assert await bench.sent() == []


async def test_a_note_is_for_colleagues_only(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    await bench.desk.take(ann, talk)
    note = await bench.desk.note(ben, talk, " 老客户，给优惠 ")
    seen = await bench.desk.conversation(ann, talk)
    assert seen.notes == (note,)
    assert (note.agent_name, note.text) == ("ben的名字", "老客户，给优惠")
    assert await bench.sent() == []
    assert (await bench.kinds(talk))[-1] == "note"
    with pytest.raises(NotFound):
        await bench.desk.note(ann, "c_none", "x")


async def test_a_draft_is_decided_once_and_its_word_goes_into_the_inbox(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    await bench.desk.set_mode(ann, talk, Mode.COPILOT)
    await heard_all(bench)
    number = await draft(bench, talk)
    seen = await bench.desk.conversation(ann, talk)
    assert seen.draft is not None
    assert (seen.draft.id, "draft" in seen.may) == (number, True)
    with pytest.raises(Conflict, match="ann的名字"):
        await bench.desk.decide_draft(ben, number, "approve")
    await bench.desk.decide_draft(ann, number, "edit", "您好，今天可以")
    with pytest.raises(InvalidInput) as refused:
        await bench.desk.decide_draft(ann, number, "approve")
    assert refused.value.status == 409
    (row,) = await bench.rows("SELECT status, text, agent FROM desk_drafts")
    assert row == {"status": "edited", "text": "您好，今天可以", "agent": "ann"}
    events = await bench.rows("SELECT event FROM messages WHERE kind = 'event'")
    assert events == [{"event": f"{drafts.EVENT}:{number}"}]
    assert bench.told.conversations == [talk, talk]


async def test_a_draft_is_stale_once_the_agent_speaks_or_goes_another_way(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a")
    await bench.desk.set_mode(ann, talk, Mode.COPILOT)
    await heard_all(bench)
    first = await draft(bench, talk)
    await bench.desk.say(ann, talk, "我自己来", message_id="r1")
    second = await draft(bench, talk)
    await bench.desk.set_mode(ann, talk, Mode.HUMAN)
    third = await draft(bench, talk)
    await bench.desk.resolve(ann, talk)
    rows = await bench.rows("SELECT id, status FROM desk_drafts ORDER BY id")
    assert rows == [{"id": n, "status": "stale"} for n in (first, second, third)]
    for number in (first, second, third):
        with pytest.raises(InvalidInput):
            await bench.desk.decide_draft(ann, number, "approve")


async def test_canned_replies_are_the_admins_to_change_and_offered_by_skill(bench: Bench) -> None:
    boss, ann = await bench.admin(), await bench.agent("ann", skills=("refund",))
    desk = bench.desk
    await desk.put_canned(boss, shortcut="Hi", title="问候", text="您好，请讲")
    refund = await desk.put_canned(boss, shortcut="tk", title="退款", text="已退款", skill="refund")
    await desk.put_canned(boss, shortcut="kd", title="物流", text="已发货", skill="delivery")
    assert [one.shortcut for one in await desk.canned(ann)] == ["tk", "hi"]
    changed = await desk.put_canned(
        boss, shortcut="tk", title="退款", text="退款已到账", skill="refund", canned=refund.id
    )
    assert (await desk.canned(ann))[0] == changed
    with pytest.raises(Conflict, match="hi"):
        await desk.put_canned(boss, shortcut="HI", title="x", text="y")
    with pytest.raises(NotFound):
        await desk.put_canned(boss, shortcut="zz", title="x", text="y", canned=99)
    with pytest.raises(Forbidden):
        await desk.put_canned(ann, shortcut="zz", title="x", text="y")
    with pytest.raises(Forbidden):
        await desk.drop_canned(ann, refund.id)
    await desk.drop_canned(boss, refund.id)
    with pytest.raises(NotFound):
        await desk.drop_canned(boss, refund.id)


async def test_a_draft_out_of_scope_is_not_told_from_one_that_does_not_exist(bench: Bench) -> None:
    ann, kf = await bench.agent("ann"), await bench.agent("kf", scopes=("wecom_kf",))
    talk = await bench.waits("a")
    await bench.desk.set_mode(ann, talk, Mode.COPILOT)
    number = await draft(bench, talk)
    for wanted in (number, 99):
        with pytest.raises(NotFound) as refused:
            await bench.desk.decide_draft(kf, wanted, "approve")
        assert (refused.value.field, refused.value.identifier) == ("draft_id", str(wanted))
