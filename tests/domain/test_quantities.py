"""Numbers in every spelling are one value with one unit."""

import pytest

from domain.quantities import numbers_of


def read(text: str) -> list[tuple[float, str]]:
    return [(one.value, one.kind) for one in numbers_of(text).quantities]


ONE_VALUE = [
    (
        (1980, "元"),
        [
            *(
                "1,980元",
                "1980 元",
                "１９８０元",
                "¥1980.00",
                "￥1,980",
                "一千九百八十块",
                "1.98千元",
            ),
            *("壹仟玖佰捌拾元", "0.198万元", "rmb 1980", "1980 RMB", "价格:1980", "合计 1980"),
        ],
    ),
    ((2.5, "元"), ["2.5元", "2块5", "2.50 块"]),
    ((350, "元"), ["三百五十元", "三百五块", "350块钱"]),
    ((305, "元"), ["三百零五元", "305 元"]),
    ((0, "元"), ["0元", "零元", "０ 元"]),
    (
        (90, "折"),
        [
            "9折",
            "九折",
            "9 折",
            "九〇折",
            "优惠10%",
            "优惠 百分之十",
            "原价的90%",
            "10% off",
            "立减10%",
        ],
    ),
    ((95, "折"), ["95折", "9.5折", "九五折", "优惠 5%"]),
    ((10, "折"), ["一折", "1 折", "优惠90%", "90% OFF", "便宜 90 %"]),
    ((90, "%"), ["90%", "９０％", "百分之九十", "九成"]),
    ((7000, "瓦"), ["7kW", "7 千瓦", "７ＫＷ", "7000W", "7000瓦"]),
    ((86400, "秒"), ["24小时", "一天", "1 天", "24 个小时", "1440分钟"]),
    ((604800, "秒"), ["7天", "七天", "一周", "1 个星期"]),
    ((6, "个月"), ["半年", "6个月", "六个月", "0.5 年"]),
    ((36, "个月"), ["3年", "三年", "36 个月"]),
    ((900, "时刻"), ["15:00", "下午3点", "下午 3:00", "15点"]),
    ((1290, "时刻"), ["21:30", "晚上9点半"]),
    ((2_000_000, "像素"), ["200 万像素", "2000000像素", "两百万像素"]),
    ((100, "毫米"), ["10 厘米", "100mm", "0.1米"]),
]


@pytest.mark.parametrize(
    ("value", "text"), [(value, text) for value, texts in ONE_VALUE for text in texts]
)
def test_every_spelling_reads_as_the_same_value(value: tuple[float, str], text: str) -> None:
    assert read(text) == [value]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3~5天", [(259200, "秒"), (432000, "秒")]),
        ("99 元到 299 元", [(99, "元"), (299, "元")]),
        ("99～299 元", [(99, "元"), (299, "元")]),
        ("¥99-299", [(99, "元"), (299, "元")]),
        ("38×34×10 厘米", [(380, "毫米"), (340, "毫米"), (100, "毫米")]),
        ("3～5 折", [(30, "折"), (50, "折")]),
        ("满 200 减 20", [(200, "元"), (20, "元")]),
        ("1–3 个工作日", [(1, "工作日"), (3, "工作日")]),
    ],
)
def test_numbers_in_a_row_share_their_unit(text: str, values: list[tuple[float, str]]) -> None:
    assert read(text) == values


@pytest.mark.parametrize(
    "text",
    [
        *("一般来说", "万一坏了", "千万别拆", "十分满意", "一个", "两种方式", "一起", "第一次"),
        *("周一至周五", "一块去", "统一安装", "1. 打开\n2. 选择", "(1)拔枪", "三角形"),
    ],
)
def test_words_and_list_numbers_are_no_quantities(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("E03 和 e-05", ("e03", "e05")),
        ("型号 ZX-300A", ("zx300a",)),
        ("7kW 998 元", ()),
        ("k_0123456789abcdef0123", ("k0123456789abcdef0123",)),
    ],
)
def test_letters_with_numbers_are_codes(text: str, codes: tuple[str, ...]) -> None:
    assert numbers_of(text).codes == codes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 天", "3 小时"),
        ("3 年", "3 个月"),
        ("95%", "95折"),
        ("3 天", "3 个工作日"),
        ("7 元", "7kW"),
        ("5 台", "5 张"),
        ("9:00", "21:00"),
        ("99 元", "99 美元"),
        ("第 4 天", "4 天"),
    ],
)
def test_the_same_digits_of_another_unit_do_not_agree(one: str, other: str) -> None:
    (first,), (second,) = numbers_of(one).quantities, numbers_of(other).quantities
    assert not first.agrees(second)
    assert not second.agrees(first)


@pytest.mark.parametrize(("loose", "strict"), [("4点", "16:00"), ("9点", "21:00"), ("9点", "9:00")])
def test_an_hour_without_its_half_of_the_day_may_be_either(loose: str, strict: str) -> None:
    (first,), (second,) = numbers_of(loose).quantities, numbers_of(strict).quantities
    assert first.agrees(second)
