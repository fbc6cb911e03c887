"""What a store tells of its commits."""

from __future__ import annotations

from typing import Final

import msgspec

from hermesd.core.buckets import Buckets

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class GroupStats(msgspec.Struct, kw_only=True):
    """Totals since the store was opened; `seconds` of each commit include the statements.

    `repeats` are transactions that were done again, since the connection or the server failed them;
    `failing` where the last group was given up. `sizes` are in changes.
    """

    commits: int = 0
    items: int = 0
    failed_groups: int = 0
    repeats: int = 0
    failing: bool = False
    seconds: Buckets = msgspec.field(default_factory=lambda: Buckets(_SECONDS))
    sizes: Buckets = msgspec.field(default_factory=lambda: Buckets(_SIZES))

    def committed(self, seconds: float, items: int) -> None:
        """A group of so many changes was."""
        self.seconds.observe(seconds)
        self.sizes.observe(items)
        self.failing = False
        self.commits += 1
        self.items += items
