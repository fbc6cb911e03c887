"""Which of the waiting jobs go to the broker, and which are pushed from the store."""

from __future__ import annotations

from hermesd.api.state import ApiState
from hermesd.core.job import Job, Rung

REJECTED_SECONDS = 60.0
MOST_GIVEN_UP = 10_000


class Ladder:
    """Decides by the registry, what waits at the broker, and what came back from there."""

    def __init__(self, state: ApiState):
        self._state = state
        self._rejected: dict[tuple[str, str], float] = {}  # until when, monotonic
        self._given_up: dict[str, None] = {}  # the oldest first

    def rejected(self, queue: str, job_type: str) -> None:
        """A worker has rejected such a message: none is published for a while."""
        until = self._state.clock.monotonic() + REJECTED_SECONDS
        self._rejected[queue, job_type] = until

    def given_up(self, job_id: str) -> None:
        """The broker has given its message up: it is pushed from now on.

        A push tells a job that ends its workers from one that went back because they were busy.
        """
        self._given_up[job_id] = None
        if len(self._given_up) > MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]

    def push_only(self, job: Job) -> bool:
        """Whether it must not be pulled: then one that ends its worker could not be charged."""
        return job.suspect or job.id in self._given_up

    def publishable(self, queue: str, job_type: str) -> bool:
        """Whether whoever may pull such a message can run it, as far as is known here."""
        until = self._rejected.get((queue, job_type))
        if until is not None:
            if self._state.clock.monotonic() < until:
                return False
            del self._rejected[queue, job_type]
        return self.pulled(queue) and all(
            view.kind_of(job_type) is not None
            for view in self._state.registry
            if view.pulls and queue in view.queues
        )

    def pulled(self, queue: str) -> bool:
        """Whether somebody pulls from this queue, or may come who does: nobody serves it yet."""
        serving = [view for view in self._state.registry if queue in view.queues]
        return not serving or any(view.pulls for view in serving)

    def beside(self, queue: str, job_type: str) -> int:
        """How many slots for such jobs are free with workers that do not pull."""
        free = 0
        for view in self._state.registry:
            if not view.pulls and view.routable and queue in view.queues:
                kind = view.kind_of(job_type)
                free += 0 if kind is None else max(view.free(kind), 0)
        return free

    def behind(self, queue: str, job_type: str, priority: int) -> bool:
        """Whether such a job has to wait its turn at the broker, though a slot may be free.

        Only while the broker serves: else what waits there is overtaken rather than waited for. So
        it is where a slot is free with a worker that has nothing from there.
        """
        state = self._state
        return (
            state.broker is not None
            and state.queue.rung is Rung.AMQP
            and state.published.ahead(queue, priority)
            and not state.published.is_outdated(queue, priority)
            and self.publishable(queue, job_type)
            and not self.beside(queue, job_type)
        )

    def offered(self, queue: str, job_type: str) -> tuple[int, ...]:
        """The priorities of such waiting jobs that are for the broker, highest first.

        None of a paused queue: in the store they can be listed and cancelled as ever.
        """
        if queue in self._state.pauses:
            return ()
        outdated = self._state.published.is_outdated
        waiting = sorted(self._state.tally.priorities(queue, job_type), reverse=True)
        priorities = [each for each in waiting if not outdated(queue, each)]
        if not self.publishable(queue, job_type):
            return ()
        if self._state.registry.roster(job_type, queue).first() is None:
            return tuple(priorities)
        return tuple(each for each in priorities if self.behind(queue, job_type, each))
