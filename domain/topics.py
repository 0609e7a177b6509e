"""Does a message go on with what was talked about, or begin something else? (seed 003)

Three signs speak for another topic: words that say so, keywords of which less than 30 % were said
before, and another type of dialogue, with less than half of them said. A message that leans on
what was said («那这个呢») goes on, whatever the signs say; small talk is no topic of its own.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from domain.intents import DialogueType
from domain.mentions import named
from domain.text import fold, letters

Change = Literal["signal", "overlap", "type"]

LEAST_OVERLAP = 0.3
HALF = 0.5
"""Another type of dialogue about mostly the same goes on with it."""
FEW_PAIRS = 3
"""A message with fewer pairs of characters of its own says too little to compare."""
OWN_CHARS = 3
_SIGNAL = re.compile(
    r"^(?:好的?|嗯+|哦+|行|谢谢|收到|知道了|明白了|[\s,。!、~])*"
    r"(?:对了|另外|还有(?:一?个|件)?(?:问题|事)|还想问|再问(?:一?下|个)|顺便问?|话说|换个(?:话题|问题)"
    r"|问个别的|说个别的|(?:咱们?|我们)?说(?:说|回)?别的)"
)
_LEANS = re.compile(
    r"它|[这那](?:个|款|种|样|家|件|条|台|张|单|些|里|边|次|两)|[这那](?=要|得|是|能|会|多|怎|就|还|有)"
    r"|该(?:店|款|商品|产品|订单)|刚才|刚刚|上面|前面|之前|上次|其中|同款|一样|还是|继续|呢[?？]?$"
)


def changes(
    text: str, earlier: Sequence[str], *, kind: DialogueType, before: DialogueType | None
) -> Change | None:
    """``earlier``: what both said in the topic so far; ``before``: the type of the last message
    that was no small talk."""
    if not earlier or kind is DialogueType.CHAT:
        return None
    if _SIGNAL.search(fold(text)) and not _LEANS.search(_after_signal(text)):
        return "signal"
    if leans(text) or before is None:
        return None
    share = overlap(text, earlier)
    if share is not None and share < LEAST_OVERLAP:
        return "overlap"
    return "type" if kind is not before and (share or 0.0) < HALF else None


def leans(text: str) -> bool:
    """Whether ``text`` cannot be understood alone: a pronoun, or hardly a word of its own."""
    own = letters("".join(named(text)))
    return len(own) <= OWN_CHARS or _LEANS.search(fold(text)) is not None


def overlap(text: str, earlier: Sequence[str]) -> float | None:
    """Share of the keywords of ``text`` that were said before; None where it has too few."""
    own = keywords(text)
    if len(own) < FEW_PAIRS:
        return None
    said = frozenset[str]().union(*(keywords(one) for one in earlier))
    return len(own & said) / len(own)


@lru_cache(maxsize=512)
def keywords(text: str) -> frozenset[str]:
    """Pairs of characters within what ``text`` names."""
    plain = [letters(value) for value in named(text)]
    return frozenset(one[at : at + 2] for one in plain for at in range(len(one) - 1))


def _after_signal(text: str) -> str:
    return _SIGNAL.sub("", fold(text))
