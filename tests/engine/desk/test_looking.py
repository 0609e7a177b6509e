"""The lists of the desk and one conversation, as agents see them."""

import pytest
from sqlalchemy import Connection

from domain.desk import Agent, Waiting, place_key
from domain.errors import InvalidInput, NotFound
from engine.desk.views import View
from storage import desk_watch, kf_sessions
from tests.engine.desk.bench import Bench


async def order(bench: Bench, who: Agent, view: View = "waiting", **wanted: str) -> list[str]:
    """Names of the customers, over pages of two."""
    found: list[str] = []
    before: str | None = None
    while True:
        page = await bench.desk.queue(
            who,
            view=view,
            limit=2,
            before=before,
            search=wanted.get("search", ""),
            channel=wanted.get("channel", ""),
        )
        found += [item.customer.removeprefix("客户") for item in page.items]
        before = page.next
        if before is None:
            return found


async def level(bench: Bench, user: str, value: str) -> None:
    await bench.database.write(
        lambda c: c.exec_driver_sql(
            "INSERT INTO customers (contact_id, name, level, score, state, total_messages,"
            f" last_active_at, remark) VALUES ('webhook:shop:{user}', '', '{value}', 60, 'new', 0,"
            " '', '')"
        )
    )


async def test_the_queue_is_served_by_priority_then_who_comes_back_then_tier_then_time(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    await level(bench, "white", "white")
    await level(bench, "black", "black")
    for user in ("black", "first", "second", "white", "back"):
        await bench.waits(user)
        bench.now += 1
    await bench.waits("urgent", priority="high")
    talk = (await bench.desk.queue(ann, search="客户back")).items[0].conversation_id
    await bench.desk.take(ann, talk)
    await bench.desk.transfer(ann, talk)
    places = ["urgent", "back", "white", "first", "second", "black"]
    assert await order(bench, ann) == places
    queue = await bench.database.read(desk_watch.waiting)
    page = await bench.desk.queue(ann, limit=200)
    sorted_here = [one.conversation for one in sorted(queue, key=place_key)]
    assert [item.conversation_id for item in page.items] == sorted_here


async def test_every_page_is_whole_while_others_come_and_go(bench: Bench) -> None:
    ann = await bench.agent("ann")
    for user in "abcdef":
        await bench.waits(user)
        bench.now += 1
    page = await bench.desk.queue(ann, limit=3)
    await bench.desk.take(ann, page.items[0].conversation_id)
    await bench.waits("new", priority="high")
    rest = await bench.desk.queue(ann, limit=3, before=page.next)
    shown = [item.customer.removeprefix("客户") for item in (*page.items, *rest.items)]
    assert shown == list("abcdef")
    assert rest.next is None


async def test_each_view_shows_its_own(bench: Bench) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talks = {}
    for user in ("wait", "anns", "bens", "done"):
        talks[user] = await bench.waits(user)
        bench.now += 1
    await bench.hears("bots")
    await bench.desk.take(ann, talks["anns"])
    await bench.desk.take(ben, talks["bens"])
    await bench.desk.take(ann, talks["done"])
    await bench.desk.resolve(ann, talks["done"])
    assert await order(bench, ann, "waiting") == ["wait"]
    assert await order(bench, ann, "mine") == ["anns"]
    assert sorted(await order(bench, ann, "open")) == ["anns", "bens", "wait"]
    assert await order(bench, ann, "closed") == ["done"]
    assert await order(bench, ann, "all") == ["bots", "done", "bens", "anns", "wait"]
    page = await bench.desk.queue(ann)
    assert page.counts == {"waiting": 1, "mine": 1, "open": 3}


async def test_only_what_is_in_scope_is_listed_and_counted(bench: Bench) -> None:
    kf = await bench.agent("kf", scopes=("wecom_kf", "webhook:other"))
    await bench.waits("a")
    await bench.waits("b", channel="wecom_kf", account="x")
    await bench.waits("c", account="other")
    for view in ("waiting", "open", "all"):
        assert sorted(await order(bench, kf, view)) == ["b", "c"]
    assert (await bench.desk.queue(kf)).counts["waiting"] == 2
    nobody = await bench.agent("nobody", scopes=())
    assert await order(bench, nobody, "all") == []


async def test_who_waits_for_our_word_comes_before_those_whose_turn_it_is(bench: Bench) -> None:
    ann = await bench.agent("ann")
    for user in ("quiet", "asks", "longer"):
        talk = await bench.waits(user)
        await bench.desk.say(ann, talk, "您好", message_id=user)
        bench.now += 1
    for user in ("longer", "asks"):
        await bench.hears(user, "在吗")
        bench.now += 1
    assert await order(bench, ann, "mine") == ["longer", "asks", "quiet"]


async def test_a_search_finds_names_ids_and_questions_and_takes_signs_as_they_are(
    bench: Bench,
) -> None:
    ann = await bench.agent("ann")
    await bench.waits("Ab_c", "能打 100% 折扣吗")
    await bench.waits("abxc", "怎么退款")
    assert await order(bench, ann, search="ab_C") == ["Ab_c"]
    assert await order(bench, ann, search="100%") == ["Ab_c"]
    assert await order(bench, ann, search="退款") == ["abxc"]
    assert await order(bench, ann, search="'; --") == []
    assert await order(bench, ann, channel="wecom_kf") == []


async def test_an_item_tells_what_was_said_last_and_how_much_is_unanswered(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a", "怎么退款")
    bench.now += 30
    (item,) = (await bench.desk.queue(ann)).items
    assert (item.last_message, item.last_role, item.unread) == ("怎么退款", "user", 1)
    assert (item.status, item.mode, item.reason) == ("open", "queued", "human_request")
    assert (item.waiting_s, item.due_in_s) == (30.0, 30.0)
    await bench.desk.say(ann, talk, "马上", message_id="r1")
    await bench.hears("a", "好的")
    await bench.hears("a", "多久")
    bench.now += 200
    (item,) = (await bench.desk.queue(ann, view="mine")).items
    assert (item.last_message, item.unread, item.agent_name) == ("多久", 2, "ann的名字")
    assert (item.waiting_s, item.due_in_s) == (None, -20.0)


@pytest.mark.parametrize(
    "before", ["x", "W10=", "WzFd", "bnVsbA==", "WyJhIiwiYiIsImMiLCJkIiwiZSJd", "é"]
)
async def test_a_page_that_none_led_to_is_refused(bench: Bench, before: str) -> None:
    ann = await bench.agent("ann")
    with pytest.raises(InvalidInput) as refused:
        await bench.desk.queue(ann, before=before)
    assert refused.value.field == "before"


async def test_a_conversation_is_read_page_by_page_from_its_end(bench: Bench) -> None:
    ann = await bench.agent("ann")
    talk = await bench.waits("a", "一")
    for said in ("二", "三", "四"):
        await bench.hears("a", said)
    newest = await bench.desk.conversation(ann, talk, limit=3)
    assert [message.text for message in newest.messages] == ["二", "三", "四"]
    older = await bench.desk.conversation(ann, talk, limit=3, before=newest.before)
    assert ([message.text for message in older.messages], older.before) == (["一"], None)


async def test_a_conversation_shows_the_customer_the_hand_overs_and_what_may_be_done(
    bench: Bench,
) -> None:
    ann, ben = await bench.agent("ann"), await bench.agent("ben")
    talk = await bench.waits("a")
    assert set((await bench.desk.conversation(ann, talk)).may) == {
        "note",
        "take",
        "say",
        "transfer",
    }
    await bench.desk.take(ann, talk)
    mine, others = [await bench.desk.conversation(who, talk) for who in (ann, ben)]
    assert set(mine.may) == {"note", "say", "transfer", "resolve", "mode"}
    assert others.may == ("note",)
    await bench.desk.resolve(ann, talk, outcome="unsolved")
    again = await bench.waits("a", "还是不行")
    seen = await bench.desk.conversation(ben, again)
    assert seen.handoff is not None
    assert (seen.handoff.status, seen.handoff.previous_agent) == ("open", "ann")
    assert [(past.status, past.outcome) for past in seen.earlier] == [("closed", "unsolved")]
    assert (seen.customer.name, seen.customer.level) == ("客户a", "gray")


async def test_a_conversation_out_of_scope_does_not_exist(bench: Bench) -> None:
    kf = await bench.agent("kf", scopes=("wecom_kf",))
    talk = await bench.waits("a")
    for conversation in (talk, "c_none"):
        with pytest.raises(NotFound):
            await bench.desk.conversation(kf, conversation)


async def test_a_customer_is_told_who_is_before_them_and_a_newcomer_all(bench: Bench) -> None:
    await bench.agent("ann")
    first, second = await bench.waits("a"), await bench.waits("b")
    await bench.waits("c", priority="high")
    ahead = [(await bench.desk.standing(one)).ahead for one in (first, second, "")]
    assert ahead == [1, 2, 3]
    found = await bench.desk.standing()
    assert (found.waiting, found.online, found.open, found.opens_ts) == (3, 1, True, None)


async def test_in_a_crowd_places_are_looked_up_once_a_second_and_not_for_each_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, found = list[int](), desk_watch.waiting

    def waiting(connection: Connection) -> list[Waiting]:
        looks.append(1)
        return found(connection)

    monkeypatch.setattr("engine.desk.looking.CROWD", 3)
    monkeypatch.setattr("engine.desk.looking.CROWD_S", 60.0)
    monkeypatch.setattr("storage.desk_watch.waiting", waiting)
    chats = [await bench.waits(chat) for chat in "ab"]
    assert [(await bench.desk.standing(one)).ahead for one in chats] == [0, 1]
    assert len(looks) == 2, "few who wait are counted each time"
    chats.append(await bench.waits("c"))
    for _ in range(5):
        assert [(await bench.desk.standing(one)).ahead for one in chats] == [0, 1, 2]
    assert len(looks) == 3


async def test_who_waits_for_other_agents_is_not_ahead(bench: Bench) -> None:
    await bench.agent("ann", scopes=("webhook:shop",))
    await bench.agent("ben", scopes=("webhook:other",))
    await bench.waits("x", account="other", priority="high")
    await bench.waits("y", channel="wecom_kf")
    mine = await bench.waits("a")
    found = await bench.desk.standing(mine)
    assert (found.ahead, found.waiting, found.online) == (0, 1, 1)


async def test_who_is_in_the_platforms_pool_is_not_in_our_queue(bench: Bench) -> None:
    pooled = await bench.waits("x", channel="wecom_kf")
    await bench.database.write(lambda c: kf_sessions.queued(c, pooled, now=bench.now))
    mine = await bench.waits("a")
    assert (await bench.desk.standing(mine)).ahead == 0


async def test_the_desk_counts_who_waits_since_when_and_who_is_there(bench: Bench) -> None:
    ann = await bench.agent("ann")
    await bench.admin()
    await bench.desk.take(ann, await bench.waits("a"))
    await bench.waits("b")
    bench.now += 40
    await bench.waits("c")
    assert await bench.desk.stats() == {
        "waiting": 2,
        "taken": 1,
        "oldest_wait_s": 40.0,
        "agents_online": 1,
        "agents_away": 1,
        "agents_offline": 0,
    }
