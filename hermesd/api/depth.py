"""How many jobs may wait: past a limit a submit is refused, exactly, however many come at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hermesd.config.live import Live
from hermesd.core.errors import QueueFull
from hermesd.core.states import State
from hermesd.core.tally import Tally

RETRY_AFTER_SECONDS = 2.0


BULK_SHARE = 0.5  # of the waiting jobs that an operator's order in bulk may fill up to


def bulk_room(live: Live, tally: Tally) -> int:
    """How many more jobs an order in bulk may let wait now, so that submits are still taken."""
    most = live.config.api.max_waiting_jobs
    return max(int(most * BULK_SHARE), 1) - tally.waiting_total


class Depth:
    """The waiting and scheduled jobs of the tally and those that are being committed."""

    def __init__(self, live: Live, tally: Tally):
        self._live = live
        self._tally = tally
        self._coming: Counter[str] = Counter()
        self._coming_total = 0
        self._coming_scheduled = 0

    def take(self, jobs: Mapping[str, int], scheduled: int = 0) -> None:
        """Count jobs that are about to wait: by queue those for a worker, `scheduled` for a time.

        Raises QueueFull where they pass a limit.
        """
        if scheduled:
            self._check_scheduled(scheduled)
        if jobs:
            self._check_waiting(jobs)
        self._coming_scheduled += scheduled

    def _check_scheduled(self, scheduled: int) -> None:
        most = self._live.config.api.max_scheduled_jobs
        if self._tally.states[State.SCHEDULED] + self._coming_scheduled + scheduled > most:
            self._refuse("scheduled jobs", most, scheduled)

    def _check_waiting(self, jobs: Mapping[str, int]) -> None:
        total = sum(jobs.values())
        config = self._live.config
        most = config.api.max_waiting_jobs
        if self._tally.waiting_total + self._coming_total + total > most:
            self._refuse("all queues together", most, total)
        for queue, number in jobs.items():
            most = config.queues[queue].max_waiting
            if most and self._tally.waiting_in(queue) + self._coming[queue] + number > most:
                self._refuse(f"queue {queue}", most, number)
        self._coming.update(jobs)
        self._coming_total += total

    def settle(self, jobs: Mapping[str, int], scheduled: int = 0) -> None:
        """They are in the tally now, or are not going to be."""
        self._coming_scheduled -= scheduled
        if jobs:
            self._coming.subtract(jobs)
            self._coming_total -= sum(jobs.values())

    def _refuse(self, where: str, most: int, added: int) -> None:
        raise QueueFull(
            f"{where}: at most {most} jobs may wait, and {added} more would pass that",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
