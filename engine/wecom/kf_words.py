"""How an outgoing message becomes parts that customer service takes; nothing here has effects."""

import hashlib
from collections.abc import Mapping
from typing import Any

from storage.outbox import NewDelivery
from tools.wecom.kf import MAX_TEXT_BYTES

WELCOME = "kf_welcome"
"""Type of a payload that a code lets through, once and beside the quota."""
_LOOK_BACK_BYTES = 300


def part_msgid(message_id: str, created_at: str, number: int) -> str:
    """Our id of a part, the same for every attempt; at most 32 bytes, as the platform allows.
    ``created_at``: of the delivery, which is another one where an operator sends it again."""
    digest = hashlib.blake2b(f"{message_id}@{created_at}".encode(), digest_size=13).hexdigest()
    return f"kg{digest}{number:02d}"


def words_of(payload: Mapping[str, Any]) -> str:
    """A picture or a file is its address: links need a picture of their own at the platform."""
    text, url = str(payload.get("text") or ""), str(payload.get("url") or "")
    name = str(payload.get("name") or "")
    link = " ".join(filter(None, (name, url))) if url else ""
    return "\n".join(filter(None, (text.strip("\n"), link)))


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
