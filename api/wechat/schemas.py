"""Answers of seed 002 about the official account."""

from pydantic import BaseModel


class Record(BaseModel):
    """``role``: user or ai. ``type``: text, image, voice, …; ``event``: what an event tells of.
    ``time``: in the service's time zone, ``YYYY-MM-DD HH:MM:SS``."""

    id: int
    msg_id: str
    user_id: str
    role: str
    type: str
    event: str
    content: str
    time: str


class Records(BaseModel):
    """Newest first."""

    total: int
    page: int
    limit: int
    messages: list[Record]


class JsSignature(BaseModel):
    """For wx.config; ``timestamp`` as text, as seed 002 prints it."""

    appId: str
    timestamp: str
    nonceStr: str
    signature: str
    url: str
