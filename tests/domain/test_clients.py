"""Clients: where they are counted from, whether they are there, which keys open."""

import doctest

import pytest

from domain import clients
from domain.clients import ClientKey, neighbourhood


def test_the_examples_in_the_documentation_are_true() -> None:
    tried = doctest.testmod(clients)
    assert (tried.failed, tried.attempted) == (0, 5)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),  # an IPv4 caller of a socket for both
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),  # another address of the same host
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("testclient", ""),  # no address: counted by client only
        ("", ""),
    ],
)
def test_one_attacker_is_counted_as_one(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted


@pytest.mark.parametrize(
    ("expires", "revoked", "opens"),
    [
        (None, None, True),
        (100.1, None, True),
        (100.0, None, False),  # its last second is over
        (None, 99.0, False),
        (200.0, 99.0, False),  # revoking does not wait for the overlap
    ],
)
def test_a_key_opens_until_it_ends(
    expires: float | None, revoked: float | None, opens: bool
) -> None:
    key = ClientKey(1, "agent_001", "kfc_abcdef", "", expires, revoked, None)
    assert key.opens(100.0) is opens
