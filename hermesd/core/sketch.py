"""How long things took, of any number of them in bounded memory: counts in logarithmic buckets.

A bucket is 5 % wide, so that what is read back is at most 2.5 % off; from 1 µs to 30 years there
are about 700. (The idea is that of DDSketch: Masson, Rim, Lee, VLDB 2019.) Sketches can be added
up, and what one was at an earlier time can be taken away from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, exp, log
from typing import Final

_LEAST_SECONDS: Final = 1e-6
_MOST_SECONDS: Final = 1e9
_PER_LOG: Final = 1 / log(1.05)
_FIRST: Final = 1 - log(_LEAST_SECONDS) * _PER_LOG  # of the logarithm 0
_LAST: Final = int(log(_MOST_SECONDS) * _PER_LOG + _FIRST)

Packed = tuple[int, ...]  # buckets and their counts in turn: small in JSON, and easy to compare


class Sketch:
    """Durations in seconds."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self._counts.values())

    def add(self, seconds: float, count: int = 1) -> None:
        """Take in `count` that took so long each."""
        if _LEAST_SECONDS < seconds < _MOST_SECONDS:
            bucket = int(log(seconds) * _PER_LOG + _FIRST)
        else:
            bucket = 0 if seconds <= _LEAST_SECONDS else _LAST
        try:
            self._counts[bucket] += count
        except KeyError:
            self._counts[bucket] = count

    def add_all(self, counted: Mapping[float, int]) -> None:
        """Take in durations in seconds, each so many times."""
        for seconds, count in counted.items():
            self.add(seconds, count)

    def merge(self, other: Sketch) -> None:
        """Take in all of `other`."""
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def copy(self) -> Sketch:
        """As it is now."""
        made = Sketch()
        made._counts = self._counts.copy()
        return made

    def minus(self, earlier: Sketch) -> Sketch:
        """What has come since `earlier`, a copy of this very sketch."""
        made = Sketch()
        for bucket, count in self._counts.items():
            if more := count - earlier._counts.get(bucket, 0):
                made._counts[bucket] = more
        return made

    def quantile(self, share: float) -> float | None:
        """The seconds that `share` of all stayed within, None while there are none."""
        return self.quantiles((share,))[0]

    def quantiles(self, shares: Sequence[float]) -> list[float | None]:
        """As `quantile`, for shares that rise."""
        total = self.total
        buckets = iter(sorted(self._counts.items()))
        bucket = seen = 0
        found: list[float | None] = []
        for share in shares:
            wanted = max(ceil(total * share), 1)
            while seen < wanted and (entry := next(buckets, None)) is not None:
                bucket = entry[0]
                seen += entry[1]
            found.append(_middle(bucket) if total else None)
        return found

    def packed(self) -> Packed:
        """To be kept or sent."""
        return tuple(number for entry in sorted(self._counts.items()) for number in entry)

    @classmethod
    def unpacked(cls, packed: Packed) -> Sketch:
        """What was packed; a bucket that there is not is left out."""
        made = cls()
        for bucket, count in _pairs(packed):
            if 0 <= bucket <= _LAST and count > 0:
                made._counts[bucket] = made._counts.get(bucket, 0) + count
        return made


def _pairs(flat: Sequence[int]) -> Iterable[tuple[int, int]]:
    return zip(flat[::2], flat[1::2], strict=False)


def _middle(bucket: int) -> float:
    """Of a bucket, in seconds, by the middle of its logarithms."""
    if bucket == 0:
        return _LEAST_SECONDS
    return exp((bucket + 0.5 - _FIRST) / _PER_LOG)
