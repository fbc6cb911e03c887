"""How often what was observed: numbers counted by fixed bounds, as Prometheus histograms are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Buckets:
    """Observations by bucket: `counts` has one for each of `bounds`, and one for all above.

    `total` is their sum. One thread observes at a time; another may read meanwhile, and may then
    miss the last one.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value` in the first bucket whose upper bound is not below it."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times
