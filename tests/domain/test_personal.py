"""Nothing that tells who a customer is is left of their words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.personal import without_personal_data


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("我电话13800138000，讲个笑话", "138"),
        ("打给我 138-0013-8000", "0013"),
        ("１３８００１３８０００", "１３８"),
        ("一三八零零一三八零零零，打给我", "三八"),
        ("一 三 八 零 零 一 三 八", "三 八"),
        ("身份证110101199003071234", "1101"),
        ("订单20231225123456怎么了", "2023"),
        ("单号 SF1234567890 到哪了", "SF"),
        ("我微信zhang_san123", "zhang"),
        ("邮箱 zhang.san@例子.cn 给我写信", "例子"),
        ("看 https://例子.cn/我的 这个", "例子"),
        ("我叫李雷，讲个笑话", "李雷"),
        ("我的名字是欧阳娜娜 你叫什么", "娜"),
        ("收货人 阿凡提 讲个笑话", "凡提"),
        ("张伟你好，陪我聊聊", "张伟"),
        ("我和韩梅梅分手了", "梅"),
        ("李老师今天不在", "李"),
        ("王小姐在吗", "王"),
        ("小李说你很笨", "李"),
        ("my name is John Smith", "John"),
        ("我住在北京市海淀区中关村大街1号院3单元502室，好无聊", "中关村"),
        ("我家在西湖区文三路，无聊", "文三"),
        ("我住三号楼502寝室，睡不着", "三号楼"),
        ("在广州上班好累", "广州"),
        ("我是清华大学的", "清华"),
    ],
)
def test_it_is_gone(said: str, gone: str) -> None:
    assert gone in said
    assert gone not in without_personal_data(said)


@pytest.mark.parametrize(
    "said",
    [
        "讲个笑话吧",
        "今天好无聊啊",
        "我今天很高兴",
        "你会唱歌吗",
        "天气真好",
        "人生的意义是什么",
        "马上放假了好开心",
        "由于太热睡不着",
        "平常心就好",
        "何必呢",
        "任何时候都可以聊天吗",
        "谢谢你陪我",
    ],
)
def test_small_talk_stays_as_it_is(said: str) -> None:
    assert without_personal_data(said) == said


def test_the_names_that_are_known_go_too() -> None:
    assert without_personal_data("喵喵今天也爱你", names=("喵喵", "")) == "今天也爱你"


@given(st.text(max_size=60), st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.text(max_size=60))
def test_no_digit_and_no_latin_letter_is_ever_left(before: str, phone: str, after: str) -> None:
    assert not re.search(r"[A-Za-z0-9@]", without_personal_data(before + phone + after))
