"""Bodies signed with a shared secret, the way the webhook channel and Tianwang do."""

import hashlib
import hmac
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request


class Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    secret: str | None = Field(max_length=512)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=<hex>`` of HMAC-SHA256 over ``timestamp.body``."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Signing:
    """Names of the headers that carry seconds since the epoch, and the signature."""

    timestamp: str
    signature: str

    def headers(self, secret: str | None, body: bytes, now: float) -> dict[str, str]:
        timestamp = str(int(now))
        if secret is None:
            return {self.timestamp: timestamp}
        return {self.timestamp: timestamp, self.signature: signature(secret, timestamp, body)}

    def distrust(
        self,
        request: Request,
        body: bytes,
        secret: str | None,
        *,
        now: float,
        max_skew: float | None,
    ) -> str | None:
        """Why the signature is not believed; None if it is, or if no secret is set."""
        if secret is None:
            return None
        timestamp = request.headers.get(self.timestamp, "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 13):
            return f"{self.timestamp}: must be seconds since the epoch"
        expected = signature(secret, timestamp, body)
        given = request.headers.get(self.signature, "")
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            return f"{self.signature}: does not match the body"
        if max_skew is not None and abs(now - int(timestamp)) > max_skew:
            return f"{self.timestamp}: more than {max_skew:g} s off"
        return None
