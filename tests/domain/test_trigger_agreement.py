"""Agreement: which messages fire a keyword, which only mention it, and what is left to answer."""

import re
import time
from pathlib import Path

import pytest

from domain.agreement import Speech, keyword_of
from domain.tasks import Matching, Said, Trigger, TriggerKind, WatchedTask
from domain.triggers import match

NO = None


def fired(keyword: str, text: str, matching: Matching = Matching.AGREEMENT) -> str | None:
    """The rest of the match, None where nothing fires."""
    kind = TriggerKind.CUSTOMER_PAYMENT if keyword in ("已付款", "拍下了") else None
    trigger = Trigger(
        kind or TriggerKind.CUSTOMER_KEYWORD, tuple(keyword.split("|")), matching=matching
    )
    found = match(WatchedTask("t", trigger, 0.0), Said("c", "c", text, 1.0))
    return found.rest if found else None


AGREEMENT = [
    # said plainly, with politeness around it
    ("好的", "好的", ""),
    ("好的", "嗯好的", ""),
    ("好的", "嗯嗯 好的", ""),
    ("好的", "好的谢谢", ""),
    ("好的", "好的好的", ""),
    ("好的", "好的。", ""),
    ("好的", "好的!!!", ""),
    ("好的", "好的~", ""),
    ("好的", "好的呢", ""),
    ("好的", "好的呢亲", ""),
    ("好的", "那好的吧", ""),
    ("好的", "好的哈哈", ""),
    ("好的", "收到,好的,麻烦您了", ""),
    ("好的", "好的 没问题", ""),
    ("好的", "不错,好的", ""),
    ("好的", "没问题,好的", ""),
    ("好的", "不好意思,好的", ""),
    ("好的", "不好意思好的", ""),
    ("好的", "好的,不急", ""),
    ("好的", "知道了好的", ""),
    ("好的", "好的,发我吧", ""),
    ("好的", "好的,等你消息", ""),
    ("可以", "可以的", ""),
    ("可以", "没事可以的", ""),
    ("可以", "什么时候都可以", ""),
    ("可以", "怎么样都可以", ""),
    ("可以", "随便哪个都可以", ""),
    ("可以", "老板说可以", ""),
    ("可以", "这个方案可以", ""),
    ("需要", "需要的", ""),
    ("已付款", "已付款", ""),
    ("已付款", "我已付款了哦", ""),
    # something is said besides
    ("好的", "好的,那多少钱?", "那多少钱"),
    ("好的", "好的,能开发票吗?", "能开发票吗"),
    ("好的", "好的能开发票吗", "能开发票吗"),
    ("好的", "好的包邮吗", "包邮吗"),
    ("好的", "好的,包邮?", "包邮?"),
    ("好的", "你好,好的,请问几天能到?谢谢", "请问几天能到"),
    ("好的", "好的\n地址是朝阳路1号", "地址是朝阳路1号"),
    ("好的", "能开发票吗,好的,多久到", "能开发票吗,多久到"),
    ("可以", "把字改大一点就可以了", NO),
    ("可以", "可以,那就这个,什么时候发货", "什么时候发货"),
    ("需要", "需要,不过要等明天", "不过要等明天"),
    ("已付款", "已付款,怎么还没到账", "怎么还没到账"),
    ("已付款", "已付款怎么还没到账", "怎么还没到账"),
    ("已付款", "已付款了,请发货", "请发货"),
    ("已付款", "已付款,不用了谢谢", "不用了"),
    # denied
    ("好的", "不好的", NO),
    ("好的", "不 好的", NO),
    ("好的", "不太好", NO),
    ("好的", "这样不是好的", NO),
    ("好的", "好的,先不要", NO),
    ("好的", "好的先不要发", NO),
    ("好的", "好的不用了", NO),
    ("好的", "好的,不用了谢谢", NO),
    ("好的", "算了,好的", NO),
    ("好的", "好的,我再考虑一下", NO),
    ("可以", "不可以", NO),
    ("可以", "我觉得不可以", NO),
    ("可以", "可以,不对,不可以", NO),
    ("可以", "之前可以,现在不可以了", NO),
    ("可以", "這樣不可以", NO),
    ("已付款", "没已付款", NO),
    ("已付款", "还没已付款", NO),
    ("已付款", "没付款", NO),
    ("已付款", "并未拍下,也没有已付款", NO),
    ("发", "别发", NO),
    ("问题", "没问题", NO),
    # the newer word counts
    ("可以", "之前不可以,现在可以了", "之前不可以"),
    # asked
    ("好的", "好的吗?", NO),
    ("好的", "好的吗", NO),
    ("好的", "好的 吗", NO),
    ("好的", "好的?", NO),
    ("好的", "好的?", NO),
    ("好的", "好的嗎", NO),
    ("好的", "好的,是吗?", NO),
    ("可以", "可以吗", NO),
    ("可以", "可以么", NO),
    ("可以", "可以不", NO),
    ("可以", "可以不?", NO),
    ("可以", "可以吧?", NO),
    ("可以", "可以,对吧", NO),
    ("可以", "可不可以", NO),
    ("可以", "可以还是不可以", NO),
    ("可以", "可以便宜点吗", NO),
    ("可以", "怎么可以", NO),
    ("可以", "什么颜色可以", NO),
    ("可以", "请问可以改字", NO),
    ("行", "行不行", NO),
    ("好", "好不好", NO),
    ("已付款", "是不是已付款", NO),
    ("已付款", "已付款了吗", NO),
    ("已付款", "已付款了没", NO),
    ("已付款", "是否已付款", NO),
    ("已付款", "订单有没有已付款", NO),
    # supposed, meant for later, said by others
    ("好的", "好的话告诉我", NO),
    ("好的", "如果好的话", NO),
    ("好的", "等我说好的", NO),
    ("好的", "好的才怪", NO),
    ("好的", "说好的今天发呢", NO),
    ("好的", '你说的"好的"是什么意思', NO),
    ("可以", "可以的话就发", NO),
    ("可以", "要是可以", NO),
    ("可以", "改好了才可以", NO),
    ("可以", "你们说可以", NO),
    ("可以", "可能可以", NO),
    ("已付款", "等下已付款", NO),
    ("已付款", "已付款后多久发货", NO),
    ("拍下了", "我准备拍下了", NO),
    # part of another word
    ("好的", "最好的", NO),
    ("好的", "更好的", NO),
    ("好的", "有什么好的推荐", NO),
    ("好的", "要质量好的", NO),
    ("好的", "好的方案发我看看", NO),
    ("好的", "你好,的确要", NO),
    ("行", "银行", NO),
    ("行", "行李", NO),
    ("行", "进行", NO),
    ("行", "不行", NO),
    ("好", "你好", NO),
    ("好", "老师好", NO),
    ("1", "100", NO),
    ("1", "1.5", NO),
    ("1", "11", NO),
    ("1", "1个多少钱", NO),
    ("ok", "book", NO),
    ("ok", "tiktok", NO),
    ("666", "6666", NO),
    # short keywords
    ("行", "行", ""),
    ("行", "行吧", ""),
    ("行", "行行行", ""),
    ("行", "那行,多少钱", "多少钱"),
    ("行", "我觉得行", ""),
    ("好", "好的", ""),
    ("好", "好,发吧", ""),
    ("1", "1", ""),
    ("1", "１", ""),
    ("1", "我选1", ""),
    ("1", "扣1", ""),
    ("666", "666", ""),
    # Latin
    ("ok", "OK", ""),
    ("OK", "ｏｋ", ""),
    ("ok", "O.K.", ""),
    ("ok", "okok", ""),
    ("ok", "ok thanks", ""),
    ("ok", "ok啦", ""),
    ("ok", "ok的,什么时候发货?", "什么时候发货"),
    ("ok", "not ok", NO),
    ("ok", "is it ok?", NO),
    ("ok", "this is not really ok", NO),
    ("发票", "下午出发,票", NO),
    ("好的", "好?的", NO),
    # width, script, spaces, marks
    ("好的", "好 的", ""),
    ("好的", "好\u200b的", ""),
    ("好的", "  好的  ", ""),
    ("没问题", "沒問題", ""),
    ("沒問題", "没问题", ""),
    ("已付款", "已 付款", ""),
    ("VIP会员", "我要ｖｉｐ會員", ""),
    ("好的,发吧", "好的 发吧", ""),
    # emoji
    ("好的", "好的👌", ""),
    ("好的", "[微笑]好的[OK]", ""),
    ("好的", "/:ok好的/::)", ""),
    ("好的", "好的😊能开发票吗🙏", "能开发票吗"),
    ("好的", "👌", NO),
    ("ok", "[OK]", NO),
    ("👌", "👌", ""),
    ("👌", "👌🏻👌🏻", ""),
    ("👌", "[OK]", ""),
    ("👌", "/:ok", ""),
    ("[OK]", "👌", ""),
    ("👌", "好的👌", ""),
    ("👌", "👌,能开发票吗", "能开发票吗"),
    ("👌", "不要👌", NO),
    ("👌", "多少钱👌", NO),
    ("👌", "👍", NO),
    ("[微笑]", "[微笑]", ""),
    # groups and quotations
    ("好的", "@客服 好的", ""),
    ("好的", "@小 王\u2005好的", ""),
    ("好的", "好的 @客服小美", ""),
    ("好的", "@好的客服 不要", NO),
    ("好的", "「客服:可以发了吗?」\n- - - - - - - - -\n好的", ""),
    ("好的", "「客服:回复好的即可」\n- - - - - - - - -\n不要", NO),
    # several keywords
    ("好的|可以|行", "可以", ""),
    ("好的|可以|行", "行,可以,好的", ""),
    ("好的|可以|行", "好的,可不可以便宜点", "可不可以便宜点"),
    ("好的|可以|行", "可以,不行", NO),
    ("好的|可以|行", "不要", NO),
    # a keyword that says no itself
    ("不要了", "不要了", ""),
    ("不需要", "我不需要", ""),
    ("算了", "算了吧", ""),
]

