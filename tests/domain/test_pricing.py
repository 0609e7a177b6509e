import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions import Quote
from domain.errors import ConfigurationError
from domain.orders import Workflow
from domain.pictures import PictureFacts, PictureKind
from domain.pricing import (
    Measured,
    PriceBook,
    QuoteRequest,
    Service,
    approval_reasons,
    find_service,
    format_yuan,
    quote,
    request_for,
)

ROOT = Path(__file__).parents[2]
DEFAULT_TEXT = (ROOT / "engine/defaults/price_book.yaml").read_text(encoding="utf-8")
DEFAULT = PriceBook.parse(DEFAULT_TEXT)
TEXT_PRICED = [service for service in DEFAULT.services if service.text_priced]
SAMPLE_BASE = (ROOT / "knowledge/samples/image_design.md").read_text(encoding="utf-8")

SMALL = """
version: "t1"
currency: CNY
valid_hours: 48
default_service: edit
services:
  - id: edit
    name: 图片处理
    keywords: [修图, 修*照片]
    base: 20
    floor: 16
    sizes: [{max_pixels: 1000000, surcharge: 0}, {surcharge: 6.5}]
    difficulties:
      - {label: 复杂, words: [复杂], surcharge: 10}
      - {label: 合成, words: [合成], surcharge: 15}
    text_priced: true
  - {id: cut, name: 抠图, keywords: [抠图, 修图抠图], base: 8, floor: 7.5}
text:
  bands:
    - {max_chars: 20, surcharge: 0}
    - {max_chars: 150, surcharge: 18}
    - {surcharge: 25, item_at_least: 60}
  heavy_words: [字很多]
  heavy_chars: 200
rush: {words: [加急, 很急], share_percent: 50}
bulk: [{from_quantity: 5, discount_percent: 5}, {from_quantity: 10, discount_percent: 10}]
tiers: {white: 5}
"""
BOOK = PriceBook.parse(SMALL)


def _quote(book: PriceBook, request: QuoteRequest) -> Quote:
    found = quote(book, request)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("request_", "total"),
    [
        pytest.param(QuoteRequest("修图"), 2000, id="base"),
        pytest.param(QuoteRequest("修图", width=1000, height=1000), 2000, id="first size: +0"),
        pytest.param(QuoteRequest("修图", width=1001, height=1000), 2650, id="20 + 6.5"),
        pytest.param(QuoteRequest("修图 很复杂"), 3000, id="20 + 10"),
        pytest.param(QuoteRequest("修图 复杂 合成"), 3500, id="dearest difficulty: 20 + 15"),
        pytest.param(QuoteRequest("修图 不复杂"), 2000, id="negated difficulty"),
        pytest.param(QuoteRequest("修图", text_chars=20), 2000, id="text at the first limit: +0"),
        pytest.param(QuoteRequest("修图", text_chars=21), 3800, id="20 + 18"),
        pytest.param(QuoteRequest("修图", text_chars=151), 6000, id="20 lifted to 60"),
        pytest.param(
            QuoteRequest("修图 合成", width=2000, height=2000, text_chars=500),
            6650,
            id="20 + 6.5 + 15 = 41.5 and at least 25 more",
        ),
        pytest.param(QuoteRequest("修图 字很多"), 6000, id="heavy words stand for 200 characters"),
        pytest.param(QuoteRequest("修图 大概30个字"), 3800, id="characters read from the text"),
        pytest.param(QuoteRequest("抠图 字很多"), 800, id="text does not count for cutting out"),
        pytest.param(QuoteRequest("修图 加急"), 3000, id="20 + 50%"),
        pytest.param(QuoteRequest("修图 不加急"), 2000, id="negated rush"),
        pytest.param(QuoteRequest("修图 要不要加急都行"), 3000, id="an open question is no no"),
        pytest.param(QuoteRequest("修图 特别复杂"), 3000, id="特别 is no negation: 20 + 10"),
        pytest.param(QuoteRequest("修图 不是很急"), 2000, id="weakly negated rush"),
        pytest.param(QuoteRequest("5张修图"), 9500, id="5 x 20 - 5%"),
        pytest.param(QuoteRequest("修图", quantity=10), 18000, id="10 x 20 - 10%"),
        pytest.param(QuoteRequest("修图", quantity=0), 2000, id="never fewer than one"),
        pytest.param(QuoteRequest("修图", level="white"), 1900, id="20 - 5%"),
        pytest.param(QuoteRequest("修图", level="black"), 2000, id="no discount for black"),
        pytest.param(QuoteRequest("修图", level="unheard of"), 2000, id="unknown level"),
        pytest.param(
            QuoteRequest("修图 加急", quantity=10, level="white"),
            27100,
            id="200 + 100 rush - 20 bulk - 5% of 180",
        ),
        pytest.param(
            QuoteRequest("抠图", quantity=10, level="white"),
            7500,
            id="80 - 8 - 3.6 = 68.4 lifted to the floor 10 x 7.5",
        ),
    ],
)
def test_a_quote_adds_up_line_by_line(request_: QuoteRequest, total: int) -> None:
    found = _quote(BOOK, request_)
    assert found.total == total
    assert found.total == sum(item.amount for item in found.items)
    assert all(item.label and item.reason for item in found.items)


