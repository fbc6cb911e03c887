"""Keys as tuples of names, their TOML spelling, and the type that the structs give each."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from hermesd.core.errors import InvalidValue

Key = tuple[str, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def dotted(key: Key) -> str:
    """The key as TOML spells it: `jobs.types."email.send".timeout`."""
    return ".".join(
        name if _BARE.match(name) else json.dumps(name, ensure_ascii=False) for name in key
    )


def parse_key(text: str) -> Key:
    """The key that a TOML dotted key spells; raises InvalidValue where it is none."""
    try:
        node: Any = tomllib.loads(f"{text} = 0") if "\n" not in text else None
    except tomllib.TOMLDecodeError:
        node = None
    names: list[str] = []
    while isinstance(node, dict) and len(node) == 1:
        name, node = next(iter(node.items()))
        names.append(name)
    if node != 0 or not names:
        raise InvalidValue(f"{text[:80]!r} is no key; write it like api.port")
    return tuple(names)


def leaves(tree: Mapping[str, Any], key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value of `tree` that is not a table with entries, with its key."""
    for name, value in tree.items():
        here = (*key, name)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, here)
        else:
            yield here, value


def plain(kind: Any) -> Any:
    """`kind` without its annotations and without `None` as an alternative."""
    if get_origin(kind) is Annotated:
        return plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        rest = [arg for arg in get_args(kind) if arg is not type(None)]
        return plain(rest[0]) if len(rest) == 1 else kind
    return kind


def struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a table of this type fills, if it is one."""
    bare = plain(kind)
    return bare if isinstance(bare, type) and issubclass(bare, msgspec.Struct) else None


def entry_type(kind: Any) -> Any | None:
    """The type of the values of a table with free keys; None for any other type."""
    bare = plain(kind)
    return get_args(bare)[1] if get_origin(bare) is dict else None


def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The keys of a section and the type of each, annotations included."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def type_at(root: type[msgspec.Struct], key: Key) -> Any | None:
    """The type of the value at `key` (`Any` inside a free table); None where there is none."""
    kind: Any = root
    for name in key:
        struct = struct_of(kind)
        kind = field_types(struct).get(name) if struct else entry_type(kind)
        if kind is None:
            return None
        if kind is Any:
            return Any
    return kind
