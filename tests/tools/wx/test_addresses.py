"""Lists of addresses, as operators and platforms write them."""

import pytest

from tools.wx.addresses import covers, holds, network, readable


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("1.2.3.4", "1.2.3.4/32"),
        ("101.226.103.7/24", "101.226.103.0/24"),
        ("1.2.3.*", "1.2.3.0/24"),
        ("1.2.*.*", "1.2.0.0/16"),
        (" 10.* ", "10.0.0.0/8"),
        ("2408:8000::/20", "2408:8000::/20"),
    ],
)
def test_an_address_a_range_and_a_star_are_networks(entry: str, meant: str) -> None:
    assert str(network(entry)) == meant


@pytest.mark.parametrize("entry", ["", "*", "example.org", "1.2.3", "1.*.3.4", "1.2.3.4/33"])
def test_anything_else_is_no_network(entry: str) -> None:
    with pytest.raises(ValueError):
        network(entry)


def test_of_a_platform_s_list_what_cannot_be_read_is_left_out() -> None:
    assert [str(one) for one in readable(["1.2.3.4", "?", "5.6.*"])] == ["1.2.3.4/32", "5.6.0.0/16"]


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("1.2.3.4", True),
        ("::ffff:1.2.3.4", True),
        ("1.2.4.4", False),
        ("::1", True),
        ("localhost", False),
        ("", False),
    ],
)
def test_a_host_is_inside_or_not(host: str, inside: bool) -> None:
    assert holds(readable(["1.2.3.*", "::1"]), host) is inside


def test_a_range_is_covered_only_as_a_whole() -> None:
    allowed = readable(["1.2.3.0/24", "::/0"])
    assert covers(allowed, network("1.2.3.128/25"))
    assert not covers(allowed, network("1.2.0.0/16"))
    assert covers(allowed, network("2001:db8::/32"))
