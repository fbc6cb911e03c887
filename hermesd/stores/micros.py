"""Times in a store: whole microseconds since the epoch, so that they come back as they went in."""

from __future__ import annotations

from typing import Final

PER_SECOND: Final = 1_000_000


def micros(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * PER_SECOND)


def micros_or_none(seconds: float | None) -> int | None:
    """The same, where there may be no time."""
    return None if seconds is None else round(seconds * PER_SECOND)


def seconds(stored: int) -> float:
    """Microseconds as seconds."""
    return stored / PER_SECOND


def seconds_or_none(stored: int | None) -> float | None:
    """The same, where there may be no time."""
    return None if stored is None else stored / PER_SECOND


def whole(value: float) -> float:
    """`value` seconds as a store would give them back."""
    return round(value * PER_SECOND) / PER_SECOND


def whole_or_none(value: float | None) -> float | None:
    """The same, where there may be no time."""
    return None if value is None else round(value * PER_SECOND) / PER_SECOND
