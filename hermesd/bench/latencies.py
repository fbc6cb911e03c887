"""Latencies in bounded memory: logarithmic buckets, and a timeline that grows coarser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MAX_SLICES: Final = 120
FIRST_SLICE_SECONDS: Final = 0.25
_LEAST_SECONDS: Final = 1e-6
_STEP: Final = math.log(1.02)  # a bucket is 2 % wide: what is read back is at most 1 % off


@dataclass
class Latencies:
    """How many took how long; `max_seconds` is exact."""

    counts: dict[int, int] = field(default_factory=dict)
    max_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Take one in."""
        bucket = int(math.log(seconds / _LEAST_SECONDS) / _STEP) if seconds > _LEAST_SECONDS else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.max_seconds = max(self.max_seconds, seconds)

    def merge(self, other: Latencies) -> None:
        """Take all of `other` in."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.max_seconds = max(self.max_seconds, other.max_seconds)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def within(self, share: float) -> float:
        """The seconds that `share` of all stayed within, to 1 %; 0 while there are none."""
        wanted = math.ceil(self.total * share)
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                middle = _LEAST_SECONDS * math.exp((bucket + 0.5) * _STEP)
                return min(middle, self.max_seconds)
        return 0.0


class Timeline:
    """Latencies by the time of their answer, in at most MAX_SLICES slices of one width.

    When time runs past the last slice, neighbours are joined and the width doubles.
    """

    def __init__(self) -> None:
        self.slice_seconds = FIRST_SLICE_SECONDS
        self._slices: list[Latencies] = []

    def add(self, at_seconds: float, seconds: float) -> None:
        """A submit that was answered `at_seconds` after the start and took `seconds`."""
        while (place := int(max(at_seconds, 0.0) / self.slice_seconds)) >= MAX_SLICES:
            self._join()
        while len(self._slices) <= place:
            self._slices.append(Latencies())
        self._slices[place].add(seconds)

    def slices(self) -> Iterator[tuple[float, Latencies]]:
        """The middle of each slice in seconds from the start, and what is in it."""
        for place, latencies in enumerate(self._slices):
            yield (place + 0.5) * self.slice_seconds, latencies

    def whole(self) -> Latencies:
        """All of it together."""
        together = Latencies()
        for latencies in self._slices:
            together.merge(latencies)
        return together

    def _join(self) -> None:
        joined = self._slices[::2]
        for left, right in zip(joined, self._slices[1::2], strict=False):
            left.merge(right)
        self._slices = joined
        self.slice_seconds *= 2
