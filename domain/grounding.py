"""Does an answer say only what its evidence says? Numbers, prices and codes are checked."""

import re
from collections.abc import Iterable

from domain.text import fold

_AMOUNT = re.compile(r"([¥￥]?)\s*(\d+(?:[.,]\d+)*)\s*([a-z%]+|[\u4e00-\u9fff])?")
_YUAN = frozenset("元块")
_NO_UNITS = frozenset("到至或和与起内的是~-")
_OFFER = re.compile(
    r"(?:\d+(?:\.\d+)?|[一二三四五六七八九十]+)折|\d+(?:\.\d+)?%|[零一二两三四五六七八九十百千半]+(?:元|块钱)"
    r"|免费|免单|半价|包邮|赠送|白送|不要钱|不收费|全额退"
)
_FACT = re.compile(r"\d+(?:[.,]\d+)*|[a-z]+\d+[a-z\d]*")
_MARK = re.compile(r"\s*(?:\[\d{1,2}\]|【\d{1,2}】)")


def facts_of(text: str) -> set[str]:
    """Numbers and codes (E03, 7kw) in ``text``, folded; thousands separators removed."""
    return {found.replace(",", "").rstrip(".") for found in _FACT.findall(fold(text))}


def unsupported(answer: str, sources: Iterable[str]) -> set[str]:
    """Numbers and codes of ``answer`` that no source contains.

    A price needs a price: «7 元» is not supported by «7kW» or «7 天».
    """
    text, evidence = without_marks(answer), list(sources)
    known = set().union(*(facts_of(source) for source in evidence))
    priced = set().union(*(_possible_prices(source) for source in evidence))
    prices = {number for number, is_price in _amounts(text) if is_price}
    return (facts_of(text) - known) | ((prices & known) - priced)


def ungranted(answer: str, evidence: Iterable[str]) -> set[str]:
    """Prices, discounts and gifts of ``answer`` that ``evidence`` does not offer.

    What the customer wrote is no evidence here: «只要 1 元对吧» must not become our price.
    """
    text, offered = fold(without_marks(answer)), [fold(source) for source in evidence]
    granted = set().union(*(_possible_prices(source) for source in offered))
    prices = {number for number, is_price in _amounts(text) if is_price}
    wordings = "\n".join(offered).replace(" ", "")
    offers = {found for found in _OFFER.findall(text.replace(" ", "")) if found not in wordings}
    return (prices - granted) | offers


def _amounts(text: str) -> list[tuple[str, bool]]:
    """Numbers of ``text``, each with whether it is money."""
    return [
        (number.replace(",", ""), bool(mark) or unit in _YUAN)
        for mark, number, unit in _AMOUNT.findall(fold(text))
    ]


def _possible_prices(text: str) -> set[str]:
    """Numbers that are money, or stand without a unit: ranges and tables name it once."""
    return {
        number.replace(",", "")
        for mark, number, unit in _AMOUNT.findall(fold(text))
        if mark or unit in _YUAN or not _is_other_unit(unit)
    }


def _is_other_unit(unit: str) -> bool:
    return bool(unit) and unit not in _NO_UNITS


def cited(answer: str) -> list[int]:
    """The evidence numbers that ``answer`` cites as [1] or 【1】, in order, once each."""
    numbers = [int(found) for found in re.findall(r"[\[【](\d{1,2})[\]】]", answer)]
    return list(dict.fromkeys(numbers))


def without_marks(answer: str) -> str:
    """What the customer reads: no citation marks."""
    return _MARK.sub("", answer).strip()
