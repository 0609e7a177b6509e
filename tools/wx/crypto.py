"""Signatures and encryption of callbacks: WeCom, and WeChat official accounts (same algorithm).

Bytes and values in, bytes and values out; the source is section 1 of the WeCom protocol and
sections 1, 3 and 8 of the official accounts' one.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from domain.errors import ConfigurationError, InvalidInput

MAX_RECEIVEID_BYTES = 128
_BLOCK_BYTES = 32
_RANDOM_BYTES = 16
_HEAD_BYTES = _RANDOM_BYTES + 4
_PADDING = PKCS7(_BLOCK_BYTES * 8)

_AES_KEY = re.compile(r"[A-Za-z0-9]{43}")
_TOKEN = re.compile(r"[!-~]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{10}")
_NONCE = re.compile(r"[!-~]{1,128}")
_ENCRYPTED = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class Refusal(IntEnum):
    """The numbers of Tencent's sample code; none of them ever goes over the wire."""

    SIGNATURE = -40001
    PARSE = -40002
    RECEIVER = -40005
    DECRYPT = -40007
    LAYOUT = -40008


_FORBIDDEN = frozenset({Refusal.SIGNATURE, Refusal.RECEIVER})


class CallbackRefused(InvalidInput):
    """A callback that is not what the platform sent to us; answer ``status`` with an empty body."""

    def __init__(self, code: Refusal, reason: str) -> None:
        self.code = code
        super().__init__("callback", reason, status=403 if code in _FORBIDDEN else 400)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted message with what signs it; all text as it goes over the wire."""

    encrypt: str
    msg_signature: str
    timestamp: str
    nonce: str


class CallbackKeys:
    """What one callback address is set up with. ``receiveid``: the CorpID, SuiteID or AppID that a
    message must be for; empty: it must name nobody.

    Raises ConfigurationError, which never quotes a secret.
    """

    __slots__ = ("_cipher", "_receiveid", "_token")

    def __init__(self, token: str, encoding_aes_key: str, receiveid: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError("Token", "空或含有不能用的字符", "1 至 64 个字母或数字")
        self._token = token
        self._receiveid = _receiveid_bytes(receiveid)
        key = _aes_key(encoding_aes_key)
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def __repr__(self) -> str:
        return f"CallbackKeys(receiveid={self._receiveid.decode()!r})"

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        return _sha1_of_sorted(self._token, timestamp, nonce, encrypted)

    def open(self, encrypted: str, *, msg_signature: str, timestamp: str, nonce: str) -> bytes:
        """The message; raises CallbackRefused. ``encrypted``: as received, not decoded."""
        self._check_signature(encrypted, msg_signature, timestamp, nonce)
        return self._message(self._decrypted(encrypted))

    def echo(self, echostr: str, *, msg_signature: str, timestamp: str, nonce: str) -> bytes:
        """The whole body that answers the platform's check of the address: no quotes, no newline.
        ``echostr``: decoded from the URL once."""
        return self.open(echostr, msg_signature=msg_signature, timestamp=timestamp, nonce=nonce)

    def seal(
        self, message: bytes, *, timestamp: str, nonce: str, random16: bytes | None = None
    ) -> Sealed:
        """``random16``: only for vectors; sixteen fresh random bytes otherwise."""
        prefix = os.urandom(_RANDOM_BYTES) if random16 is None else random16
        if len(prefix) != _RANDOM_BYTES:
            raise ValueError(f"random16 has {len(prefix)} bytes, not {_RANDOM_BYTES}")
        length = len(message).to_bytes(4, "big")
        padder, encryptor = _PADDING.padder(), self._cipher.encryptor()
        padded = padder.update(prefix + length + message + self._receiveid) + padder.finalize()
        encrypted = base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()
        return Sealed(encrypted, self.signature(timestamp, nonce, encrypted), timestamp, nonce)

    def _check_signature(self, encrypted: str, signature: str, timestamp: str, nonce: str) -> None:
        # The signed strings are joined without separators: what could move between them is bounded
        # by their form, and what is decrypted below is checked as if the signature proved nothing.
        well_formed = _are_well_formed(timestamp, nonce) and _ENCRYPTED.fullmatch(encrypted)
        if not well_formed or not _are_equal(
            self.signature(timestamp, nonce, encrypted), signature
        ):
            raise CallbackRefused(Refusal.SIGNATURE, "签名不正确")

    def _decrypted(self, encrypted: str) -> bytes:
        try:
            data = base64.b64decode(encrypted, validate=True)
        except binascii.Error as error:
            raise CallbackRefused(Refusal.DECRYPT, "密文不是 base64") from error
        if not data or len(data) % _BLOCK_BYTES:
            raise CallbackRefused(Refusal.DECRYPT, "密文长度不正确")
        decryptor, unpadder = self._cipher.decryptor(), _PADDING.unpadder()
        padded = decryptor.update(data) + decryptor.finalize()
        try:
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as error:
            raise CallbackRefused(Refusal.LAYOUT, "解密后的填充不正确") from error

    def _message(self, content: bytes) -> bytes:
        end = _HEAD_BYTES + int.from_bytes(content[_RANDOM_BYTES:_HEAD_BYTES], "big")
        if len(content) < max(end, _HEAD_BYTES):
            raise CallbackRefused(Refusal.LAYOUT, "解密后的长度不正确")
        if not hmac.compare_digest(content[end:], self._receiveid):
            raise CallbackRefused(Refusal.RECEIVER, "消息的接收方不是本应用")
        return content[_HEAD_BYTES:end]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Refuses what is older, or further ahead of ``clock``, than ``max_age_s``: the protocol
    itself lets a callback be replayed for ever."""

    max_age_s: float
    clock: Callable[[], float]

    def check(self, timestamp: str) -> None:
        if not _TIMESTAMP.fullmatch(timestamp):
            raise CallbackRefused(Refusal.SIGNATURE, "缺少时间戳或不是整数秒")
        if abs(self.clock() - int(timestamp)) > self.max_age_s:
            reason = f"时间戳与服务器时间相差超过 {self.max_age_s:g} 秒，请检查服务器时钟"
            raise CallbackRefused(Refusal.SIGNATURE, reason)


