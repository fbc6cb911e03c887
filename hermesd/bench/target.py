"""Where the api is, as a connection needs it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from hermesd.core.errors import InvalidValue
from hermesd.http.client import HttpConnection


@dataclass(frozen=True)
class Target:
    """One api; `prefix` goes before every path. Proxies of the environment are not used."""

    host: str
    port: int
    prefix: str
    ssl_context: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Target:
        """From a http:// or https:// URL; raises InvalidValue."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidValue(f"{url!r} is no URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidValue(f"{url!r} is no http:// or https:// URL")
        secure = parts.scheme == "https"
        return cls(
            host=parts.hostname,
            port=port or (443 if secure else 80),
            prefix=parts.path.rstrip("/"),
            ssl_context=ssl.create_default_context() if secure else None,
        )

    def connection(self) -> HttpConnection:
        """A connection, made when it is first used."""
        return HttpConnection(self.host, self.port, ssl_context=self.ssl_context)