# Ways in which people agree and refuse that a list of words alone gets wrong.
ADVERSARIAL = [
    ("好的", "好的,没什么问题", ""),
    ("好的", "非常感谢,好的", ""),
    ("好的", "没有问题,好的,就这么定了", ""),
    ("好的", "好的吧……", ""),
    ("好的", "好的?????", NO),
    ("好的", "哦,好的好的好的好的", ""),
    ("好的", "好的哦~不着急慢慢来", ""),
    ("好的", "好的可是我还没收到图", "可是我还没收到图"),
    ("好的", "好的,但是颜色能不能再深一点", "但是颜色能不能再深一点"),
    ("好的", "好的那算了", NO),
    ("好的", "好的,那下次吧", NO),
    ("好的", "好的,别发了", NO),
    ("好的", "好的先别", NO),
    ("好的", "好的,取消吧", NO),
    ("好的", "好的不好的都行", NO),
    ("好的", "身体好的很", NO),
    ("好的", "画好的发我", NO),
    ("好的", "约好的时间", NO),
    ("好的", "大家好的时候再说", NO),
    ("好的", "我又没说好的", NO),
    ("好的", "谁跟你说好的", NO),
    ("可以", "不是不可以", NO),
    ("可以", "可以是可以,就是贵了点", "就是贵了点"),
    ("可以", "难道不可以吗", NO),
    ("可以", "可以个屁", NO),
    ("可以", "凭什么可以", NO),
    ("可以", "希望可以快点", NO),
    ("可以", "能不能可以快点", NO),
    ("可以", "没什么不可以", NO),
    ("可以", "可以!!", ""),
    ("可以", "可以啊,多少钱一张", "多少钱一张"),
    ("可以", "两个都可以", ""),
    ("可以", "嗯,可以,麻烦了", ""),
    ("行", "行啊", ""),
    ("行", "行了吧", ""),
    ("行", "还行吗", NO),
    ("行", "行个屁", NO),
    ("同意", "我同意", ""),
    ("同意", "不太同意", NO),
    ("同意", "老板还没同意", NO),
    ("同意", "同意不了", NO),
    ("收到", "收到!", ""),
    ("收到", "还没收到", NO),
    ("收到", "收到没", NO),
    ("明白", "不是很明白", NO),
    ("明白", "明白了,谢谢老师", ""),
    ("确认", "确认", ""),
    ("确认", "没法确认", NO),
    ("要", "要", ""),
    ("要", "我要", ""),
    ("要", "不要", NO),
    ("要", "要多少钱", NO),
    ("已付款", "已付款失败", NO),
    ("已付款", "我以为已付款了", NO),
    ("已付款", "谁已付款了", NO),
    ("已付款", "老婆已付款,收下货", "收下货"),
    ("已付款", "上次没成功,这次已付款", "上次没成功"),
    ("拍下了", "拍下了,改下价", "改下价"),
    ("拍下了", "拍下了又取消了", NO),
    ("拍下了", "拍下了,又退了", NO),
    ("好的", "好的,先等等", NO),
    ("好的", "好的,等一下", ""),
    ("好的", "好的,我先看看", ""),
    ("好的", "好的,我看看再说", NO),
    ("好的", "不用谢,好的", ""),
    ("好的", "好的,不要水印", "不要水印"),
    ("好的", "好的呀亲爱的", ""),
    ("好的", "好的不得了", NO),
    ("好的", "好的,那我等你们通知", ""),
    ("可以", "可以,不用改了", "不用改了"),
    ("可以", "可以,帮我把字放大", "帮我把字放大"),
    ("可以", "你可以帮我改一下", "帮我改一下"),
    ("可以", "便宜点就可以", NO),
    ("可以", "这样就可以", ""),
    ("可以", "可以考虑一下", NO),
    ("没问题", "没问题吧?", NO),
    ("没问题", "有没问题", NO),
    ("没问题", "没问题的,发吧", ""),
    ("付款", "付款码发一下", NO),
    ("付款", "怎么付款", NO),
    ("付款", "我要付款", NO),
    ("付款", "已经付款了", ""),
    ("发货", "什么时候发货", NO),
    ("对", "对不起", NO),
    ("对", "对了,多少钱", "多少钱"),
    ("是", "但是", NO),
    ("已付款", "已付款,但想退款", NO),
    ("已付款", "已付款,可以退款吗", "可以退款吗"),
    ("👌", "好的👌能开发票吗🙏", "能开发票吗"),
    ("👌", "算了,👌", NO),
    ("👌👌", "👌👌", ""),
    ("👌👌", "👌好的👌", NO),
]


