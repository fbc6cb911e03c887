"""How many jobs may wait: past a limit a submit is refused, exactly, however many come at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hermesd.config import Config
from hermesd.core.errors import QueueFull
from hermesd.core.job import Job
from hermesd.core.tally import Tally

RETRY_AFTER_SECONDS = 2.0


class Depth:
    """The waiting jobs of the tally and those that are being committed."""

    def __init__(self, config: Config, tally: Tally):
        self._config = config
        self._tally = tally
        self._coming: Counter[str] = Counter()
        self._coming_total = 0

    def take(self, jobs: Sequence[Job]) -> None:
        """Count jobs that are about to wait; raises QueueFull where they would pass a limit."""
        if not jobs:
            return
        most = self._config.api.max_waiting_jobs
        if self._tally.waiting_total + self._coming_total + len(jobs) > most:
            self._refuse("all queues together", most, len(jobs))
        added = Counter(job.queue for job in jobs)
        for queue, number in added.items():
            most = self._config.queues[queue].max_waiting
            if most and self._tally.waiting_in(queue) + self._coming[queue] + number > most:
                self._refuse(f"queue {queue}", most, number)
        self._coming += added
        self._coming_total += len(jobs)

    def settle(self, jobs: Sequence[Job]) -> None:
        """They are in the tally now, or are not going to be."""
        if not jobs:
            return
        self._coming -= Counter(job.queue for job in jobs)
        self._coming_total -= len(jobs)

    def _refuse(self, where: str, most: int, added: int) -> None:
        raise QueueFull(
            f"{where}: at most {most} jobs may wait, and {added} more would pass that",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
