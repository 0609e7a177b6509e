"""What a short message means after our last one: 「1」, 「是的」, 「好的」, an order number.

The state still holds the previous turn's decision, risk and classification while `classify`,
`price_estimate` and `risk_check` run: each turn overwrites them as it goes.
"""

import re
from typing import Any

from domain.text import letters
from graphs.state import ConversationState

_NUMERALS = {"1": 1, "一": 1, "2": 2, "二": 2, "两": 2, "3": 3, "三": 3}
_CHOICE = re.compile(r"(?:选|是|要|问)?第?([123一二两三])(?:个|条|项|种|点)?(?:问题)?[吧呢的啊呀]?")
YES = frozenset(
    [
        "是",
        "是的",
        "是啊",
        "是呀",
        "对",
        "对的",
        "对啊",
        "对呀",
        "对对",
        "嗯",
        "嗯嗯",
        "恩",
        "没错",
        "就是",
        "就是这个",
        "就这个",
        "yes",
        "好",
        "好的",
    ]
)
_BESIDE_ORDER_NO = re.compile(
    "(?:我的|这个|就是|是|订单|单号|编号|号码|号|查一下|查下|帮我查|查|麻烦|看看|哦|的|呀|啊|谢谢)*"
)


def chosen_option(state: ConversationState, text: str) -> str | None:
    """The option that ``text`` picks from those that our last message offered."""
    options: list[str] = (state.get("decision") or {}).get("options", [])
    said = letters(text)
    if len(options) == 1 and said in YES:
        return options[0]
    picked = _CHOICE.fullmatch(said)
    number = _NUMERALS[picked[1]] if picked else 0
    return options[number - 1] if 0 < number <= len(options) else None


def is_order_no(text: str, order_nos: list[str]) -> bool:
    """Whether ``text`` is an order number and says nothing else."""
    rest = letters(text)
    for number in order_nos:
        rest = rest.replace(letters(number), "")
    return bool(order_nos) and _BESIDE_ORDER_NO.fullmatch(rest) is not None


def was_asked_for(state: ConversationState, fact: str) -> bool:
    """Whether our last message wanted ``fact`` (image, service, order_no) of the customer."""
    return fact in (state.get("risk") or {}).get("missing", [])


def was_quoted(state: ConversationState) -> bool:
    """Whether our last message was an offer."""
    last = state.get("decision") or {}
    return last.get("decision") == "quote" and bool(state.get("open_quote"))


def is_work(decision: dict[str, Any]) -> bool:
    """Whether the answer sends an order on its way, whoever does it."""
    return decision["decision"] == "dispatch" or decision.get("reason") == "order_confirmed"