def test_each_line_of_a_quote_says_what_it_is_for() -> None:
    request = QuoteRequest("修图 合成 加急", width=3000, height=2000, text_chars=40, quantity=5)
    found = _quote(BOOK, request)
    # 20 + 6.5 + 15 + 18 = 59.5 an item; 5 of them 297.5; rush 148.75; bulk 14.875 rounded down
    assert [(item.label, item.amount, item.reason) for item in found.items] == [
        ("图片处理", 10000, "单价 20元/张 × 5"),
        ("尺寸加价", 3250, "图片约 600 万像素，每张加 6.50元"),
        ("合成", 7500, "您提到「合成」，每张加 15元"),
        ("文字加价", 9000, "图中文字约 40 个，每张加 18元"),
        ("加急费", 14875, "加急按制作费加收 50%"),
        ("批量优惠", -1487, "满 5 张优惠 5%"),
    ]
    assert (found.floor, found.quantity) == (1600 * 5, 5)
    assert (found.valid_hours, found.book_version) == (48, "t1")


def test_a_rush_amount_is_charged_once_an_order() -> None:
    book = PriceBook.parse(SMALL.replace("share_percent: 50", "amount: 30"))
    assert _quote(book, QuoteRequest("抠图 加急", quantity=2)).total == 2 * 800 + 3000


@pytest.mark.parametrize(
    ("request_", "estimate"),
    [
        (QuoteRequest("修图"), True),
        (QuoteRequest("修图", width=800, height=600), True),
        (QuoteRequest("修图", text_chars=0), True),
        (QuoteRequest("修图", width=800, height=600, text_chars=0), False),
        (QuoteRequest("抠图"), False),
        (QuoteRequest("修图", width=-800, height=-600, text_chars=0), True),
    ],
)
def test_a_price_is_an_estimate_while_facts_are_missing(
    request_: QuoteRequest, estimate: bool
) -> None:
    assert _quote(BOOK, request_).estimate is estimate


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("抠图", 1),
        ("抠图 3张", 3),
        ("抠图３张", 3),
        ("十张抠图", 10),
        ("抠两张图", 2),
        ("二十五张抠图", 25),
        ("一百零八张抠图", 108),
        ("百张抠图", 100),
        ("抠图 20多张", 20),
        ("一张多少钱，我有20张要抠图", 20),
        ("3个logo抠图", 3),
        ("5个人的合照抠图", 1),
        ("第3张抠图", 1),
        ("几十张抠图", 1),
        ("抠图，2个小时要", 1),
        ("抠图 99999999999张", 10_000),
    ],
)
def test_the_quantity_is_read_from_the_words(text: str, quantity: int) -> None:
    assert _quote(DEFAULT, QuoteRequest(text)).quantity == quantity


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("找张原图多少钱", "find_image"),
        ("把这张照片弄清晰一点", "restore"),
        ("老照片修复要多少钱", "restore"),
        ("抠个图", "cutout"),
        ("抠这3张图", "cutout"),
        ("把图里的背景去掉", "cutout"),
        ("P图多少钱", "retouch"),
        ("LOGO转矢量", "vector"),
        ("帮我把图上的字改成新的", "text_edit"),
        ("证件照换底色", "id_photo"),
        ("换底色", "id_photo"),
        ("做个好看的logo", "logo"),
        ("做一张开业海报", "poster"),
        ("设计一款茶叶包装", "packaging"),
        ("淘宝详情页", "detail_page"),
        ("海报多少钱", "poster"),
        ("菜单排版要多少", "menu"),
        ("黑白的老照片能上色吗", "restore"),
        ("不用抠图，高清修复就行", "restore"),
        ("要不要抠图都行", "cutout"),
        ("这张图多少钱", "process"),
        ("这张照片处理一下要多少钱啊老板", "process"),
    ],
)
def test_the_service_is_the_one_the_customer_names(text: str, service: str) -> None:
    assert find_service(DEFAULT, QuoteRequest(text)) == service


