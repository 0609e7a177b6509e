"""What `kefu doctor` says of one part."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, but perhaps not as the operator expects."""
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """``remedy``: what to do about it; empty where nothing is to be done."""

    part: str
    state: State
    detail: str
    remedy: str = ""
