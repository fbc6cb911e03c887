"""The store in memory: a real implementation of the ports, for tests that need no disk.

It passes the same conformance suites as the stores on disk, and decides by the same `stores.moves`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import uuid4

import trio
from msgspec.structs import replace

from hermesd.core.errors import IdempotencyConflict, InvalidValue, NotFound, Unstorable
from hermesd.core.job import Job, Owner
from hermesd.core.outcome import Settlement
from hermesd.core.records import (
    Assignment,
    Cancelled,
    Claim,
    ClaimAnswer,
    ClaimVerdict,
    Head,
    IdempotencyKey,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)
from hermesd.core.states import State
from hermesd.ports import Clock
from hermesd.stores import moves
from hermesd.stores.broker_moves import claimed
from hermesd.stores.insertion import admitted, check_insertable
from hermesd.stores.micros import whole
from hermesd.stores.portion import portion
from hermesd.testing.memory_apis import MemoryApis
from hermesd.testing.memory_contents import Contents, KeptKey, size_of
from hermesd.testing.memory_fleet import MemoryFleet, MemoryTypes
from hermesd.testing.memory_notes import MemoryNotes
from hermesd.testing.memory_outbox import MemoryOutbox
from hermesd.testing.memory_points import MemoryPoints
from hermesd.testing.memory_queues import MemoryQueues
from hermesd.testing.memory_reader import MemoryReader
from hermesd.testing.memory_schedules import MemorySchedules


class MemoryStore:
    """One object a port, over one `Contents`."""

    def __init__(self, clock: Clock) -> None:
        contents = Contents(store_id=uuid4().hex)
        self.jobs = MemoryJobs(contents, clock)
        self.outbox = MemoryOutbox(contents)
        self.reader = MemoryReader(contents)
        self.fleet = MemoryFleet(contents, clock)
        self.apis = MemoryApis(contents, clock)
        self.types = MemoryTypes(contents, clock)
        self.schedules = MemorySchedules(contents, clock)
        self.notes = MemoryNotes(contents)
        self.points = MemoryPoints()
        self.queues = MemoryQueues(contents, clock)

    async def check(self) -> None:
        """It is always ready."""
        await trio.lowlevel.checkpoint()


class MemoryJobs:
    """JobStore; see `ports.JobStore`."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._held = contents
        self._clock = clock

    async def insert(self, submission: Submission) -> Sequence[Submitted]:
        """All jobs of a submission or none."""
        await trio.lowlevel.checkpoint()
        at = self._now()
        if len(submission.keys) != (0 if submission.apart else len(submission.jobs)):
            raise InvalidValue("a submission needs a key or None for each job, and none if apart")
        for job in submission.jobs:
            check_insertable(job)
        if submission.apart:
            return [self._bear(job, at) for job in submission.jobs]
        fresh: dict[tuple[str, str], Job] = {}
        keys: dict[tuple[str, str], KeptKey] = {}
        answers = []
        for index, (job, key) in enumerate(zip(submission.jobs, submission.keys, strict=True)):
            repeated = self._first_use(key, keys, fresh, job, index, at)
            answers.append(repeated or Submitted(job=admitted(job, at)))
            if key is not None and repeated is None:
                name = (key.principal, key.key_hash)
                keys[name] = KeptKey(key.body_hash, job.id, key.expires_at)
                fresh[name] = answers[-1].job
        if any(not one.repeated and one.job.id in self._held.jobs for one in answers):
            raise Unstorable("a job of this id exists")
        for answer in answers:
            if not answer.repeated:
                self._held.jobs[answer.job.id] = answer.job
                self._held.enter(answer.job, at)
        self._held.keys.update(keys)
        return tuple(answers)

    def _bear(self, asked: Job, at: float) -> Submitted:
        if asked.id in self._held.jobs:
            return Submitted(job=asked, error=Unstorable("a job of this id exists"))
        job = self._held.jobs[asked.id] = admitted(asked, at)
        self._held.enter(job, at)
        return Submitted(job=job)

    def _first_use(
        self,
        key: IdempotencyKey | None,
        keys: dict[tuple[str, str], KeptKey],
        fresh: dict[tuple[str, str], Job],
        asked: Job,
        index: int,
        at: float,
    ) -> Submitted | None:
        if key is None:
            return None
        name = (key.principal, key.key_hash)
        known = keys.get(name) or self._held.keys.get(name)
        if known is None:
            return None
        job = fresh.get(name) or self._held.jobs.get(known.job_id)
        if (job is None or job.state.terminal) and known.expires_at <= at:
            return None
        if known.body_hash != key.body_hash:
            raise IdempotencyConflict(
                "this idempotency key was used with another body", index=index
            )
        if job is None:
            state = known.final_state or State.SUCCEEDED
            job = replace(asked, id=known.job_id, state=state, owner=Owner.NONE)
        return Submitted(job=job, repeated=True)

    async def assign(self, assignments: Sequence[Assignment]) -> Sequence[Job | None]:
        """Each job with its new lease, or None."""
        await trio.lowlevel.checkpoint()
        return [
            self._held.apply(moves.assigned(self._held.jobs.get(one.token.job_id), one))
            for one in assignments
        ]

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """Grant or refuse."""
        await trio.lowlevel.checkpoint()
        return [self._claim(claim) for claim in claims]

    def _claim(self, claim: Claim) -> ClaimAnswer:
        if claim.store_id != self._held.store_id:
            return ClaimAnswer(verdict=ClaimVerdict.FOREIGN_STORE)
        living = self._held.is_living(claim.incarnation)
        job = self._held.jobs.get(claim.token.job_id)
        answer, change = claimed(job, claim, self._now(), living=living)
        self._held.apply(change)
        return answer

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Verdict]:
        """A verdict each."""
        for settlement in settlements:
            moves.check_settleable(settlement)
        await trio.lowlevel.checkpoint()
        return [self._settle(settlement) for settlement in settlements]

    def _settle(self, settlement: Settlement) -> Verdict:
        job = self._held.jobs.get(settlement.token.job_id)
        verdict, change = moves.settled(job, settlement)
        self._held.apply(change)
        return verdict

    async def release_due(self, limit: int) -> Sequence[Job]:
        """Jobs that are queued now, in the order in which they were due."""
        await trio.lowlevel.checkpoint()
        at = self._now()
        waiting = [job for job in self._held.jobs.values() if job.state is State.SCHEDULED]
        waiting.sort(key=lambda job: (job.run_at or 0.0, job.id))
        ready = [job for job in waiting if (job.run_at or 0.0) <= at]
        return self._all(moves.due(job, at) for job in _portion(ready[: max(limit, 0)]))

    async def next_due(self) -> float | None:
        """UTC seconds, or None."""
        await trio.lowlevel.checkpoint()
        times = [j.run_at or 0.0 for j in self._held.jobs.values() if j.state is State.SCHEDULED]
        return min(times, default=None)

    async def waiting(self, wanted: Waiting) -> Head:
        """Best first."""
        await trio.lowlevel.checkpoint()
        fitting = [
            job
            for job in self._held.jobs.values()
            if job.state is State.QUEUED
            and job.owner is Owner.STORE
            and (job.queue, job.type) in wanted.pairs
        ]
        fitting.sort(key=lambda job: (-job.priority, self._held.places[job.id]))
        return wanted.head(fitting)

    async def cancel(self, job_id: str) -> Job:
        """The job, cancelled or marked."""
        await trio.lowlevel.checkpoint()
        job = self._held.jobs.get(job_id)
        if job is None:
            raise NotFound(f"no job {job_id!r}")
        return self._held.apply(moves.cancelled(job, self._now())) or job

    async def cancel_many(self, job_ids: Sequence[str]) -> Sequence[Cancelled | None]:
        """Each as it was and is, or None."""
        await trio.lowlevel.checkpoint()
        return [self._cancel(job_id) for job_id in job_ids]

    def _cancel(self, job_id: str) -> Cancelled | None:
        job = self._held.jobs.get(job_id)
        if job is None or job.state.terminal:
            return None
        now = self._held.apply(moves.cancelled(job, self._now()))
        return None if now is None else Cancelled(job, now)

    async def requeue(self, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """Each job as it is queued, or None."""
        await trio.lowlevel.checkpoint()
        at = self._now()
        return [self._held.apply(moves.requeued(self._held.jobs.get(i), at)) for i in job_ids]

    async def release_orphans(self, limit: int) -> Sequence[Job]:
        """Jobs that are queued, or cancelled."""
        await trio.lowlevel.checkpoint()
        at = self._now()
        orphans = [
            job
            for job in self._held.jobs.values()
            if job.state is State.RUNNING and not self._held.is_living(job.incarnation)
        ]
        return self._all(moves.orphaned(job, at) for job in _portion(orphans[: max(limit, 0)]))

    async def purge(self, job_ids: Sequence[str]) -> int:
        """How many were deleted."""
        await trio.lowlevel.checkpoint()
        known = [self._held.jobs[i] for i in dict.fromkeys(job_ids) if i in self._held.jobs]
        ended = {job.id: job for job in known if job.state.terminal}
        for job_id in ended:
            del self._held.jobs[job_id], self._held.places[job_id]
            self._held.lines.pop(job_id, None)
        self._held.events = [one for one in self._held.events if one.job_id not in ended]
        for name, key in self._held.keys.items():
            if key.job_id in ended:
                final = ended[key.job_id].state
                self._held.keys[name] = replace(key, final_state=final)
        return len(ended)

    def _now(self) -> float:
        return whole(self._clock.utc())

    def _all(self, changes: Iterable[moves.Change | None]) -> list[Job]:
        return [job for change in changes if (job := self._held.apply(change)) is not None]


def _portion(jobs: Sequence[Job]) -> Sequence[Job]:
    return jobs[: len(portion((job.id, size_of(job)) for job in jobs))]