def test_the_longest_keyword_wins() -> None:
    assert find_service(BOOK, QuoteRequest("修图抠图")) == "cut"


def test_a_service_named_by_the_caller_needs_no_words() -> None:
    assert find_service(BOOK, QuoteRequest("多少钱", service="cut")) == "cut"
    assert find_service(BOOK, QuoteRequest("修图", service="gone")) == "edit"


@pytest.mark.parametrize("has_image", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "你好",
        "充电桩多少钱",
        "7kW充电桩价格多少？配置如何？",
        "奶茶多少钱",
        "奶茶有图片吗，多少钱",
        "那个带logo的充电宝多少钱",
        "做活动吗，那个印logo的杯子多少钱",
        "高清电视多少钱",
        "地图多少钱",
        "图书怎么卖",
        "照片打印多少钱",
        "修手机多少钱",
        "有发票吗",
        "图片收到了吗",
        "不抠图",
        "这张海报是哪部电影的",
        "红烧排骨怎么做",
        "怎样更改电话号码",
        "去痘印最有效的产品多少钱",
    ],
)
def test_what_the_book_does_not_sell_has_no_price(text: str, has_image: bool) -> None:
    assert quote(DEFAULT, QuoteRequest(text, has_image=has_image)) is None


def test_a_bare_price_question_needs_a_picture() -> None:
    assert find_service(DEFAULT, QuoteRequest("这个多少钱", has_image=True)) == "process"
    assert find_service(DEFAULT, QuoteRequest("这个多少钱")) is None


@pytest.mark.parametrize("service", TEXT_PRICED, ids=[s.id for s in TEXT_PRICED])
@pytest.mark.parametrize("chars", [151, 300, 301, 5000])
def test_text_heavy_pictures_end_at_60_to_80_yuan(service: Service, chars: int) -> None:
    dearest = max(service.difficulties, key=lambda step: step.surcharge)
    for text in ("", dearest.words[0]):
        for side in (500, 2500):
            request = QuoteRequest(text, True, side, side, chars, service=service.id)
            assert 6000 <= _quote(DEFAULT, request).total <= 8000


@given(
    text=st.text(alphabet="抠修图照片复杂头发字很多加急不用十3 20张个,", max_size=30),
    width=st.none() | st.integers(-1, 20_000),
    height=st.none() | st.integers(-1, 20_000),
    text_chars=st.none() | st.integers(-5, 5_000),
    quantity=st.none() | st.integers(-1, 500),
    level=st.sampled_from(["white", "gray", "black"]),
    service=st.sampled_from([service.id for service in DEFAULT.services]),
)
def test_a_total_is_the_sum_of_its_lines_and_never_under_the_floor(
    text: str,
    width: int | None,
    height: int | None,
    text_chars: int | None,
    quantity: int | None,
    level: str,
    service: str,
) -> None:
    request = QuoteRequest(text, True, width, height, text_chars, quantity, level, service)
    found = _quote(DEFAULT, request)
    priced = DEFAULT.service(service)
    assert priced is not None
    assert found.total == sum(item.amount for item in found.items)
    assert found.total >= found.floor == priced.floor * found.quantity
    assert all(item.amount != 0 for item in found.items)


