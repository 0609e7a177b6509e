"""What staff is told when a conversation needs a person."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Priority = Literal["low", "normal", "high"]


@dataclass(frozen=True, slots=True)
class StaffNotice:
    """``notice_id`` stays the same at every attempt, so that the receiver can drop a repetition."""

    notice_id: str
    title: str
    text: str
    priority: Priority
    conversation_id: str
    reason: str


def notice_body(notice: StaffNotice) -> bytes:
    return json.dumps(asdict(notice), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
