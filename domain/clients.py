"""Clients: the programs that report a shop's messages and speak for it, and how they are seen."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum


class ClientRole(StrEnum):
    AGENT = "agent"
    ADMIN = "admin"
    VIEWER = "viewer"


class ClientState(StrEnum):
    """``never``: no heartbeat has come yet."""

    ONLINE = "online"
    OFFLINE = "offline"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class ClientKey:
    """An API key without itself. ``prefix``: its first signs, so that people can tell keys apart.
    ``expires_ts``: of a key that was rotated, when it ends by itself."""

    id: int
    agent_id: str
    prefix: str
    created_at: str
    expires_ts: float | None
    revoked_ts: float | None
    used_ts: float | None

    def opens(self, now: float) -> bool:
        return self.revoked_ts is None and (self.expires_ts is None or now < self.expires_ts)


@dataclass(frozen=True, slots=True)
class Client:
    """``generation``: tokens of an earlier one are worth nothing. ``address``: where it signed in
    from last."""

    agent_id: str
    name: str
    role: ClientRole
    enabled: bool
    generation: int
    address: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Throttle:
    """Of wrong keys: ``free`` of them, then one in ``wait_s``; forgotten after ``forget_s``."""

    free: int
    wait_s: float
    forget_s: float = 900.0


def state_of(seen_ts: float | None, *, now: float, silence_s: float) -> ClientState:
    """By the last heartbeat: offline after ``silence_s`` without one.

    >>> state_of(None, now=100.0, silence_s=90.0)
    <ClientState.NEVER: 'never'>
    >>> state_of(10.0, now=100.0, silence_s=90.0)
    <ClientState.ONLINE: 'online'>
    >>> state_of(9.9, now=100.0, silence_s=90.0)
    <ClientState.OFFLINE: 'offline'>
    """
    if seen_ts is None:
        return ClientState.NEVER
    return ClientState.OFFLINE if now - seen_ts > silence_s else ClientState.ONLINE


def neighbourhood(address: str) -> str:
    """What one attacker has at hand: an IPv4 address, or the /64 that every IPv6 host owns.

    >>> neighbourhood("2001:db8:1:2:3:4:5:6")
    '2001:db8:1:2::/64'
    >>> neighbourhood("::ffff:192.0.2.7"), neighbourhood("nowhere")
    ('192.0.2.7', '')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found.packed, 64), strict=False))
