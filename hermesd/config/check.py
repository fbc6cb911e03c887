"""Compares a tree of plain values with the structs and names everything that does not fit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from enum import EnumType
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

import msgspec

from hermesd.config.keys import Key, entry_type, field_types, plain, struct_of
from hermesd.config.secrets import FREE_TABLES, is_secret, without_passwords

_PATH_OF_MSGSPEC = re.compile(r" - at `\$.*`\Z")
_SHOWN_CHARS: Final = 60
_KINDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    str: "a string",
    int: "a whole number",
    float: "a number",
}


class Problem(NamedTuple):
    """What is wrong with the value at a key, and what would be right."""

    key: Key
    reason: str


def shape_problems(
    tree: Mapping[str, Any], struct: type[msgspec.Struct], key: Key = ()
) -> list[Problem]:
    """Every unknown key and every value that its field refuses; then what the struct refuses."""
    problems: list[Problem] = []
    fields = field_types(struct)
    for name, value in tree.items():
        here = (*key, name)
        if name in fields:
            problems += _value_problems(value, fields[name], here)
        else:
            problems.append(Problem(here, _unknown(name, fields)))
    if not problems:
        try:
            msgspec.convert(tree, struct)
        except msgspec.ValidationError as exc:
            problems.append(Problem(key, _bare_reason(exc)))
    return problems


def _value_problems(value: Any, kind: Any, key: Key) -> list[Problem]:
    struct, entries = struct_of(kind), entry_type(kind)
    if (struct or entries) and not isinstance(value, Mapping):
        return [Problem(key, f"must be a table, got {_shown(key, value)}")]
    if struct:
        return shape_problems(value, struct, key)
    if entries and (struct_of(entries) or entry_type(entries)):
        found = (_value_problems(item, entries, (*key, name)) for name, item in value.items())
        return [problem for problems in found for problem in problems]
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        wanted = _wanted(kind)
        reason = f"must be {wanted}, got {_shown(key, value)}" if wanted else _bare_reason(exc)
        return [Problem(key, reason)]
    return []


def _unknown(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"unknown key (did you mean {near[0]!r}?)"
    return f"unknown key (known here: {', '.join(names)})"


def _wanted(kind: Any) -> str | None:
    if get_origin(kind) is Annotated:
        for note in get_args(kind)[1:]:
            if isinstance(note, msgspec.Meta) and note.description:
                return note.description
    bare = plain(kind)
    if isinstance(bare, EnumType):
        members: Iterable[object] = bare
        return "one of " + ", ".join(repr(str(member)) for member in members)
    return _KINDS.get(bare)


def _shown(key: Key, value: Any) -> str:
    """The refused value, as far as it may be told."""
    if is_secret(key) or key[: len(FREE_TABLES)] == FREE_TABLES:
        return "another value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(without_passwords(value) if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def _bare_reason(exc: msgspec.ValidationError) -> str:
    return _PATH_OF_MSGSPEC.sub("", str(exc))
