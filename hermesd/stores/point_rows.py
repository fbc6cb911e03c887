"""The history of the fleet as rows: plain SQL that both dialects take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from hermesd.core.points import KeptPoint, Point
from hermesd.stores.micros import micros

# Runs a statement with its values, `?` each, and answers its rows.
Execute = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]

MOST_ROWS: Final = 20_000  # of one read

_KEEP: Final = (
    "INSERT INTO points (at_us, api, boot, point) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (at_us, api, boot) DO UPDATE SET point = excluded.point"
)
FORGET: Final = "DELETE FROM points WHERE at_us < ?"
BETWEEN: Final = (
    "SELECT api, boot, point FROM points WHERE at_us >= ? AND at_us < ? ORDER BY at_us LIMIT ?"
)


class Keep(msgspec.Struct, frozen=True):
    """Keep points, and drop all before that UTC second."""

    points: tuple[KeptPoint, ...]
    forget_before: int


def apply(execute: Execute, orders: Sequence[Keep]) -> list[None]:
    """Nothing for each order."""
    for order in orders:
        for kept in order.points:
            text = msgspec.json.encode(kept.point).decode()
            execute(_KEEP, (micros(kept.point.at), kept.api, kept.boot, text))
        execute(FORGET, (micros(order.forget_before),))
    return [None] * len(orders)


def between(execute: Execute, begin: int, end: int) -> list[KeptPoint]:
    """By their time."""
    return [
        KeptPoint(api=api, boot=boot, point=msgspec.json.decode(text, type=Point))
        for api, boot, text in execute(BETWEEN, (micros(begin), micros(end), MOST_ROWS))
    ]
