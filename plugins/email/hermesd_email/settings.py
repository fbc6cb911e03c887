"""`[plugins.settings.email]` of the daemon's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hermesd.handlers import Permanent

_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Security(StrEnum):
    """How the connection is encrypted."""

    STARTTLS = "starttls"  # upgraded after the greeting (RFC 3207), never left unencrypted
    TLS = "tls"  # from the first byte (RFC 8314 section 3.3)
    NONE = "none"


class EmailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one server that mail goes to. `port` 0 is the usual one of `security`.

    `sender` is the From of mails that name none. `verify` off takes any certificate: for trials
    only. `timeout_seconds` bounds each wait for the server, the job's timeout their sum.
    """

    host: Annotated[str, Meta(min_length=1)] = "localhost"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    security: Security = Security.STARTTLS
    username: str = ""
    password: str = ""
    sender: str = ""
    timeout_seconds: Annotated[float, Meta(gt=0, le=300)] = 30.0
    ca_file: str = ""
    verify: bool = True
    helo: str = ""
    max_attachment_bytes: Annotated[int, Meta(ge=0)] = 20 * 1024 * 1024

    def __post_init__(self) -> None:
        if not (self.username + self.password).isascii():
            raise ValueError("`username` and `password` must be ASCII")  # smtplib sends no other
        if self.username and self.security is Security.NONE and self.host not in _LOCAL_HOSTS:
            raise ValueError(
                "`username` with security 'none' would send the password readable to all on the "
                "way; use 'starttls' or 'tls'"
            )

    @property
    def port_or_usual(self) -> int:
        """The port to connect to: submission (587), submissions (465) or smtp (25)."""
        usual = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
        return self.port or usual[self.security]


def settings_of(table: Mapping[str, object]) -> EmailSettings:
    """The settings in a job's context; raises Permanent, naming the key, where they are wrong."""
    try:
        return msgspec.convert(table, EmailSettings)
    except msgspec.ValidationError as error:
        raise Permanent(f"plugins.settings.email: {error}") from error
