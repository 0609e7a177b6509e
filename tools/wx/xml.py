"""XML of callbacks and replies: an element becomes text, a dict, or, where it repeats, a list.

Read by expat and not by lxml: libxml2 keeps the name of every element for as long as the process
lives, and strangers who make names up would fill the memory. There are no DTDs and so no entities
but XML's own five.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.parsers import expat

from tools.wx.crypto import CallbackRefused, Refusal

MAX_BYTES = 262_144
MAX_DEPTH = 32
MAX_ELEMENTS = 10_000
MAX_ATTRIBUTES = 16

Fields = dict[str, Any]
"""Values are str, Fields, or lists of these."""

Buildable = str | int | Mapping[str, "Buildable"] | Sequence["Buildable"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(data: bytes, *, max_bytes: int = MAX_BYTES) -> Fields:
    """What is inside the root element; raises CallbackRefused. Attributes are ignored, and text
    beside elements too."""
    if len(data) > max_bytes:
        raise refused(f"超过 {max_bytes} 字节")
    # As text without NUL: expat would follow a UTF-16 that a document says or looks to be.
    if b"\0" in data:
        raise refused("含有 NUL")
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(data.decode("utf-8-sig"), True)
    except (expat.ExpatError, UnicodeDecodeError) as error:
        raise refused("不是有效的 XML") from error
    return reading.root


def build(fields: Mapping[str, Buildable]) -> bytes:
    """``<xml>…</xml>``: text as CDATA, numbers plain, a list as repeated elements. Characters that
    XML cannot hold are left out."""
    return f"<xml>{_built(fields)}</xml>".encode()


def text(fields: Mapping[str, Any], name: str) -> str:
    """Empty where it is missing; raises CallbackRefused where it is nested or repeated."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refused(f"{name} 不是文本")
    return value


def listed(value: Any) -> list[Any]:
    """A list also of an element that came once or not at all."""
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def can_hold(value: str) -> bool:
    return _NOT_XML.search(value) is None


def refused(reason: str) -> CallbackRefused:
    return CallbackRefused(Refusal.PARSE, reason)


class _Element:
    __slots__ = ("children", "pieces")

    def __init__(self) -> None:
        self.children: Fields = {}
        self.pieces: list[str] = []

    def add(self, name: str, value: str | Fields) -> None:
        if name not in self.children:
            self.children[name] = value
        elif isinstance(before := self.children[name], list):
            before.append(value)
        else:
            self.children[name] = [before, value]

    def value(self) -> str | Fields:
        return self.children or "".join(self.pieces)


class _Reading:
    def __init__(self) -> None:
        self.root: Fields = {}
        self._open: list[_Element] = []
        self._seen = 0

    def doctype(self, *_declared: object) -> None:
        raise refused("含有 DTD")

    def start(self, _name: str, attributes: Mapping[str, str]) -> None:
        self._seen += 1
        if self._seen > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise refused("元素太多或嵌套太深")
        if len(attributes) > MAX_ATTRIBUTES:
            raise refused("属性太多")
        self._open.append(_Element())

    def text(self, piece: str) -> None:
        self._open[-1].pieces.append(piece)

    def end(self, name: str) -> None:
        element = self._open.pop()
        if self._open:
            self._open[-1].add(name, element.value())
        else:
            self.root = element.children


def _built(fields: Mapping[str, Buildable]) -> str:
    return "".join(
        f"<{name}>{_value(one)}</{name}>"
        for name, value in fields.items()
        for one in _each(name, value)
    )


def _each(name: str, value: Buildable) -> Sequence[Buildable]:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an element")
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _value(value: Buildable) -> str:
    if isinstance(value, str):
        # The end of CDATA inside it is divided among two sections.
        safe = _NOT_XML.sub("", value).replace("]]>", "]]]]><![CDATA[>")
        return f"<![CDATA[{safe}]]>"
    if isinstance(value, Mapping):
        return _built(value)
    if isinstance(value, int):
        return str(int(value))
    raise TypeError("a list directly inside a list has no XML")
