"""Small talk by somebody who knows nothing of the shop: asked last, told little, checked like all.

Only what would otherwise get a set phrase or a person for want of knowledge is put to it, and only
where it is about nothing that the shop does. What it says must state and promise nothing.
"""

import logging
import re

from domain.errors import PeerError
from domain.grounding import objections
from domain.instructions import gives_orders
from domain.intents import Intent, Sentiment
from domain.personal import without_personal_data
from domain.text import clean, letters
from graphs.context import TurnContext
from graphs.prompts import RULES
from graphs.state import ConversationState

log = logging.getLogger(__name__)
CHATTER = "chatter"
"""The source of what it said, in decisions."""
MAX_ASKED_CHARS = 100
MAX_SAID_CHARS = 200
FAR = 0.5
"""Below this share of the asking-back threshold a message is about nothing that knowledge holds."""
_CHAT = frozenset({Intent.SMALLTALK, Intent.OTHER})
_INNOCENT = frozenset({"date"})
_BUSINESS = re.compile(
    "订单|单号|下单|快递|物流|包裹|发货|送货|配送|收货|签收|地址|退|换货|售后|保修|维修|坏|故障|安装|使用|怎么用|支持"
    "|价|钱|费|优惠|折|券|发票|付|支付|转账|账|卡|余额|密码|验证码|买|卖|店|商品|产品|型号|库存|有货|现货|你们|贵司"
    "|客服|人工|投诉|图|照片|修|设计|打印|微信|加我|电话|手机|身份|活动|会员|积分|预约|时间|几点|营业|承诺|保证|免费|赠"
)
_WRITTEN = re.compile(r"[A-Za-z0-9@]|[０-９Ａ-Ｚａ-ｚ]")


async def chatted(state: ConversationState, context: TurnContext) -> str | None:
    """What to say; None where it is not to be asked, gives no answer, or one that may not be
    said."""
    chatter = context.services.chatter
    if chatter is None or not _is_only_talk(state, context):
        return None
    customer = context.customer
    asked = without_personal_data(
        state["classification"]["text"],
        names=(customer.name, customer.contact_id.rpartition(":")[2]),
    )
    if len(letters(asked)) < 2:
        return None
    try:
        said = clean(await chatter.say(asked))
    except PeerError as error:
        log.warning("no small talk: %s", error)
        return None
    return said if _may_be_said(said, asked, context) else None


def _is_only_talk(state: ConversationState, context: TurnContext) -> bool:
    found = state["classification"]
    busy = (
        found["rule"]
        or found["images"]
        or found["tasks"]
        or found["orders"]
        or found["bargains"]
        or context.attachments
        or state.get("pictures")
        or state.get("unseen")
        or state.get("open_quote")
        or found["entities"].keys() - _INNOCENT
    )
    text = letters(found["text"])
    return (
        not busy
        and Intent(found["intent"]) in _CHAT
        and found["sentiment"] != Sentiment.NEGATIVE.value
        and len(text) <= MAX_ASKED_CHARS
        and not _BUSINESS.search(text)
        and _is_far(state, context)
    )


def _is_far(state: ConversationState, context: TurnContext) -> bool:
    retrieval = state.get("retrieval")
    return not retrieval or retrieval["confidence"] < FAR * context.services.risk_policy.clarify


def _may_be_said(said: str, asked: str, context: TurnContext) -> bool:
    if not letters(said) or len(said) > MAX_SAID_CHARS or _WRITTEN.search(said):
        return False
    if _BUSINESS.search(letters(said)) or gives_orders(said):
        return False
    if context.services.rules.match(said) is not None:
        return False
    # Small talk leans on nothing, so that it cannot be told from it.
    wrong = [
        one for one in objections(said, (), said=(asked,), secret=RULES) if one.kind != "unrelated"
    ]
    if wrong:
        log.warning("small talk dropped: %s", [one.kind for one in wrong[:5]])
    return not wrong
