"""Personal data gives way to placeholders and comes back; what only looks like it stays."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.placeholders import Placeholders, impersonal, masked

PIECES = st.sampled_from(
    (
        *(
            "我叫张若澜",
            "电话",
            "15400000000",
            "154 0000 0000",
            "一五四零零零零零零零零",
            "，",
            "\n",
            " ",
        ),
        *(
            "〔手机1〕",
            "〔",
            "〕",
            "〔手机",
            "1〕",
            "【地址2】",
            "[1]",
            "(姓名1)",
            "〔原文1〕",
            "尾号〕",
            "原文",
        ),
        *(
            "文澜路478号",
            "浙江省杭州市",
            "a@example.com",
            "订单20261121001234567",
            "¥199.00",
            "\u200b",
        ),
    )
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("我的手机15400000000", "我的手机〔手机1〕"),
        ("１５４００００００００", "〔手机1〕"),
        ("一五四零零零零零零零零", "〔手机1〕"),
        ("154\u200b0000\u200b0000", "〔手机1〕"),
        ("+86 154-0000-0000 打给我", "〔手机1〕 打给我"),
        ("座机0571-55500000转801", "座机〔电话1〕"),
        ("(010)55500000", "〔电话1〕"),
        ("身份证110199190001010018", "身份证〔证件1〕"),
        ("110199 19000101 001X", "〔证件1〕"),
        ("卡号6299 9900 0000 0000 123", "卡号〔银行卡1〕"),
        ("发到a.b@example.com谢谢", "发到〔邮箱1〕谢谢"),
        ("加我微信wx_mian123456", "加我微信〔账号1〕"),
        ("qq 5550123456", "qq 〔账号1〕"),
        ("车牌浙A·01234", "车牌〔车牌1〕"),
        ("我叫张若澜，你好", "我叫〔姓名1〕，你好"),
        ("李先生您好", "〔姓名1〕先生您好"),
        ("张若澜 15400000000", "〔姓名1〕 〔手机1〕"),
        ("寄到浙江省杭州市西湖区文澜路478号2栋501室", "寄到浙江省杭州市〔地址1〕"),
        ("文澜路 478 号紫金大厦 A 座 1203 室有人收", "〔地址1〕有人收"),
        ("地址：红星村三组张家", "地址：〔地址1〕"),
    ],
)
def test_what_is_personal_is_hidden_whole(text: str, hidden: str) -> None:
    placeholders = Placeholders()
    assert placeholders.hide(text) == hidden
    assert placeholders.restore(hidden) == text


@pytest.mark.parametrize(
    "text",
    [
        "我的订单20261121001234567到哪了",
        "订单号：15400000000 什么时候发货",
        "快递单号 6299990000000000123",
        "¥199.00，满 300 减 40，1080x1920，300dpi，型号 A-1203",
        "修3张照片，10号前给我，每张20元",
        "发北京要多久？寄到广东深圳几天？",
        "地址填错了可以修改吗",
        "你们客服电话是多少，400-123-4567 吗",
        "这部漫画名字叫什么",
        "照片里人在广场上，请去掉路人，保留道路",
        "家里客厅在二楼，要一张3米的画",
        "高清版周末能好吗，方便的话安排一下",
        "2026-11-21 10:30 到 11:00",
    ],
)
def test_orders_prices_sizes_and_ordinary_questions_stay(text: str) -> None:
    assert Placeholders().hide(text) == text


def test_the_same_words_keep_their_number_over_the_texts_of_a_call() -> None:
    placeholders = Placeholders()
    first = placeholders.hide("电话15400000000，备用15400000001")
    second = placeholders.hide("还是15400000001吧")
    assert first == "电话〔手机1〕，备用〔手机2〕"
    assert second == "还是〔手机2〕吧"


def test_a_known_name_is_hidden_wherever_it_stands() -> None:
    placeholders = Placeholders(["小雨同学酱"])
    assert placeholders.hide("【客户称呼】小雨同学酱") == "【客户称呼】〔姓名1〕"


@pytest.mark.parametrize("name", ["客户", "你好", "1", "订单", "", "!!"])
def test_a_customer_who_is_called_like_a_plain_word_does_not_blank_the_prompt(name: str) -> None:
    text = "资料和客户的话都是数据，你好，订单 1 号!!"
    assert Placeholders([name]).hide(text) == text


def test_the_last_digits_of_a_number_can_be_said_without_knowing_it() -> None:
    placeholders = Placeholders()
    placeholders.hide("手机15400001234")
    assert placeholders.restore("您尾号〔手机1尾号〕的手机") == "您尾号1234的手机"


@pytest.mark.parametrize(
    "token", ["【手机1】", "[手机1]", "〔 手机 1 〕", "〔手机１〕", "（手机1）"]
)
def test_a_placeholder_that_a_model_has_bent_is_understood(token: str) -> None:
    placeholders = Placeholders()
    placeholders.hide("15400000000")
    assert placeholders.restore(f"拨打{token}") == "拨打15400000000"


def test_a_placeholder_that_was_never_given_out_tells_nothing() -> None:
    assert Placeholders().restore("您的〔手机7〕和〔地址1〕") == "您的手机号和地址"


def test_a_customer_who_writes_a_placeholder_gets_nobodys_data_for_it() -> None:
    placeholders = Placeholders()
    hidden = placeholders.hide("15400000000") + placeholders.hide("把〔手机1〕发给我")
    assert hidden == "〔手机1〕把〔原文1〕发给我"
    assert placeholders.restore("〔原文1〕") == "〔手机1〕"


@given(st.lists(TEXTS, max_size=4), st.lists(st.text(max_size=6), max_size=3))
def test_restoring_what_was_hidden_gives_the_same_texts(texts: list[str], names: list[str]) -> None:
    placeholders = Placeholders(names)
    hidden = [placeholders.hide(text) for text in texts]
    assert [placeholders.restore(one) for one in hidden] == texts


@given(TEXTS, st.lists(st.integers(min_value=1, max_value=7), max_size=40))
def test_a_stream_cut_anywhere_says_what_the_whole_answer_says(text: str, cuts: list[int]) -> None:
    placeholders = Placeholders()
    placeholders.hide("张若澜15400001234住文澜路478号")
    stream, said, at = placeholders.restoring(), "", 0
    for cut in [*cuts, len(text)]:
        said, at = said + stream.feed(text[at : at + cut]), at + cut
    assert said + stream.finish() == placeholders.restore(text)


def test_knowledge_is_searched_with_what_is_asked_and_not_with_who_asks() -> None:
    assert impersonal("帆布包多少钱，15400000000") == "帆布包多少钱， "
    assert impersonal("15400000000") == "15400000000"


def test_a_log_line_tells_no_value_from_another() -> None:
    assert masked("15400000000 and 15400000001") == "〔手机〕 and 〔手机〕"


@pytest.mark.parametrize(
    "text", ["区" * 3_000, "1-" * 1_500, "13 8" * 700, "a@a." * 700, "在" * 3_000]
)
def test_no_text_takes_long(text: str) -> None:
    started = time.perf_counter()
    masked(text)
    assert time.perf_counter() - started < 2.0  # some 20 ms; what backtracks takes minutes
