"""Files of the operator's that are read again when they change."""

from dataclasses import dataclass
from pathlib import Path

from domain.errors import ConfigurationError

_READS = 3
"""Tries to read a file that is being written."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a file looks from outside; another one is another content."""

    modified_ns: int
    size: int
    inode: int


def read_changed(file: Path, known: Mark | None, *, what: str) -> tuple[Mark, str | None]:
    """The text, or None where the file still looks as ``known``. Raises ConfigurationError."""
    if known is not None and mark_of(file, what=what) == known:
        return known, None
    return read_file(file, what=what)


def read_file(file: Path, *, what: str) -> tuple[Mark, str]:
    """As one writer left it: a file that changes under our eyes is read again.

    Raises ConfigurationError about ``what``."""
    for _ in range(_READS):
        before = mark_of(file, what=what)
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(file, error, what) from error
        if mark_of(file, what=what) == before:
            return before, text
    raise ConfigurationError(what, f"{file} keeps changing", "a file that is complete")


def mark_of(file: Path, *, what: str) -> Mark:
    try:
        found = file.stat()
    except OSError as error:
        raise _unreadable(file, error, what) from error
    return Mark(found.st_mtime_ns, found.st_size, found.st_ino)


def _unreadable(file: Path, error: OSError | UnicodeDecodeError, what: str) -> ConfigurationError:
    why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
    return ConfigurationError(what, f"{file} cannot be read: {why}", "a readable file")
