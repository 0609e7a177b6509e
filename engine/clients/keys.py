"""API keys of clients: made here, shown once, kept as a digest."""

import hashlib
import secrets

_MARK = "kfc_"
"""So that scanners of repositories and logs can find one that was lost."""
_BYTES = 32
_SHOWN_CHARS = len(_MARK) + 6


def new_key() -> str:
    return _MARK + secrets.token_urlsafe(_BYTES)


def digest(key: str) -> str:
    """Fast and without a salt: of 2^256 keys nobody tries as many as would matter, and rows are
    found by it (`storage.client_tables`)."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def shown(key: str) -> str:
    return key[:_SHOWN_CHARS]
