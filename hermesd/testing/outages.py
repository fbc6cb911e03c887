"""A store with bad days: a real one behind a wrapper that a test makes fail, wait, or forget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

import trio

from hermesd.core.errors import OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.records import (
    Assignment,
    Cancelled,
    Claim,
    ClaimAnswer,
    Head,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)
from hermesd.core.schedule import (
    FireRecord,
    Firing,
    FiringAnswer,
    Schedule,
    ScheduleDefinition,
    Source,
)
from hermesd.ports import JobStore, Schedules

AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")


class UnsteadyJobs:
    """JobStore over another one.

    While `down`, every call raises StoreUnavailable and nothing is changed. The next `unknown`
    calls are carried out, and raise OutcomeUnknown; the next `retries` settlements are not, and are
    answered RETRY. `before` and `after` are waited for before and after each change.
    """

    def __init__(self, inner: JobStore) -> None:
        self.down = False
        self.unknown = 0
        self.retries = 0
        self.before: trio.Event | None = None
        self.after: trio.Event | None = None
        self.calls = 0
        self._inner = inner

    async def insert(self, submission: Submission) -> Sequence[Submitted]:
        """See JobStore."""
        return await self._change(self._inner.insert, submission)

    async def assign(self, assignments: Sequence[Assignment]) -> Sequence[Job | None]:
        """See JobStore."""
        return await self._change(self._inner.assign, assignments)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See JobStore."""
        return await self._change(self._inner.claim, claims)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Verdict]:
        """See JobStore."""
        if self.retries and not self.down:
            self.retries -= 1
            await trio.lowlevel.checkpoint()
            return [Verdict.RETRY] * len(settlements)
        return await self._change(self._inner.settle, settlements)

    async def release_due(self, limit: int) -> Sequence[Job]:
        """See JobStore."""
        return await self._change(self._inner.release_due, limit)

    async def next_due(self) -> float | None:
        """See JobStore."""
        self._check()
        return await self._inner.next_due()

    async def waiting(self, wanted: Waiting) -> Head:
        """See JobStore."""
        self._check()
        return await self._inner.waiting(wanted)

    async def cancel(self, job_id: str) -> Job:
        """See JobStore."""
        return await self._change(self._inner.cancel, job_id)

    async def cancel_many(self, job_ids: Sequence[str]) -> Sequence[Cancelled | None]:
        """See JobStore."""
        return await self._change(self._inner.cancel_many, job_ids)

    async def requeue(self, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """See JobStore."""
        return await self._change(self._inner.requeue, job_ids)

    async def release_orphans(self, limit: int) -> Sequence[Job]:
        """See JobStore."""
        return await self._change(self._inner.release_orphans, limit)

    async def purge(self, job_ids: Sequence[str]) -> int:
        """See JobStore."""
        return await self._change(self._inner.purge, job_ids)

    def _check(self) -> None:
        self.calls += 1
        if self.down:
            raise StoreUnavailable("the store is away")

    async def _change(
        self, change: Callable[[AskedT], Awaitable[AnswerT]], asked: AskedT
    ) -> AnswerT:
        await trio.lowlevel.checkpoint()
        self._check()
        if self.before is not None:
            await self.before.wait()
        answer = await change(asked)
        if self.after is not None:
            await self.after.wait()
        if self.unknown:
            self.unknown -= 1
            raise OutcomeUnknown("the store did not say")
        return answer


class UnsteadySchedules:
    """Schedules over another one; `down` and `unknown` as of UnsteadyJobs, the latter of fires.

    While `choosy`, it takes no jobs: a fire with one is Unstorable.
    """

    def __init__(self, inner: Schedules) -> None:
        self.down = False
        self.unknown = 0
        self.choosy = False
        self._inner = inner

    async def put(
        self,
        name: str,
        definition: ScheduleDefinition,
        source: Source,
        *,
        next_at: float | None,
        replace: bool,
        expected: Collection[str] | None = None,
    ) -> Schedule:
        """See Schedules."""
        return await self._at().put(
            name, definition, source, next_at=next_at, replace=replace, expected=expected
        )

    async def pause(
        self, name: str, revision: int, *, paused: bool, next_at: float | None
    ) -> Schedule | None:
        """See Schedules."""
        return await self._at().pause(name, revision, paused=paused, next_at=next_at)

    async def delete(
        self, name: str, source: Source, *, expected: Collection[str] | None = None
    ) -> None:
        """See Schedules."""
        await self._at().delete(name, source, expected=expected)

    async def get(self, name: str) -> Schedule | None:
        """See Schedules."""
        return await self._at().get(name)

    async def all(self, limit: int) -> Sequence[Schedule]:
        """See Schedules."""
        return await self._at().all(limit)

    async def due(self, limit: int) -> Sequence[Schedule]:
        """See Schedules."""
        return await self._at().due(limit)

    async def next_at(self) -> float | None:
        """See Schedules."""
        return await self._at().next_at()

    async def fire(self, firing: Firing) -> FiringAnswer:
        """See Schedules."""
        if self.choosy and any(fire.job is not None for fire in firing.fires):
            raise Unstorable("the store does not like it")
        answer = await self._at().fire(firing)
        if self.unknown:
            self.unknown -= 1
            raise OutcomeUnknown("the store did not say")
        return answer

    async def fires(self, name: str, limit: int) -> Sequence[FireRecord]:
        """See Schedules."""
        return await self._at().fires(name, limit)

    async def prune(self, name: str, *, before: float, keep: int) -> int:
        """See Schedules."""
        return await self._at().prune(name, before=before, keep=keep)

    def _at(self) -> Schedules:
        if self.down:
            raise StoreUnavailable("the store is away")
        return self._inner
