"""`[plugins.settings.resize-image]` of the daemon's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from hermesd_http.addresses import AddressPolicy
from msgspec import Meta

from hermesd.handlers import Permanent

MIB: Final = 1024 * 1024


class ResizeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults are the strict ones: no path may be read or written, only public hosts called.

    `max_pixels` holds for sources and for results, and bounds the memory: about 8 bytes a pixel.
    Its own limit is that from which Pillow warns by itself.
    """

    allowed_roots: tuple[str, ...] = ()
    max_pixels: Annotated[int, Meta(ge=1, le=89_478_485)] = 40_000_000
    max_source_bytes: Annotated[int, Meta(ge=1, le=1024 * MIB)] = 50 * MIB
    max_returned_bytes: Annotated[int, Meta(ge=1, le=64 * MIB)] = 512 * 1024  # before base64
    fetch_timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    max_redirects: Annotated[int, Meta(ge=0, le=10)] = 3
    allow_private_addresses: bool = False
    allowed_hosts: tuple[str, ...] = ()
    ca_file: str = ""

    def __post_init__(self) -> None:
        for root in self.allowed_roots:
            if not root.startswith("/"):
                raise ValueError(f"allowed_roots must be absolute paths, got {root!r}")

    @property
    def address_policy(self) -> AddressPolicy:
        """Which addresses a source's URL may lead to."""
        return AddressPolicy(
            allow_private_addresses=self.allow_private_addresses, allowed_hosts=self.allowed_hosts
        )


def settings_of(table: Mapping[str, object]) -> ResizeSettings:
    """The settings in a job's context; raises Permanent, naming the key, where they are wrong."""
    try:
        return msgspec.convert(table, ResizeSettings)
    except msgspec.ValidationError as error:
        raise Permanent(f"plugins.settings.resize-image: {error}") from error
