"""How many jobs wait at the broker, kept in memory and set right from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hermesd.core.amqp_names import Band, band_of
from hermesd.core.changes import agreed
from hermesd.core.job import Job, Owner

EVER: Final = 1e11  # UTC seconds: whatever was published before, by whosever clock
Level = tuple[str, int]  # queue, priority
Place = tuple[str, Band]


class Published:
    """Jobs at the broker by queue and priority, and the ids of those that are on their way there.

    A job on its way belongs to the store still, but must not be pushed meanwhile. `outdated` are
    the places where messages of no use stand first: nothing new is to be published behind them.
    """

    def __init__(self) -> None:
        self.outdated: set[Place] = set()
        self._counts: Counter[Level] = Counter()
        self._on_way: set[str] = set()

    @property
    def total(self) -> int:
        """How many there are."""
        return max(sum(self._counts.values()), 0)

    def counts(self) -> Mapping[Level, int]:
        """How many there are by queue and priority, for people."""
        return dict(self._counts)

    def levels(self) -> Sequence[Level]:
        """Where there are any, the highest priority first."""
        found = [level for level, number in self._counts.items() if number > 0]
        return sorted(found, key=lambda level: -level[1])

    def reset(self, counts: Mapping[Level, int]) -> None:
        """Start over from what the store says."""
        self._counts = Counter(counts)

    def reconcile(self, counts: Mapping[Level, int], touched: int) -> None:
        """Go over to the store's counts where changes of so many jobs explain no difference."""
        mine = self._counts
        levels = {*mine, *counts}
        self._counts = Counter(
            {each: agreed(mine[each], counts.get(each, 0), touched) for each in levels}
        )

    def begin(self, jobs: Iterable[Job]) -> None:
        """They are about to be published."""
        self._on_way.update(job.id for job in jobs)

    def is_on_way(self, job_id: str) -> bool:
        """Whether it is being published."""
        return job_id in self._on_way

    def handed_over(self, job: Job) -> None:
        """It waits at the broker by the store, unless a worker was faster and has it already."""
        if job.id in self._on_way:
            self._counts[job.queue, job.priority] += 1

    def end(self, jobs: Iterable[Job]) -> None:
        """Their publishing is over, however it went."""
        self._on_way.difference_update(job.id for job in jobs)

    def left(self, job: Job) -> None:
        """A waiting job, as it was, waits no longer or waits in the store again."""
        if job.id in self._on_way:
            self._on_way.discard(job.id)
        elif job.owner is Owner.AMQP:
            self._counts[job.queue, job.priority] -= 1

    def left_all(self, jobs: Iterable[Job]) -> None:
        """The same of several jobs."""
        for job in jobs:
            if self._on_way or job.owner is Owner.AMQP:
                self.left(job)

    def is_outdated(self, queue: str, priority: int) -> bool:
        """Whether such a job is better off in the store for now."""
        return bool(self.outdated) and (queue, band_of(priority)) in self.outdated

    def any_at(self, queue: str, priority: int) -> bool:
        """Whether such jobs may be there, or on their way."""
        return bool(self._on_way) or self._counts[queue, priority] > 0

    def ahead(self, queue: str, priority: int) -> bool:
        """Whether jobs of the queue with this priority or a higher one wait at the broker."""
        return any(
            number > 0 and level[0] == queue and level[1] >= priority
            for level, number in self._counts.items()
        )
