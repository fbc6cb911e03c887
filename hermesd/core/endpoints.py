"""The addresses of a worker's apis: what a configured endpoint is, which links begin and end."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

MAX_LINKS: Final = 64
# An address that its name has no more: an api that is restarted comes and goes, and one that is
# to leave for good has its jobs ended first.
UNREACHED_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 60.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A link as it is now. `live`: the api behind it answers; `busy`: it gave jobs that go on.

    `absent_seconds` is for how long no endpoint has led to its address.
    """

    address: str
    live: bool = False
    busy: bool = False
    absent_seconds: float = 0.0


class Plan(msgspec.Struct, frozen=True):
    """The addresses to which links are to be started, and those whose links are to end.

    `refused` had no place among MAX_LINKS.
    """

    start: tuple[str, ...]
    end: tuple[str, ...]
    refused: tuple[str, ...] = ()


def plan(wanted: Collection[str], lines: Sequence[Line]) -> Plan:
    """One link to every wanted address; one to an absent address ends when nobody needs it."""
    end = tuple(line.address for line in lines if line.address not in wanted and _over(line))
    known = {line.address for line in lines}
    missing = [address for address in dict.fromkeys(wanted) if address not in known]
    places = max(MAX_LINKS - (len(known) - len(end)), 0)
    return Plan(tuple(missing[:places]), end, tuple(missing[places:]))


def _over(line: Line) -> bool:
    if not line.live:
        return line.absent_seconds >= UNREACHED_SECONDS
    return not line.busy and line.absent_seconds >= IDLE_SECONDS


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host (without brackets) and port of HOST:PORT or [IPv6 ADDRESS]:PORT."""
    host, _, port = endpoint.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_endpoint(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_address(host: str) -> bool:
    """Whether a host is an IP address already, with nothing to resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
