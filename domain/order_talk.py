"""What a message says of orders that exist, beside changing them (`domain.amendments` goes first):
that the work is accepted, that it is not good, or how far it is. Pure.

Accepting ends an order, so every clause has to agree or say nothing: «很满意，就是字小了点» is no
acceptance. A complaint counts whatever else is said, a question about progress too.
"""

import re
from enum import StrEnum

from domain.requirements import clauses_of
from domain.text import fold, letters

MAX_READ_CHARS = 600
"""Whoever writes more than that does not just say yes or ask how far we are: a person reads it."""


_MAX_PRAISE, _MAX_PIECE = 40, 18
"""Letters of a clause that does no more than accept, and of one of its pieces."""


class Said(StrEnum):
    ACCEPT = "accept"
    REWORK = "rework"
    """It is not good; what is to change is not said."""
    PROGRESS = "progress"


def order_talk(text: str, *, delivered: bool, open_orders: bool) -> Said | None:
    """``delivered``: something was, and nobody has accepted it. ``open_orders``: some order is not
    at its end, delivered ones included. None: the message speaks of something else."""
    if not (delivered or open_orders) or len(text) > MAX_READ_CHARS:
        return None
    clauses = clauses_of(text)
    if delivered and _complains(clauses):
        return Said.REWORK
    if open_orders and any(_asks_how_far(clause) for clause in clauses):
        return Said.PROGRESS
    if delivered and _accepts(clauses):
        return Said.ACCEPT
    return None


# Words

_FILLER = (
    r"嗯+|哦+|噢|哇+|啊|呀|哈+|嘿|诶|哎呀?|恩|那个|那|就是(?=[不没太])|亲爱的|亲|老板娘?|老师|客服|设计师(?=你好|您好|辛苦|谢)"
    r"|小姐姐|小哥哥?|美女|帅哥|宝子?|你好|您好|在吗|请问|麻烦|不好意思|抱歉|打扰一?下?了?|对了|我想问一?下?|想问一?下?|问一?下"
)
_LEAD = re.compile(rf"^(?:{_FILLER})+")
_PARTICLES = r"(?:了|啦|的|吧|呀|啊|哈|哦|噢|喔|呢|嘛|哟|哒|滴|咯|耶|诶|哇|呐|捏)"

_THANKS = (
    r"(?:非常|十分|太|真的?|多)*(?:感谢|谢谢|谢|感恩)(?:你们?|您|老板|老师|设计师|亲|啦|了|哈|啊|哦|大家)*"
    r"|(?:你们?|您|老板|老师|设计师|大家|真的?|太)*(?:辛苦|麻烦|费心|给力)(?:你们?|您|老师|设计师|了|啦)*|thanks?|thankyou|thx|3q"
)
_NOD = (
    r"(?:好|行|可以|嗯+|恩|对|是|ok(?:ay)?|yes|收到|看到|知道|明白|了解|确认|看过?|下载好?|保存好?|存好?)"
    r"(?:的|了|啦|哒|滴|嘞|呀|啊|吧|哦|哈|呢)*"
)
_KIND_WORDS = (
    r"(?:下次|以后|有需要|回头|还有|后面)+(?:还|再|继续|就|会|也|都)*(?:有[需图活]\w{0,3})?(?:还|再|继续|就|会|也|都)*"
    r"(?:找|来|联系|合作|光顾|照顾|麻烦)\w{0,6}"
    r"|(?:给你们?|给您|给个?|必须|马上|去)*(?:五星|5星|好评|点赞|赞)\w{0,4}|钱?(?:已|我)?(?:付款|付|转账?|打款|打|拍下?)(?:了|过了|过去了|好了)|(?:已|刚)(?:付款|付|转账)"
    r"|[再拜]+见?|bye|爱你们?|比心|期待\w{0,2}合作|合作愉快|哈+|赞+|666*|不客气|(?:你们?|您|设计师)?(?:很|真|好|太|非常|挺)*(?:专业|用心|厉害|牛|负责|耐心)|(?:图|图片|照片|成品)?(?:已经?)?收到(?:图|图片|照片|成品)?了?|(?:我|都)*(?:看|检查|核对|试)(?:过|了|一?下|看)+|推荐\w{0,4}朋友\w{0,6}"
)
_NOTHING = re.compile(rf"{_FILLER}|{_THANKS}|{_NOD}|{_KIND_WORDS}|{_PARTICLES}")

