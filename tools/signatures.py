"""Signed posts, in and out: HMAC over a timestamp and the raw body, in two headers.

The signature's header holds ``sha256=<hex of HMAC-SHA-256(secret, timestamp + "." + raw body)>``,
the other one the timestamp in whole seconds since the epoch.
"""

import hashlib
import hmac
from dataclasses import dataclass

from domain.errors import InvalidInput

FRESH_SECONDS = 300
_SCHEME = "sha256="


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature's header."""
    signed = timestamp.encode() + b"." + body
    return _SCHEME + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class SigningHeaders:
    """The names that one peer's two headers have."""

    timestamp: str
    signature: str

    def signed(self, secret: str, body: bytes, *, now: float) -> dict[str, str]:
        stamp = str(int(now))
        return {self.timestamp: stamp, self.signature: sign(secret, stamp, body)}

    def check(
        self, secret: str, timestamp: str | None, signature: str | None, body: bytes, *, now: float
    ) -> None:
        """Raises InvalidInput with status 401 for a missing, stale, future or wrong signature."""
        stamp = timestamp or ""
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 13):
            raise InvalidInput(self.timestamp, "缺少时间戳或不是整数秒", status=401)
        if abs(now - int(stamp)) > FRESH_SECONDS:
            reason = f"与服务器时间相差超过 {FRESH_SECONDS} 秒"
            raise InvalidInput(self.timestamp, reason, status=401)
        expected = sign(secret, stamp, body).encode()
        # Bytes: compare_digest refuses text that is not ASCII, and a header may hold any.
        if not hmac.compare_digest(expected, (signature or "").encode("utf-8", "replace")):
            raise InvalidInput(self.signature, "签名不正确", status=401)