@given(chars=st.integers(0, 600), more=st.integers(1, 100), words=st.sampled_from(["", "复杂"]))
def test_more_text_never_costs_less(chars: int, more: int, words: str) -> None:
    def total(count: int) -> int:
        return _quote(DEFAULT, QuoteRequest(words, text_chars=count, service="vector")).total

    assert total(chars) <= total(chars + more)


@given(st.text(max_size=200))
def test_no_text_breaks_a_quote(text: str) -> None:
    found = quote(DEFAULT, QuoteRequest(text, has_image=True))
    assert found is None or found.total > 0


@pytest.mark.parametrize(
    ("before", "after", "key", "reason"),
    [
        ("floor: 16", "floor: 21", "services.0.floor", "above the base price"),
        ("base: 20", "base: 二十", "services.0.base", "not an amount"),
        ("base: 20", "base: -1", "services.0.base", "0 to 1000000 yuan"),
        ("base: 20", "base: 20.001", "services.0.base", "at most two decimals"),
        ("base: 20", "base: .inf", "services.0.base", "0 to 1000000 yuan"),
        ("base: 20", "base: true", "services.0.base", "amount in yuan"),
        ("base: 20", "bsae: 20", "services.0.base", "required"),
        ("currency: CNY", "currency: USD", "currency", "'CNY'"),
        ("valid_hours: 48", "valid_hours: 0", "valid_hours", "greater than 0"),
        ('version: "t1"', "version: 1.0", "version", "valid string"),
        ("default_service: edit", "default_service: nope", "default_service", "'nope'"),
        ("[抠图, 修图抠图]", "[抠图, 修图]", "services", "'修图' belongs to 'edit' and 'cut'"),
        ("[抠图, 修图抠图]", '["*图*"]', "services", "says too little"),
        ("[抠图, 修图抠图]", "[一个图]", "services", "of 'cut' says too little: '图'"),
        ("max_pixels: 1000000, ", "", "services.0.sizes", "the last step, and only the last"),
        ("{surcharge: 6.5}", "{max_pixels: 5, surcharge: 1}", "services.0.sizes", "no max_pixels"),
        ("max_chars: 150", "max_chars: 10", "text.bands", "max_chars must rise"),
        ("surcharge: 25", "surcharge: 5", "text.bands", "surcharge must not fall"),
        ("share_percent: 50", "share_percent: 50, amount: 3", "rush", "either share_percent"),
        ("from_quantity: 10", "from_quantity: 5", "bulk", "from_quantity must rise"),
        ("white: 5", "white: 500", "tiers.white", "less than or equal to 100"),
        (
            "words: [复杂], ",
            "",
            "services.0.difficulties.0",
            "give words, sharpness_below or kinds",
        ),
        (
            "words: [复杂]",
            "sharpness_below: 2",
            "services.0.difficulties.0.sharpness_below",
            "less",
        ),
        ("words: [复杂]", "kinds: [cat]", "services.0.difficulties.0.kinds.0", "'photo'"),
        ("text_priced: true", "needs: {min_side: 0}", "services.0.needs.min_side", "greater"),
        ("text_priced: true", "needs: {otherwise: no}", "services.0.needs.otherwise", "'clarify'"),
        ("text_priced: true", "fastest_hours: 0", "services.0.fastest_hours", "greater than 0"),
        (
            "tiers:",
            "negotiation: {steps_percent: [8, 5]}\ntiers:",
            "negotiation.steps_percent",
            "fall",
        ),
        (
            "tiers:",
            "negotiation: {steps_percent: []}\ntiers:",
            "negotiation.steps_percent",
            "1 item",
        ),
        (
            "tiers:",
            "negotiation: {never_below_floor: false}\ntiers:",
            "negotiation.never_below_floor",
            "True",
        ),
        ("tiers:", "negotiation: {rounds: -1}\ntiers:", "negotiation.rounds", "greater than or"),
        ("tiers:", "approval: {services: [nope]}\ntiers:", "approval", "'nope' is none of"),
        ("tiers:", "approval: {from_total: 多}\ntiers:", "approval.from_total", "not an amount"),
        ("tiers: {white: 5}", "tires: {white: 5}", "tires", "not permitted"),
    ],
)
def test_a_wrong_price_book_is_refused_by_the_name_of_its_key(
    before: str, after: str, key: str, reason: str
) -> None:
    assert before in SMALL
    with pytest.raises(ConfigurationError) as caught:
        PriceBook.parse(SMALL.replace(before, after, 1))
    assert caught.value.variable == f"price_book.{key}"
    assert reason in caught.value.reason


