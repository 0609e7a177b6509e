"""Does a message go on with the topic? Examples of a shop for chargers and one for prints."""

import pytest

from domain.intents import DialogueType
from domain.topics import LEAST_OVERLAP, changes, leans, overlap

CONSULT, BUSINESS, CHAT = DialogueType.CONSULT, DialogueType.BUSINESS, DialogueType.CHAT
PILE = ("7kW充电桩安装需要多久", "7kW充电桩安装需要半天,物业要先同意。")
ORDER = ("订单AB12345678发货了吗", "订单AB12345678昨天由顺丰发出。")


@pytest.mark.parametrize(
    ("text", "earlier", "kind", "before", "why"),
    [
        # words that say so
        ("对了，海报怎么设计", PILE, CONSULT, CONSULT, "signal"),
        ("好的，另外能开发票吗", PILE, BUSINESS, CONSULT, "signal"),
        ("还有个问题，充电桩安装要自己买线吗", PILE, CONSULT, CONSULT, "signal"),
        ("顺便问下你们几点下班", PILE, CONSULT, CONSULT, "signal"),
        # a signal before what leans on the topic is none
        ("对了，它保修多久", PILE, CONSULT, CONSULT, None),
        ("另外这款有白色的吗", PILE, CONSULT, CONSULT, None),
        # «另外» in the middle of a sentence is no signal
        ("充电桩安装另外收费吗", PILE, CONSULT, CONSULT, None),
        # under 30 % of its keywords were said before
        ("老照片修复要多少天", PILE, CONSULT, CONSULT, "overlap"),
        ("充电桩安装贵不贵", PILE, CONSULT, CONSULT, None),
        # another type of dialogue, nothing of it said before
        ("退款", PILE, BUSINESS, CONSULT, None),  # says too little to be understood alone
        ("我要申请退款退货", PILE, BUSINESS, CONSULT, "overlap"),
        # of its pairs 充电 电桩 were said, 桩订 订单 单发 发货 not: 2 / 6
        ("充电桩订单发货", PILE, BUSINESS, CONSULT, "type"),
        ("充电桩订单发货", PILE, CONSULT, CONSULT, None),
        ("充电桩安装要退", PILE, BUSINESS, CONSULT, None),
        ("什么时候能收到", ORDER, CONSULT, BUSINESS, None),
        # what leans on the topic, and small talk, go on
        ("那多少钱", PILE, CONSULT, CONSULT, None),
        ("22kW的呢", PILE, CONSULT, CONSULT, None),
        ("谢谢", PILE, CHAT, CONSULT, None),
        # nothing was said yet
        ("对了，海报怎么设计", (), CONSULT, None, None),
    ],
)
def test_a_topic_ends_where_words_type_or_a_signal_say_so(
    text: str,
    earlier: tuple[str, ...],
    kind: DialogueType,
    before: DialogueType | None,
    why: str | None,
) -> None:
    assert changes(text, earlier, kind=kind, before=before) == why


def test_overlap_is_the_share_of_the_keywords_that_were_said() -> None:
    # 充电 电桩 桩保 保修 修期 are the pairs of 充电桩保修期; the first two were said: 2 / 5
    assert overlap("充电桩保修期", PILE) == 2 / 5
    assert overlap("海报设计稿", PILE) == 0.0
    assert LEAST_OVERLAP == 0.3


def test_what_says_too_little_has_no_overlap() -> None:
    assert overlap("多少钱", PILE) is None
    assert overlap("发票", PILE) is None


@pytest.mark.parametrize(
    "text", ["它防水吗", "这款有货吗", "那就要两个", "多少钱", "22kW的呢", "其中哪个便宜", "好的"]
)
def test_a_message_leans_on_others_by_a_pronoun_or_for_want_of_words(text: str) -> None:
    assert leans(text)


@pytest.mark.parametrize(
    "text", ["充电桩安装需要多久", "老照片修复多少钱", "订单AB12345678发货了吗"]
)
def test_a_message_with_words_of_its_own_stands_alone(text: str) -> None:
    assert not leans(text)