_THING = (
    r"(?:(?:你们?|您|设计师|师傅)?(?:[这那]|最后|新|改后|修改后|第[一二三四五六七八九十\d]+)?"
    r"(?:[一二两三四五六七八九十几\d]?[张个幅款份版组套单次样些])?(?:的)?"
    r"(?:图片?|照片|相片|海报|logo|名片|菜单|成[品图]|效果图?|设计|稿子?|样稿|作品|方案|东西|主图|详情页|颜色|质量|排版|背景|整体|结果|做工|细节|原图|字)?"
    r"(?:看着|看起来|看上去)?)"
)
_DEGREE = (
    r"(?:很|挺|非常|十分|特别|超级?|真的?|太|蛮|相当|都|也|还是|确实|好|老|贼|比较|已经|总体)*"
)
_WHO = (
    r"(?:我们?|咱们?|我这边|客户|领导|老板|老公|老婆|朋友|孩子|家里?人"
    r"|爸妈|爸爸|妈妈|我[爸妈]|大家|他们?|她们?|自己)?"
)
_FEEL = r"(?:(?:我|个人)?(?:觉得|感觉|看着?|认为|看了一?下|看了|看过了?|检查过?了?))?"
_MADE = r"(?:做|修|弄|改|设计|抠|处理|p|画|排|搞|完成|找)(?:出来|好)?(?:的|得|出来的)?"
_PRAISE = (
    rf"{_DEGREE}(?:满意|喜欢|棒|完美|漂亮|赞|好看|不错|精美|清晰|清楚|自然|到位|惊艳|理想|合适|惊喜|牛)"
    r"|(?:很|挺|非常|真|蛮|特别)(?:好|可以|行)|太好看|好极|无可挑剔|没得说|没话说"
)
_FINE = (
    r"(?:完全|确认|看了|都|也|应该|基本)*(?:没有?(?:什么|啥|任何|别的|其他)?(?:问题|毛病|意见)"
    r"|没有?(?:什么|啥|哪里)?(?:要|需要|可)再?[改修调](?:的|动的?|了|地方)*)"
)
_SETTLED = (
    r"(?:就|那就|可以|行|好)?(?:(?:就|先|都)?(?:这样|这么着|这么定|定)(?:吧|了|就行|就好|就可以|可以|ok|挺好|就ok|定)*"
    r"|(?:就|用|要|选|定|是)+(?:它|[这那][张个版款样幅]|第[一二三四五\d][张个版款])(?:图|稿|了|吧|就行|就好|就可以)*"
    r"|定稿|过稿|通过|验收(?:通过|合格|了|ok|没问题)*|我?已?(?:确认|已经)(?:收货|验收|定稿|完成|无误|可以|ok|没问题|收到没问题)+"
    r"|可以(?:定稿|收货|验收|结束|完成|用|交付|确认)?了|能用了|够用了|无误"
    r"|(?:就)?不用(?:再)?(?:改|修改|修|动|调|重做|调整)(?:了|动)*|不改了|不(?:需要|必)(?:再)?(?:改|修改|修|调整)了?"
    r"|(?:正是|就是)我(?:想)?要的(?:效果|感觉|样子|图)?|(?:就是|正是)这[个种样](?:效果|感觉|样子)|[和跟]我?(?:要|想要?|想象)[的中]一样|爱了|杠杠|(?:收|已收)货了|达到(?:了)?(?:要求|预期|效果)(?:了)?|符合(?:要求|预期))"
)
_WORD_OF_ACCEPTANCE = (
    rf"{_FEEL}(?:{_WHO}{_FEEL}{_THING}(?:{_MADE})?(?:(?:{_PRAISE}){_THING}|{_FINE})"
    rf"|{_WHO}{_THING}(?:ok|可以)了|(?:[这那]|最后)[张个版款次样](?:图|稿)?(?:就)?(?:可以|ok|行)|{_THING}{_SETTLED})"
)
_ACCEPTS = re.compile(_WORD_OF_ACCEPTANCE)
_LUKEWARM = re.compile(
    r"还(?:行|可以|好|凑合|算)|凑合|勉强|马马虎虎|一般般?|将就|差不多|应该[是还]"
)
_NOTHING_AT_ALL = re.compile(r"[没不][有出来到见]*(?:什么|啥|哪里|怎么)")
_QUESTION = re.compile(
    r"[?？]|吗|么(?!好|棒|漂亮)|怎么|如何|什么|啥时|多少|几[个张天点次块]|哪|是不是|能不能|可不可以|满不满意|好不好|行不行|对不对|有没有"
)
_TAG = re.compile(r"(?:好吗|行吗|可以吗|好不好|行不行|可以不|好不|行不)[?？]*$")
_UNREAL = re.compile(
    r"如果|要是|假如|假设|万一|若|的话|只要|等[我你].{0,6}[再才]|怕|担心|会不会|满意度|满意率|满意才|满意再|满意后|满意为止|能否|才[付给收]"
)
_ELSEWHERE = re.compile(
    r"别家|别人家|别的店|其他店|另一家|其他家|别处|上家|他家|隔壁|退款|退钱|退货|退单|投诉|举报|12315|差评|仲裁|曝光"
)
"""Somebody else's work, or what a person has to answer."""

