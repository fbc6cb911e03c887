"""Where a broker is and who calls: an amqp:// or amqps:// URL, taken apart.

The form is that of RabbitMQ's URI specification, but for its query: there is none. A refusal never
shows any of the URL, since a password may stand wherever a mark was left unescaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from hermesd.core.errors import InvalidValue

DEFAULT_PORTS: Final = {"amqp": 5672, "amqps": 5671}
DEFAULT_LOGIN: Final = "guest"
DEFAULT_VHOST: Final = "/"
MAX_SHORT_BYTES: Final = 255  # a short string of AMQP 0-9-1, section 4.2.5.3


@dataclass(frozen=True, kw_only=True)
class AmqpUrl:
    """All parts decoded and present; `str()` and `repr()` do not show the password."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    vhost: str

    @property
    def where(self) -> str:
        """host:port, an IPv6 address in brackets: what errors and logs may name."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> AmqpUrl:
        """The parts of `url`; InvalidValue, which shows none of it, where it is no such URL."""
        if not url.isprintable() or " " in url:
            raise _bad("must have no blanks and no control characters")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            # Its text, and so its traceback, may hold a part of the password.
            raise _bad(f"has no valid host and port; {_ESCAPE}") from None
        if parts.scheme not in DEFAULT_PORTS:
            raise _bad("must begin with amqp:// or amqps://")
        if not host or port == 0:
            raise _bad(f"has no valid host and port; {_ESCAPE}")
        vhost = parts.path.removeprefix("/")
        if "@" in vhost or "/" in vhost or "?" in url or "#" in url:
            raise _bad(f"must end with its virtual host; {_ESCAPE}")
        return cls(
            host=host,
            port=port or DEFAULT_PORTS[parts.scheme],
            tls=parts.scheme == "amqps",
            user=_decoded(parts.username, "user") or DEFAULT_LOGIN,
            password=_decoded(parts.password, "password") or DEFAULT_LOGIN,
            vhost=_decoded(vhost, "virtual host") or DEFAULT_VHOST,
        )


_ESCAPE: Final = "in user, password and virtual host write @ : / ? # % as %40 %3A %2F %3F %23 %25"


def _decoded(part: str | None, name: str) -> str:
    try:
        text = unquote(part or "", errors="strict")
    except UnicodeDecodeError:
        raise _bad(f"must have a {name} in UTF-8") from None
    if "\0" in text or len(text.encode()) > MAX_SHORT_BYTES:
        raise _bad(f"must have a {name} of at most {MAX_SHORT_BYTES} bytes, none of them zero")
    return text


def _bad(reason: str) -> InvalidValue:
    return InvalidValue(f"the broker's url {reason}", field="url")
