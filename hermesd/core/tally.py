"""How many jobs there are, kept in memory by the api and set right from the store now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hermesd.core.changes import Changes, agreed
from hermesd.core.job import Job
from hermesd.core.records import Counts
from hermesd.core.states import State
from hermesd.core.untold import UntoldMoves
from hermesd.core.words import Change, Place

_STATES: Final = {str(state): state for state in State}


class Tally:
    """Jobs by state, and waiting ones by queue, type and priority.

    `returned` rises with every job that comes back to its old place, `gained` with every one that
    begins to wait. `changes` are those that the store may have already, and that are not counted
    here yet; `untold` notes what this api has changed, while there are others to be told.
    """

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self._waiting: dict[str, dict[str, Counter[int]]] = {}
        self.waiting_total = 0
        self.returned = 0
        self.changes = Changes()
        self.gained = 0
        self.untold: UntoldMoves | None = None

    def reset(self, counts: Counts) -> None:
        """Start over from what the store says, of the states that it counted."""
        for state, number in counts.states.items():
            self.states[state] = number
        self._waiting = {}
        self.waiting_total = 0
        for (queue, job_type, priority), number in counts.waiting.items():
            self._shift(queue, job_type, priority, number)

    def reconcile(self, counts: Counts, touched: int) -> None:
        """Go over to the store's counts where changes of so many jobs explain no difference.

        What waits and is not known here at all is counted in any case: it would never be looked
        for, while one too many is found to be none.
        """
        for state, number in counts.states.items():
            self.states[state] = agreed(self.states[state], number, touched)
        known = self.counts().waiting
        for place in {*known, *counts.waiting}:
            mine, theirs = known.get(place, 0), counts.waiting.get(place, 0)
            now = agreed(mine, theirs, touched) if mine else theirs
            if now != mine:
                self._shift(*place, now - mine)
        if not touched:
            self.changes.doubtful = False

    def entered(self, job: Job, jobs: int = 1) -> None:
        """A job, or so many alike in queue, type, priority and state, are now in that state."""
        self.changed(job.state, jobs)
        if job.state is State.QUEUED:
            self.gained += jobs
            self._waits(job, jobs)

    def left(self, job: Job, jobs: int = 1) -> None:
        """A job, or so many alike, are no longer in the state that it has here."""
        self.changed(job.state, -jobs)
        if job.state is State.QUEUED:
            self._waits(job, -jobs)

    def moved(self, source: State, target: State, jobs: int = 1) -> None:
        """So many went from one state to another, neither of them queued."""
        self.changed(source, -jobs)
        self.changed(target, jobs)

    def changed(self, state: State, jobs: int) -> None:
        """So many more jobs are in a state, other than queued."""
        self.states[state] += jobs
        if self.untold is not None:
            self.untold.changed(state, jobs)

    def heard(self, states: Mapping[str, int], waiting: Sequence[Change]) -> None:
        """Another api has told by how many jobs these counts have changed."""
        jobs = sum(map(abs, states.values()))
        with self.changes.of(jobs):
            for name, number in states.items():
                if (state := _STATES.get(name)) is not None:
                    self.states[state] += number
            for queue, job_type, priority, number in waiting:
                self._shift(queue, job_type, priority, number)

    def at_least_one(self, place: Place) -> None:
        """Another api has told that jobs wait in that place."""
        queue, job_type, priority = place
        if not self.priorities(queue, job_type).get(priority):
            self._shift(queue, job_type, priority, 1)

    def fewer_wait(self, place: Place, jobs: int) -> None:
        """So many were counted in that place too many."""
        self._shift(*place, -jobs)

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

    def _waits(self, job: Job, jobs: int) -> None:
        self._shift(job.queue, job.type, job.priority, jobs)
        if self.untold is not None:
            self.untold.waits(job, jobs)

    def _shift(self, queue: str, job_type: str, priority: int, change: int) -> None:
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