_NOT_WELL = r"不(?:太|是很|是特别|是太|怎么|够|大|咋|算|是非常|那么|很|能)?"
_BAD = (
    r"(?:差劲?|烂|丑|难看|粗?糙|假|敷衍|垃圾|潦草|离谱|拉胯|low|业余|糟糕|失望|恶心|不专业|不用心)"
)
_MUCH = r"(?:太|好|真|很|有点|有些|这么|那么|非常|特别|实在|也太|挺|确实|比较|更)"
_COMPLAINT = re.compile(
    rf"{_NOT_WELL}(?:满意|喜欢|理想|好看|到位|美观|像样|合格|达标)"
    rf"|(?:[这那][张个版款样次幅]|第[一二三四五\d][张个版款]|图片?|照片|海报|logo|效果|设计|质量|颜色|稿子?|还是|都|这|完全|根本|真的?)"
    r"(?:图|稿|效果|样子)?(?:也|都|还是|完全|根本|太|真的?)*(?:不行|不对|不好|不可以|不ok|不能用|没法用|用不了)"
    rf"|(?:效果|质量|图片?|照片|做工|海报|设计|成品|{_MADE})(?:也|都|还是|真的?|完全|太|是)*(?:{_NOT_WELL}(?:好(?!意思)|行|对|理想|怎么样|像|干净|清楚|清晰|自然|咋样)|{_MUCH}*{_BAD})"
    rf"|(?:效果|{_MADE}|还是)(?:也|都|还是|是)*{_MUCH}*(?:模?糊|不清[晰楚]?)"
    rf"|{_MUCH}{_BAD}|^{_BAD}(?:死|爆|透|哭)了?|好失望|很失望"
    r"|(?:和|跟|与|同).{0,8}(?:要|说|想|发|图|描述|要求|预期|定|聊|讲|想象)(?:好)?的?(?:效果|图)?(?:完全|根本|都|差别?|差距)*(?:不一样|不一致|不符|不同|差远了|差太[多远]|很大|太大)"
    r"|不符合?(?:要求|预期|描述)|(?:没有?|未)(?:达到|按|照).{0,8}(?:要求|效果|预期|标准|说的|我的|做|改|来)"
    r"|不是我(?:想)?(?:要|说|说要)的|不是这(?:样|个效果|种效果)的?|不是我的(?:图|意思|要求)"
    r"|(?<![还做修弄改])没有?(?:做|修|弄|抠|处理|改|搞|p)(?:好|到位|干净|对|成功|完整|完)(?!吗|么|没)"
    r"|(?<!我)(?:做|弄|改|搞|修|p|抠|写|排)错了?|错了(?:重|再)"
    r"|(?:看不出|没看出|没什么|没啥|没有|毫无|看不到)来?(?:有)?(?:什么|啥|任何)?(?:区别|变化|差别|效果|改善|改进|提升)|跟没[做修改弄]一样|(?:和|跟)(?:原图|原来|之前)(?:一样|没区别|没什么区别)"
    r"|越[改修做]越|不太行|不怎么样|差点意思|感觉不(?:太|是很|怎么)?对|没(?:有)?变(?:清晰|清楚|化|好看)|不够(?:清晰|清楚|好看|自然|干净)"
    r"|(?:字|名|名字|店名|电话|号码|地址|日期|时间|价格|尺寸|大小|比例|位置|颜色|内容)(?:都|还是|也)?(?:不对|错了|打错|写错|弄错|有误|搞错)"
    r"|没(?:有)?(?:加上|去掉|去干净|去除|改过来|换掉|修掉|处理掉)|变形|失真|偏色|走样|过头了|得太过|(?:图|照片|片)糊了"
    r"|做的(?:这?是|都是)?(?:什么|啥)|什么(?:鬼|玩意)|这叫(?:高清|修图|设计|做图)"
)
_AGAIN = re.compile(
    r"(?:重新|重)(?:做|弄|修|改|来|p|画|处理|设计|抠|搞|出)|返工|返修|再(?:重新)?(?:返|重做|做一[遍次版]|来一[遍次版]|修一[遍次]|弄一[遍次]|改一?[遍次版])|打回|(?:再|帮我|给我|重新)(?:修|改|调|弄)(?:改|修|调|弄|整|一?下)*(?:吧|下|$)"
)
_NO_NEED = re.compile(r"(?:不用|不要|不必|别|无需|没有?必要|不需要|不想|没).{0,3}(?:重|返)")
_INDIGNANT = re.compile(
    r"^(?:怎么|为什么|为啥|咋)(?!样|办|弄|做|改|收|付|处理)|(?<=做的)(?:这?是|都是)?(?:什么|啥)|什么(?:鬼|玩意)|[这就]叫"
)
"""A question in form only."""
_TERMS = re.compile(
    r"多少|收费|免费|几次|加钱|要钱|另外[算收]|费用|价|不满意(?:可以|能|怎么|会|包|咋|就|该)"
)

