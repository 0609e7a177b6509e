"""Where notices go, as NOTIFICATION_CHANNEL names it: ``telegram:1,feishu,mail:a@b.example``."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["wecom", "telegram", "feishu", "dingtalk", "mail", "url"]
KINDS: tuple[Kind, ...] = ("wecom", "telegram", "feishu", "dingtalk", "mail", "url")
MAX_TARGETS = 20
_CHAT = re.compile(r"-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{3,31}")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_MEMBERS = re.compile(r"[^\s|,:]{1,64}(\|[^\s|,:]{1,64})*")
_RIGHT: dict[Kind, tuple[re.Pattern[str], str]] = {
    "wecom": (_MEMBERS, "wecom:USERID|USERID, or wecom alone for WECOM_ROBOT_URL"),
    "telegram": (_CHAT, "telegram:ID, a chat's number or @name"),
    "mail": (_ADDRESS, "mail:name@host"),
}
_ALONE: frozenset[Kind] = frozenset({"wecom", "feishu", "dingtalk", "url"})
MAX_ADDRESS_CHARS = 254


@dataclass(frozen=True, slots=True)
class Target:
    """``to``: a chat, an address, UserIDs; empty for a robot, which has one group."""

    kind: Kind
    to: str = ""

    @property
    def name(self) -> str:
        """Part of ids that must stay the same: as the setting writes it."""
        return f"{self.kind}:{self.to}" if self.to else self.kind


def parse_targets(text: str) -> tuple[Target, ...]:
    """Each once, in their order. Raises ValueError, which says what is right."""
    found = [_target(part.strip()) for part in text.split(",") if part.strip()]
    targets = tuple(dict.fromkeys(found))
    if len(targets) > MAX_TARGETS:
        raise ValueError(f"at most {MAX_TARGETS} places")
    return targets


def _target(text: str) -> Target:
    named, _, to = text.partition(":")
    kind = next((one for one in KINDS if one == named.strip().lower()), None)
    if kind is None:
        raise ValueError(f"a list of {', '.join(KINDS)}, e.g. telegram:123456789,feishu")
    to = to.strip()
    if not to and kind in _ALONE:
        return Target(kind)
    if kind not in _RIGHT:
        raise ValueError(f"{kind} alone: its robot has one group")
    pattern, right = _RIGHT[kind]
    if not pattern.fullmatch(to) or len(to) > MAX_ADDRESS_CHARS:
        raise ValueError(right)
    return Target(kind, to)
