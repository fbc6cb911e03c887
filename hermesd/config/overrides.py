"""Keys given as text: environment variables (`HERMES_SECTION__KEY`) and `config set`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import EnumType
from pathlib import Path
from typing import Any, Final

from hermesd.config.keys import Key, plain, type_at
from hermesd.config.layers import Layer
from hermesd.config.secrets import is_secret
from hermesd.config.sections import Config

PREFIX: Final = "HERMES_"
_SEPARATOR: Final = "__"


def environment_layers(environ: Mapping[str, str], folder: Path) -> list[Layer]:
    """One layer for each variable with the prefix and a `__`, shallow keys before deep ones.

    `HERMES_JOBS__BACKOFF__SECONDS` is `jobs.backoff.seconds`. Names without a `__` belong to
    others (`HERMES_CONFIG`, a container's service links) and are left alone.
    """
    found = [
        (key_of(name), name)
        for name in environ
        if name.startswith(PREFIX) and _SEPARATOR in name[len(PREFIX) :]
    ]
    found.sort(key=lambda pair: (len(pair[0]), pair[1]))
    return [
        Layer(name, folder, nested(key, parse_value(key, environ[name]))) for key, name in found
    ]


def key_of(variable: str) -> Key:
    """The key that a variable of this name sets."""
    return tuple(variable[len(PREFIX) :].lower().split(_SEPARATOR))


def nested(key: Key, value: Any) -> dict[str, Any]:
    """A tree that holds just `value` at `key`."""
    for name in reversed(key):
        value = {name: value}
    assert isinstance(value, dict), "a key has at least one name"
    return value


def parse_value(key: Key, text: str) -> Any:
    """`text` as the value of `key`: TOML, or a bare string where the key takes one.

    A secret is taken literally. What is neither is returned as the string it is, for the check of
    the whole tree to refuse by the key's name.
    """
    if is_secret(key):
        return text
    kind = type_at(Config, key)
    if _takes_string(kind) and not text.strip().startswith(('"', "'")):
        return text
    try:
        tree = tomllib.loads(f"value = {text.strip()}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return tree["value"] if len(tree) == 1 else text


def _takes_string(kind: Any) -> bool:
    bare = plain(kind)
    return bare is str or isinstance(bare, EnumType)
