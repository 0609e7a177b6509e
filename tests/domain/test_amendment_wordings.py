"""What customers really write about orders that they have: colloquial, in passing, half said."""

import json
from collections.abc import Sequence
from importlib import resources

import pytest

from domain.amendments import Ambiguous, Amended, OpenOrder, amendment_of, choice_of
from domain.orders import Amendment, ChangeKind
from domain.requirements import count_in, merged, requirement_lines
from tests.domain.test_order_talk import ACCEPTED, HOW_FAR, SENT_BACK

RESTORE = OpenOrder(1, "高清修复", "这张老照片帮我修清楚点")
CUTOUT = OpenOrder(2, "抠图去背景", "把这个杯子抠出来\n换成白底")
TEXT = OpenOrder(3, "加字排版", "图上加字“新店开业”")
POSTER = OpenOrder(4, "海报设计", "做一张火锅店开业海报")
LOGO = OpenOrder(5, "logo设计", "设计一个奶茶店logo")
PASSERS = OpenOrder(6, "修图精修", "把后面的路人p掉")
RUSHED = OpenOrder(7, "高清修复", "修复老照片\n加急")


def after(text: str, orders: Sequence[OpenOrder]) -> dict[int, list[str]]:
    """Order id → the lines that ``text`` adds or leaves; [] where it calls the order off."""
    found = amendment_of(text, orders)
    assert isinstance(found, Amended), f"{text}: {found}"
    known = {order.id: order for order in orders}
    told: dict[int, list[str]] = {}
    for order_id, changes in found.by_order().items():
        gone = any(one.kind == "cancel" for one in changes)
        before = known[order_id].requirement.splitlines()
        lines = merged(known[order_id].requirement, changes).splitlines()
        told[order_id] = [] if gone else [line for line in lines if line not in before]
    return told


ONE: dict[str, tuple[OpenOrder, list[str]]] = {
    "ok 再加个边框": (RESTORE, ["加个边框"]),
    "好的,再帮我把字去掉": (RESTORE, ["把字去掉"]),
    "行,那就这样,背景换成白的": (RESTORE, ["背景换成白的"]),
    "顺便给我上个色呗": (RESTORE, ["上个色"]),
    "能把日期p掉么": (RESTORE, ["把日期p掉"]),
    "日期去了吧": (RESTORE, ["日期去了"]),
    "折痕也要修": (RESTORE, ["折痕也要修"]),
    "有折痕的地方补一下": (RESTORE, ["有折痕的地方补一下"]),
    "旁边垃圾桶也去掉": (PASSERS, ["旁边垃圾桶也去掉"]),
    "把电线杆p掉": (PASSERS, ["把电线杆p掉"]),
    "左边那个人不要了": (PASSERS, ["左边那个人不要了"]),
    "再精修一下": (PASSERS, ["精修一下"]),
    "精修就不用了": (OpenOrder(10, "修图精修", "去掉路人\n脸精修一下"), []),
    "风格简约点": (POSTER, ["风格简约点"]),
    "人物瘦一丢丢": (RESTORE, ["人物瘦一丢丢"]),
    "海报上加个优惠券": (POSTER, ["海报上加个优惠券"]),
    "不要太假": (RESTORE, ["不要太假"]),
    "别修的太过了": (RESTORE, ["别修的太过了"]),
    "只改字其他别动": (TEXT, ["只改字其他别动"]),
    "最后一行去掉": (TEXT, ["最后一行去掉"]),
    "字体不好看换一个": (TEXT, ["字体不好看换一个"]),
    "logo也放上去": (TEXT, ["logo也放上去"]),
    "第6张加个logo": (OpenOrder(8, "电商主图", "做5张淘宝主图"), ["第6张加个logo"]),
    # What it is to say comes after a pause.
    "加个地址 人民路18号": (TEXT, ["加个地址 人民路18号"]),
    "再加一行字，欢迎光临": (TEXT, ["加一行字 欢迎光临"]),
    "店名错了 是茶小满": (LOGO, ["店名错了 是茶小满"]),
    "写错了,是“开业大吉”": (TEXT, ["写错了 是“开业大吉”"]),
    # Where the old words stand, there the new ones stand.
    "新店开业改成盛大开业": (TEXT, ["图上加字“盛大开业”"]),
    "把“新店开业”改成“新店开张”": (TEXT, ["图上加字“新店开张”"]),
    "白底改成蓝底": (CUTOUT, ["换成蓝底"]),
    "不要白底了,要透明的": (CUTOUT, ["要透明的"]),
    # A hurry and its hour are both said.
    "急用 今晚8点前发我": (RESTORE, ["急用", "今晚8点前发我"]),
    "改成明天给我就行": (RUSHED, ["改成明天给我就行"]),
    "不急了慢慢弄": (RUSHED, []),
    "不加急了": (OpenOrder(9, "高清修复", "加急修老照片"), ["修老照片"]),
    "不修了太贵了": (RESTORE, []),
    "算了,还是不做了": (RESTORE, []),
    # Only that something is to be done: what, the other clauses say.
    "满意，但是背景换一下": (POSTER, ["背景换一下"]),
    "路人还在，再修下": (PASSERS, ["路人还在 再修下"]),
    "还要改,脸不自然": (PASSERS, ["还要改 脸不自然"]),
    "不满意，字太小了，再改改": (POSTER, ["字太小了"]),
}


