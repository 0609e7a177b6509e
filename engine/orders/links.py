"""Addresses under which customers and channels get a picture without a key: signed, for a time."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from domain.errors import ConfigurationError

PATH = "/pictures"
KEY_FILE = "picture-links.key"
_PURPOSE = b"kefu picture links"
_MIN_KEY_CHARS = 64
_MAX_DIGITS = 12


class PictureLinks:
    """``base``: where the service is reached. ``days``: how long an address works."""

    def __init__(
        self, base: str, key: bytes, *, days: float = 7.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._base, self._key = base.rstrip("/"), key
        self._valid_s, self._clock = days * 86_400, clock

    def url(self, sha256: str) -> str:
        expires = str(int(self._clock() + self._valid_s))
        return f"{self._base}{PATH}/{sha256}?expires={expires}&sign={self._sign(sha256, expires)}"

    def admits(self, sha256: str, expires: str, sign: str) -> bool:
        """Whether an address with these parts is one of ours, and works still."""
        given = sign.encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._sign(sha256, expires).encode()):
            return False
        in_time = expires.isascii() and expires.isdigit() and len(expires) <= _MAX_DIGITS
        return in_time and self._clock() < int(expires)

    def _sign(self, sha256: str, expires: str) -> str:
        said = f"{sha256}.{expires}".encode("utf-8", "replace")
        made = hmac.new(self._key, said, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


def link_key(secret: str | None, folder: Path) -> bytes:
    """Made from ``secret``; without one a random key that is kept in ``folder``, for its owner
    only. Raises ConfigurationError where it cannot be kept."""
    if secret is not None:
        return hmac.new(secret.encode(), _PURPOSE, hashlib.sha256).digest()
    try:
        return _kept_key(folder / KEY_FILE)
    except OSError as error:
        raise ConfigurationError(
            "KEFU_DATA_DIR",
            f"the key of picture links cannot be kept ({error.strerror})",
            "a folder that can be written, or KEFU_SECRET_KEY",
        ) from error


def _kept_key(file: Path) -> bytes:
    if not file.exists():
        _make_key(file)
    key = file.read_text("ascii", "replace").strip()
    if len(key) < _MIN_KEY_CHARS:
        raise ConfigurationError(
            "KEFU_DATA_DIR", f"{str(file)!r} holds no key", "no such file: a new one is made"
        )
    return key.encode()


def _make_key(file: Path) -> None:
    """Whole or not at all; of two processes the first one's key stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as opened:
            opened.write(secrets.token_hex(32))
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        os.unlink(name)
