"""Names, telephone numbers and addresses at rest: AES-256-GCM under keys of the operator's.

``seal`` where such a column is written, ``unseal`` where it is read; both get the keys from the
connection, and both let everything pass where there are none. What was written before there were
keys stays readable, and is sealed by the sweep of `engine.protection`.

Sealed text cannot be searched. A column that lookups need has a blind index beside it: digests of
the value under a key derived from the same one (`digests` for whole values, `name_index` for parts
of names). Whoever holds the rows alone learns from those which rows are alike, and nothing else.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection

from domain.errors import ConfigurationError
from domain.text import fold

log = logging.getLogger(__name__)
OPTION = "kefu_field_keys"
"""The execution option of connections that holds their `FieldKeys`."""

SETTING = "KEFU_FIELD_KEYS"
KEY_BYTES = 32
_PREFIX = "sealed:"
_BYTES_PREFIX = b"sealed:"
_NONCE_BYTES = 12
_DIGEST_CHARS = 32
_GRAM_CHARS = 10
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")
_EXPECTED = f"id:base64 of {KEY_BYTES} random bytes, several separated by commas, the newest first"


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """``parts``: the column beside it that holds the blind index of a name's parts; ``whole``: the
    one that holds the digest of the whole value."""

    table: str
    key: str
    column: str
    parts: str = ""
    whole: str = ""


SEALED = (
    SealedColumn("customers", "id", "name", parts="name_index"),
    SealedColumn("customers", "id", "phone", whole="phone_digest"),
    SealedColumn("customers", "id", "address"),
    SealedColumn("conversations", "id", "customer_name", parts="name_index"),
    SealedColumn("sessions", "id", "customer_name"),
)
"""Every column that holds such values: what a rotation of keys goes through."""


class _Key:
    def __init__(self, key_id: str, secret: bytes) -> None:
        self.id = key_id
        self._cipher = AESGCM(secret)
        self._secret = secret

    def seal(self, value: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, self.id.encode())

    def unseal(self, sealed: bytes) -> bytes:
        """Raises ValueError or InvalidTag where it is none of this key's."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return self._cipher.decrypt(nonce, rest, self.id.encode())

    def digest(self, value: str, length: int) -> str:
        return hmac.digest(self._index_secret, value.encode(), "sha256").hex()[:length]

    @cached_property
    def check(self) -> str:
        """Tells a key from another with the same id, and nothing about it."""
        return hashlib.sha256(self._derived(b"kefu field key check")).hexdigest()

    @cached_property
    def _index_secret(self) -> bytes:
        return self._derived(b"kefu field index")

    def _derived(self, purpose: bytes) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(self._secret)


@lru_cache(maxsize=4_096)
def _name_index(key: _Key, name: str) -> str:
    """Remembered: a customer is called the same with each message."""
    grams = {key.digest(gram, _GRAM_CHARS) for gram in _grams(f"^{fold(name)}")}
    return f" {' '.join(sorted(grams))} "


class FieldKeys:
    """The first seals, all read. None at all: values pass as they are."""

    def __init__(self, keys: Sequence[tuple[str, bytes]] = ()) -> None:
        self._missed: set[str] = set()
        self._take(tuple(_Key(key_id, secret) for key_id, secret in keys))

    def _take(self, keys: tuple[_Key, ...]) -> None:
        self._keys = keys
        self._by_id = {key.id: key for key in keys}

    def also(self, key_id: str, secret: bytes) -> "FieldKeys":
        """These, and one more that reads; it seals where there was none."""
        if key_id in self._by_id:
            raise ConfigurationError(SETTING, f"{key_id!r} appears twice", _EXPECTED)
        keys = FieldKeys()
        keys._take((*self._keys, _Key(key_id, secret)))
        return keys

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._by_id)

    @property
    def checks(self) -> dict[str, str]:
        return {key.id: key.check for key in self._keys}

    def seal(self, value: str) -> str:
        if not self._keys or not value:
            return value
        first = self._keys[0]
        return f"{_PREFIX}{first.id}:{base64.b64encode(first.seal(value.encode())).decode()}"

    def unseal(self, value: str) -> str:
        """Empty where its key is not there: a customer without a name is better than none."""
        if not value.startswith(_PREFIX):
            return value
        key_id, separator, sealed = value.removeprefix(_PREFIX).partition(":")
        if not separator:
            return value
        try:
            return self._by_id[key_id].unseal(base64.b64decode(sealed, validate=True)).decode()
        except (KeyError, ValueError, InvalidTag):
            self._miss(key_id)
            return ""

    def seal_bytes(self, value: bytes) -> bytes:
        if not self._keys:
            return value
        first = self._keys[0]
        return b"%b%b:%b" % (_BYTES_PREFIX, first.id.encode(), first.seal(value))

    def unseal_bytes(self, value: bytes) -> bytes | None:
        """None where its key is not there."""
        if not value.startswith(_BYTES_PREFIX):
            return value
        key_id, _, sealed = value.removeprefix(_BYTES_PREFIX).partition(b":")
        try:
            return self._by_id[key_id.decode("ascii", "replace")].unseal(sealed)
        except (KeyError, ValueError, InvalidTag):
            self._miss(key_id.decode("ascii", "replace"))
            return None

    def _miss(self, key_id: str) -> None:
        if key_id not in self._missed:
            self._missed.add(key_id)
            log.error("a value is sealed with key %r, which %s does not hold", key_id, SETTING)

    def is_current(self, value: str) -> bool:
        """Empty, or sealed with the first key; anything where there are no keys."""
        return not value or not self._keys or value.startswith(f"{_PREFIX}{self._keys[0].id}:")

    def are_current(self, value: bytes | None) -> bool:
        """The same of bytes; None is."""
        if value is None or not self._keys:
            return True
        return value.startswith(b"%b%b:" % (_BYTES_PREFIX, self._keys[0].id.encode()))

    def digests(self, value: str) -> tuple[str, ...]:
        """Under every key, the first one first; itself where there are none."""
        plain = fold(value)
        if not plain or not self._keys:
            return (plain,)
        return tuple(key.digest(plain, _DIGEST_CHARS) for key in self._keys)

    def name_index(self, name: str) -> str:
        return _name_index(self._keys[0], name) if self._keys and name else ""

    def name_terms(self, query: str) -> list[list[str]]:
        """For each key what an index must hold, all of it."""
        plain = fold(query)
        grams = _grams(plain if len(plain) > 1 else f"^{plain}")
        return [[key.digest(gram, _GRAM_CHARS) for gram in grams] for key in self._keys]