@pytest.mark.parametrize("text", ONE)
def test_what_is_written_in_passing_is_wanted_of_the_only_order(text: str) -> None:
    order, lines = ONE[text]
    assert after(text, [order]) == {order.id: lines}


TWO: dict[str, tuple[tuple[OpenOrder, OpenOrder], dict[int, list[str]]]] = {
    "杯子的不做了": ((RESTORE, CUTOUT), {2: []}),
    "奶茶店的改成粉色": ((POSTER, LOGO), {5: ["奶茶店的改成粉色"]}),
    "奶茶店名改成“茶小满”": ((POSTER, LOGO), {5: ["奶茶店名改成“茶小满”"]}),
    "logo那个要圆形的": ((POSTER, LOGO), {5: ["要圆形的"]}),
    "把logo放海报右上角": ((POSTER, LOGO), {4: ["把logo放海报右上角"]}),
    "logo就算了": ((POSTER, LOGO), {5: []}),
    "都淡一点": ((POSTER, LOGO), {4: ["淡一点"], 5: ["淡一点"]}),
    "两张一起加急": ((RESTORE, CUTOUT), {1: ["加急"], 2: ["加急"]}),
    "前面那张加急": ((RESTORE, CUTOUT), {1: ["加急"]}),
    "后面那张要png": ((RESTORE, CUTOUT), {2: ["要png"]}),
    "第一张上个色 第二张改透明底": ((RESTORE, CUTOUT), {1: ["上个色"], 2: ["改透明底"]}),
    "logo不做了,海报加急": ((POSTER, LOGO), {5: [], 4: ["海报加急"]}),
}


@pytest.mark.parametrize("text", TWO)
def test_of_two_orders_the_named_one_is_meant(text: str) -> None:
    orders, told = TWO[text]
    assert after(text, orders) == told


@pytest.mark.parametrize("text", ["其中一张不做了", "加急", "最后一行去掉", "风格简约点"])
def test_where_two_fit_nothing_is_guessed(text: str) -> None:
    assert isinstance(amendment_of(text, [POSTER, LOGO]), Ambiguous)


NOTHING = (
    "上色要加钱吗 能上色吗 第一张可以加急吗 如果加急呢 海报改横版要加钱吗 水印去了没"
    " 今天下班前能给我不"
    " 算了 算了不改了 不用改了 我也要去上班 那不加急了 加急的话多少钱 先放着吧我想想 做好了发我微信"
    " 50，不行就算了 背景换成红色还来得及吗 重新做一下 帮我再改改 再改一下吧 不满意，再改改"
)


@pytest.mark.parametrize("text", NOTHING.split(" "))
def test_asking_or_letting_be_changes_nothing(text: str) -> None:
    assert amendment_of(text, [POSTER]) is None


def test_an_answer_may_choose_them_all() -> None:
    assert choice_of("两个都要", [POSTER, LOGO]) == (POSTER, LOGO)
    assert choice_of("都改吧", [POSTER, LOGO]) == (POSTER, LOGO)
    assert choice_of("海报的", [POSTER, LOGO]) == (POSTER,)


def test_a_little_more_leaves_what_it_is_more_of() -> None:
    red = OpenOrder(1, "海报设计", "做海报\n字改成红色")
    assert after("颜色再淡一点", [red]) == {1: ["颜色再淡一点"]}
    assert "字改成红色" in merged(red.requirement, [Amendment(ChangeKind.ADD, "颜色再淡一点")])
    fainter = merged(red.requirement, [Amendment(ChangeKind.ADD, "颜色再淡一点")])
    assert merged(fainter, [Amendment(ChangeKind.CHANGE, "颜色深一点")]).endswith("颜色深一点")


def test_a_second_rush_is_not_taken_for_the_one_that_is_in_a_hurry() -> None:
    assert isinstance(amendment_of("加急", [RUSHED, CUTOUT]), Ambiguous)
    assert after("不加急了", [RUSHED, CUTOUT]) == {7: []}


