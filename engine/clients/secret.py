"""What signs the tokens: SECRET_KEY, or on one machine a secret that is made once and kept."""

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path

from pydantic import SecretStr

from domain.errors import ConfigurationError
from engine.settings import Settings, is_loopback

log = logging.getLogger(__name__)
FILE = "secret.key"
_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def signing_secret(settings: Settings, *, make: bool = True) -> SecretStr | None:
    """SECRET_KEY, or else what is kept in the data folder. None where that would not do: several
    processes need the same secret, and so does whoever listens to more than this machine.

    ``make``: false: only what is there already. Raises ConfigurationError for a file that cannot
    be used.
    """
    if settings.secret_key is not None:
        return settings.secret_key
    alone = settings.database_dsn().startswith("sqlite") and is_loopback(settings.host)
    if not alone:
        return None
    file = settings.data_dir.expanduser() / FILE
    if not make and not file.exists():
        return None
    try:
        return SecretStr(kept_secret(file))
    except OSError as error:
        raise ConfigurationError(
            "SECRET_KEY", f"not set, and {file} cannot be used ({error.strerror})", "a random text"
        ) from error


def kept_secret(file: Path) -> str:
    """What the file holds; it is made, for its owner alone, where there is none."""
    if not file.exists():
        _make(file)
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & _OTHERS:
        log.warning("%s could be read by others; it is its owner's alone now", file)
        file.chmod(mode & ~_OTHERS)
    return file.read_text("ascii").strip()


def _make(file: Path) -> None:
    """Whole or not at all; of two processes that make one at once the first wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_hex(_BYTES) + "\n")
            made.flush()
            os.fsync(made.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
