"""Where every committed move is reflected in memory: counts, events, metrics, and who waits for it.

The store is the truth; this only saves asking it. Called after the commit, never before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import trio

from hermesd.api.state import ApiState
from hermesd.api.story import Story
from hermesd.core.ahead import place_of
from hermesd.core.ends import Ends
from hermesd.core.events import EventKind
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.states import Move, State, after
from hermesd.core.words import Due
from hermesd.observe.joblines import JobLines
from hermesd.signal import Signal

_SUCCEED: Final = Move.SUCCEED  # which takes a third of the time to read
# What a job is then that was settled and has not succeeded, and the event that tells of it.
_SETTLED: Final = {
    move: (after(State.RUNNING, move), kind)
    for move, kind in (
        (Move.FAIL, EventKind.FAILED),
        (Move.RETRY, EventKind.RETRY),
        (Move.SNOOZE, EventKind.SNOOZED),
        (Move.RELEASE, EventKind.RELEASED),
        (Move.CANCEL, EventKind.CANCELLED),
    )
}


class Ledger:
    """Tells the rest of one api what has been committed."""

    def __init__(self, state: ApiState, work: Signal, due: Signal):
        self._state = state
        self._work = work
        self._due = due
        self._waiters: dict[str, trio.Event] = {}
        self._ends = Ends()
        self.story = Story(JobLines(state.log, state, state.clock))

    def inserted(self, jobs: Sequence[Job], *, note: str = "") -> None:
        """New jobs are committed, alike in type, queue, priority, and state as routed."""
        state, alike = self._state, jobs[0]
        state.tally.entered(alike, len(jobs))
        if alike.state is State.RUNNING:
            state.metrics.started(alike, len(jobs))
            state.metrics.waited_all(jobs, state.clock.utc())
            state.ring.publish_all(EventKind.DIRECT, jobs)
            self._sent(jobs, None, None)
        elif alike.state is State.QUEUED:
            self._arrived(jobs)
            state.ring.publish_all(EventKind.QUEUED, jobs, note)
            self._work.set()
        else:
            state.ring.publish_all(EventKind.SUBMITTED, jobs)
            self._scheduled(min(job.run_at or 0.0 for job in jobs))
        self.story.accepted(jobs, note)

    def assigned(self, assigned: Sequence[tuple[Job, Job]]) -> None:
        """Waiting jobs, or such as another worker refused, have a worker: before and now."""
        if not assigned:
            return
        groups: dict[tuple[Any, ...], list[tuple[Job, Job]]] = {}
        last: tuple[Any, ...] | None = None
        group: list[tuple[Job, Job]] = []
        for pair in assigned:
            before, now = pair
            alike = (before.state, now.type, now.queue, now.priority, now.rung, now.started_at)
            if alike != last:
                last, group = alike, groups.setdefault(alike, [])
            group.append(pair)
        for group in groups.values():
            self._assigned_alike(group)
        jobs = [now for _, now in assigned]
        self._state.ring.publish_all(EventKind.DIRECT, jobs)
        self.story.dispatched(jobs)
        if self._state.tracing is not None:
            for job in jobs:
                self._sent((job,), job.enqueued_at, job.started_at)

    def _assigned_alike(self, group: Sequence[tuple[Job, Job]]) -> None:
        """Of a state, type, queue and priority, begun together on the same rung."""
        state, (before, now) = self._state, group[0]
        state.tally.left(before, len(group))
        state.tally.entered(now, len(group))
        if before.state is State.QUEUED:
            state.published.left_all(was for was, _ in group)
            state.metrics.waited_all([job for _, job in group], now.started_at or 0.0)
        state.metrics.started(now, len(group))

    def handed_over(self, jobs: Sequence[Job]) -> None:
        """Waiting jobs have been given to the broker."""
        for job in jobs:
            self._state.published.handed_over(job)
        if jobs:
            self._state.ring.publish_all(EventKind.PUBLISHED, jobs, "waits at the broker")

    def taken_back(self, before: Sequence[Job], now: Sequence[Job | None], reason: str) -> None:
        """Jobs that waited at the broker wait in the store again; None: they do not."""
        back: list[Job] = []
        for was, job in zip(before, now, strict=True):
            if job is not None:
                self._state.published.left(was)
                back.append(job)
        if back:
            self._state.tally.returned += 1
            self._state.metrics.taken_back(reason, len(back))
            self._state.ring.publish_all(EventKind.TAKEN_BACK, back, reason)
            self._state.log.info("jobs taken back", jobs=len(back), why=reason)
            self._work.set()

    def returned(self, job: Job, settlement: Settlement) -> None:
        """A waiting job has failed, because the broker gave its message up."""
        self._state.published.left(job)
        self._state.metrics.settled(job, settlement)
        self._state.tally.left(job)
        self._state.tally.changed(State.FAILED, 1)
        self._ended(job.id)
        message = settlement.error.message if settlement.error else ""
        self._state.ring.publish(EventKind.QUARANTINED, job=job, message=message)
        self.story.returned(job, settlement)

    def settled(self, settled: Sequence[tuple[Job, Settlement]]) -> None:
        """Running jobs were settled."""
        succeeded: list[tuple[Job, Settlement]] = []
        for job, settlement in settled:
            if settlement.move is _SUCCEED:
                succeeded.append((job, settlement))
            else:
                self._settled_otherwise(job, settlement)
        if succeeded:
            self._succeeded(succeeded)

    def _succeeded(self, settled: Sequence[tuple[Job, Settlement]]) -> None:
        state, jobs = self._state, [job for job, _ in settled]
        groups: dict[tuple[str, str], tuple[Job, list[Settlement]]] = {}
        for job, settlement in settled:
            groups.setdefault((job.type, job.queue), (job, []))[1].append(settlement)
        for alike, settlements in groups.values():
            state.metrics.succeeded_all(alike, settlements)
        state.tally.moved(State.RUNNING, State.SUCCEEDED, len(jobs))
        self._ran(jobs)
        state.ring.publish_all(EventKind.SUCCEEDED, jobs)
        self.story.succeeded(settled)

    def _settled_otherwise(self, job: Job, settlement: Settlement) -> None:
        """A running job did not succeed."""
        state = self._state
        target, kind = _SETTLED[settlement.move]
        state.metrics.settled(job, settlement)
        if target is State.QUEUED:
            state.tally.left(job)
            state.tally.entered(msgspec.structs.replace(job, state=State.QUEUED))
            state.tally.returned += 1
            self._work.set()
        else:
            state.tally.moved(State.RUNNING, target)
            if target is State.SCHEDULED:
                self._scheduled(settlement.run_at or 0.0)
            else:
                self._ran((job,))
        message = ""
        if (error := settlement.error) is not None:
            message = f"{error.kind}: {error.message}"
            if error.kind == "quarantined":
                kind = EventKind.QUARANTINED
        state.ring.publish(kind, job=job, message=message)
        self.story.settled(job, settlement)

    def queued(self, jobs: Sequence[Job], source: State, kind: EventKind) -> None:
        """Jobs came (back) to the queue: due, requeued by an operator, or left by a lost worker."""
        if not jobs:
            return
        if source is State.RUNNING:
            self._state.tally.returned += 1
        for job in jobs:
            self._state.tally.changed(source, -1)
            self._state.tally.entered(job)
            if job.state.terminal:
                self._ended(job.id)
                self._state.metrics.cancelled(job)
                self._state.ring.publish(EventKind.CANCELLED, job=job)
            else:
                if source is not State.RUNNING:  # which gives a job its old place again
                    self._arrived((job,))
                self._state.ring.publish(kind, job=job)
        self.story.queued(jobs, kind)
        self._work.set()

    def cancelled(self, before: Job, now: Job) -> None:
        """An operator cancelled a waiting job (`before` is how it was)."""
        self._state.tally.left(before)
        self._state.tally.entered(now)
        self._state.published.left(before)
        self._state.metrics.cancelled(before)
        self._ended(now.id)
        self.story.cancelled(now)

    def purged(self, jobs: int) -> None:
        """An operator deleted so many failed jobs."""
        self._state.tally.changed(State.FAILED, -jobs)

    def pruned(self, state: State, jobs: int) -> None:
        """So many jobs that had ended in `state` were deleted because their time was over."""
        self._state.tally.changed(state, -jobs)
        self._state.metrics.pruned(state, jobs)

    async def wait_ended(self, job_id: str, seconds: float) -> None:
        """Return when the job's run has ended as far as this api knows, or after `seconds`."""
        event = self._waiters.setdefault(job_id, trio.Event())
        try:
            with trio.move_on_after(seconds):
                await event.wait()
        finally:
            if event.statistics().tasks_waiting == 0 and self._waiters.get(job_id) is event:
                del self._waiters[job_id]

    def ended_elsewhere(self, job_ids: Iterable[str]) -> None:
        """Other apis say that runs of these jobs have ended."""
        for job_id in job_ids:
            self._ended(job_id)

    def _sent(self, jobs: Iterable[Job], since: float | None, until: float | None) -> None:
        """Jobs were on their way to a worker from and to these UTC seconds."""
        if (tracing := self._state.tracing) is not None:
            until = self._state.clock.utc() if until is None else until
            for job in jobs:
                tracing.sent(job, job.created_at if since is None else since, until)

    def _arrived(self, jobs: Sequence[Job]) -> None:
        """Jobs alike begin to wait; those of other apis' shares are read when it is their turn."""
        state, alike = self._state, jobs[0]
        if state.neighbours.all_mine(jobs):
            waiting = state.tally.priorities(alike.queue, alike.type)[alike.priority]
            state.ahead.arrived(jobs, waiting)
        else:
            state.ahead.hidden(place_of(alike))

    def _scheduled(self, at: float) -> None:
        """A job is due at that UTC second."""
        self._due.set()
        if not self._state.neighbours.alone:
            self._state.bus.tell(Due(at=at))

    def _ran(self, jobs: Sequence[Job]) -> None:
        """A run of each job has ended in a worker, which must not have happened before."""
        for job in self._ends.again(jobs):
            self._state.metrics.breach("double-outcome")
            self._state.log.error("invariant broken", invariant="double-outcome", job_id=job.id)
        if self._waiters:
            for job in jobs:
                self._ended(job.id)

    def _ended(self, job_id: str) -> None:
        event = self._waiters.pop(job_id, None)
        if event is not None:
            event.set()
