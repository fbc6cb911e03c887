"""Python values to the JSON of a request, refusing what would silently become something else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from hermesd.core.errors import InvalidValue


def json_body(value: object) -> bytes:
    """`value` as JSON; raises InvalidValue for what JSON cannot hold, NaN and infinity included."""
    try:
        body = msgspec.json.encode(value)
        # msgspec writes a NaN as null; only a body with a null in it can hide one.
        if b"null" in body and any(not math.isfinite(number) for number in _floats(value)):
            raise InvalidValue("NaN and infinity are not JSON")
    except RecursionError:
        raise InvalidValue("the value is nested too deep, or holds itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidValue):
            raise
        raise InvalidValue(f"this is not JSON: {error}") from error
    return body


def json_text(text: bytes) -> msgspec.Raw:
    """`text` unchanged, once it is sure to be JSON; raises InvalidValue where it is not."""
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"this is not JSON: {error}") from None
    return msgspec.Raw(text)


def moment(value: datetime | str) -> str:
    """RFC 3339; a datetime without a time zone is refused, since nobody knows what it means."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise InvalidValue(f"{value.isoformat()} has no time zone")
    return value.isoformat()


def _floats(value: object) -> Iterator[float]:
    return _floats_of(msgspec.to_builtins(value, enc_hook=_opaque))


def _opaque(value: object) -> None:
    """A JSON text cannot hold a NaN; msgspec asks here for nothing else that it has encoded."""


def _floats_of(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _floats_of(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _floats_of(member)
