"""Zip packages (.docx, .xlsx): opened without trusting what they say about themselves."""

import io
import zipfile
import zlib

from knowledge.formats.draft import bad

MAX_UNPACKED_BYTES = 100 * 1024 * 1024
MAX_MEMBERS = 5_000

_READ_BYTES = 1 << 20
_ENCRYPTED = 0x1
_MARKUP = (".xml", ".rels", ".vml")


def names(data: bytes) -> list[str]:
    """Raises KnowledgeError for what is no zip file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            return package.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise bad("文件已损坏：压缩包打不开") from error


def stored(data: bytes) -> bytes:
    """The same package, uncompressed: its true size is known before another library sees it.

    Raises KnowledgeError for an encrypted or broken member, one that unpacks to more than is
    sensible, and for XML with a document type, which Office never writes and entities need.
    """
    target = io.BytesIO()
    try:
        with (
            zipfile.ZipFile(io.BytesIO(data)) as package,
            zipfile.ZipFile(target, "w") as copy,
        ):
            _copy(package, copy)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise bad("文件已损坏：压缩包里的内容读不出来") from error
    return target.getvalue()


def _copy(package: zipfile.ZipFile, copy: zipfile.ZipFile) -> None:
    members = package.infolist()
    if len(members) > MAX_MEMBERS:
        raise bad(f"压缩包里超过 {MAX_MEMBERS} 个文件")
    left = MAX_UNPACKED_BYTES
    for member in members:
        content = _content(package, member, left)
        left -= len(content)
        if member.filename.lower().endswith(_MARKUP) and _has_document_type(content):
            raise bad("文件里有外部实体声明（DOCTYPE），拒绝导入")
        copy.writestr(member.filename, content)


def _content(package: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise bad("文件已加密，请去掉密码后再导入")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise bad("压缩方式不受支持，请用 Office 或 WPS 重新保存")
    content = bytearray()
    with package.open(member) as source:
        while part := source.read(_READ_BYTES):
            content += part
            if len(content) > left:
                raise bad(f"解压后超过 {MAX_UNPACKED_BYTES // 1024 // 1024} MB，疑似压缩炸弹")
    return bytes(content)


def _has_document_type(content: bytes) -> bool:
    marks = ("<!DOCTYPE".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be"))
    return any(mark in content for mark in marks)
