"""The order of waiting jobs: the places that a store gives out."""

from __future__ import annotations

from hermesd.stores.micros import micros


class OrderKeys:
    """Places in the queue: the store clock's microseconds, strictly rising in any case."""

    def __init__(self, last: int) -> None:
        self._last = last

    def at_least(self, last: int) -> None:
        """All places up to `last` are taken."""
        self._last = max(self._last, last)

    def next(self, at: float) -> int:
        """The place of a job that enters a queue at `at`, in seconds."""
        self._last = max(self._last + 1, micros(at))
        return self._last

    def several(self, at: float, jobs: int) -> range:
        """The places of so many jobs that enter queues at `at`, in their order."""
        first = self.next(at)
        self._last = first + jobs - 1
        return range(first, first + jobs)
