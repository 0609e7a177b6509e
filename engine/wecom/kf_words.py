"""How an outgoing message becomes parts that customer service takes; nothing here has effects."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.outbox import NewDelivery
from tools.wecom.kf import MAX_TEXT_BYTES

WELCOME = "kf_welcome"
"""Type of a payload that a code lets through, once and beside the quota."""
_LOOK_BACK_BYTES = 300
MOST_PARTS = 5
_PICTURE = 99
"""Number of a part that is a picture, so that the ids that were sent tell whether there was one."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message under ``msgid``: ``text``, or in its place the picture at ``picture``."""

    msgid: str
    text: str
    picture: str = ""
    name: str = ""


def part_msgid(message_id: str, created_at: str, number: int) -> str:
    """Our id of a part, the same for every attempt; at most 32 bytes, as the platform allows.
    ``created_at``: of the delivery, which is another one where an operator sends it again."""
    digest = hashlib.blake2b(f"{message_id}@{created_at}".encode(), digest_size=13).hexdigest()
    return f"kg{digest}{number:02d}"


def part_msgids(message_id: str, created_at: str) -> list[str]:
    """All that its parts may have."""
    numbers = (*range(MOST_PARTS), _PICTURE)
    return [part_msgid(message_id, created_at, number) for number in numbers]


def picture_msgid(message_id: str, created_at: str) -> str:
    return part_msgid(message_id, created_at, _PICTURE)


def words_of(payload: Mapping[str, Any]) -> str:
    """A picture or a file is its address: links need a picture of their own at the platform."""
    return "\n".join(filter(None, (_text(payload), _link(payload))))


def shows_picture(payload: Mapping[str, Any]) -> bool:
    """Whether there is one, whose address is no longer than a message that takes its place."""
    is_picture = payload.get("type") == "image" and bool(payload.get("url"))
    return is_picture and len(_link(payload).encode()) <= MAX_TEXT_BYTES


def apart(payload: Mapping[str, Any], message_id: str, created_at: str) -> list[Part]:
    """A picture as such, behind the words that come with it."""
    if not shows_picture(payload):
        return as_words([payload], message_id, created_at)
    said = as_words([{"text": payload.get("text")}], message_id, created_at)
    msgid = picture_msgid(message_id, created_at)
    shown = Part(msgid, _link(payload), str(payload["url"]), str(payload.get("name") or ""))
    return [*said, shown]


def as_words(payloads: Sequence[Mapping[str, Any]], message_id: str, created_at: str) -> list[Part]:
    """All of ``payloads`` in as few messages as they need."""
    texts = split("\n\n".join(words_of(one) for one in payloads))
    return [
        Part(part_msgid(message_id, created_at, number), text) for number, text in enumerate(texts)
    ]


def _text(payload: Mapping[str, Any]) -> str:
    return str(payload.get("text") or "").strip("\n")


def _link(payload: Mapping[str, Any]) -> str:
    url, name = str(payload.get("url") or ""), str(payload.get("name") or "")
    return " ".join(filter(None, (name, url))) if url else ""


def split(text: str, limit: int = MAX_TEXT_BYTES) -> list[str]:
    """``text`` in parts of at most ``limit`` bytes, between characters: at an end of a line where
    that costs no further part."""
    softly = _cut(text, limit, softly=True)
    tightly = _cut(text, limit, softly=False)
    return softly if len(softly) <= len(tightly) else tightly


def _cut(text: str, limit: int, *, softly: bool) -> list[str]:
    left, parts = text.encode("utf-8", "replace"), []
    while len(left) > limit:
        head = left[:limit].decode("utf-8", "ignore").encode()
        end = head.rfind(b"\n", max(1, len(head) - _LOOK_BACK_BYTES)) if softly else -1
        head = head[: end + 1] if end > 0 else head
        parts.append(head.decode())
        left = left[len(head) :]
    whole = [*parts, left.decode()]
    return [part for part in whole if part.strip()]


def undelivered_notice(message_id: str, conversation: str, reason: str) -> NewDelivery:
    key = f"{message_id}:undelivered"
    return NewDelivery(
        message_id=key,
        queue=f"notice:{key}",
        kind="notice",
        channel="staff",
        account="",
        conversation_id=conversation,
        turn_id="",
        payload={
            "title": "回复没有送达客户",
            "text": f"会话 {conversation} 的回复没有送达：{reason}。原文在投递死信里，可以重发。",
            "priority": "high",
            "reason": "undelivered",
        },
    )
