"""What counts as haggling, and what the shop answers to it: never under the floor."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decisions import Quote, QuoteItem
from domain.negotiation import (
    LABEL,
    Answer,
    CounterOffer,
    OfferKind,
    answer,
    counter_offer,
    discounted,
    undiscounted,
)
from domain.pricing import Measured, NegotiationPolicy, PriceBook, QuoteRequest, quote

ROOT = Path(__file__).parents[2]
BOOK = PriceBook.parse((ROOT / "engine/defaults/price_book.yaml").read_text(encoding="utf-8"))
POLICY = NegotiationPolicy(steps_percent=(5, 8), rounds=3)

AMOUNTS = {
    "50行吗": 50, "五十行吗": 50, "50可以吗": 50, "50块": 50, "五十块钱吧": 50, "５０行吗": 50,
    "40块做不做": 40, "四十做不做": 40, "给你50做不做": 50, "最多给你五十块": 50, "50成吗": 50,
    "五十成不成": 50, "我只出30": 30, "预算只有100": 100, "一百二行不行": 120, "25.5行吗": 25.5,
    "¥45可以吗": 45, "就50吧": 50, "那就60，行就做": 60, "60我直接拍": 60, "50?": 50,
    "便宜到50行吗": 50, "能不能50": 50, "总共50行吗": 50, "两张50行吗": 50, "50一口价": 50,
    "50不行的话60行吗": 60, "太贵了，40行吗": 40, "贵了点，三十五能做吗": 35,
    "50，不行就算了": 50, "100以内行吗": 100, "抠图5块行吗": 5, "改字10块行吗": 10,
    "把背景换成白色50行吗": 50, "别家才30": 30, "人家才收30块": 30, "淘宝上只要20": 20,
    "上次才30": 30, "50能弄吗": 50, "就按50算吧": 50, "心理价位50": 50, "我在别家问的30": 30,
    "50块钱不能再多了": 50, "别家30，你们怎么这么贵": 30,
}  # fmt: skip
EACH = {"20一张行吗": 20, "一张20行不行": 20, "每张15块可以吗": 15}
LESS = {"便宜10块": 10, "便宜5块吧": 5, "少10块行吗": 10, "再减5块": 5, "便宜个十块钱": 10}
SHARES = {
    "打八折": 80, "打个8折行吗": 80, "九五折可以不": 95, "优惠10%": 90, "半价行吗": 50,
    "对折做吗": 50,
}  # fmt: skip
ROUND = ["抹个零", "零头抹了吧", "去个零头呗", "凑个整吧"]
LOWER = [
    "便宜点", "能便宜点吗", "不能便宜点吗", "便宜些呗", "打个折", "能打折不", "最低多少",
    "最低价多少", "最低多少钱能做", "太贵了", "有点贵", "这么贵", "价格有点高", "有优惠吗",
    "优惠点吧", "可以少点吗", "少点呗", "超预算了", "不便宜啊", "没有优惠吗", "可以刀吗",
    "能便宜多少", "少收点呗", "价格能谈吗", "能商量下价格吗，价格可以商量吗", "贵", "有点小贵",
    "这么多钱啊", "10张能便宜点吗",
]  # fmt: skip
NO_OFFER = [
    # Counts, characters, order numbers, sizes, dates, times, percent.
    "50张行吗", "五十张可以吗", "一共50张能做吗", "有50个字", "3个logo行吗", "第50张可以吗",
    "订单20260312345678可以吗", "单号123456行吗", "13800138000可以吗", "QQ 123456 可以吗",
    "800x600可以吗", "800*600行吗", "宽1000行吗", "300dpi可以吗", "1寸可以吗", "A4行吗",
    "字号20可以吗", "3月5日可以吗", "3.5号能好吗", "2026-03-05可以吗", "10点行吗", "5分钟行吗",
    "2小时内行吗", "明天5点前行吗", "7天行吗", "放大50%行吗", "透明度50可以吗", "放大2倍可以吗",
    # What is written on the picture is no price of ours.
    "把50改成40行吗", "图上的50元改成40元可以吗", "价格改成50行吗", "加上50元的字可以吗",
    "做打折海报多少钱", "做一张8折的海报", "海报上写全场8折", "加“便宜点”三个字行吗",
    "优惠券设计多少钱", "名贵的茶叶包装", "贵族风格可以吗",
    # Money that went before.
    "我昨天付了50块", "退我50块", "定金50可以吗",
    # Less of something else.
    "颜色再淡一点", "字少一点", "亮度降一点", "能降噪吗", "可以减掉背景吗", "能少一个人吗",
    "再让人物高一点", "太高了，裁低一点", "最少几张起做", "最低分辨率要多少",
    # No haggling at all.
    "不贵", "贵不贵", "不是嫌贵", "不用便宜", "您贵姓", "贵公司在哪", "好的", "可以",
    "什么时候能好",
    "1", "2", "1可以吗", "行吗", "",
]  # fmt: skip


def _quote(total: int = 5_000, floor: int = 4_000, quantity: int = 1) -> Quote:
    items = (QuoteItem("图片处理", total, "单价"),)
    return Quote("process", "图片处理", items, total, floor, 24, "t1", quantity)


def _offer(text: str) -> CounterOffer:
    found = counter_offer(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(("text", "yuan"), AMOUNTS.items())
def test_a_price_that_the_customer_names_is_read(text: str, yuan: float) -> None:
    found = _offer(text)
    assert (found.kind, found.amount, found.each) == (OfferKind.AMOUNT, round(yuan * 100), False)


@pytest.mark.parametrize(("text", "yuan"), EACH.items())
def test_a_price_of_one_item_is_told_from_a_price_of_all(text: str, yuan: int) -> None:
    found = _offer(text)
    assert (found.amount, found.each) == (yuan * 100, True)
    assert found.asked(_quote(50_000, quantity=20)) == yuan * 100 * 20


@pytest.mark.parametrize(("text", "yuan"), LESS.items())
def test_so_much_less_is_taken_off_the_total(text: str, yuan: int) -> None:
    assert _offer(text).kind is OfferKind.LESS
    assert _offer(text).asked(_quote(5_000)) == 5_000 - yuan * 100


@pytest.mark.parametrize(("text", "percent"), SHARES.items())
def test_a_discount_in_tenths_or_percent_is_a_share_of_the_total(text: str, percent: int) -> None:
    assert _offer(text).kind is OfferKind.SHARE
    assert _offer(text).asked(_quote(5_000)) == 50 * percent


@pytest.mark.parametrize("text", ROUND)
@pytest.mark.parametrize(
    ("total", "asked"), [(6_300, 6_000), (2_350, 2_300), (2_305, 2_300), (6_000, None)]
)
def test_small_change_is_what_is_over_the_tens_or_the_yuan(
    text: str, total: int, asked: int | None
) -> None:
    assert _offer(text).asked(_quote(total, 1_000)) == asked


@pytest.mark.parametrize("text", LOWER)
def test_a_wish_for_less_names_no_amount(text: str) -> None:
    assert _offer(text).kind is OfferKind.LOWER
    assert _offer(text).asked(_quote()) is None


@pytest.mark.parametrize("text", NO_OFFER)
def test_what_is_no_price_is_no_counter_offer(text: str) -> None:
    assert counter_offer(text) is None


@pytest.mark.parametrize(
    ("text", "round_no", "kind", "total"),
    [
        pytest.param("50行吗", 1, Answer.ACCEPT, 5_000, id="the quote itself"),
        pytest.param("60行吗", 1, Answer.ACCEPT, 5_000, id="never more than quoted"),
        pytest.param("49行吗", 1, Answer.ACCEPT, 4_900, id="within 5 %"),
        pytest.param("48行吗", 1, Answer.ACCEPT, 4_800, id="5 % is 47.50, in whole yuan 48"),
        pytest.param("47行吗", 1, Answer.COUNTER, 4_800, id="below the first step"),
        pytest.param("47行吗", 2, Answer.ACCEPT, 4_700, id="8 % is 46"),
        pytest.param("30行吗", 2, Answer.COUNTER, 4_600, id="second step"),
        pytest.param("便宜点", 1, Answer.COUNTER, 4_800, id="no amount, first step"),
        pytest.param("便宜点", 3, Answer.COUNTER, 4_600, id="the last step stays"),
        pytest.param("便宜点", 4, Answer.PERSON, 5_000, id="after the rounds a person"),
        pytest.param("50行吗", 4, Answer.ACCEPT, 5_000, id="the quote is fine at any time"),
        pytest.param("打个九折", 1, Answer.COUNTER, 4_800, id="a share"),
        pytest.param("便宜2块", 1, Answer.ACCEPT, 4_800, id="less"),
    ],
)
def test_a_counter_offer_is_answered_by_the_steps_of_its_round(
    text: str, round_no: int, kind: Answer, total: int
) -> None:
    found = answer(_quote(), _offer(text), round_no, POLICY)
    assert (found.kind, found.total) == (kind, total)


def test_the_floor_is_said_to_be_the_lowest_price() -> None:
    found = answer(_quote(5_000, 4_900), _offer("40行吗"), 2, POLICY)
    assert (found.kind, found.total) == (Answer.FLOOR, 4_900)
    fixed = answer(_quote(5_000, 5_000), _offer("便宜点"), 1, POLICY)
    assert (fixed.kind, fixed.quote) == (Answer.FLOOR, _quote(5_000, 5_000))


def test_customers_on_the_black_list_haggle_with_a_person_only() -> None:
    assert answer(_quote(), _offer("便宜点"), 1, POLICY, "black").kind is Answer.PERSON
    assert answer(_quote(), _offer("49行吗"), 1, POLICY, "black").total == 5_000
    assert answer(_quote(), _offer("50行吗"), 1, POLICY, "black").kind is Answer.ACCEPT


def test_discounts_of_two_rounds_do_not_pile_up() -> None:
    first = answer(_quote(), _offer("便宜点"), 1, POLICY)
    second = answer(first.quote, _offer("再便宜点"), 2, POLICY)
    assert [item.label for item in second.items] == ["图片处理", LABEL]
    assert (second.total, second.items[-1].amount) == (4_600, -400)
    assert second.items[-1].reason == "议价后50元优惠为46元"


def test_a_price_once_offered_is_not_taken_back() -> None:
    second = answer(_quote(), _offer("便宜点"), 2, POLICY)
    assert answer(second.quote, _offer("便宜点"), 1, POLICY).total == second.total


def test_small_quotes_are_discounted_to_the_cent_where_whole_yuan_would_leave_nothing() -> None:
    assert answer(_quote(800, 500), _offer("便宜点"), 1, POLICY).total == 760


def test_no_rounds_means_a_person_at_once() -> None:
    closed = NegotiationPolicy(rounds=0)
    assert answer(_quote(), _offer("便宜点"), 1, closed).kind is Answer.PERSON


@pytest.mark.parametrize("total", [3_999, 5_001, -1])
def test_no_quote_is_discounted_below_its_floor_or_above_itself(total: int) -> None:
    with pytest.raises(ValueError, match="is not between"):
        discounted(_quote(), total)


_offers = st.one_of(
    st.builds(
        CounterOffer,
        st.sampled_from([OfferKind.AMOUNT, OfferKind.LESS]),
        st.just(""),
        st.integers(0, 200_000),
        each=st.booleans(),
    ),
    st.builds(CounterOffer, st.just(OfferKind.SHARE), st.just(""), percent=st.integers(10, 99)),
    st.builds(CounterOffer, st.sampled_from([OfferKind.ROUND, OfferKind.LOWER]), st.just("")),
)
_policies = st.builds(
    NegotiationPolicy,
    steps_percent=st.lists(st.integers(0, 100), min_size=1, max_size=4).map(
        lambda steps: tuple(sorted(steps))
    ),
    rounds=st.integers(0, 5),
)
_levels = st.sampled_from(["white", "gray", "black", "?"])


def _yuan(most: int) -> st.SearchStrategy[float]:
    return st.integers(0, most * 100).map(lambda fen: fen / 100)


@st.composite
def _books(draw: st.DrawFn) -> PriceBook:
    base = draw(_yuan(500))
    rising = sorted(draw(st.lists(_yuan(100), min_size=3, max_size=3)))
    lifted = sorted(draw(st.lists(_yuan(300), min_size=2, max_size=2)))
    percents = st.integers(0, 100)
    return PriceBook.model_validate(
        {
            "version": "random",
            "currency": "CNY",
            "valid_hours": 24,
            "services": [
                {
                    "id": "edit",
                    "name": "修图",
                    "keywords": ["修图"],
                    "base": base,
                    "floor": draw(st.integers(0, round(base * 100)).map(lambda fen: fen / 100)),
                    "sizes": [{"max_pixels": 10**6, "surcharge": 0}, {"surcharge": rising[2]}],
                    "difficulties": [
                        {"label": "复杂", "words": ["复杂"], "surcharge": rising[0]},
                        {"label": "模糊", "sharpness_below": 0.2, "surcharge": rising[1]},
                    ],
                    "text_priced": True,
                }
            ],
            "text": {
                "bands": [
                    {"max_chars": 50, "surcharge": rising[0], "item_at_least": lifted[0]},
                    {"surcharge": rising[1], "item_at_least": lifted[1]},
                ],
                "heavy_words": ["字很多"],
            },
            "rush": {"words": ["加急"], "share_percent": draw(percents)},
            "bulk": [{"from_quantity": 5, "discount_percent": draw(percents)}],
            "tiers": {"white": draw(percents), "gray": draw(percents)},
        }
    )


@st.composite
def _random_quotes(draw: st.DrawFn) -> Quote:
    request = QuoteRequest(
        draw(st.sampled_from(["修图", "修图 很复杂", "修图 字很多", "修图 加急"])),
        quantity=draw(st.integers(1, 20)),
        level=draw(_levels),
        pictures=tuple(
            draw(
                st.lists(
                    st.builds(
                        Measured,
                        width=st.integers(1, 4_000),
                        height=st.integers(1, 4_000),
                        text_chars=st.none() | st.integers(0, 400),
                        sharpness=st.none() | st.floats(0, 1),
                    ),
                    max_size=4,
                )
            )
        ),
    )
    found = quote(draw(_books()), request)
    assert found is not None
    return found


@st.composite
def _default_quotes(draw: st.DrawFn) -> Quote:
    request = QuoteRequest(
        draw(st.sampled_from(["", "很复杂", "字很多", "加急", "头发丝 加急", "约300个字"])),
        width=draw(st.none() | st.integers(1, 9_000)),
        height=draw(st.none() | st.integers(1, 9_000)),
        quantity=draw(st.integers(1, 200)),
        level=draw(_levels),
        service=draw(st.sampled_from([service.id for service in BOOK.services])),
    )
    found = quote(BOOK, request)
    assert found is not None
    return found


_quotes = st.one_of(_default_quotes(), _random_quotes())


@settings(max_examples=400, deadline=None)
@given(_quotes, _offers, st.integers(-1, 8), _policies, _levels)
def test_whatever_is_agreed_adds_up_between_the_floor_and_the_quote(
    offered: Quote, offer: CounterOffer, round_no: int, policy: NegotiationPolicy, level: str
) -> None:
    found = answer(offered, offer, round_no, policy, level)
    assert offered.total == sum(item.amount for item in offered.items)
    assert found.total == sum(item.amount for item in found.items)
    assert offered.floor <= found.total <= offered.total
    assert undiscounted(found.quote) == offered
    assert found == answer(offered, offer, round_no, policy, level)
    if found.kind is Answer.ACCEPT:
        assert found.asked is not None
        assert found.total == min(found.asked, offered.total)
    if found.kind is Answer.FLOOR:
        assert found.total == found.quote.floor


@settings(max_examples=300, deadline=None)
@given(_quotes, st.integers(0, 100_000), st.integers(0, 5_000), st.integers(1, 5), _policies)
def test_offering_more_never_costs_less(
    offered: Quote, amount: int, more: int, round_no: int, policy: NegotiationPolicy
) -> None:
    def total(fen: int) -> int:
        offer = CounterOffer(OfferKind.AMOUNT, "", fen)
        found = answer(offered, offer, round_no, policy)
        return found.total if found.kind is not Answer.PERSON else offered.total

    if round_no <= policy.rounds:
        assert total(amount) <= total(amount + more)


@settings(max_examples=200, deadline=None)
@given(_quotes, st.lists(_offers, min_size=1, max_size=6), _policies)
def test_haggling_on_only_lowers_the_price_and_ends_with_a_person(
    offered: Quote, offers: list[CounterOffer], policy: NegotiationPolicy
) -> None:
    current = offered
    for round_no, offer in enumerate(offers, 1):
        found = answer(current, offer, round_no, policy)
        assert offered.floor <= found.total <= current.total
        if round_no > policy.rounds and found.kind is not Answer.ACCEPT:
            assert found.kind is Answer.PERSON
        current = found.quote


@settings(deadline=None)
@given(_quotes, st.integers(1, 6), _policies)
def test_a_dearer_quote_is_never_talked_down_to_less(
    offered: Quote, round_no: int, policy: NegotiationPolicy
) -> None:
    item = QuoteItem("加价", 1_234, "更多")
    dearer = replace(offered, items=(*offered.items, item), total=offered.total + 1_234)
    lower = CounterOffer(OfferKind.LOWER, "")
    cheap = answer(offered, lower, round_no, policy)
    assert cheap.total <= answer(dearer, lower, round_no, policy).total


@given(st.text(max_size=400) | st.text("0123456789五十块元行吗便宜打折点，.xX张%", max_size=60))
def test_no_text_breaks_the_reading_of_counter_offers(text: str) -> None:
    found = counter_offer(text)
    if found is not None:
        asked = found.asked(_quote())
        assert asked is None or asked >= 0