_MATTER_OF_OTHERS = re.compile(
    r"下班|上班|营业|放假|开门|关门|快递|物流|顺丰|退款|退钱|返现|发票|开票|到账|提现|客服|人工|优惠|活动|优惠券|工资|账号|密码|充值|会员"
    r"|报价|价格|多少钱|怎么收|收费|费用|打折|便宜|合同|比赛|考试|天气|吃饭|病|身体|心情|回我|回复|打电话|电话"
)
_IN_GENERAL = re.compile(
    r"一般|通常|正常|平时|如果|要是|的话|假如|大概要做|每张|单张|另外|别的|再(?:做|下|来|发|修)|新的|下一[单张]|想[做修找设定弄抠]"
    r"|(?:做|修|设计|抠|弄|处理|画|p|找|来)(?:一|两|三|几|十|\d+)(?:张|个|款|套|份|幅|组|版)"
)
_TELL_ME = re.compile(
    r"(?:好|完)(?:了|之?后|成)?(?:再|就|以后|之后|后|麻烦|请|记得)*(?:告诉|通知|叫|喊|联系|发|给|跟|和|说|艾特|@|微信)(?!.*[吗?？])"
    r"|不(?:用|要|必)?(?:着急|急|催)|别催|慢慢"
)
_WORK = (
    r"(?:做|修|弄|改|抠|设计|处理|画|p|排|找|搞|整|完成|安排|画|制作|调|修改|出图?|搞定|传|优化)"
)
_OURS = (
    r"(?:图片?|照片|相片|海报|logo|名片|菜单|设计稿?|成[品图]|稿子?|"
    r"效果图|样稿|主图|详情页|订单|单子?|作品|东西|活|初稿)"
)
_DONE = r"(?:好|完|完成|搞定|弄好|出来|出图|做好|做完|修好|改好|ok|结束|交付|交稿|成)"
_DAY = (
    r"(?:今天|明天|今晚|晚上|下午|上午|中午|明早|周[一二三四五六日末]|"
    r"[一二两三四五六七八九十\d]+点)"
)
_WHEN = r"(?:什么时[候间]|啥时[候间]?|何时|几时|几点|哪天|多久|多长时间|多会儿?|几天|几个?小时)"
_HANDED = r"(?:发(?:给?我|图|过来|出来)|给我|拿到?|收到|看到?|交|传给?我|取)"
_PROGRESS = re.compile(
    "|".join(
        (
            r"进度|进展|第几步|什么状态|排到(?:哪|我|几|第几)|(?:有|出)(?:结果|消息|动静|眉目)了?[吗没?？]",
            rf"到(?:哪|什么)(?:一?步|儿|里|个?阶段|程度)?了|到哪一?步|{_WORK}到(?:哪|几|多少|什么)",
            r"[得的]?(?:怎么样|咋样)了|(?:什么|啥)情况了?[?？]?$",
            rf"(?:{_DONE}了|(?<!还)快好|(?<![能会以])(?:{_WORK}){{1,2}}(?:好|完|出来|成))(?:[吗没么?？]|否|不$)|好没|^(?:我的)?{_OURS}?可以了[吗没]",
            rf"(?:接单?|派单?|安排)(?:了|到)(?:我的?)?(?:单|订单)?[吗没?？]|(?:谁|哪[个位]).{{0,6}}(?:在|给我?|帮我?|负责)+.{{0,3}}{_WORK}",
            rf"(?:安排|分配|派)(?:好|了|给|到)*(?:设计师|人|师傅)了?[吗没?？]|有(?:设计师|人)(?:接单?|在?{_WORK}|负责|跟进)了?[吗没?？]",
            rf"{_WHEN}(?:之前|前|左右|才|就|内|里)?(?:会|可以|才|就|大概|能不能|能|我)*.{{0,6}}(?:{_DONE}|{_WORK}|{_HANDED})",
            rf"{_DAY}(?:之前|前|左右|内|里|就)?.{{0,4}}(?:能不能|可不可以|能|可以|会).{{0,6}}(?:{_DONE}|{_WORK}|{_HANDED}).{{0,3}}(?:[吗么不?？]|$)",
            r"(?:还|大概|大约|需|要|得|预计|估计)+(?:要|需要|得|有)?(?:等|做|弄|修)?(?:多久|多长时间|几天|几个?小时|多少时间|多少天)",
            r"等(?:多久|到什么时候|到啥时候|到几点)|多久(?:能|可以|会|才|$|[?？啊呀呢])",
            rf"(?:怎么|为什么|为啥|咋|还|都|这么久)没有?(?:{_WORK})?(?:好|完|成|出来?|动静|消息|给我|发|开始|人接)|(?:怎么|咋|为什么|为啥)还(?:没|不)",
            r"(?:怎么|咋|为什么)(?:这么|那么)(?:慢|久)|(?:太|好|这么)慢了?(?:吧|啊)?$",
            r"等了.{0,5}(?:久|天|小时|上午|下午|晚上)|等.{0,5}(?:久|天|小时|上午|下午|晚上)了",
            rf"^(?:我的|我那|我们的|那|说好的|我要的|之前的|昨天的|刚才的)?(?:[那这]?[张个])?的?{_OURS}(?:呢|在哪|哪去了|去哪了)",
            rf"催(?:一?下|催|单)|快(?:一?点儿?|些)(?:[吗吧啊]|好吗|行吗|$)|忘了?(?:我|给我).{{0,4}}{_OURS}|(?:是不是|别)把?我.{{0,6}}忘了",
            rf"还?在(?:{_WORK}|进行|跟进)(?:了|中)?[吗没?？]|开始(?:{_WORK})?了[吗没?？]|开始(?:{_WORK})[吗没]",
            r"^(?:大概|大约|预计|估计)?(?:什么时候|啥时候|几点)(?:可以|能给?|行|好)?(?:[?？呢啊呀]|$)",
            r"([做修弄改])没\1好|(?:好|完成|完|做好|弄好)了是[吗么]|处理中[吗?？]",
            r"前面还有(?:几|多少)|轮到我|设计师呢|催一?催|(?:一直|都|也)?没有?(?:动静|消息|回音)",
            r"订单状态|^状态$|查(?:询|一?下|看)?(?:我的)?订单$|看(?:看|一?下).{0,4}[做弄修]得怎么样",
            r"说好.{0,6}(?:[今昨明]天|时候)|不是说.{0,8}(?:好|完|给我?)[吗?？]",
            r"(?<!你)(?<!你们)没有?(?:收|看)到(?:图|成品|照片)|[收看]不到(?:图|成品|照片)|图片?还?没有?(?:收|看)到",
            r"(?:可以|能)(?:看|收|拿|取|给我看|发我|发给我|发图)(?:一?下|图|初稿|稿|成品)?了[吗没?？]|发(?:给?我|出来|过来)?了[吗没]|出(?:图|稿|来)了?[吗没]",
        )
    )
)
_SENT_BY_ME = re.compile(
    r"(?:我|刚)(?:刚才?|才|昨天)?(?:发|传|给你?).{0,6}(?:收到|看到)|收到.{0,4}我.{0,3}发"
)


