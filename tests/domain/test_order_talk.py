"""What customers say of their orders: that they take the work, that they do not, how far it is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.order_talk import MAX_READ_CHARS, Said, order_talk

ACCEPTED = """
满意
很满意
非常满意，谢谢
谢谢，很满意
满意，辛苦了
可以了
可以了谢谢
嗯嗯可以了
好的，可以了
这张可以了
很好，就这样
就这样吧
好，就这样
就用这张
就要这个了
就它了
收到，没问题
收到没问题
没问题
没问题，谢谢老板
图没问题
看了一下，没问题
没有问题
没什么要改的了
不用改了，就这样
不用再改了
不用重做了，就这样
好了，就这样吧
我确认收货了
检查过了，没有问题
确认收货
已确认收货
确认无误
验收通过
定稿
可以定稿了
效果很好
效果不错，谢谢
做得很好
修得真好
修的太棒了
这次可以了
太棒了！
完美
很完美，下次还找你们
挺好的
不错不错
很喜欢
我很喜欢这张图，就用它了
客户很满意
领导觉得没问题
真好看
很漂亮，谢谢设计师
很清晰，谢谢
就是我要的效果
哇，好看！满意！
满意，给你们五星好评
亲，可以了，辛苦啦
图收到了，很满意
满意！已付款
就是这个效果
就是这种感觉
跟我想的一样，谢谢
效果杠杠的
爱了爱了
收货了
好看，你们真专业
这版不错就它了
就第一张吧
""".splitlines()

SENT_BACK = """
不满意
不太满意
不是很满意
我不满意
很不满意
不行，重做
重做
重新做一下
能重做一下吗
麻烦重新弄一遍
返工吧
效果不好
效果太差了
效果不理想
这效果不行啊
这个不行
这样不行
还是不行
还是不对
和我要的不一样
跟我说的不一样啊
跟要求不符，不一样
和我想要的完全不一样
不是我要的效果
这不是我要的
没做好
没修好
没抠干净
没达到要求
没有按我的要求做
做得太差了
修得好假
太丑了
好难看
不好看
不喜欢
太敷衍了
做错了
你们做错了吧
跟没修一样
看不出有什么区别
和原图没区别
图片质量不行
谢谢，但是不太满意
你好，这张图不对
不符合要求
越改越丑
不满意，什么时候能重新弄好
收到了，效果不好
帮我再改改
再改一下吧
还是很糊，效果不好
没什么区别
没变化
没有变清晰
不够清晰
不太行
不怎么样
差点意思
感觉不太对
背景没去干净
水印没去掉
脸修变形了
修过头了
有点偏色
电话号码不对
名字打错了
尺寸不对
怎么跟原图一样
怎么还是不清晰？
怎么变形了
为什么这么丑
这做的什么啊
这是什么鬼
这叫高清？
退回去重做
再调整一下
""".splitlines()

HOW_FAR = """
好了吗
好了吗？
好了没
好了没有
图好了吗
我的图好了没
照片修好了吗
做好了没
做好了吗
做完了吗
弄完了没
弄好没
改好了吗
海报设计好了吗
完成了吗
搞定了吗
什么时候能好
什么时候能做好
什么时候可以做完
啥时候好
什么时候能给我
什么时候发我
几点能好
今天能好吗
明天能做完吗
今晚能给我吗
下午能出图吗
到哪一步了
到哪了
做到哪了
做到哪一步了
进度
进度怎么样
查一下进度
现在什么进度
有进展吗
设计师接单了吗
有设计师接单了吗
安排设计师了吗
派单了吗
图呢
我的图呢
图呢？？
海报呢
怎么还没好
怎么还没做好啊
还没好吗
还没好？
怎么这么慢
怎么这么久
还要多久
还要等多久
大概还要多久
这个多久能做好
多久能好
多久能出图
还需要多长时间
要等到什么时候
处理得怎么样了
怎么样了
做得怎么样了
现在什么情况
出图了吗
开始做了吗
在做了吗
还在做吗
谁在做我的图
排到我了吗
帮我催一下
麻烦催一下设计师
能不能快点
你好，请问图做好了吗
谢谢，什么时候能好？
等了半天了
都等了两天了
是不是把我的图忘了
怎么还不发我
可以看了吗
有结果了吗
快好了吗
ok了吗
可以了吗
图可以了吗
设计师接了吗
还没好呢？
图发了吗
等了三个小时了
做没做好
好没好
大概什么时候可以
大概几点
几点能给
什么时候
一直没消息
设计师呢
前面还有几单
轮到我了吗
催一催
订单状态
查一下我的订单
看看做得怎么样
完成了是吗
说好今天给的
不是说今天好吗
没收到图
图片还没收到
怎么还没有消息
好的，那什么时候能好
你好，在吗，图好了吗
""".splitlines()

NOTHING = """
好的
好的谢谢
好
嗯
嗯嗯
ok
谢谢
收到
收到了
谢谢老板
行
可以
知道了
你好
在吗
辛苦了
还行
还可以
一般
勉强可以吧
满意度怎么样
你们满意度多少
可以再亮一点吗
满意吗
是不是满意
满意的话怎么付款
满意再付款可以吗
等我满意了再付钱
不满意怎么办
不满意可以退款吗
如果不满意能重做吗
万一效果不好呢
怕效果不好
不满意可以免费改吗
重做要多少钱
能免费重做几次
我在别家做的不满意
退款，太差了
我要投诉，做得太差
不用担心
很满意，就是字有点小
满意，但是背景换一下
没问题吧？
做一张海报多少钱
你们几点下班
几点下班
今天上班吗
人工客服什么时候上班
什么时候营业
快递到哪了
退款到哪一步了
退款好了吗
发票开好了吗
钱什么时候到账
一般多久能做好
做一张海报要多久
修一张图一般要几天
如果加急多久能好
加急的话多久能做好
想做一个logo多久能好
好了告诉我
做好了发我
做好了通知我一声
不着急，慢慢来
不急
我刚发的图收到了吗
报价好了吗
帮我把背景换成白色
再加一张
多少钱
能便宜点吗
这张图能修吗
今天天气怎么样
你们怎么收费
好评返现吗
不要了
取消订单
算了
什么是高清修复
你们是哪里的
图片发给你了
帮我查一下好吗
这样好吗
你们接单吗
有人在吗
我今天要
我下午要用
今天给我
明天要
等两天再说
能改成红色吗
这照片还能修好吗
能做好吗
这张照片有点糊
我的照片太模糊了
这张太糊了，能修清晰吗
这是我要的效果
我写错了
不好意思
好了
太好了
行了
不行
什么时候付款
什么时候发货
下单后多久发货
比赛什么时候开始
我朋友很满意你们吗
你们的图都是谁做的
好的，等你消息
等你们好消息
您慢慢做
加急
能加急吗
很专业
你们真厉害
谢谢你们，很专业
图收到了
已付款
怎么办
怎么样
怎么改
怎么收费
你没收到图吗
我名字写错了怎么办
什么时候可以付款
你们什么时候放假
活动什么时候结束
什么时候有优惠
这是什么字体
你们做得真好，想再做一张
满意吗你觉得
急
转人工
你是机器人吗
""".splitlines()


def rows(lines: list[str], said: Said | None) -> list[tuple[str, Said | None]]:
    return [(line, said) for line in lines if line]


TABLE = [
    *rows(ACCEPTED, Said.ACCEPT),
    *rows(SENT_BACK, Said.REWORK),
    *rows(HOW_FAR, Said.PROGRESS),
    *rows(NOTHING, None),
]


@pytest.mark.parametrize(("text", "said"), TABLE, ids=[text for text, _ in TABLE])
def test_what_a_message_says_of_orders(text: str, said: Said | None) -> None:
    assert order_talk(text, delivered=True, open_orders=True) is said


def test_nothing_is_accepted_or_sent_back_before_it_was_delivered() -> None:
    said = {order_talk(text, delivered=False, open_orders=True) for text in [*ACCEPTED, *SENT_BACK]}
    assert said <= {None, Said.PROGRESS}
    assert order_talk("满意", delivered=False, open_orders=True) is None
    assert order_talk("不满意", delivered=False, open_orders=True) is None


def test_without_orders_a_message_says_nothing_of_any() -> None:
    said = {order_talk(text, delivered=False, open_orders=False) for text, _ in TABLE}
    assert said == {None}


def test_how_far_a_delivered_order_is_is_asked_only_while_orders_are_open() -> None:
    assert order_talk("好了吗", delivered=True, open_orders=False) is None
    assert order_talk("很满意", delivered=True, open_orders=False) is Said.ACCEPT


def test_a_complaint_goes_before_a_question_and_a_question_before_praise() -> None:
    both = order_talk("效果不好，什么时候能好", delivered=True, open_orders=True)
    asked = order_talk("第一张很满意，另一张什么时候能好", delivered=True, open_orders=True)
    assert (both, asked) == (Said.REWORK, Said.PROGRESS)


@given(st.sampled_from(ACCEPTED), st.sampled_from(["字小了点", "背景换成红色", "多少钱", "退款"]))
def test_whatever_else_is_wanted_with_the_praise_keeps_the_order_open(
    praise: str, more: str
) -> None:
    assert order_talk(f"{praise}，{more}", delivered=True, open_orders=True) is not Said.ACCEPT


@given(
    st.text(
        alphabet="好的满意不没问题了吗做图什么时候能完这张效果重改谢，？ok", max_size=MAX_READ_CHARS
    )
)
def test_any_message_is_read_in_time(text: str) -> None:
    before = time.process_time()
    order_talk(text, delivered=True, open_orders=True)
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    "piece",
    [
        "改修",
        "修改",
        "感觉看",
        "好的",
        "很满意",
        "谢谢你们",
        "就这样吧",
        "下次再来",
        "没有什么要改",
        "做得",
        "哈",
    ],
)
def test_a_long_repetitive_message_costs_no_exponential_time(piece: str) -> None:
    text = (piece * MAX_READ_CHARS)[: MAX_READ_CHARS - 1] + "x"
    before = time.process_time()
    assert order_talk(text, delivered=True, open_orders=True) is not Said.PROGRESS
    assert time.process_time() - before < 1


def test_whoever_writes_a_letter_is_read_by_a_person() -> None:
    assert order_talk("满意，" * 300, delivered=True, open_orders=True) is None