def test_every_fault_of_a_price_book_is_named_with_its_line() -> None:
    wrong = SMALL.replace("floor: 16", "floor: 21").replace("heavy_chars: 200", "heavy_chars: 0")
    with pytest.raises(ConfigurationError) as caught:
        PriceBook.parse(wrong.replace("tiers:", "tires:"))
    lines = wrong.splitlines()
    assert caught.value.variable == "price_book.services.0.floor"
    first, *others = caught.value.reason.split("; ")
    assert first == f"the floor is above the base price (line {lines.index('    floor: 21') + 1})"
    assert [one.partition(":")[0] for one in others] == [
        "price_book.text.heavy_chars",
        "price_book.tires",
    ]
    assert f"(line {lines.index('  heavy_chars: 0') + 1})" in others[0]
    assert f"(line {lines.index('tiers: {white: 5}') + 1})" in others[1]


def test_what_is_missing_is_looked_for_where_it_should_be() -> None:
    with pytest.raises(ConfigurationError) as caught:
        PriceBook.parse(SMALL.replace("    base: 20\n", ""))
    line = SMALL.splitlines().index("  - id: edit") + 1
    assert caught.value.variable == "price_book.services.0.base"
    assert caught.value.reason.startswith(f"Field required (line {line})")


@pytest.mark.parametrize(
    ("before", "after", "workflow"),
    [
        pytest.param("", "", Workflow.PROCESS, id="we do it ourselves"),
        pytest.param(
            "base: 20", "base: 20\n    starting_price: true", Workflow.DESIGN, id="begins"
        ),
        pytest.param("base: 20", "base: 20\n    workflow: find", Workflow.FIND, id="as it says"),
        pytest.param(
            "base: 20",
            "base: 20\n    starting_price: true\n    workflow: process",
            Workflow.PROCESS,
            id="what it says goes before where the price begins",
        ),
    ],
)
def test_who_does_the_work(before: str, after: str, workflow: Workflow) -> None:
    book = PriceBook.parse(SMALL.replace(before, after, 1))
    assert book.services[0].workflow is workflow


def test_designers_do_what_neither_operations_nor_a_model_can() -> None:
    workflows = {service.id: service.workflow for service in DEFAULT.services}
    assert workflows["find_image"] is Workflow.FIND
    assert {workflows[one] for one in ("vector", "text_edit", "logo")} == {Workflow.DESIGN}
    assert {workflows[one] for one in ("cutout", "restore", "id_photo")} == {Workflow.PROCESS}


def _measured_lines(request: QuoteRequest) -> list[tuple[str, int, str]]:
    lines = [(item.label, item.amount, item.reason) for item in _quote(DEFAULT, request).items]
    return lines[1:]


PHOTO = PictureFacts("0" * 64, 9, "JPEG", 1000, 800, sharpness=0.9, text_read=True)