def replay_key(scope: str, signature: str, body: bytes = b"") -> str:
    """Names a callback, to be remembered for as long as it is fresh: whoever sends it again must
    not be served anew.

    Of the signature alone, because timestamp and nonce can be exchanged without changing it;
    ``body`` where the signature does not cover it (plain mode).
    """
    digest = hashlib.sha256(signature.encode("utf-8", "replace") + b"\n" + body)
    return f"{scope}:{digest.hexdigest()}"


def plain_signature(token: str, timestamp: str, nonce: str) -> str:
    """WeChat's plain mode. It does not cover the body."""
    return _sha1_of_sorted(token, timestamp, nonce)


def plain_is_valid(token: str, signature: str, timestamp: str, nonce: str) -> bool:
    if not token or not _are_well_formed(timestamp, nonce):
        return False
    return _are_equal(plain_signature(token, timestamp, nonce), signature)


def jsapi_signature(ticket: str, *, noncestr: str, timestamp: int, url: str) -> str:
    """For wx.config. ``url``: of the page as the browser shows it; what follows a # is left out."""
    page = url.partition("#")[0]
    signed = f"jsapi_ticket={ticket}&noncestr={noncestr}&timestamp={timestamp}&url={page}"
    return _sha1(signed)


def _are_well_formed(timestamp: str, nonce: str) -> bool:
    return bool(_TIMESTAMP.fullmatch(timestamp) and _NONCE.fullmatch(nonce))


def _are_equal(expected: str, given: str) -> bool:
    # Bytes: compare_digest refuses text that is not ASCII, and a query may hold any.
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def _sha1_of_sorted(*parts: str) -> str:
    return _sha1("".join(sorted(parts)))


def _sha1(text: str) -> str:
    # Chosen by the protocol.
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _aes_key(encoding_aes_key: str) -> bytes:
    if not _AES_KEY.fullmatch(encoding_aes_key):
        raise ConfigurationError("EncodingAESKey", "形式不正确", "43 个字母或数字")
    # Lenient: the last character has two unused bits, which official keys do not leave zero.
    return base64.b64decode(encoding_aes_key + "=")


def _receiveid_bytes(receiveid: str) -> bytes:
    encoded = receiveid.encode()
    if len(encoded) > MAX_RECEIVEID_BYTES:
        raise ConfigurationError(
            "receiveid", f"{len(encoded)} 字节", f"最多 {MAX_RECEIVEID_BYTES} 字节"
        )
    return encoded
