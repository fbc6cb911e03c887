"""Checks of single fields that a peer has sent; each raises InvalidValue and names the field."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeVar

from hermesd.core.errors import InvalidValue

MAX_TEXT_LENGTH: Final = 256
MAX_HELD: Final = 50_000
MAX_LISTED: Final = 2_000
MAX_CLAIMS: Final = 200
MAX_AMOUNT: Final = 1e11  # in seconds some three thousand years

ItemsT = TypeVar("ItemsT", bound=Collection[object])


def bad(field: str, reason: str) -> InvalidValue:
    """The error for `field`, to be raised by the caller."""
    return InvalidValue(f"{field} {reason}", field=field)


def short_text(value: str, field: str, *, required: bool = True) -> str:
    """A name or id: printable, at most 256 characters, not empty unless that is allowed."""
    if not value:
        if required:
            raise bad(field, "must not be empty")
        return value
    if len(value) > MAX_TEXT_LENGTH:
        raise bad(field, f"must have at most {MAX_TEXT_LENGTH} characters, has {len(value)}")
    if not value.isprintable():
        raise bad(field, "must have printable characters only")
    return value


def amount(value: float, field: str) -> float:
    """A time, duration or ratio: finite, not negative (NaN fails the comparison too)."""
    if not 0.0 <= value <= MAX_AMOUNT:
        raise bad(field, f"must be a number from 0 to {MAX_AMOUNT:.0e}, got {value}")
    return value


def at_most(items: ItemsT, field: str, limit: int) -> ItemsT:
    """A list or map with no more than `limit` entries."""
    if len(items) > limit:
        raise bad(field, f"must have at most {limit} entries, has {len(items)}")
    return items


def host_and_port(value: str, field: str) -> tuple[str, int]:
    """`host:port` (an IPv6 address in brackets) taken apart."""
    host, colon, port = short_text(value, field).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise bad(field, f"must have an IPv6 address in brackets, got {value!r}")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise bad(field, f"must be host:port, got {value!r}")
    return host, int(port)


def sendable(value: str) -> str:
    r"""Free text with lone surrogates escaped (\udc80), since the wire is strict UTF-8."""
    if value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
