"""The history of the fleet in the store, for the charts of all apis, now and later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hermesd.core.points import KeptPoint


class Points(Protocol):
    """One row for each minute of each life of an api."""

    async def keep(self, points: Sequence[KeptPoint], *, forget_before: int) -> None:
        """Keep them, in place of what was kept of the same; drop all before that UTC second."""

    async def between(self, begin: int, end: int) -> Sequence[KeptPoint]:
        """Those that begin from `begin` until before `end` (UTC seconds), by their time."""