def _photo(**more: object) -> PictureFacts:
    return replace(PHOTO, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "text", "service", "lines"),
    [
        pytest.param(_photo(), "", "restore", [], id="crisp, small, no text"),
        pytest.param(
            _photo(sharpness=0.123),
            "",
            "restore",
            [("严重模糊加价", 1000, "图片实测清晰度 12 分（满分 100），每张加 10元")],
            id="blurred though nobody said so",
        ),
        pytest.param(
            _photo(sharpness=0.123),
            "很模糊",
            "restore",
            [("严重模糊加价", 1000, "图片实测清晰度 12 分（满分 100），每张加 10元")],
            id="said and measured: charged once, by the measurement",
        ),
        pytest.param(
            _photo(sharpness=0.123),
            "有折痕",
            "restore",
            [("破损修复加价", 1500, "您提到「折痕」，每张加 15元")],
            id="the dearest step counts",
        ),
        pytest.param(
            _photo(kind=PictureKind.SCREENSHOT),
            "",
            "find_image",
            [("局部图加价", 500, "图片看起来是截图，每张加 5元")],
            id="a screenshot to find the original of",
        ),
        pytest.param(_photo(sharpness=0.1), "", "cutout", [], id="no such step in this service"),
        pytest.param(
            _photo(text_chars=200),
            "",
            "process",
            [("文字加价", 4000, "图中文字约 200 个，每张加 40元")],
            id="text that was read",
        ),
    ],
)
def test_what_was_measured_of_a_picture_is_priced_and_named(
    facts: PictureFacts, text: str, service: str, lines: list[tuple[str, int, str]]
) -> None:
    assert _measured_lines(request_for([facts], text, service=service)) == lines


def test_text_that_nobody_could_read_leaves_the_price_an_estimate() -> None:
    unread = _photo(text_read=False, text_chars=0)
    assert _quote(DEFAULT, request_for([unread], "", service="process")).estimate
    assert not _quote(DEFAULT, request_for([PHOTO], "", service="process")).estimate


def test_several_pictures_are_priced_each_by_its_own_facts() -> None:
    heavy = _photo(text_chars=200)
    large = _photo(width=3000, height=2000, sharpness=0.1)
    asked = request_for([PHOTO, heavy, large, large], "", service="restore")
    found = _quote(DEFAULT, asked)
    assert [(item.label, item.amount, item.reason) for item in found.items] == [
        ("高清修复", 10000, "单价 25元/张 × 4"),
        ("文字加价", 3500, "第 2 张图中文字约 200 个，每张加 35元"),
        ("尺寸加价", 1000, "第 3、4 张图片约 600 万像素，每张加 5元"),
        ("严重模糊加价", 2000, "第 3、4 张图片实测清晰度 10 分（满分 100），每张加 10元"),
    ]
    assert (found.quantity, found.estimate) == (4, False)


def test_of_more_pictures_than_were_sent_the_price_is_an_estimate() -> None:
    found = _quote(DEFAULT, request_for([PHOTO, PHOTO], "一共5张", service="restore"))
    assert (found.quantity, found.estimate) == (5, True)


@pytest.mark.parametrize("text", ["把这几张合成一张", "拼到一起"])
def test_several_pictures_that_become_one_are_one_item_as_hard_as_the_hardest(text: str) -> None:
    large = _photo(width=4000, height=3000)
    found = _quote(DEFAULT, request_for([PHOTO, large], text, service="retouch"))
    assert found.quantity == 1
    assert "尺寸加价" in [item.label for item in found.items]


def test_one_picture_in_a_list_costs_what_it_costs_alone() -> None:
    alone = QuoteRequest("", True, 3000, 2000, 200, 3, service="restore", sharpness=0.1)
    listed = QuoteRequest(
        "",
        has_image=True,
        quantity=3,
        service="restore",
        pictures=(Measured(3000, 2000, 200, 0.1),),
    )
    assert _quote(DEFAULT, alone) == _quote(DEFAULT, listed)


@given(
    sharpness=st.floats(0, 1),
    less=st.floats(0, 1),
    service=st.sampled_from([service.id for service in DEFAULT.services]),
)
def test_a_sharper_picture_never_costs_more(sharpness: float, less: float, service: str) -> None:
    def total(value: float) -> int:
        return _quote(DEFAULT, request_for([_photo(sharpness=value)], "", service=service)).total

    assert total(max(sharpness, less)) <= total(min(sharpness, less))


