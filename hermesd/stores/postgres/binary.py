"""Values as PostgreSQL sends and takes them in binary, which it need not parse.

A value is its bytes; an array is its number of dimensions, a flag for nulls, the type of its
elements, their number and the number of the first, then each element after its length (the
server's array_recv).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

_INT: Final = struct.Struct(">i").pack
_BIGINT: Final = struct.Struct(">q").pack
_LONG_ELEMENT: Final = struct.Struct(">iq").pack
_HEADER: Final = struct.Struct(">iiiii").pack
_BIGINT_TYPE, _TEXT_TYPE = 20, 25  # the numbers of the types, in every server
_NULL: Final = _INT(-1)


def int4(value: int) -> bytes:
    """One `int`; raises OverflowError."""
    return _packed(_INT, value)


def int8(value: int) -> bytes:
    """One `bigint`; raises OverflowError."""
    return _packed(_BIGINT, value)


def texts(values: Sequence[str | None]) -> bytes:
    """A `text[]`."""
    size = len(values)
    head = _HEADER(1, 1, _TEXT_TYPE, size, 1)
    if values.count(values[0]) == size:  # so are most columns
        return head + _text_element(values[0]) * size
    return head + b"".join(map(_text_element, values))


def bigints(values: Sequence[int | None]) -> bytes:
    """A `bigint[]`; raises OverflowError."""
    size = len(values)
    head = _HEADER(1, 1, _BIGINT_TYPE, size, 1)
    if values.count(values[0]) == size:
        return head + _bigint_element(values[0]) * size
    if None in values:
        return head + b"".join(map(_bigint_element, values))
    mixed: list[Any] = [8] * (2 * size)
    mixed[1::2] = values
    # The module's own function remembers the formats of late, which take as long as the values.
    return head + _packed(struct.pack, ">" + "iq" * size, *mixed)


def _text_element(value: str | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode()
    return _INT(len(encoded)) + encoded


def _bigint_element(value: int | None) -> bytes:
    return _NULL if value is None else _packed(_LONG_ELEMENT, 8, value)


def _packed(pack: Callable[..., bytes], *values: Any) -> bytes:
    try:
        return pack(*values)
    except struct.error as error:
        raise OverflowError(str(error)) from error
