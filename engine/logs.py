"""Logging: one line a record, as key=value or JSON, with secrets masked.

The mask sits in the formatter, not in a ``logging.Filter``: only there are the arguments, the
traceback and the extra fields text already.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime

from domain.placeholders import masked
from domain.spans import current

MASK = "***"
_SHORTEST_SECRET = 4
"""Masking shorter values would garble every line, and they are no secrets anyway."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bsk-[A-Za-z0-9_\-]{6,}"), MASK),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"), MASK),
    (re.compile(r"/bot\d{3,}:[A-Za-z0-9_\-]+"), f"/bot{MASK}"),
    (re.compile(r"(://[^\s:/@]{0,64}:)[^\s/@]{1,256}(?=@)"), rf"\1{MASK}"),
    (
        re.compile(
            r"\b((?:x-)?api[-_]?key|(?:corp|app|client)?secret(?:_key)?|(?:access_)?token|password"
            r"|passwd|sign(?:ature)?|(?<=[?&])key)([\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]{4,}",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
)
_STANDARD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_LINE_BREAKS = {
    code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0xFEFF)
}
_PLAIN = re.compile(r"[^\s\"'=\\\x00-\x1f]+")


class SecretMask:
    """Replaces known secrets and what looks like one, and what is personal."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        # Longest first: a secret may contain another one.
        ordered = sorted(known, key=lambda secret: (-len(secret), secret))
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return masked(text)


class LineFormatter(logging.Formatter):
    """``time level logger message``, then the record's extra fields and its traceback."""

    def __init__(self, mask: SecretMask, *, as_json: bool) -> None:
        super().__init__()
        self._mask, self._as_json = mask, as_json

    def format(self, record: logging.LogRecord) -> str:
        """Never raises: a line about the record replaces one that cannot be made."""
        try:
            fields = self._fields(record)
        except Exception as error:  # a broken __str__ of a caller's object must not stop its work
            problem = f"a log record could not be written ({type(error).__name__})"
            fields = {"level": "ERROR", "logger": __name__, "message": problem}
            fields["source"] = f"{record.filename}:{record.lineno}"
        return _as_json(fields) if self._as_json else _as_pairs(fields)

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": time, "level": record.levelname, "logger": record.name}
        fields["message"] = self._mask(_message(record))
        if trace := current.get().trace_id:
            fields["trace_id"] = trace
        for name, value in vars(record).items():
            if name not in _STANDARD_FIELDS:
                fields[name] = self._mask(f"{name}={value}").removeprefix(f"{name}=")
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = self._mask("".join(traceback.format_exception(record.exc_info[1])))
        if record.stack_info:
            fields["stack"] = self._mask(record.stack_info)
        return fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (arguments do not fit: {record.args!r})"


def _as_json(fields: dict[str, str]) -> str:
    text = json.dumps(fields, ensure_ascii=False)
    return text.translate(_LINE_BREAKS).encode("utf-8", "backslashreplace").decode()


def _as_pairs(fields: dict[str, str]) -> str:
    return " ".join(f"{_bare(name)}={_quoted(value)}" for name, value in fields.items())


def _bare(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _quoted(name)


def _quoted(value: str) -> str:
    text = value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return text.translate(_LINE_BREAKS).encode("utf-8", "backslashreplace").decode()


class _LineHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """A class of our own, so that configuring again replaces it and leaves others alone."""


def configure_logging(level: str, json: bool, *, secrets: Iterable[str] = ()) -> None:
    """Log to standard error. Calling it again replaces the earlier configuration.

    Run uvicorn with ``log_config=None``; it would install handlers of its own otherwise.
    """
    handler = _LineHandler(sys.stderr)
    handler.setFormatter(LineFormatter(SecretMask(secrets), as_json=json))
    root = logging.getLogger()
    for old in [found for found in root.handlers if isinstance(found, _LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    _quieten()


def _quieten() -> None:
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate, access.disabled = False, True
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # These write whole addresses at INFO, and addresses carry tokens and customers' words.
    for name in ("httpx", "httpx2", "httpcore", "urllib3", "chromadb"):
        logging.getLogger(name).setLevel(logging.WARNING)