@pytest.mark.parametrize(("keyword", "text", "rest"), AGREEMENT)
def test_a_keyword_fires_where_the_message_agrees_to_it(
    keyword: str, text: str, rest: str | None
) -> None:
    assert fired(keyword, text) == rest


@pytest.mark.parametrize(("keyword", "text", "rest"), ADVERSARIAL)
def test_everyday_agreement_and_refusal(keyword: str, text: str, rest: str | None) -> None:
    assert fired(keyword, text) == rest


DOCS = Path(__file__).parents[2] / "docs" / "triggers.md"
DOCUMENTED = re.findall(
    r"^\| (.+?) \| (.+?) \| (yes|no) \| ?(.*?) ?\|$", DOCS.read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize(("keyword", "text", "fires", "rest"), DOCUMENTED)
def test_the_documented_examples_are_true(keyword: str, text: str, fires: str, rest: str) -> None:
    assert fired(keyword, text) == (rest if fires == "yes" else None)


def test_the_documented_words_that_leave_it_open_do_not_fire() -> None:
    open_words = (("好的", "这个挺好的"), ("可以", "可以嘛"), ("可以", "可能可以"))
    assert [fired(*one) for one in open_words] == [None, None, None]
    assert len(DOCUMENTED) > 25


@pytest.mark.parametrize(
    ("keyword", "text", "rest"),
    [
        ("好的", "不好的", "不好的"),
        ("好的", "好的吗?", "好的吗"),
        ("好的", "你好,的确要", "的确要"),
        ("好的", "好的,包邮吗", "包邮吗"),
        ("行", "银行卡号多少", "银行卡号多少"),
        ("1", "100", "100"),
        ("发票", "發 票", ""),
        ("发票", "发货单", NO),
        ("👌", "不要👌", "不要"),
    ],
)
def test_plain_containment_fires_on_denials_and_questions_too(
    keyword: str, text: str, rest: str | None
) -> None:
    assert fired(keyword, text, Matching.CONTAINS) == rest


@pytest.mark.parametrize(
    ("keyword", "text", "fires"),
    [
        ("好的", "好的", True),
        ("好的", "好 的!", True),
        ("好的", "好的👌", True),
        ("好的", "@客服 好的", True),
        ("好的", "好的?", True),
        ("好的", "好的谢谢", False),
        ("好的", "嗯好的", False),
        ("ok", "ＯＫ.", True),
        ("👌", "👌", True),
        ("👌", "好的👌", False),
        ("1", "１", True),
        ("不好的", "不好的", True),
        ("?", "?", True),
    ],
)
def test_exact_compares_the_whole_message(keyword: str, text: str, fires: bool) -> None:
    assert fired(keyword, text, Matching.EXACT) == ("" if fires else None)


@pytest.mark.parametrize("keyword", ["好的", "可以", "好", "1"])
@pytest.mark.parametrize(
    "unit",
    [
        "好的",
        "好的 ",
        "不好的,",
        "没问题好的",
        "谢谢",
        "等你",
        "什么",
        "我就可以发",
        "@",
        "[微",
        "「",
        "1",
    ],
)
def test_the_longest_message_of_one_word_over_and_over_is_judged_soon(
    keyword: str, unit: str
) -> None:
    def seconds() -> float:
        begun = time.thread_time()
        speech = Speech((unit * 4_000)[:3_998] + "吗x")
        agreement = speech.agreement([keyword_of(keyword)], is_fact=False)
        speech.rest(agreement.spans if agreement else ())
        return time.thread_time() - begun

    assert any(seconds() < 1.0 for _ in range(5)), "others slow down this one too, but not always"