def _plain(clause: str) -> str:
    return _LEAD.sub("", letters(clause))


def _complains(clauses: list[str]) -> bool:
    if any(_ELSEWHERE.search(letters(clause)) for clause in clauses):
        return False
    return any(_is_complaint(clause) for clause in clauses)


def _is_complaint(clause: str) -> bool:
    folded = fold(clause)
    if _UNREAL.search(folded) or _TERMS.search(folded):
        return False
    if _AGAIN.search(folded):
        return _NO_NEED.search(folded) is None and not _asks_how_far(clause)
    plain = _LEAD.sub("", folded)
    asks = _INDIGNANT.search(plain) is None and _is_question(_TAG.sub("", folded))
    return not asks and _COMPLAINT.search(_plain(clause)) is not None


def _is_question(folded: str) -> bool:
    """「没什么要改的」 asks nothing."""
    return _QUESTION.search(_NOTHING_AT_ALL.sub("", folded)) is not None


def _asks_how_far(clause: str) -> bool:
    folded = fold(clause)
    if _MATTER_OF_OTHERS.search(folded) or _IN_GENERAL.search(folded):
        return False
    if _TELL_ME.search(folded) or _SENT_BY_ME.search(folded):
        return False
    plain = _LEAD.sub("", folded)
    return _PROGRESS.search(plain) is not None


def _accepts(clauses: list[str]) -> bool:
    read = [_agrees(clause) for clause in clauses if letters(clause)]
    return None not in read and True in read


def _agrees(clause: str) -> bool | None:
    """Whether it accepts (True) or says nothing (False); None: it says something else."""
    folded, plain = fold(clause), letters(clause)
    if len(plain) > _MAX_PRAISE or _UNREAL.search(folded) or _LUKEWARM.search(folded):
        return None
    return None if _is_question(folded) else _made_of(plain)


def _made_of(plain: str) -> bool | None:
    """Whether it consists of known pieces, one of which accepts. Every piece is matched by itself:
    one pattern for all of them would try exponentially many divisions."""
    best: list[bool | None] = [False, *[None] * len(plain)]
    for start in range(len(plain)):
        if (so_far := best[start]) is None:
            continue
        for end in range(start + 1, min(start + _MAX_PIECE, len(plain)) + 1):
            if so_far or not best[end]:
                piece = _piece(plain[start:end])
                if piece is not None:
                    best[end] = so_far or piece or best[end] or False
    return best[-1]


def _piece(text: str) -> bool | None:
    if _ACCEPTS.fullmatch(text):
        return True
    return False if _NOTHING.fullmatch(text) else None
