"""A Config as plain values, for people to read and for TOML and JSON to carry."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec
import tomli_w

from hermesd.config.keys import dotted, leaves
from hermesd.config.layers import Document
from hermesd.config.sections import Config


def effective(config: Config) -> dict[str, Any]:
    """Every key with its value as TOML has it. Secrets are in the clear: see `secrets.masked`."""
    tree = msgspec.to_builtins(
        config, builtin_types=(datetime.datetime, datetime.date, datetime.time)
    )
    plain = _without_none(tree)
    assert isinstance(plain, dict), "a struct becomes a dict"
    return plain


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is not set is left out."""
    if isinstance(value, Mapping):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def with_origins(tree: Mapping[str, Any], document: Document) -> dict[str, dict[str, Any]]:
    """Each key of `tree` in TOML's spelling, with its value and where that came from."""
    return {
        dotted(key): {"value": value, "origin": document.origin_of(key)}
        for key, value in leaves(tree)
    }


def origin_lines(tree: Mapping[str, Any], document: Document) -> str:
    """One line a key: `api.port = 8081  # default`. It is TOML itself."""
    return "".join(
        f"{key} = {_inline(entry['value'])}  # {entry['origin']}\n"
        for key, entry in with_origins(tree, document).items()
    )


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{dotted((name,))} = {_inline(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")
