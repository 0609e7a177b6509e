"""Uploaded files, read as they come: what is too large is refused before all of it is here."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from api.knowledge.schemas import MAX_TAGS, ImportFields
from domain.errors import InvalidInput
from domain.text import one_line
from knowledge.documents import MAX_FILE_BYTES

MAX_UPLOAD_BYTES = 5 * MAX_FILE_BYTES
"""Of one request, all its files together."""
MAX_FILES = 100
MAX_FIELDS = MAX_TAGS + 10
MAX_FIELD_BYTES = 4_096
MAX_FILE_NAME_CHARS = 120
IN_MEMORY_BYTES = 1024 * 1024
WRITE_BYTES = 256 * 1024

_FILE_FIELDS = ("file", "files")
_SEVERAL = re.compile(r"[,，、;；\n]")


@dataclass(slots=True)
class Upload:
    """``name`` is data: it names the document and is never opened. ``take`` it once."""

    name: str
    file: "SpooledTemporaryFile[bytes]"

    def take(self) -> bytes:
        """All of it, and close; blocks."""
        with self.file:
            self.file.seek(0)
            return self.file.read()


@dataclass(slots=True)
class Form:
    files: list[Upload] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)

    def close(self) -> None:
        for upload in self.files:
            upload.file.close()


async def read_form(request: Request) -> Form:
    """Raises InvalidInput; the caller closes the form's files."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise InvalidInput("Content-Type", "应为 multipart/form-data", status=415)
    if not options.get(b"boundary"):
        raise _broken()
    reader = None
    try:
        reader = _Reader(options[b"boundary"])
        return await reader.read(request.stream())
    except BaseException as error:
        if reader is not None:
            reader.form.close()
        if isinstance(error, FormParserError | ClientDisconnect):
            raise _broken() from error
        raise


def fields_of(form: Form) -> ImportFields:
    """Raises RequestValidationError."""
    given: dict[str, object] = {name: values[-1] for name, values in form.fields.items()}
    if "tags" in form.fields:
        parts = (part for value in form.fields["tags"] for part in _SEVERAL.split(value))
        given["tags"] = [part for part in parts if part.strip()]
    try:
        return ImportFields.model_validate(given)
    except ValidationError as error:
        errors = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(errors) from error


class _Reader:
    def __init__(self, boundary: bytes) -> None:
        self.form = Form()
        self._header, self._value = b"", b""
        self._disposition = b""
        self._file: Upload | None = None
        self._skipped = False
        self._field, self._text = "", b""
        self._size, self._ended = 0, False
        self._unwritten: list[tuple[Upload, bytes]] = []
        self._unwritten_bytes = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    async def read(self, stream: AsyncIterator[bytes]) -> Form:
        async for chunk in stream:
            self._parser.write(chunk)
            if self._unwritten_bytes >= WRITE_BYTES:
                await asyncio.to_thread(self._write)
        await asyncio.to_thread(self._write)
        if not self._ended:
            raise _broken()
        if not self.form.files:
            raise InvalidInput("files", "缺少文件")
        return self.form

    def _write(self) -> None:
        for upload, data in self._unwritten:
            upload.file.write(data)
        self._unwritten, self._unwritten_bytes = [], 0

    # What the parser finds

    def _on_part_begin(self) -> None:
        self._disposition, self._text, self._size = b"", b"", 0
        self._file, self._skipped = None, False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise _broken()
        self._field = options[b"name"].decode("utf-8", "replace")
        if b"filename" not in options:
            self._check_field()
        elif not options[b"filename"]:
            self._skipped = True  # a form's file input that was left empty
        else:
            self._open_file(options[b"filename"])

    def _check_field(self) -> None:
        if self._field not in ImportFields.model_fields:
            raise InvalidInput(one_line(self._field)[:MAX_FILE_NAME_CHARS], "不支持的字段")
        if sum(map(len, self.form.fields.values())) >= MAX_FIELDS:
            raise InvalidInput(self._field, f"超过 {MAX_FIELDS} 项")

    def _open_file(self, name: bytes) -> None:
        if self._field not in _FILE_FIELDS:
            raise InvalidInput(one_line(self._field)[:MAX_FILE_NAME_CHARS], "不支持的字段")
        if len(self.form.files) >= MAX_FILES:
            raise InvalidInput("files", f"超过 {MAX_FILES} 个文件", status=413)
        called = document_name(name)  # may refuse: before there is anything to close
        self._file = Upload(called, SpooledTemporaryFile[bytes](max_size=IN_MEMORY_BYTES))
        self.form.files.append(self._file)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._skipped:
            return
        self._size += end - start
        if self._file is None:
            if self._size > MAX_FIELD_BYTES:
                raise InvalidInput(self._field, f"超过 {MAX_FIELD_BYTES} 字节")
            self._text += data[start:end]
            return
        if self._size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // 1024 // 1024
            raise InvalidInput("files", f"文件「{self._file.name}」超过 {limit} MB", status=413)
        self._unwritten.append((self._file, data[start:end]))
        self._unwritten_bytes += end - start

    def _on_part_end(self) -> None:
        if self._file is None and not self._skipped:
            values = self.form.fields.setdefault(self._field, [])
            values.append(self._text.decode("utf-8", "replace"))

    def _on_end(self) -> None:
        self._ended = True


def document_name(sent: bytes) -> str:
    """What an upload calls its document: folders are kept, ways out of them are not."""
    name = _decoded(sent).replace("%22", '"').replace("\\", "/")
    parts = (one_line(part) for part in name.split("/"))
    name = "/".join(part for part in parts if part not in ("", ".", ".."))
    if not name:
        raise InvalidInput("files", "文件没有名字")
    if len(name) > MAX_FILE_NAME_CHARS:
        raise InvalidInput("files", f"文件名超过 {MAX_FILE_NAME_CHARS} 个字符")
    return name.replace("#", "＃")  # separates document and topic in a source


def _decoded(name: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("utf-8", "replace")


def _broken() -> InvalidInput:
    return InvalidInput("body", "不是完整的 multipart/form-data", status=400)
