"""Opens what the service answers in an encrypted envelope."""

from collections.abc import Sequence
from xml.etree import ElementTree

import orjson
from pydantic import BaseModel, Field, ValidationError

from sandbox import wxcrypt

XML_NAMES = ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")


class _Envelope(BaseModel):
    encrypt: str
    msgsignature: str
    timestamp: str = Field(coerce_numbers_to_str=True)
    nonce: str = Field(coerce_numbers_to_str=True)


def opened(
    body: bytes, *, token: str, key: str, receiver: str, json_names: Sequence[str] | None
) -> bytes:
    """``json_names``: of the four in JSON, in the order of `XML_NAMES`; None: it is XML. Raises
    Unreadable."""
    envelope = _envelope(body, json_names)
    signed = wxcrypt.signature(token, envelope.timestamp, envelope.nonce, envelope.encrypt)
    if signed != envelope.msgsignature:
        raise wxcrypt.Unreadable("its signature is wrong")
    return wxcrypt.decrypt(wxcrypt.aes_key(key), receiver, envelope.encrypt)


def _envelope(body: bytes, json_names: Sequence[str] | None) -> _Envelope:
    try:
        if json_names is not None:
            fields = orjson.loads(body)
        else:
            fields = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}  # noqa: S314
        found = [fields[name] for name in json_names or XML_NAMES]
        return _Envelope.model_validate(dict(zip(_Envelope.model_fields, found, strict=True)))
    except (ValueError, TypeError, ValidationError, ElementTree.ParseError, KeyError) as error:
        raise wxcrypt.Unreadable(f"it is no envelope: {type(error).__name__} {error}") from None
