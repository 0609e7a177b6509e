"""What a message names. Shops, goods and numbers are made up."""

import time

import pytest

from domain.mentions import MAX_MENTION_CHARS, MAX_MENTIONS, mentions, named


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("订单AB12345678发货了吗？", ["订单AB12345678发货"]),
        ("请问你们的充电桩支持多少功率", ["充电桩支持", "功率"]),
        ("推荐您选择星河7kW家用充电桩，价格是2680元。", ["星河7kW家用充电桩", "2680元"]),
        ("我想要100-150元的保温杯", ["100-150元", "保温杯"]),
        ("附近有柚木咖啡(南门店)、三叶书屋", ["柚木咖啡(南门店)", "三叶书屋"]),
        ("营业时间是周一至周日 08:00-21:30", ["营业", "周一至周日 08:00-21:30"]),
        ("好的，谢谢", []),
        ("麻烦帮我看一下可以吗", []),
        ("去蓝鲸酒吧怎么走", ["蓝鲸酒吧"]),
    ],
)
def test_what_is_named_is_kept_as_it_was_written(text: str, values: list[str]) -> None:
    assert list(named(text)) == values


def test_a_question_states_nothing_but_its_numbers_do() -> None:
    found = {one.value: one for one in mentions("保温杯有500ml吗？我要红色。")}
    assert found["保温杯"].asked
    assert not found["500ml"].asked
    assert found["500ml"].measured
    assert not found["红色"].asked


def test_a_value_is_named_once_and_bounded() -> None:
    assert named("保温杯，保温杯！保温杯") == ("保温杯",)
    assert len(named("长" * 500)[0]) == MAX_MENTION_CHARS
    assert len(named("，".join(f"货{n}号" for n in range(99)))) == MAX_MENTIONS


def test_full_width_is_read_as_half_width() -> None:
    assert named("柚木咖啡（南门店）") == ("柚木咖啡(南门店)",)


@pytest.mark.parametrize("text", ["(" * 1_000, "的" * 1_000, "1:" * 500, "可以" * 500, "a " * 500])
def test_no_message_takes_long(text: str) -> None:
    started = time.perf_counter()
    mentions(text)
    assert time.perf_counter() - started < 0.25
