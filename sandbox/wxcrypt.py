"""How WeCom and WeChat sign and encrypt callbacks, written on its own: it checks the product's."""

import base64
import hashlib
import os
import re
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_KEY = re.compile(r"[A-Za-z0-9]{43}")
_BLOCK = 32


class Unreadable(Exception):
    """What was received is not what the owner of the key would have sent."""


def aes_key(encoding_aes_key: str) -> bytes:
    """The key in an EncodingAESKey. Raises ValueError."""
    if not _KEY.fullmatch(encoding_aes_key):
        raise ValueError("an EncodingAESKey is 43 letters and digits")
    return base64.b64decode(encoding_aes_key + "=")


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    parts = sorted((token, timestamp, nonce, encrypted))
    return hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()


def encrypt(key: bytes, receiver: str, message: bytes, random16: bytes | None = None) -> str:
    """``receiver``: the CorpID or AppID that the message is for, or nothing."""
    prefix = os.urandom(16) if random16 is None else random16
    plain = prefix + struct.pack(">I", len(message)) + message + receiver.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    encryptor = _cipher(key).encryptor()
    sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def decrypt(key: bytes, receiver: str, encrypted: str) -> bytes:
    """Raises Unreadable."""
    try:
        sealed = base64.b64decode(encrypted, validate=True)
        decryptor = _cipher(key).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
    except ValueError as error:
        raise Unreadable(str(error)) from None
    padding = padded[-1] if padded else 0
    if not 1 <= padding <= _BLOCK or padded[-padding:] != bytes([padding]) * padding:
        raise Unreadable("the padding is not 1 to 32 bytes of its own length")
    plain = padded[:-padding]
    if len(plain) < 20:
        raise Unreadable("it is too short")
    (length,) = struct.unpack(">I", plain[16:20])
    message, named = plain[20 : 20 + length], plain[20 + length :]
    if len(message) < length:
        raise Unreadable("it is shorter than it says")
    if named != receiver.encode():
        raise Unreadable("it is for another receiver")
    return message


def _cipher(key: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
