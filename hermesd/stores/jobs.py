"""The JobStore port over the group commit and the reading connections."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hermesd.core.errors import HermesError, IllegalMove, InvalidValue, NotFound
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.records import (
    Assignment,
    Cancelled,
    Claim,
    ClaimAnswer,
    ClaimVerdict,
    Head,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)
from hermesd.stores.backend import Verb
from hermesd.stores.insertion import check_insertable
from hermesd.stores.moves import check_settleable
from hermesd.stores.questions import QueueQuestions, Reads
from hermesd.stores.writes import Writes


class StoredJobs:
    """JobStore; see `ports.JobStore` for the contract of each method."""

    def __init__(self, writes: Writes, reads: Reads, ask: QueueQuestions, store_id: str) -> None:
        self._writes = writes
        self._reads = reads
        self._ask = ask
        self._store_id = store_id

    async def insert(self, submission: Submission) -> Sequence[Submitted]:
        """All jobs of a submission or none; also raises IllegalMove for one that can't begin."""
        if len(submission.keys) != (0 if submission.apart else len(submission.jobs)):
            raise InvalidValue("a submission needs a key or None for each job, and none if apart")
        for job in submission.jobs:
            check_insertable(job)
        if not submission.jobs:
            return ()
        if submission.apart:
            return await self._bear(submission.jobs)
        rows = len(submission.jobs)
        (answer,) = await self._writes.do(Verb.INSERT, (submission,), rows=rows, whole_call=True)
        return tuple(answer)

    async def _bear(self, jobs: Sequence[Job]) -> Sequence[Submitted]:
        answers = await self._writes.answers(Verb.BEAR, jobs)
        return [
            Submitted(job=job, error=answer)
            if isinstance(answer, HermesError)
            else Submitted(job=answer)
            for job, answer in zip(jobs, answers, strict=True)
        ]

    async def assign(self, assignments: Sequence[Assignment]) -> Sequence[Job | None]:
        """Each job with its new lease, or None."""
        return await self._writes.do(Verb.ASSIGN, assignments)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """Grant or refuse; messages of another store are refused without asking."""
        own = [claim for claim in claims if claim.store_id == self._store_id]
        answers = iter(await self._writes.do(Verb.CLAIM, own))
        foreign = ClaimAnswer(verdict=ClaimVerdict.FOREIGN_STORE)
        return [next(answers) if c.store_id == self._store_id else foreign for c in claims]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Verdict]:
        """A verdict each; RETRY for those that could not be taken while others were."""
        for settlement in settlements:
            check_settleable(settlement)
        answers = await self._writes.answers(Verb.SETTLE, settlements)
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if errors and len(errors) == len(answers):
            raise errors[0]
        return [Verdict.RETRY if isinstance(one, Exception) else one for one in answers]

    async def release_due(self, limit: int) -> Sequence[Job]:
        """Jobs that are queued now; a read looks first whether any is due: it costs no commit."""
        earliest = await self._reads.run(self._ask.next_due)
        if earliest is None or earliest > self._writes.now():
            return ()
        return await self._release(Verb.RELEASE_DUE, limit)

    async def next_due(self) -> float | None:
        """UTC seconds, or None."""
        return await self._reads.run(self._ask.next_due)

    async def waiting(self, wanted: Waiting) -> Head:
        """Best first."""
        if not wanted.pairs or wanted.limit < 1:
            return wanted.head(())
        return await self._reads.run(partial(self._ask.waiting, wanted))

    async def cancel(self, job_id: str) -> Job:
        """The job, cancelled or marked."""
        (answer,) = await self._writes.do(Verb.CANCEL, (job_id,))
        cancelled: Cancelled = answer
        return cancelled.now

    async def cancel_many(self, job_ids: Sequence[str]) -> Sequence[Cancelled | None]:
        """Each as it was and is, or None; what cannot be cancelled is no error here."""
        answers = await self._writes.answers(Verb.CANCEL, job_ids)
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, NotFound | IllegalMove):
                raise answer
        changed = (one if isinstance(one, Cancelled) else None for one in answers)
        return [None if one is None or one.now is one.before else one for one in changed]

    async def requeue(self, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """Each job as it is queued, or None."""
        return await self._writes.do(Verb.REQUEUE, job_ids)

    async def release_orphans(self, limit: int) -> Sequence[Job]:
        """Jobs that are queued, or cancelled; a read looks first whether there are any."""
        if not await self._reads.run(self._ask.has_orphans):
            return ()
        return await self._release(Verb.RELEASE_ORPHANS, limit)

    async def purge(self, job_ids: Sequence[str]) -> int:
        """How many were deleted; old idempotency keys go with them."""
        ids = tuple(job_ids)
        (count,) = await self._writes.do(Verb.PURGE, (ids,), rows=len(ids))
        purged: int = count
        return purged

    async def _release(self, verb: Verb, limit: int) -> Sequence[Job]:
        if limit < 1:
            return ()
        (jobs,) = await self._writes.do(verb, (limit,), rows=limit)
        released: list[Job] = jobs
        return released
