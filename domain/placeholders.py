"""Reversible placeholders for personal data: what a model or a trace sees in its place.

``我叫张三，电话 15400000000`` becomes ``我叫〔姓名1〕，电话 〔手机1〕``. One `Placeholders` serves
one call: the same words get the same number in every text that it hides, and whatever comes back is
restored, whole or in pieces. ``restore(hide(text)) == text`` holds for every text: one that holds
what looks like a placeholder has that hidden too.
"""

import re
from collections.abc import Callable, Iterable

from domain.personal_spans import KINDS, Kind, Span, find

HINT = (
    "形如〔手机1〕、〔地址1〕、〔姓名1〕的记号代表客户的个人信息，内容对你隐藏。需要提到时原样写出记号，"
    "不要改动、猜测或解释它；只说号码的末四位时写〔手机1尾号〕这样的记号。"
)
"""For a prompt that holds any."""

_LITERAL = "原文"
_TAIL = "尾号"
_TAIL_LENGTH = 4
_NAMES = "|".join((*KINDS, _LITERAL))
_OPEN, _CLOSE = "〔【［\\[「『{｛〈<《（(", "〕】］\\]」』}｝〉>》）)"
_TOKEN = re.compile(
    rf"[{_OPEN}]\s?(?P<kind>{_NAMES})\s?(?P<number>[0-9０-９]{{1,4}})\s?(?P<tail>的?{_TAIL})?\s?[{_CLOSE}]"
)
_STARTED = re.compile(rf"[{_OPEN}][^{_OPEN}{_CLOSE}]{{0,16}}\Z")
_WORDS = {Kind.PHONE: "手机号", Kind.IDENTITY: "证件号", Kind.CARD: "银行卡号", _LITERAL: ""}


class Placeholders:
    """``names``: what the customer is called; hidden wherever it stands."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = tuple(names)
        self._tokens: dict[tuple[str, str], str] = {}
        self._values: dict[tuple[str, int], str] = {}

    @property
    def used(self) -> bool:
        """Has anything been hidden?"""
        return bool(self._tokens)

    @property
    def hidden(self) -> tuple[str, ...]:
        """What has been hidden, as it was written."""
        return tuple(self._values.values())

    def hide(self, text: str) -> str:
        parts, at = [], 0
        for span in self._spans(text):
            parts += [text[at : span.start], self._token(span.kind, text[span.start : span.end])]
            at = span.end
        return "".join([*parts, text[at:]])

    def restore(self, text: str) -> str:
        """A placeholder that was never given out becomes the plain word for its kind."""
        return _TOKEN.sub(self._value, text)

    def restoring(self) -> "Restoring":
        """For an answer that comes in pieces, cut anywhere."""
        return Restoring(self)

    def _spans(self, text: str) -> list[Span]:
        literal = [Span(*found.span(), _LITERAL) for found in _TOKEN.finditer(text)]
        found = find(text, names=self._names)
        apart = [
            one
            for one in found
            if not any(one.start < other.end and other.start < one.end for other in literal)
        ]
        return sorted([*literal, *apart])

    def _token(self, kind: str, value: str) -> str:
        if (known := self._tokens.get((kind, value))) is not None:
            return known
        number = 1 + sum(1 for other, _ in self._values if other == kind)
        token = f"〔{kind}{number}〕"
        self._tokens[kind, value], self._values[kind, number] = token, value
        return token

    def _value(self, found: re.Match[str]) -> str:
        kind, value = found["kind"], self._values.get((found["kind"], int(found["number"])))
        if value is None:
            return _WORDS.get(kind, kind)
        return _last_digits(value) if found["tail"] else value


class Restoring:
    """Restores a stream: `feed` gives what can be said by now, `finish` the rest.

    What may be the beginning of a placeholder is held back until it is one or not.
    """

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders, self._held = placeholders, ""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        started = _STARTED.search(text)
        cut = started.start() if started else len(text)
        self._held = text[cut:]
        return self._placeholders.restore(text[:cut])

    def finish(self) -> str:
        text, self._held = self._held, ""
        return self._placeholders.restore(text)

    def restart(self) -> None:
        """What was held belongs to an answer that is void."""
        self._held = ""


def masked(text: str) -> str:
    """Without what is personal, for a log line: nothing tells one value from another."""
    return _replaced(text, lambda span: f"〔{span.kind}〕")


def impersonal(text: str) -> str:
    """What is asked, without who asks: what knowledge is searched with. All of ``text`` where
    nothing would be left."""
    left = _replaced(text, lambda _: " ")
    return left if any(map(str.isalnum, left)) else text


def personal_values(text: str) -> tuple[str, ...]:
    """What of ``text`` would be hidden, as it is written."""
    return tuple(text[span.start : span.end] for span in find(text))


def tails(text: str) -> tuple[str, ...]:
    """What ``〔手机1尾号〕`` and its like may stand for, once ``text`` is hidden."""
    return tuple(_last_digits(value) for value in personal_values(text))


def _replaced(text: str, by: Callable[[Span], str]) -> str:
    parts, at = [], 0
    for span in find(text):
        parts += [text[at : span.start], by(span)]
        at = span.end
    return "".join([*parts, text[at:]])


def _last_digits(value: str) -> str:
    signs = [sign for sign in value if sign.isalnum()]
    return "".join(signs[-_TAIL_LENGTH:])
