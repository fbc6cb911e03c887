"""How many jobs may wait: past a limit a submit is refused, exactly, however many come at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hermesd.config import Config
from hermesd.core.errors import QueueFull
from hermesd.core.tally import Tally

RETRY_AFTER_SECONDS = 2.0


class Depth:
    """The waiting jobs of the tally and those that are being committed."""

    def __init__(self, config: Config, tally: Tally):
        self._config = config
        self._tally = tally
        self._coming: Counter[str] = Counter()
        self._coming_total = 0

    def take(self, jobs: Mapping[str, int]) -> None:
        """Count jobs by queue that are about to wait; raises QueueFull where they pass a limit."""
        if not jobs:
            return
        total = sum(jobs.values())
        most = self._config.api.max_waiting_jobs
        if self._tally.waiting_total + self._coming_total + total > most:
            self._refuse("all queues together", most, total)
        for queue, number in jobs.items():
            most = self._config.queues[queue].max_waiting
            if most and self._tally.waiting_in(queue) + self._coming[queue] + number > most:
                self._refuse(f"queue {queue}", most, number)
        self._coming.update(jobs)
        self._coming_total += total

    def settle(self, jobs: Mapping[str, int]) -> None:
        """They are in the tally now, or are not going to be."""
        if jobs:
            self._coming.subtract(jobs)
            self._coming_total -= sum(jobs.values())

    def _refuse(self, where: str, most: int, added: int) -> None:
        raise QueueFull(
            f"{where}: at most {most} jobs may wait, and {added} more would pass that",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
