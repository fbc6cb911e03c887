"""Which addresses a job may call: pure rules over IP addresses.

Sources: RFC 6890 and the IANA special-purpose registries behind it (as `ipaddress` knows them);
RFC 4291 section 2.5.5 (IPv4-mapped), RFC 3056 (6to4) and RFC 6052 (NAT64), all of which carry an
IPv4 address that has to be judged in place of the outer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import msgspec

_NAT64: Final = IPv6Network("64:ff9b::/96")
_IPV4_MASK: Final = 0xFFFFFFFF
_KINDS: Final = (
    "unspecified",
    "loopback",
    "link_local",
    "site_local",
    "multicast",
    "private",
    "reserved",
)


class AddressRefused(Exception):
    """The host is, or resolves to, an address that a job may not call.

    The message names the host and the kind of address, never the address: who submits a job need
    not learn what the daemon's resolver knows.
    """


class AddressPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Public addresses only, unless private ones are allowed for all hosts or for this one."""

    allow_private_addresses: bool = False
    allowed_hosts: tuple[str, ...] = ()

    def check(self, host: str, addresses: Iterable[str]) -> None:
        """Raises AddressRefused if any of the addresses of `host` may not be called.

        One bad address among good ones refuses the host: a name that points both ways is either
        a mistake or an attempt to get past this check.
        """
        if self.allow_private_addresses or _folded(host) in map(_folded, self.allowed_hosts):
            return
        for address in addresses:
            reason = why_not_public(address)
            if reason is not None:
                raise AddressRefused(
                    f"host {host[:255]!r} has a {reason} address; only public ones may be called "
                    "(see allow_private_addresses and allowed_hosts in the plugin's settings)"
                )


def why_not_public(address: str) -> str | None:
    """The kind of address that keeps `address` from being public, or None where it is public.

    `address` is numeric, as getaddrinfo gives it, with or without a zone.
    """
    ip = _carried(ip_address(address.partition("%")[0]))
    for kind in _KINDS:
        if getattr(ip, f"is_{kind}", False):  # IPv4 knows no site-local addresses
            return kind.replace("_", "-")
    return None if ip.is_global else "non-global"


def _carried(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside `ip` where a packet to `ip` would end up there."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & _IPV4_MASK)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _folded(host: str) -> str:
    return host.rstrip(".").lower()