def test_a_book_says_which_quotes_a_person_approves() -> None:
    book = PriceBook.parse(SMALL + "approval: {from_total: 60, services: [cut]}")
    assert approval_reasons(book, _quote(book, QuoteRequest("修图"))) == ()
    assert approval_reasons(book, _quote(book, QuoteRequest("修图", quantity=4))) == (
        "报价 80元，达到需审批的 60元",
    )
    assert approval_reasons(book, _quote(book, QuoteRequest("抠图"))) == ("「抠图」的报价需要审批",)
    assert approval_reasons(BOOK, _quote(BOOK, QuoteRequest("修图", quantity=999))) == ()


def test_the_fingerprint_changes_with_what_the_book_says_and_not_with_its_comments() -> None:
    assert PriceBook.parse("# 新\n" + SMALL).fingerprint == BOOK.fingerprint
    dearer = PriceBook.parse(SMALL.replace("base: 20", "base: 20.01"))
    assert dearer.fingerprint != BOOK.fingerprint
    assert re.fullmatch(r"[0-9a-f]{16}", BOOK.fingerprint)


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "价目", "a: 2026-99-99"])
def test_what_is_not_a_price_book_at_all_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="price_book"):
        PriceBook.parse(text)


@pytest.mark.parametrize(
    ("fen", "text"),
    [(0, "0元"), (5, "0.05元"), (2500, "25元"), (2350, "23.50元"), (-1487, "-14.87元")],
)
def test_yuan_are_written_without_needless_decimals(fen: int, text: str) -> None:
    assert format_yuan(fen) == text


def test_the_sample_knowledge_base_names_the_prices_of_the_default_book() -> None:
    start = SAMPLE_BASE.index("### 有没有完整价目表")
    table = SAMPLE_BASE[start : SAMPLE_BASE.index("### ", start + 4)]
    rows = re.findall(r"^\| (\S+) \| (\d+) 元/(\S)起? \|$", table, re.MULTILINE)
    written = {name: (int(price) * 100, unit) for name, price, unit in rows}
    assert written == {s.name: (s.base, s.unit) for s in DEFAULT.services}


def test_the_sample_knowledge_base_names_the_discounts_of_the_default_book() -> None:
    for step in DEFAULT.bulk:
        assert f"- {step.from_quantity} 张起优惠 {step.discount_percent}%" in SAMPLE_BASE
    assert DEFAULT.rush is not None
    assert f"加急按制作费加收 {DEFAULT.rush.share_percent}%" in SAMPLE_BASE
    assert f"所有订单优惠 {DEFAULT.tiers.white}%" in SAMPLE_BASE
    assert f"报价 {DEFAULT.valid_hours} 小时内有效" in SAMPLE_BASE


@pytest.mark.parametrize(
    ("text", "yuan"),
    [
        ("抠婚纱照的头发丝，抠图", 18),
        ("老照片修复，有折痕", 40),
        ("去路人", 30),
        ("人像精修", 25),
        ("照着重做", 35),
        ("矢量图，有花纹", 50),
        ("证件照换正装", 15),
        ("找原图，只有截图", 15),
        ("黑白照片上色", 25),
    ],
)
def test_examples_of_the_sample_knowledge_base_are_what_the_default_book_quotes(
    text: str, yuan: int
) -> None:
    assert _quote(DEFAULT, QuoteRequest(text)).total == yuan * 100


@pytest.mark.parametrize(
    ("text", "chars", "amount"),
    [
        ("图上加字“新店开业”", 0, 0),
        ("加字，再加一段“本店创立于二零零三年坚持每日清晨挑选新鲜食材”", 0, 800),
        ("再加一段“本店创立于二零零三年坚持每日清晨挑选新鲜食材”", 40, 1800),
        ("图上加100个字", 30, 1800),
        ("不加字“本店创立于二零零三年坚持每日清晨挑选新鲜食材”", 0, 0),
        ("图上大概100个字", 30, 800),
    ],
)
def test_text_that_is_to_be_added_counts_beside_what_is_there(
    text: str, chars: int, amount: int
) -> None:
    found = _quote(DEFAULT, QuoteRequest(text, text_chars=chars, service="text_edit"))
    assert sum(item.amount for item in found.items if item.label == "文字加价") == amount