def test_a_product_that_no_open_order_is_for_is_a_new_wish() -> None:
    assert amendment_of("证件照换红底", [POSTER]) is None
    assert amendment_of("海报加急", [RESTORE]) is None
    assert after("放到海报上的字大一点", [TEXT]) == {3: ["放到海报上的字大一点"]}


def test_the_earlier_of_two_is_so_whichever_was_spoken_of_last() -> None:
    recent = OpenOrder(1, "高清修复", "修老照片", recent=True)
    assert after("前面那张加急", [recent, CUTOUT]) == {1: ["加急"]}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("再把字改成红色，另外你们几点下班？", "你们几点下班？"),
        ("背景改成红色,多久能好", "多久能好"),
        ("字改成红色,要多少钱", ""),
        ("不做了，退钱吧", "退钱吧"),
        ("字改成红色，名片也做一下", "名片也做一下"),
        ("字改成红色,可以吗？谢谢", ""),
        ("海报还要加个二维码，再设计一个名片多少钱", "再设计一个名片多少钱"),
    ],
)
def test_what_else_is_asked_is_left_for_an_answer(text: str, rest: str) -> None:
    found = amendment_of(text, [POSTER])
    assert isinstance(found, Amended)
    assert found.rest == rest


OF_WORK = {"process_image", "order_status", "after_sale", "confirm"}
TAKEN_FOR_ONE = {
    "我想给老照片上色，你们收费贵吗",
    "我想把充电改到夜里，怎么设置",
    "要个蓝色科技背景",
}


def test_of_two_thousand_messages_about_other_things_three_are_taken_for_a_change() -> None:
    training = (resources.files("graphs") / "classifier" / "training.jsonl").read_text("utf-8")
    said = [json.loads(line) for line in training.splitlines()]
    others = [one["text"] for one in said if one["intent"] not in OF_WORK]
    assert len(others) > 2_000
    assert {text for text in others if amendment_of(text, [POSTER])} <= TAKEN_FOR_ONE


@pytest.mark.parametrize("said", [ACCEPTED, SENT_BACK, HOW_FAR])
def test_accepting_sending_back_and_asking_how_far_it_is_are_no_changes(said: list[str]) -> None:
    assert [text for text in said if amendment_of(text, [POSTER])] == []


def test_a_picture_that_comes_along_is_the_one_that_is_spoken_of() -> None:
    assert amendment_of("这张老照片也修一下", [RESTORE], has_picture=True) is None
    assert amendment_of("老照片那张也修一下折痕", [RESTORE], has_picture=True) is not None
    assert amendment_of("把这个放到海报上", [POSTER], has_picture=True) is not None


def test_removing_one_thing_does_not_undo_the_removal_of_another() -> None:
    orders = [RESTORE]
    first = amendment_of("左边那个人去掉", orders)
    assert isinstance(first, Amended)
    lines = merged(RESTORE.requirement, [one.amendment for one in first.changes])
    assert after("右边的也去掉", [OpenOrder(1, "高清修复", lines)]) == {1: ["右边的也去掉"]}
    assert "左边那个人去掉" in lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("这张做高清修复多少钱", ["这张做高清修复"]),
        ("你好，抠图，换成白底，大概要多少钱啊", ["抠图", "换成白底"]),
        ("多少钱\n抠图", ["抠图"]),
        ("在吗，多少钱", []),
        ("好的，那就这样吧", []),
        ("可以，字用红色", ["字用红色"]),
        ("价格写99元", ["价格写99元"]),
        ("这张也要加字“全场五折” 多少钱", ["这张也要加字“全场五折”"]),
        ("这张产品图抠图换白底", ["这张产品图抠图", "换白底"]),
        ("老照片修复要加急", ["老照片修复", "加急"]),
        ("这张照片换白底", ["这张照片换白底"]),
        ("证件照换蓝底", ["证件照", "换蓝底"]),
    ],
)
def test_the_question_what_it_costs_is_no_requirement(text: str, lines: list[str]) -> None:
    assert requirement_lines(text) == lines


@pytest.mark.parametrize(
    ("requirement", "count"),
    [
        ("做5张淘宝主图\n改成6张", 6),
        ("做5张淘宝主图\n3张就行", 3),
        ("做二十张\n第二张改成红色", 20),
        ("抠图\n第二张不要字", None),
        ("改成十二款", 12),
    ],
)
def test_the_newest_number_of_pieces_counts(requirement: str, count: int | None) -> None:
    assert count_in(requirement) == count
