"""`[plugins.settings.http]` of the daemon's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from hermesd.handlers import Permanent
from hermesd_http.addresses import AddressPolicy


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults are the strict ones: public addresses, no redirects, no signature."""

    secret: str = ""  # signs every call where it is given
    allow_private_addresses: bool = False
    allowed_hosts: tuple[str, ...] = ()  # may have private addresses; as they stand in the URL
    ca_file: str = ""  # in place of the system's certificates
    connect_timeout_seconds: Annotated[float, Meta(gt=0, le=300)] = 10.0
    max_redirects: Annotated[int, Meta(ge=0, le=10)] = 0
    max_response_bytes: Annotated[int, Meta(ge=0, le=131_072)] = (
        65_536  # JSON may take 6 times that
    )
    max_retry_after_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 3600.0

    @property
    def address_policy(self) -> AddressPolicy:
        """Which addresses may be called."""
        return AddressPolicy(
            allow_private_addresses=self.allow_private_addresses, allowed_hosts=self.allowed_hosts
        )


def settings_of(table: Mapping[str, object]) -> HttpSettings:
    """The settings in a job's context; raises Permanent, naming the key, where they are wrong."""
    try:
        return msgspec.convert(table, HttpSettings)
    except msgspec.ValidationError as error:
        raise Permanent(f"plugins.settings.http: {error}") from error
