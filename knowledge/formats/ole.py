"""The container of legacy Office files and of encrypted new ones: its streams.

Source: [MS-CFB]. Only what telling the kinds apart and bounding an .xls takes.
"""

import struct
from collections.abc import Iterator, Mapping

from knowledge.formats.draft import bad

MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")

_NO_SECTOR = 0xFFFFFFFA
"""This and above mark free sectors, ends of chains and the like."""
_ENTRY_BYTES = 128
_STREAM = 2


def streams(data: bytes) -> dict[str, tuple[int, int]]:
    """Name -> (first sector, size). Raises KnowledgeError for a broken container."""
    try:
        return dict(_directory(data))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise bad("Office 文件已损坏") from error


def stream(data: bytes, first: int, size: int) -> bytes:
    """A stream of at least 4,096 bytes; smaller ones are kept elsewhere and hold no workbook."""
    try:
        return b"".join(_chain(data, first, _table(data)))[:size]
    except (struct.error, IndexError) as error:
        raise bad("Office 文件已损坏") from error


def legacy_kind(names: Mapping[str, object]) -> str | None:
    """What the container holds, in the words of an error."""
    return next((what for name, what in _CONTENTS.items() if name in names), None)


_CONTENTS = {
    "EncryptedPackage": "加密的 Office 文件",
    "WordDocument": "旧版 Word（.doc）或 WPS 文字",
    "PowerPoint Document": "旧版 PowerPoint（.ppt）",
    "Workbook": "Excel（.xls）",
    "Book": "Excel 5（.xls）",
}


def _sector_bytes(data: bytes) -> int:
    shift: int = struct.unpack_from("<H", data, 30)[0]
    if shift not in (9, 12):
        raise bad("Office 文件已损坏")
    return 1 << shift


def _sector(data: bytes, number: int) -> bytes:
    size = _sector_bytes(data)
    start = (number + 1) * size
    if start >= len(data):
        raise IndexError(number)
    return data[start : start + size]


def _table(data: bytes) -> list[int]:
    """The next sector of each sector."""
    size = _sector_bytes(data)
    sectors = [n for n in struct.unpack_from("<109I", data, 76) if n < _NO_SECTOR]
    extra, count = struct.unpack_from("<II", data, 68)
    for _ in range(min(count, len(data) // size)):
        if extra >= _NO_SECTOR:
            break
        numbers = struct.unpack(f"<{size // 4}I", _sector(data, extra).ljust(size, b"\xff"))
        sectors += [n for n in numbers[:-1] if n < _NO_SECTOR]
        extra = numbers[-1]
    table: list[int] = []
    for number in sectors[: len(data) // size]:
        table += struct.unpack(f"<{size // 4}I", _sector(data, number).ljust(size, b"\xff"))
    return table


def _chain(data: bytes, first: int, table: list[int]) -> Iterator[bytes]:
    number = first
    for _ in range(len(data) // _sector_bytes(data) + 1):
        if number >= _NO_SECTOR:
            return
        yield _sector(data, number)
        number = table[number]
    raise IndexError(first)


def _directory(data: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    (first,) = struct.unpack_from("<I", data, 48)
    for sector in _chain(data, first, _table(data)):
        for start in range(0, len(sector) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            length, kind = struct.unpack_from("<HB", sector, start + 64)
            if kind == _STREAM and 2 <= length <= 64:
                name = sector[start : start + length - 2].decode("utf-16-le")
                yield name, struct.unpack_from("<II", sector, start + 116)
