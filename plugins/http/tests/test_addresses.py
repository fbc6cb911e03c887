"""Which addresses are public."""

from __future__ import annotations

import pytest
from hermesd_http.addresses import AddressPolicy, AddressRefused, why_not_public


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2002:808:808::1"]
)
def test_a_public_address_may_be_called(address: str) -> None:
    """Public IPv4 and IPv6, also IPv4 within 6to4."""
    assert why_not_public(address) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("192.0.2.7", "private"),
        ("100.64.0.1", "non-global"),
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("fd00::1", "private"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::1", "loopback"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "private"),
        ("::127.0.0.1", "reserved"),
    ],
)
def test_a_special_address_is_named_by_its_kind(address: str, kind: str) -> None:
    """Every special-purpose range is refused, also where an IPv6 address carries it."""
    assert why_not_public(address) == kind


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    """All addresses of a name are checked, not just the first."""
    with pytest.raises(AddressRefused, match=r"'example.org' has a private address"):
        AddressPolicy().check("example.org", ["8.8.8.8", "10.0.0.1"])


def test_the_message_does_not_tell_the_address() -> None:
    """Who submits a job does not learn what an internal name resolves to."""
    with pytest.raises(AddressRefused) as caught:
        AddressPolicy().check("internal.example.org", ["10.20.30.40"])
    assert "10.20.30.40" not in str(caught.value)


def test_an_allowed_host_may_be_private() -> None:
    """The name counts, without regard to case or a final dot; other hosts stay refused."""
    policy = AddressPolicy(allowed_hosts=("Hooks.Internal",))
    policy.check("hooks.internal.", ["10.0.0.1"])
    with pytest.raises(AddressRefused):
        policy.check("other.internal", ["10.0.0.1"])


def test_private_addresses_can_be_allowed_as_a_whole() -> None:
    """The switch lifts the check for every host."""
    AddressPolicy(allow_private_addresses=True).check("anything", ["127.0.0.1"])
