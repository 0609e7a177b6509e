"""Triggers: whose messages fire which task, since when, by which event; the index over many."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.agreement import Speech
from domain.tasks import (
    PAYMENT_EVENT,
    PAYMENT_WORDS,
    Match,
    Matching,
    Said,
    TaskPriority,
    Trigger,
    TriggerKind,
    WatchedTask,
)
from domain.triggers import UNBUILT_KEYS, TaskIndex, match, trigger_key

SPECIFIED = TriggerKind.SPECIFIED_CUSTOMER_REPLY
REPLY = TriggerKind.CUSTOMER_REPLY
KEYWORD = TriggerKind.CUSTOMER_KEYWORD
PAYMENT = TriggerKind.CUSTOMER_PAYMENT
TIME = TriggerKind.TIME_REACH


def task(trigger: Trigger, task_id: str = "t", received_at: float = 100.0) -> WatchedTask:
    return WatchedTask(task_id, trigger, received_at)


def said(
    text: str,
    sender: str = "c1",
    *,
    contact: str = "",
    name: str = "",
    at: float = 200.0,
    event: str = "",
) -> Said:
    return Said(sender, contact or f"kf:shop:{sender}", text, at, name, event)


GOOD = ("好的",)
ROWS: list[tuple[str, Trigger, Said, bool]] = [
    ("his customer", Trigger(SPECIFIED, GOOD, "c1"), said("好的"), True),
    ("his contact", Trigger(SPECIFIED, GOOD, "kf:shop:c1"), said("好的"), True),
    ("another customer", Trigger(SPECIFIED, GOOD, "c2"), said("好的"), False),
    ("a longer id", Trigger(SPECIFIED, GOOD, "c1"), said("好的", "c11"), False),
    ("an id in other case", Trigger(SPECIFIED, GOOD, "C1"), said("好的"), False),
    ("no id at all", Trigger(SPECIFIED, GOOD), said("好的"), False),
    ("no id on both sides", Trigger(SPECIFIED, GOOD), Said("", "", "好的", 200.0), False),
    ("not his word", Trigger(SPECIFIED, GOOD, "c1"), said("在吗"), False),
    ("right name", Trigger(SPECIFIED, GOOD, "c1", "小明"), said("好的", name="小明"), True),
    ("name decorated", Trigger(SPECIFIED, GOOD, "c1", "小明"), said("好的", name="小明🌸"), True),
    ("name traditional", Trigger(SPECIFIED, GOOD, "c1", "陈东"), said("好的", name="陳東"), True),
    ("name wide", Trigger(SPECIFIED, GOOD, "c1", "Ann"), said("好的", name="ＡＮＮ "), True),
    ("name of emoji", Trigger(SPECIFIED, GOOD, "c1", "🌸"), said("好的", name="🌸"), True),
    ("other name", Trigger(SPECIFIED, GOOD, "c1", "小明"), said("好的", name="小红"), False),
    ("name not told", Trigger(SPECIFIED, GOOD, "c1", "小明"), said("好的"), True),
    ("name not asked", Trigger(SPECIFIED, GOOD, "c1"), said("好的", name="小红"), True),
    ("name but not id", Trigger(SPECIFIED, GOOD, "c2", "小明"), said("好的", name="小明"), False),
    ("in a group", Trigger(SPECIFIED, GOOD, "c1"), said("@客服 好的"), True),
    ("in a group, another", Trigger(SPECIFIED, GOOD, "c1"), said("@c1 好的", "c2"), False),
    ("older message", Trigger(SPECIFIED, GOOD, "c1"), said("好的", at=99.9), False),
    ("same instant", Trigger(SPECIFIED, GOOD, "c1"), said("好的", at=100.0), True),
    ("reply of anybody", Trigger(REPLY, GOOD), said("好的", "c9"), True),
    ("reply of a nameless", Trigger(REPLY, GOOD), Said("", "", "好的", 200.0), True),
    ("reply limited", Trigger(REPLY, GOOD, "c1"), said("好的"), True),
    ("reply limited, another", Trigger(REPLY, GOOD, "c1"), said("好的", "c2"), False),
    ("reply older", Trigger(REPLY, GOOD), said("好的", at=1.0), False),
    ("reply without words", Trigger(REPLY), said("好的"), False),
    ("empty keyword", Trigger(REPLY, ("",)), said("好的"), False),
    ("blank keyword", Trigger(REPLY, (" \u200b",)), said("好的"), False),
    ("one of several", Trigger(KEYWORD, ("好的", "可以", "行")), said("可以"), True),
    ("none of several", Trigger(KEYWORD, ("好的", "可以", "行")), said("在吗"), False),
    ("keyword limited", Trigger(KEYWORD, ("行",), "c1"), said("行", "c2"), False),
    ("default paid", Trigger(PAYMENT), said("已付款"), True),
    ("default took", Trigger(PAYMENT), said("我拍下了"), True),
    ("default ordered", Trigger(PAYMENT), said("已下单,麻烦尽快"), True),
    ("default other word", Trigger(PAYMENT), said("好的"), False),
    ("default denied", Trigger(PAYMENT), said("还没拍下了"), False),
    ("own words only", Trigger(PAYMENT, ("转账了",)), said("已付款"), False),
    ("own words", Trigger(PAYMENT, ("转账了",)), said("转账了,查收"), True),
    ("paid by another", Trigger(PAYMENT, (), "c1"), said("已付款", "c2"), False),
    ("paid by him", Trigger(PAYMENT, (), "c1"), said("已付款"), True),
    ("payment event", Trigger(PAYMENT), said("", event=PAYMENT_EVENT), True),
    ("event, own words", Trigger(PAYMENT, ("转账了",)), said("", event=PAYMENT_EVENT), True),
    ("event of him", Trigger(PAYMENT, (), "c1"), said("", event=PAYMENT_EVENT), True),
    ("event of another", Trigger(PAYMENT, (), "c1"), said("", "c2", event=PAYMENT_EVENT), False),
    ("event before", Trigger(PAYMENT), said("", at=1.0, event=PAYMENT_EVENT), False),
    ("another event", Trigger(PAYMENT), said("已付款", event="add_friend"), False),
    ("event is no reply", Trigger(REPLY, ("已付款",)), said("已付款", event=PAYMENT_EVENT), False),
    ("event's words", Trigger(REPLY, ("可以",)), said("现在可以聊了", event="add_friend"), False),
    ("time", Trigger(TIME, at=150.0), said("好的"), False),
    ("time with a word", Trigger(TIME, GOOD, at=150.0), said("好的"), False),
    ("nothing written", Trigger(REPLY, GOOD), said(""), False),
    ("a lone surrogate", Trigger(REPLY, GOOD), said("好的\ud83d"), True),
    ("long message", Trigger(REPLY, GOOD), said("我想问一下。" * 500 + "好的"), True),
    ("long, denied", Trigger(REPLY, GOOD), said("我想问一下。" * 500 + "不好的"), False),
]


@pytest.mark.parametrize(
    ("trigger", "message", "fires"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_whose_message_fires_a_task(trigger: Trigger, message: Said, fires: bool) -> None:
    assert (match(task(trigger), message) is not None) is fires
    assert bool(TaskIndex([task(trigger)]).matches(message)) is fires


def test_a_match_names_the_first_keyword_agreed_to_as_the_task_wrote_it() -> None:
    found = match(task(Trigger(KEYWORD, ("行", "ＯＫ", "好的"))), said("好的,ok,能开发票吗"))
    assert found is not None
    assert (found.keyword, found.rest) == ("ＯＫ", "能开发票吗")


def test_a_task_fires_once_where_several_of_its_keywords_are_said() -> None:
    index = TaskIndex([task(Trigger(KEYWORD, ("行", "ok", "好的")))])
    assert len(index.matches(said("好的,ok,行"))) == 1


def test_a_payment_event_has_no_keyword_and_leaves_nothing_to_answer() -> None:
    paid = task(Trigger(PAYMENT, PAYMENT_WORDS))
    assert match(paid, said("[订单已付款]", event=PAYMENT_EVENT)) == Match(paid, "", "")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("好的", "好的"),
        (" 好 的! ", "好的"),
        ("ＯＫ", "ok"),
        ("沒問題", "没问题"),
        ("妳好", "你好"),
        ("好的👌🏻[OK]/:ok", "好的"),
        ("[已付款]", "已付款"),
        ("①②", "12"),
        ("👌", "👌"),
        ("👌🏻", "👌"),
        ("[OK]", "👌"),
        ("/:ok", "👌"),
        ("[微笑]", "[微笑]"),
        ("666", "666"),
        ("?", "?"),
        ("@客服 好的", "客服好的"),
        (" ", ""),
        ("", ""),
    ],
)
def test_a_key_folds_width_case_script_and_drops_the_rest(text: str, key: str) -> None:
    assert trigger_key(text) == key


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_keyword_is_contained_in_every_text_that_holds_it(left: str, right: str) -> None:
    found = match(
        task(Trigger(REPLY, ("已付款OK",), matching=Matching.CONTAINS)),
        said(f"{left}\n已付款OK\n{right}"),
    )
    assert found is not None


@given(st.text(max_size=200))
def test_any_text_can_be_read_and_keys_are_stable(text: str) -> None:
    key = trigger_key(text)
    assert trigger_key(key) == key
    speech = Speech(text)
    assert len(speech.reading.letters) == len(speech.reading.positions)
    assert isinstance(speech.rest(()), str)


def test_keys_are_made_in_many_threads_at_once() -> None:
    texts = [chr(0x4E00 + number) + "發" for number in range(2_000)]
    made: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: made.append([trigger_key(one) for one in texts]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert all(keys == made[0] for keys in made)
    assert made[0][0] == "一发"


WORDS = st.sampled_from(
    (
        "好的",
        "可以",
        "行",
        "ok",
        "OK",
        "1",
        "没问题",
        "👌",
        "[OK]",
        "?",
        "好",
        "不要",
        "",
        "已付款",
        "付款",
    )
)
CUSTOMERS = st.sampled_from(("", "c1", "c2", "kf:shop:c1"))
TRIGGERS = st.builds(
    Trigger,
    st.sampled_from(TriggerKind),
    st.lists(WORDS, max_size=3).map(tuple),
    CUSTOMERS,
    st.sampled_from(("", "", "小明", "小红")),
    st.sampled_from(Matching),
)
TEXTS = st.lists(
    st.one_of(
        WORDS,
        st.sampled_from(("不", "吗", ",", " ", "?", "@客服 ", "能开发票吗", "银行", "谢谢", "\n")),
    ),
    max_size=8,
).map("".join)
MESSAGES = st.builds(
    Said,
    st.sampled_from(("", "c1", "c2", "c3")),
    st.sampled_from(("", "kf:shop:c1", "c2")),
    TEXTS,
    st.sampled_from((50.0, 100.0, 200.0)),
    st.sampled_from(("", "小明")),
    st.sampled_from(("", "", "", PAYMENT_EVENT, "add_friend")),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(TRIGGERS, st.sampled_from(TaskPriority)), max_size=12), MESSAGES, st.data()
)
def test_the_index_finds_what_the_pure_function_finds(
    triggers: list[tuple[Trigger, TaskPriority]], message: Said, data: st.DataObject
) -> None:
    tasks = [
        WatchedTask(f"t{number % 9}", trigger, 100.0, priority)
        for number, (trigger, priority) in enumerate(triggers)
    ]
    built = data.draw(st.integers(0, len(tasks)), label="built at once")
    index = TaskIndex(tasks[:built])
    for one in tasks[built:]:
        index.add(one)
    kept = {one.task_id: one for one in tasks}
    for task_id in data.draw(st.sets(st.sampled_from([f"t{n}" for n in range(9)])), label="gone"):
        kept.pop(task_id, None)
        index.discard(task_id)
    expected = [found for one in kept.values() if (found := match(one, message))]
    assert index.matches(message) == sorted(expected, key=lambda one: one.task.order)
    assert len(index) == len(kept)


def test_tasks_act_by_priority_and_then_by_their_receipt() -> None:
    trigger = Trigger(REPLY, GOOD)
    index = TaskIndex()
    for name, received, priority in (
        ("low", 1.0, TaskPriority.LOW),
        ("late", 3.0, TaskPriority.NORMAL),
        ("urgent", 9.0, TaskPriority.URGENT),
        ("early", 2.0, TaskPriority.NORMAL),
        ("high", 8.0, TaskPriority.HIGH),
    ):
        index.add(WatchedTask(name, trigger, received, priority))
    order = [one.task.task_id for one in index.matches(said("好的"))]
    assert order == ["urgent", "high", "early", "late", "low"]


def test_words_are_found_before_and_after_the_automaton_is_built_anew() -> None:
    index = TaskIndex()
    for number in range(3 * UNBUILT_KEYS):
        index.add(task(Trigger(REPLY, (f"暗号{number}号",)), f"t{number}"))
        assert [one.task.task_id for one in index.matches(said(f"暗号{number}号"))] == [
            f"t{number}"
        ]
    for number in range(3 * UNBUILT_KEYS):
        assert [one.task.task_id for one in index.matches(said(f"暗号{number}号"))] == [
            f"t{number}"
        ]


def test_a_task_that_was_taken_out_fires_again_only_when_it_is_back() -> None:
    index = TaskIndex([task(Trigger(REPLY, (f"暗号{n}号",)), f"t{n}") for n in range(1_000)])
    for number in range(1_000):
        index.discard(f"t{number}")
        assert not index.matches(said(f"暗号{number}号"))
    index.discard("never there")
    assert len(index) == 0
    index.add(task(Trigger(REPLY, ("暗号7号",)), "t7"))
    assert [one.task.task_id for one in index.matches(said("暗号7号"))] == ["t7"]


def test_a_task_of_the_same_id_replaces_the_former() -> None:
    index = TaskIndex([task(Trigger(REPLY, GOOD))])
    index.add(task(Trigger(REPLY, ("可以",))))
    assert (len(index), index.matches(said("好的"))) == (1, [])
    assert len(index.matches(said("可以"))) == 1


def _own_seconds(index: TaskIndex, message: Said, times: int = 5) -> float:
    taken = []
    for _ in range(times):
        begun = time.thread_time()
        index.matches(message)
        taken.append(time.thread_time() - begun)
    return min(taken)


def test_a_word_shared_by_ten_thousand_tasks_is_judged_once() -> None:
    text = "我想再问一下这个的情况," * 300 + "好的"
    one = TaskIndex([task(Trigger(REPLY, GOOD))])
    many = TaskIndex([task(Trigger(REPLY, GOOD), f"t{n}") for n in range(10_000)])
    assert len(many.matches(said(text))) == 10_000
    # Judging this text takes milliseconds: ten thousand times that would be half a minute.
    assert _own_seconds(many, said(text)) < 100 * _own_seconds(one, said(text))


@pytest.mark.parametrize("customer", ["", "c1"])
def test_ten_thousand_waiting_words_do_not_slow_a_message(customer: str) -> None:
    index = TaskIndex(
        [task(Trigger(REPLY, (f"暗号{n}号",), customer), f"t{n}") for n in range(10_000)]
    )
    assert len(index.matches(said("好的,暗号4321号,能开发票吗"))) == 1
    assert _own_seconds(index, said("好的,暗号4321号,能开发票吗")) < 0.002
