"""Lists of addresses as operators and platforms write them: one, a range, or ``1.2.3.*``
(reference wecom.md, section 6)."""

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(entry: str) -> Network:
    """Raises ValueError."""
    head, star, tail = entry.strip().partition(".*")
    if star:
        if tail.strip(".*"):
            raise ValueError(f"{entry!r} has something behind its star")
        known = head.split(".")
        missing = 4 - len(known)
        head = ".".join([*known, *["0"] * missing]) + f"/{8 * len(known)}"
    return ipaddress.ip_network(head, strict=False)


def readable(entries: Iterable[str]) -> tuple[Network, ...]:
    """Of what a platform says; what cannot be read is left out."""
    found = []
    for entry in entries:
        try:
            found.append(network(entry))
        except ValueError:
            continue
    return tuple(found)


def holds(networks: Sequence[Network], host: str) -> bool:
    """Whether ``host`` is in one of them; what is no address is in none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in one for one in networks)


def covers(networks: Sequence[Network], other: Network) -> bool:
    return any(
        one.version == other.version
        and one.network_address <= other.network_address  # type: ignore[operator]
        and other.broadcast_address <= one.broadcast_address  # type: ignore[operator]
        for one in networks
    )
