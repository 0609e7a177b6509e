"""When the customer wants it, against a clock at two in the afternoon."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deadlines import hours_left

NOW = datetime(2026, 3, 5, 14, 0)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2小时内要", 2),
        ("两个小时内能好吗", 2),
        ("半小时内", 0.5),
        ("半个小时就要", 0.5),
        ("一个半小时内出图", 1.5),
        ("30分钟内给我", 0.5),
        ("十五分钟内", 0.25),
        ("3天内做好", 72),
        ("今天要", 8),
        ("今晚要用", 8),
        ("今天下午要", 4),
        ("下午5点前要", 3),
        ("4点前给我", 2),
        ("今天晚上八点半之前", 6.5),
        ("15:30前", 1.5),
        ("明天上午要", 22),
        ("明早要用", 19),
        ("明天要", 32),
        ("明天下午3点交", 25),
        ("后天前", 56),
        ("今天上午要", -2),
        ("明天给我", 32),
        ("大后天要", 80),
        ("今晚要，最好2小时内", 2),
    ],
)
def test_the_time_that_is_left_is_read_from_words(text: str, hours: float) -> None:
    assert hours_left(text, NOW) == pytest.approx(hours, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "抠图多少钱",
        "加急",
        "昨天发的图",
        "今天发的图片收到了吗",
        "早上好",
        "3张图",
        "画面是晚上的海边",
        "我2小时前发的",
        "把日期改成明天",
        "前面那张",
        "然后要改字",
        "最后给我发一下",
        "尽早给我",
        "我有三点要求",
        "有两点要改",
        "今天上午给我发过的",
        "早要好了",
        "明天前面那张图",
    ],
)
def test_where_no_time_is_named_none_is_read(text: str) -> None:
    assert hours_left(text, NOW) is None


@given(
    st.text(max_size=200) | st.text("今明后天早晚上下午0123456789点:半小时内前要分钟", max_size=40)
)
def test_no_text_breaks_the_reading_of_deadlines(text: str) -> None:
    found = hours_left(text, NOW)
    assert found is None or abs(found) < 30 * 1_000
