"""Which values are secret, how they are hidden, and how they are read from files of their own.

A secret string `KEY` may be given as `KEY_file`, the path of a file that holds it. A relative path
is looked up in systemd's credentials directory where there is one, else beside the file that says
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from hermesd.config.keys import Key
from hermesd.core.errors import InvalidValue

MASK: Final = "********"
MAX_SECRET_BYTES: Final = 64 * 1024
FILE_SUFFIX: Final = "_file"

# Below it the keys are the plugins' own, and any could be a secret that was misplaced.
FREE_TABLES: Final[Key] = ("plugins", "settings")

# Patterns over the dotted key; `*` spans dots, so that tables inside a plugin's are covered too.
SECRET_KEYS: Final = (
    "plugins.settings.*.*password",
    "plugins.settings.*.*secret",
    "plugins.settings.*.*token",
    "plugins.settings.*.*api_key",
)

_USERINFO = re.compile(r"(?<=://)(?P<user>[^\s:/?#@]*)(?::(?P<password>\S*))?@")
_QUERY_PASSWORD = re.compile(
    r"(?<=[?&])(?P<name>[^=&\s]*(?:password|secret|token))=[^&\s#]*", re.IGNORECASE
)


def is_secret(key: Key) -> bool:
    """Whether the value at `key` must never be shown."""
    path = ".".join(key).lower()
    return any(fnmatchcase(path, pattern) for pattern in SECRET_KEYS)


def without_passwords(text: str) -> str:
    """`text` with the passwords of the URLs in it masked."""
    hidden = _USERINFO.sub(
        lambda found: f"{found['user']}:{MASK}@" if found["password"] is not None else found[0],
        text,
    )
    return _QUERY_PASSWORD.sub(rf"\g<name>={MASK}", hidden)


def masked(value: Any, key: Key = ()) -> Any:
    """A copy of a tree of plain values with all secrets replaced."""
    if is_secret(key):
        return MASK
    if isinstance(value, Mapping):
        return {name: masked(item, (*key, name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, key) for item in value]
    return without_passwords(value) if isinstance(value, str) else value


def with_password(url: str, password: str) -> str:
    """`url` with the password in its user part (RFC 3986 section 3.2.1), percent-encoded.

    Raises InvalidValue where the URL names no host, or has a password already.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not rest or rest.startswith("/"):
        raise InvalidValue("the url names no server that could take a password; remove the file")
    found = _USERINFO.search(url)
    if found is None:
        return f"{scheme}://:{quote(password, safe='')}@{rest}"
    if found["password"] is not None:
        raise InvalidValue("the url holds a password already; give it once")
    user, host = found["user"], url[found.end() :]
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}"


def read_secret(path: Path) -> str:
    """The text of a secret's file without its last line break; raises InvalidValue."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as exc:
        raise InvalidValue(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > MAX_SECRET_BYTES:
        raise InvalidValue(f"{path} is over {MAX_SECRET_BYTES} bytes, too large for a secret")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise InvalidValue(f"{path} is not UTF-8 text") from exc
    if not text:
        raise InvalidValue(f"{path} is empty")
    return text
