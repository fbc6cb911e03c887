"""What a postgresql:// URL may say; libpq reads it, this tells people what is wrong with it first.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS. A refusal never
shows any of the URL, since a password may stand wherever a mark was left unescaped.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from hermesd.core.errors import InvalidValue

SCHEMES: Final = ("postgresql", "postgres")
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PARAMETERS: Final = (
    "application_name",
    "channel_binding",
    "gssencmode",
    "host",
    "hostaddr",
    "options",
    "passfile",
    "port",
    "service",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
)
_ESCAPE: Final = "in user, password and database write @ : / ? # % as %40 %3A %2F %3F %23 %25"


def check_postgres_url(url: str) -> None:
    """Raise InvalidValue, which says what to write, for what libpq or hermesd cannot use."""
    if not url.isprintable() or " " in url:
        raise _bad("must have no blanks and no control characters")
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
    except ValueError:
        raise _bad(f"cannot be read; {_ESCAPE}") from None
    if parts.scheme not in SCHEMES:
        raise _bad("must begin with postgresql://")
    if parts.fragment or "#" in url or url.count("@") > 1:
        raise _bad(f"cannot be read; {_ESCAPE}")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in parts.path.removeprefix("/"):
        raise _bad("must end with its database: postgresql://USER@HOST:PORT/DATABASE")
    for host in parts.netloc.rpartition("@")[2].split(","):
        _check_port(host)
    _check_parameters(query)


def _check_port(host: str) -> None:
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        return
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise _bad(f"has no valid host and port; {_ESCAPE}")
    if ":" in name and not name.endswith("]"):
        raise _bad("must have an IPv6 address in brackets: [::1]:5432")


def _check_parameters(query: list[tuple[str, str]]) -> None:
    given = dict(query)
    for name in given:
        if name not in PARAMETERS:
            raise _bad(f"has an unknown parameter {name[:40]!r} (known: {', '.join(PARAMETERS)})")
    mode, authority = given.get("sslmode", "prefer"), given.get("sslrootcert", "")
    if mode not in SSL_MODES:
        raise _bad(f"has an unknown sslmode; one of {', '.join(SSL_MODES)}")
    if mode.startswith("verify") and not authority:
        raise _bad(f"asks for sslmode={mode}, which needs sslrootcert=/PATH or sslrootcert=system")
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile"):
        path = given.get(name, "")
        if path and not path.startswith("/") and (name, path) != ("sslrootcert", "system"):
            raise _bad(f"must name {name} by an absolute path")


def _bad(reason: str) -> InvalidValue:
    return InvalidValue(f"the store's url {reason}", field="url")
