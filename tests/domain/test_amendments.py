"""Conversations in which customers add, change and withdraw requirements: which order, and what is
wanted of it then."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.amendments import Ambiguous, Amended, OpenOrder, amendment_of, choice_of
from domain.orders import Amendment, ChangeKind
from domain.requirements import merge_requirements, merged, requirement_lines, same_thing, topic_of

ADD, CHANGE, WITHDRAW, CANCEL = ChangeKind

RESTORE = OpenOrder(11, "高清修复", "老照片高清修复", words=("全家福",))
CUTOUT = OpenOrder(12, "抠图去背景", "帮我抠图,换成白底", words=("产品",))
POSTER = OpenOrder(13, "海报设计", "做一张开业海报,标题写“盛大开业”,字用黑色")
LOGO = OpenOrder(14, "logo设计", "设计一个奶茶店logo")
TEXT = OpenOrder(15, "加字排版", "图上加字“新店开业”,字改成蓝色")


@dataclass(frozen=True)
class Said:
    """``then``: order id → requirement lines, of each order that changed; ``gone``: cancelled."""

    text: str
    then: dict[int, list[str]] = field(default_factory=dict)
    gone: tuple[int, ...] = ()
    asks: tuple[int, ...] = ()
    kinds: tuple[ChangeKind, ...] = ()
    has_picture: bool = False


def talk(*said: Said) -> tuple[Said, ...]:
    return said


CONVERSATIONS: dict[str, tuple[Sequence[OpenOrder], tuple[Said, ...]]] = {
    "a colour is added, then changed": (
        [POSTER],
        talk(
            Said(
                "再把字改成红色",
                {13: ["做一张开业海报", "标题写“盛大开业”", "把字改成红色"]},
                kinds=(ADD,),
            ),
            Said(
                "还是改成金色吧",
                {13: ["做一张开业海报", "标题写“盛大开业”", "改成金色"]},
                kinds=(CHANGE,),
            ),
        ),
    ),
    "by the way, the background too": (
        [RESTORE],
        talk(
            Said(
                "对了,背景也要换成白色", {11: ["老照片高清修复", "背景也要换成白色"]}, kinds=(ADD,)
            ),
            Said("背景改成蓝色", {11: ["老照片高清修复", "背景改成蓝色"]}, kinds=(CHANGE,)),
            Said("谢谢"),
        ),
    ),
    "no text after all": (
        [replace(CUTOUT, requirement="抠图,换成白底,加字“包邮”")],
        talk(Said("不要加字了", {12: ["抠图", "换成白底"]}, kinds=(WITHDRAW,))),
    ),
    "the text goes and its colour with it; whether the order goes too is to be asked": (
        [TEXT, CUTOUT],
        talk(Said("字不用加了", {15: []}, kinds=(WITHDRAW,))),
    ),
    "the one just now becomes transparent": (
        [RESTORE, CUTOUT],
        talk(Said("刚才那张改成透明底", {12: ["帮我抠图", "改成透明底"]}, kinds=(CHANGE,))),
    ),
    "the second is called off": (
        [RESTORE, CUTOUT, POSTER],
        talk(
            Said("第二张不做了", gone=(12,), kinds=(CANCEL,)),
            Said(
                "第二张加急", {13: [*requirement_lines(POSTER.requirement), "加急"]}, kinds=(ADD,)
            ),
        ),
    ),
    "everything is called off": (
        [CUTOUT],
        talk(Said("进度怎么样"), Said("算了不做了", gone=(12,), kinds=(CANCEL,))),
    ),
    "calling off one of two has to be asked": (
        [CUTOUT, LOGO],
        talk(
            Said("算了不做了", asks=(12, 14)),
            Said("logo那个", gone=(14,), kinds=(CANCEL,)),
        ),
    ),
    "a size is told, then another": (
        [POSTER],
        talk(
            Said(
                "尺寸要1080x1920",
                {13: [*requirement_lines(POSTER.requirement), "尺寸要1080x1920"]},
                kinds=(CHANGE,),
            ),
            Said(
                "不好意思,尺寸改成 800×800",
                {13: [*requirement_lines(POSTER.requirement), "尺寸改成 800×800"]},
                kinds=(CHANGE,),
            ),
        ),
    ),
    "in a hurry, then not": (
        [RESTORE],
        talk(
            Said("加急", {11: ["老照片高清修复", "加急"]}, kinds=(ADD,)),
            Said("改成明天要", {11: ["老照片高清修复", "改成明天要"]}, kinds=(CHANGE,)),
            Said("不着急"),
            Said("加急处理吧", {11: ["老照片高清修复", "改成明天要", "加急处理"]}, kinds=(ADD,)),
            Said("算了,不加急了", {11: ["老照片高清修复", "改成明天要"]}, kinds=(WITHDRAW,)),
        ),
    ),
    "by what it is": (
        [POSTER, LOGO],
        talk(
            Said(
                "海报那张标题改成“开业大吉”",
                {13: ["做一张开业海报", "标题改成“开业大吉”", "字用黑色"]},
                kinds=(CHANGE,),
            ),
            Said("logo那个颜色改成绿色", {14: ["设计一个奶茶店logo", "颜色改成绿色"]}),
        ),
    ),
    "by what is in the picture": (
        [RESTORE, CUTOUT],
        talk(
            Said("那张全家福再亮一点", {11: ["老照片高清修复", "亮一点"]}),
            Said("产品那张要png格式", {12: ["帮我抠图", "换成白底", "要png格式"]}),
        ),
    ),
    "only one of them it fits": (
        [RESTORE, TEXT],
        talk(Said("字改成红色", {15: ["图上加字“新店开业”", "字改成红色"]}, kinds=(CHANGE,))),
    ),
    "it fits both": (
        [POSTER, TEXT],
        talk(
            Said("字改成红色", asks=(13, 15)),
            Said("第二个", {15: ["图上加字“新店开业”", "字改成红色"]}, kinds=(CHANGE,)),
        ),
    ),
    "it fits none": (
        [RESTORE, CUTOUT],
        talk(
            Said("尺寸要1080x1920", asks=(11, 12)),
            Said("我说的是第一张图", {11: ["老照片高清修复", "尺寸要1080x1920"]}),
        ),
    ),
    "which picture of one order": (
        [replace(CUTOUT, pictures=3)],
        talk(
            Said("我说的是第一张图", {12: ["帮我抠图", "换成白底", "我说的是第一张图"]}),
            Said(
                "第二张不做了",
                {12: ["帮我抠图", "换成白底", "我说的是第一张图", "第二张不做了"]},
            ),
        ),
    ),
    "several at once, each its own": (
        [RESTORE, CUTOUT],
        talk(
            Said(
                "第一张加急,第二张不做了",
                {11: ["老照片高清修复", "加急"]},
                gone=(12,),
                kinds=(ADD, CANCEL),
            )
        ),
    ),
    "both the same": (
        [RESTORE, CUTOUT],
        talk(
            Said(
                "两张都要透明底",
                {11: ["老照片高清修复", "要透明底"], 12: ["帮我抠图", "要透明底"]},
            )
        ),
    ),
    "one and then the other": (
        [POSTER, LOGO],
        talk(
            Said(
                "海报的字大一点", {13: [*requirement_lines(POSTER.requirement), "海报的字大一点"]}
            ),
            Said("另外那个改成绿色", {14: ["设计一个奶茶店logo", "改成绿色"]}),
        ),
    ),
    "an addition in several parts": (
        [POSTER],
        talk(
            Said(
                "麻烦再加个二维码,电话写13800138000,谢谢",
                {
                    13: [
                        *requirement_lines(POSTER.requirement),
                        "加个二维码",
                        "电话写13800138000",
                    ]
                },
            ),
            Said(
                "电话改成13900139000",
                {
                    13: [
                        *requirement_lines(POSTER.requirement),
                        "加个二维码",
                        "电话改成13900139000",
                    ]
                },
            ),
            Said(
                "二维码不用加了",
                {13: [*requirement_lines(POSTER.requirement), "电话改成13900139000"]},
                kinds=(WITHDRAW,),
            ),
        ),
    ),
    "a new order is no amendment": (
        [CUTOUT],
        talk(
            Said("另外还有一张图帮我抠图"),
            Said("再帮我做一张海报"),
            Said("这张高清修复一下", has_picture=True),
            Said("我想设计一个logo"),
        ),
    ),
    "an amendment before a new order": (
        [CUTOUT],
        talk(
            Said("底色改成蓝色,另外还有一张照片要修复", {12: ["帮我抠图", "底色改成蓝色"]}),
        ),
    ),
    "a picture as material": (
        [POSTER],
        talk(
            Said(
                "logo用这个",
                {13: [*requirement_lines(POSTER.requirement), "logo用这个"]},
                has_picture=True,
            )
        ),
    ),
    "questions, thanks and small talk change nothing": (
        [CUTOUT, LOGO],
        talk(
            *(
                Said(text)
                for text in (
                    "多久能好",
                    "进度怎么样",
                    "好了吗",
                    "谢谢",
                    "好的",
                    "可以改颜色吗",
                    "加急多少钱",
                    "能加急吗?",
                    "太贵了",
                    "便宜一点",
                    "什么时候能做好?",
                    "不客气",
                    "不用了谢谢",
                    "你们怎么收费",
                    "我换了手机",
                    "在吗",
                    "明天能好吗",
                    "今天天气不错",
                    "嗯嗯",
                    "好的,不着急",
                    "我明天要去出差",
                    "字体有哪些可以选?",
                    "改一次要多少钱",
                )
            )
        ),
    ),
    "what was withdrawn may be all there was": (
        [RESTORE, LOGO],
        talk(Said("logo不做了", gone=(14,), kinds=(CANCEL,))),
    ),
    "a part is called off": (
        [replace(CUTOUT, requirement="抠图,加个logo"), RESTORE],
        talk(Said("第一张的logo不要加了", {12: ["抠图"]}, kinds=(WITHDRAW,))),
    ),
    "what must stay as it is becomes a line": (
        [TEXT],
        talk(
            Said(
                "人物不要动",
                {15: ["图上加字“新店开业”", "字改成蓝色", "人物不要动"]},
            )
        ),
    ),
    "a watermark has to go": (
        [RESTORE],
        talk(Said("把水印去掉", {11: ["老照片高清修复", "把水印去掉"]})),
    ),
    "a question that is a wish": (
        [POSTER],
        talk(
            Said(
                "能不能把背景换成星空?",
                {13: [*requirement_lines(POSTER.requirement), "把背景换成星空"]},
            )
        ),
    ),
    "by number of the order": (
        [RESTORE, CUTOUT],
        talk(Said("订单12改成红底", {12: ["帮我抠图", "改成红底"]})),
    ),
}


@dataclass
class Table:
    """The orders of a conversation, as the desk would keep them."""

    orders: list[OpenOrder]
    pending: tuple[Amendment, ...] = ()

    def hear(self, said: Said) -> Amended | Ambiguous | None:
        found = amendment_of(
            said.text, self.orders, has_picture=said.has_picture, pending=self.pending
        )
        self.pending = found.amendments if isinstance(found, Ambiguous) else ()
        return found

    def carry_out(self, found: Amended) -> tuple[dict[int, list[str]], tuple[int, ...]]:
        last = found.changes[-1].order.id
        self.orders = [replace(order, recent=order.id == last) for order in self.orders]
        changed: dict[int, list[str]] = {}
        gone: list[int] = []
        for order_id, amendments in found.by_order().items():
            at = next(n for n, order in enumerate(self.orders) if order.id == order_id)
            if any(one.kind is CANCEL for one in amendments):
                gone.append(self.orders.pop(at).id)
                continue
            lines = requirement_lines(self.orders[at].requirement)
            for amendment in amendments:
                lines = merge_requirements(lines, amendment)
            self.orders[at] = replace(self.orders[at], requirement="\n".join(lines))
            changed[order_id] = lines
        return changed, tuple(gone)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_right_order_is_amended_and_says_what_is_wanted_now(name: str) -> None:
    orders, sayings = CONVERSATIONS[name]
    table = Table(list(orders))
    for said in sayings:
        found = table.hear(said)
        if said.asks:
            assert isinstance(found, Ambiguous), f"{said.text}: {found}"
            assert tuple(order.id for order in found.candidates) == said.asks
        elif not said.then and not said.gone:
            assert found is None, f"{said.text}: {found}"
        else:
            assert isinstance(found, Amended), f"{said.text}: {found}"
            assert table.carry_out(found) == (said.then, said.gone), said.text
            if said.kinds:
                kinds = tuple(change.amendment.kind for change in found.changes)
                assert kinds == said.kinds, said.text


WORDINGS: dict[ChangeKind | None, str] = {
    CHANGE: "字再大一点 颜色再深一点可以吗 下午三点前要 明天早上10点前要用 背景虚化一下 换个字体"
    " 红色改回黑色 LOGO放在左上角 logo小一点 做成A4大小 分辨率300dpi 要源文件 标题去掉"
    " 标题换成“国庆大促” 价格99改成89 错别字改一下 字太小了 人物往左移一点 不要边框"
    " 横版改竖版 16:9 png的 透明背景的 白底 红色 图片尺寸800*800 日期应该是3月8号"
    " 能不能把字改成英文",
    ADD: "帮我把地址也加上：中山路88号 把人脸修一下 加个边框吧 还要加电话13800138000 尽快"
    " 顺便把水印去了 再加一行小字 我加急",
    WITHDRAW: "不用换字体了 字不用改了 先不加水印了 别放大了 取消加急",
    CANCEL: "先别做了 取消订单 我要取消 不要了 这个不做了 太贵了不做了 退了吧 订单取消掉"
    " 海报不做了",
    None: "多给我几个版本看看 等一下 我再想想 可以取消吗 能退吗 已付款 发票能开吗 重新做 快一点"
    " 今晚能发我吗 可以了 满意 不满意 不用改了 就这样 写得不错 还有吗 这个字体叫什么"
    " 你们改图吗 改一下多少钱 颜色好看 字改好了吗 背景换了吗 做得怎么样了",
}


@pytest.mark.parametrize(
    ("said", "kind"), [(one, kind) for kind, said in WORDINGS.items() for one in said.split(" ")]
)
def test_a_wording_is_what_it_is(said: str, kind: ChangeKind | None) -> None:
    order = replace(POSTER, requirement=f"{POSTER.requirement},加急,加水印")
    found = amendment_of(said, [order])
    assert not isinstance(found, Ambiguous)
    kinds = [change.amendment.kind for change in found.changes] if found else [None]
    assert kinds == [kind]


_WORDS = st.sampled_from(
    [
        "把",
        "字",
        "改成",
        "红色",
        "第二张",
        "不要",
        "算了",
        "不做了",
        "背景",
        "加",
        "那张",
        "海报",
        "都",
        "，",
        "再",
        "刚才",
        "加急",
        "明天要",
        "1080x1920",
        "“",
        "”",
        "谢谢",
        "多久",
        "第99个",
        "12号单",
        "吗?",
        "不用抠图了",
    ]
)


@given(st.lists(_WORDS, max_size=25).map("".join) | st.text(max_size=700))
def test_whatever_is_written_is_read_and_only_known_orders_are_meant(text: str) -> None:
    orders = [RESTORE, CUTOUT, POSTER]
    found = amendment_of(text, orders)
    if isinstance(found, Ambiguous):
        assert len(found.candidates) > 1
        assert set(found.candidates) <= set(orders)
        assert found.amendments
    elif found is not None:
        assert found.changes
        for order_id, amendments in found.by_order().items():
            (order,) = [one for one in orders if one.id == order_id]
            assert all(one.requirement for one in amendments)
            if all(one.kind not in (CANCEL, WITHDRAW) for one in amendments):
                assert merged(order.requirement, amendments)


def test_a_long_letter_is_for_a_person_and_costs_no_time() -> None:
    began = time.perf_counter()
    assert amendment_of("把字改成红色，" * 200, [POSTER]) is None
    for text in ("“" * 590, "把" * 590, "谢谢" * 295, "第" * 590, "算了" * 295, "那张" * 295):
        amendment_of(text, [RESTORE, CUTOUT, POSTER])
    for text in ("嗯", "你好", "那多少钱", "请问多少钱", "好的", "是", "哈", "退", "不做了"):
        amendment_of((text * 600)[:590] + "x", [RESTORE, CUTOUT, POSTER])
        choice_of((text * 600)[:590] + "x", [RESTORE, CUTOUT, POSTER])
        requirement_lines(text * 200 + "x")
    assert len(merged("“" * 4_000, [])) == 0
    assert time.perf_counter() - began < 2.0


def test_without_an_open_order_nothing_is_amended() -> None:
    assert amendment_of("再把字改成红色", []) is None


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("第二个", 12),
        ("2", 12),
        ("第一张", 11),
        ("海报那张", 13),
        ("我说的是第三张图", 13),
        ("最后一个", 13),
        ("抠图那个", 12),
        ("全家福那张", 11),
        ("第九个", None),
        ("随便", None),
        ("", None),
    ],
)
def test_an_answer_names_one_of_the_candidates(answer: str, chosen: int | None) -> None:
    found = choice_of(answer, [RESTORE, CUTOUT, POSTER])
    assert [one.id for one in found] == ([chosen] if chosen else [])


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("字改成红色", "把文字改成蓝色"),
        ("尺寸要1080x1920", "做成800*800"),
        ("透明底", "换成白底"),
        ("背景改成蓝色", "换红底"),
        ("改成明天要", "今晚要"),
        ("改成明天要", "加急"),
        ("格式要png", "给我jpg"),
        ("改成金色", "字用黑色"),
        ("字体换成宋体", "字用楷体"),
        ("电话改成139", "加上电话138"),
        ("横版", "比例16:9"),
        ("logo放右上角", "logo放左边"),
    ],
)
def test_the_same_aspect_of_the_same_object_is_the_same_thing(new: str, old: str) -> None:
    assert same_thing(topic_of(new), topic_of(old))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("字改成红色", "背景换成白色"),
        ("字改成红色", "字大一点"),
        ("标题改成红色", "衣服改成蓝色"),
        ("加急", "明天要"),
        ("加上电话138", "加上地址中山路"),
        ("尺寸要1080x1920", "字大一点"),
        ("加个logo", "加个二维码"),
        ("抠图", "换成白底"),
        ("人像美白", "高清修复"),
    ],
)
def test_different_things_are_not(new: str, old: str) -> None:
    assert not same_thing(topic_of(new), topic_of(old))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("抠图,换成白底", ["抠图", "换成白底"]),
        ("加上“开业大吉,全场8折”；字用红色", ["加上“开业大吉,全场8折”", "字用红色"]),
        ("修复\n加急", ["修复", "加急"]),
        ("价格写1,980元", ["价格写1,980元"]),
        ("背景白色 字红色", ["背景白色", "字红色"]),
        ("能修吗?", ["能修吗"]),
        ("。。。", []),
    ],
)
def test_a_requirement_is_split_into_what_it_says(text: str, lines: list[str]) -> None:
    assert requirement_lines(text) == lines


def test_saying_it_twice_changes_nothing() -> None:
    said = Amendment(ADD, "加个二维码")
    once = merge_requirements(["做海报"], said)
    assert merge_requirements(once, said) == once == ["做海报", "加个二维码"]


def test_a_second_line_of_text_stands_beside_the_first() -> None:
    merged = merge_requirements(["加上“包邮”"], Amendment(ADD, "加一行“七天无理由”"))
    assert merged == ["加上“包邮”", "加一行“七天无理由”"]
