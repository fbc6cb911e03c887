"""The history of the fleet in memory."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from hermesd.core.points import KeptPoint


class MemoryPoints:
    """Points; see `ports.Points`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str, str], KeptPoint] = {}

    async def keep(self, points: Sequence[KeptPoint], *, forget_before: int) -> None:
        """Each under its minute and its life."""
        await trio.lowlevel.checkpoint()
        for kept in points:
            self._kept[kept.point.at, kept.api, kept.boot] = kept
        for key in [key for key in self._kept if key[0] < forget_before]:
            del self._kept[key]

    async def between(self, begin: int, end: int) -> Sequence[KeptPoint]:
        """By their time."""
        await trio.lowlevel.checkpoint()
        return [kept for key, kept in sorted(self._kept.items()) if begin <= key[0] < end]
