"""How many jobs there are, kept in memory by the api and set right from the store now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hermesd.core.job import Job
from hermesd.core.records import Counts
from hermesd.core.states import State


class Tally:
    """Jobs by state, and waiting ones by queue, type and priority.

    `waiting_changes` rises with every change of the latter, so that a reader of the store can tell
    whether its counts are outdated; `returned` with every job that comes back to its old place.
    `under_way` are changes that the store may have already, and that are not counted here yet.
    """

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self._waiting: dict[str, dict[str, Counter[int]]] = {}
        self.waiting_total = 0
        self.waiting_changes = 0
        self.returned = 0
        self.under_way = 0

    def reset(self, counts: Counts) -> None:
        """Start over from what the store says, of the states that it counted."""
        for state, number in counts.states.items():
            self.states[state] = number
        self._waiting = {}
        self.waiting_total = 0
        for (queue, job_type, priority), number in counts.waiting.items():
            self._shift(queue, job_type, priority, number)

    def amend(self, counts: Counts) -> None:
        """Add what waits by the store and is not known here; for counts that may be outdated."""
        for (queue, job_type, priority), number in counts.waiting.items():
            if not self._waiting.get(queue, {}).get(job_type, Counter())[priority]:
                self._shift(queue, job_type, priority, number)

    def entered(self, job: Job, jobs: int = 1) -> None:
        """A job, or so many alike in queue, type, priority and state, are now in that state."""
        self.states[job.state] += jobs
        if job.state is State.QUEUED:
            self._shift(job.queue, job.type, job.priority, jobs)

    def left(self, job: Job) -> None:
        """A job is no longer in the state that it has here."""
        self.states[job.state] -= 1
        if job.state is State.QUEUED:
            self._shift(job.queue, job.type, job.priority, -1)

    def moved(self, source: State, target: State) -> None:
        """A job went from one state to another, neither of them queued."""
        self.states[source] -= 1
        self.states[target] += 1

    def pairs(self) -> Iterable[tuple[str, str]]:
        """The (queue, type) pairs in which jobs wait."""
        for queue, types in self._waiting.items():
            for job_type in types:
                yield queue, job_type

    def priorities(self, queue: str, job_type: str) -> Mapping[int, int]:
        """How many jobs of the pair wait by priority."""
        return self._waiting.get(queue, {}).get(job_type, {})

    def ahead(self, queue: str, priority: int) -> Iterable[str]:
        """The types that wait in the queue with this priority or a higher one."""
        types = self._waiting.get(queue)
        if not types:
            return
        for job_type, priorities in types.items():
            if any(waiting >= priority for waiting in priorities):
                yield job_type

    def waiting_in(self, queue: str) -> int:
        """How many jobs wait in a queue."""
        return sum(sum(levels.values()) for levels in self._waiting.get(queue, {}).values())

    def counts(self) -> Counts:
        """A copy for people."""
        return Counts(
            states=dict(self.states),
            waiting={
                (queue, job_type, priority): number
                for queue, types in self._waiting.items()
                for job_type, levels in types.items()
                for priority, number in levels.items()
            },
        )

    def _shift(self, queue: str, job_type: str, priority: int, change: int) -> None:
        self.waiting_changes += 1
        types = self._waiting.setdefault(queue, {})
        levels = types.setdefault(job_type, Counter())
        levels[priority] += change
        self.waiting_total += change
        if levels[priority] <= 0:
            self.waiting_total -= levels[priority]
            del levels[priority]
            if not levels:
                del types[job_type]
            if not types:
                del self._waiting[queue]
