"""The keys of the configuration, and the configurations that a text shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hermesd.config import Config, load
from hermesd.config.keys import entry_type, field_types, struct_of


def all_keys(struct: type[msgspec.Struct], before: str = "") -> Iterator[str]:
    """In full, with `*` for a name that is free; what is inside of a value is no key."""
    for name, kind in field_types(struct).items():
        entries = entry_type(kind)
        inner = struct_of(kind) or (entries is not None and struct_of(entries)) or None
        if inner is None:
            yield from () if before + name == "plugins.settings" else (before + name,)
        elif "*" in before:
            yield before + name
        else:
            yield from all_keys(
                inner, f"{before}{name}.*." if entries is not None else f"{before}{name}."
            )


def loaded(text: str, folder: Path) -> Config:
    """The configuration that it is, with the secrets that it names."""
    file, credentials = folder / "hermes.toml", folder / "credentials"
    file.write_text(text, encoding="utf-8")
    credentials.mkdir()
    for name in re.findall(r'_file = "([^"/]+)"', text):
        (credentials / name).write_text("a secret\n", encoding="utf-8")
    return load([file], {"CREDENTIALS_DIRECTORY": str(credentials)})