NO_KEYS = FieldKeys()


def parse_keys(text: str) -> FieldKeys:
    """Raises ConfigurationError; its message never holds the keys."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    keys: list[tuple[str, bytes]] = []
    for number, entry in enumerate(entries, 1):
        key_id, _, encoded = entry.partition(":")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not _ID.fullmatch(key_id) or len(secret) != KEY_BYTES:
            raise ConfigurationError(SETTING, f"entry {number} is no key", _EXPECTED)
        if any(key_id == other for other, _ in keys):
            raise ConfigurationError(SETTING, f"{key_id!r} appears twice", _EXPECTED)
        keys.append((key_id, secret))
    return FieldKeys(keys)


def new_key(key_id: str) -> str:
    """An entry of the setting, made of fresh random bytes."""
    return f"{key_id}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def keys_of(connection: Connection) -> FieldKeys:
    found = connection.get_execution_options().get(OPTION, NO_KEYS)
    assert isinstance(found, FieldKeys)
    return found


def seal(connection: Connection, value: str) -> str:
    """What the column holds; an empty value stays empty."""
    return keys_of(connection).seal(value)


def unseal(connection: Connection, value: str | None) -> str:
    """What was sealed; what never was as it is, None as an empty text."""
    return keys_of(connection).unseal(value or "")


def unsealed(connection: Connection, row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    """``row`` with these columns to be read; one that is null stays null."""
    keys = keys_of(connection)
    return {**row} | {name: keys.unseal(row[name]) for name in columns if row[name] is not None}


def digest(connection: Connection, value: str) -> str:
    """What a blind index of whole values holds for this one."""
    return keys_of(connection).digests(value)[0]


def digests(connection: Connection, value: str) -> tuple[str, ...]:
    """What a lookup compares with: under a rotation several."""
    return keys_of(connection).digests(value)


def name_index(connection: Connection, name: str) -> str:
    """What the blind index of a name's parts holds: empty where nothing is sealed."""
    return keys_of(connection).name_index(name)


class Clause(NamedTuple):
    sql: str
    params: dict[str, Any]


def name_clause(
    connection: Connection, column: str, index: str, query: str, *, prefix: str = "name"
) -> Clause:
    """Rows whose name contains ``query``; a query of one sign finds the names that begin with it.
    ``prefix``: of the parameters' names."""
    escaped = fold(query).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    params = {f"{prefix}_like": f"%{escaped}%"}
    plain = f"LOWER({column}) LIKE :{prefix}_like ESCAPE '\\'"
    found = [f"({column} NOT LIKE '{_PREFIX}%' AND {plain})"]
    for key, terms in enumerate(keys_of(connection).name_terms(query)):
        marks = {f"{prefix}_{key}_{at}": f"% {term} %" for at, term in enumerate(terms)}
        params |= marks
        found.append("(" + " AND ".join(f"{index} LIKE :{mark}" for mark in marks) + ")")
    return Clause("(" + " OR ".join(found) + ")", params)


def _grams(text: str) -> list[str]:
    return [text[at : at + 2] for at in range(max(1, len(text) - 1))]
