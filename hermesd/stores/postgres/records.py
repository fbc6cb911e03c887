"""Values as the statements take them: a group's rows as one JSON text, single ones as texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hermesd.stores.rows import refuse_nul


def records(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Rows as one JSON array of objects; raises ItemFault for a NUL in any text."""
    encoded = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows])
    refuse_nul(encoded, rows)
    return encoded


def texts(values: Iterable[str]) -> bytes:
    """Texts as one JSON array; one with a NUL is left out, since it can be nowhere."""
    return msgspec.json.encode([value for value in values if "\0" not in value])


def text(value: str) -> bytes:
    """One text; raises ItemFault for a NUL."""
    refuse_nul(b"\\u0000", [(value,)])
    return value.encode()


def number(value: int) -> bytes:
    """One number."""
    return b"%d" % value
