"""The ports that change jobs, with each change noted as under way until its caller has counted it.

The caller counts (see the ledger) as soon as it has the answer, before any other task runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hermesd.core.changes import Changes
from hermesd.core.job import Job, Token
from hermesd.core.outcome import Settlement
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import (
    Assignment,
    BrokerRange,
    Cancelled,
    Claim,
    ClaimAnswer,
    Head,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)
from hermesd.ports import JobStore, Outbox


class CountedJobs:
    """See ports.JobStore."""

    def __init__(self, jobs: JobStore, changes: Changes):
        self._jobs = jobs
        self._changes = changes

    async def insert(self, submission: Submission) -> Sequence[Submitted]:
        """See JobStore.insert."""
        with self._changes.of(len(submission.jobs)):
            answers = await self._jobs.insert(submission)
        for answer in answers:
            if answer.error is not None:
                self._changes.failed(answer.error)
        return answers

    async def assign(self, assignments: Sequence[Assignment]) -> Sequence[Job | None]:
        """See JobStore.assign."""
        with self._changes.of(len(assignments)):
            return await self._jobs.assign(assignments)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See JobStore.claim."""
        with self._changes.of(len(claims)):
            return await self._jobs.claim(claims)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Verdict]:
        """See JobStore.settle."""
        with self._changes.of(len(settlements)):
            return await self._jobs.settle(settlements)

    async def release_due(self, limit: int) -> Sequence[Job]:
        """See JobStore.release_due."""
        with self._changes.of(limit):
            jobs = await self._jobs.release_due(limit)
            self._changes.fewer(limit - len(jobs))
            return jobs

    async def next_due(self) -> float | None:
        """See JobStore.next_due."""
        return await self._jobs.next_due()

    async def waiting(self, wanted: Waiting) -> Head:
        """See JobStore.waiting."""
        return await self._jobs.waiting(wanted)

    async def cancel(self, job_id: str) -> Job:
        """See JobStore.cancel."""
        with self._changes.of(1):
            return await self._jobs.cancel(job_id)

    async def cancel_many(self, job_ids: Sequence[str]) -> Sequence[Cancelled | None]:
        """See JobStore.cancel_many."""
        with self._changes.of(len(job_ids)):
            return await self._jobs.cancel_many(job_ids)

    async def requeue(self, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """See JobStore.requeue."""
        with self._changes.of(len(job_ids)):
            return await self._jobs.requeue(job_ids)

    async def release_orphans(self, limit: int) -> Sequence[Job]:
        """See JobStore.release_orphans."""
        with self._changes.of(limit):
            jobs = await self._jobs.release_orphans(limit)
            self._changes.fewer(limit - len(jobs))
            return jobs

    async def purge(self, job_ids: Sequence[str]) -> int:
        """See JobStore.purge."""
        with self._changes.of(len(job_ids)):
            return await self._jobs.purge(job_ids)


class CountedOutbox:
    """See ports.Outbox."""

    def __init__(self, outbox: Outbox, changes: Changes):
        self._outbox = outbox
        self._changes = changes

    async def hand_over(self, tokens: Sequence[Token], at: float) -> Sequence[bool]:
        """See Outbox.hand_over."""
        with self._changes.of(len(tokens)):
            return await self._outbox.hand_over(tokens, at)

    async def take_back(self, tokens: Sequence[Token], at: float) -> Sequence[Job | None]:
        """See Outbox.take_back."""
        with self._changes.of(len(tokens)):
            return await self._outbox.take_back(tokens, at)

    async def with_broker(self, wanted: BrokerRange) -> Sequence[Token]:
        """See Outbox.with_broker."""
        return await self._outbox.with_broker(wanted)

    async def broker_counts(self, published_before: float) -> Mapping[tuple[str, int], int]:
        """See Outbox.broker_counts."""
        return await self._outbox.broker_counts(published_before)

    async def settle_pulled(
        self, outcomes: Sequence[PulledOutcome], at: float
    ) -> Sequence[PulledAnswer]:
        """See Outbox.settle_pulled."""
        with self._changes.of(len(outcomes)):
            return await self._outbox.settle_pulled(outcomes, at)
