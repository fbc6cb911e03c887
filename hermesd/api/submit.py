"""From a request to a committed job: admit, route, store, and wait a moment for the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import trio

from hermesd.api.acceptance import Acceptances, Waiter
from hermesd.api.admission import Admission, JobRequest
from hermesd.api.intake import Intake
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.lone import Lone
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.api.submitted import Answer, SubmitAnswer, answer_on, repeated, routed
from hermesd.core.errors import OutcomeUnknown, QueueFull
from hermesd.core.job import Job
from hermesd.core.records import IdempotencyKey, Submission, Submitted
from hermesd.core.states import State

__all__ = ["JobRequest", "SubmitAnswer", "Submitter"]


# To name a member of an enumeration takes three times as long as a global.
_QUEUED: Final = State.QUEUED
_SCHEDULED: Final = State.SCHEDULED

# What a job competes for a slot by: its type, queue and priority.
_Kin = tuple[str, str, int]


class _Batch:
    """The jobs of one submit as they are routed; an index means the same job in every member.

    `waiting` counts those without a slot by queue, `notes` says why those of a kin wait;
    `scheduled` counts those that wait for their time.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.slots: list[Reservation | None] = []
        self.waiting: Counter[str] = Counter()
        self.notes: dict[_Kin, str] = {}
        self.scheduled = 0


class Submitter:
    """Accepts jobs: a returned answer means that all of them are committed."""

    def __init__(
        self,
        state: ApiState,
        admission: Admission,
        router: Router,
        lines: Lines,
        ledger: Ledger,
        intake: Intake,
    ):
        self._intake = intake
        self._depth = intake.depth
        self._patience = intake.patience
        self._state = state
        self._admission = admission
        self._router = router
        self._lines = lines
        self._ledger = ledger
        self._pending = 0

    async def submit(
        self,
        requests: Sequence[JobRequest],
        *,
        principal: str = "",
        trace_context: str | None = None,
    ) -> Sequence[SubmitAnswer]:
        """Store all jobs or none, and hand those with a slot to their workers.

        `trace_context` is the trace that the jobs belong to (core/trace.py).
        Raises the error of a lone request itself, InvalidBatch with `errors` by index otherwise;
        QueueFull past the depth limit; StoreUnavailable and OutcomeUnknown as the store does.
        """
        self._check_room()
        self._pending += 1
        try:
            if len(requests) == 1:
                return (await self._submit_one(requests[0], principal, trace_context),)
            return await self._submit_batch(requests, principal, trace_context)
        finally:
            self._pending -= 1

    def begin(self, request: JobRequest, answer: Answer) -> bool:
        """Take one job in without a wait; `answer` gets what `submit` would return or raise.

        False, and nothing is done, for one that has a key. Raises what is known to be wrong at
        once. `answer` must not raise.
        """
        if request.idempotency_key is not None:
            return False
        self._check_room()
        now = self._now()
        lone = self._routed_alone(self._admission.job(request, now), now)
        self._intake.begin(lone, partial(self._begun_is_done, answer))
        self._pending += 1
        return True

    def _begun_is_done(self, answer: Answer, lone: Lone) -> None:
        self._pending -= 1
        told: SubmitAnswer | Exception
        try:
            told = lone.error or answer_on(lone)
        except Exception as defect:  # somebody has to be answered
            told = defect
        answer(told)

    def _check_room(self) -> None:
        if self._pending >= self._state.config.api.max_pending_submits:
            raise QueueFull("too many submits wait for their commit", retry_after_seconds=1)

    async def _submit_one(
        self, request: JobRequest, principal: str, trace_context: str | None
    ) -> SubmitAnswer:
        now = self._now()
        job = self._admission.job(request, now, trace_context)
        key = self._admission.key(request, principal, now)
        if key is not None:
            [answer] = await self._submit_together([job], [key], now)
            return answer
        lone = self._routed_alone(job, now)
        await self._intake.store(lone)
        return answer_on(lone)

    def _now(self) -> float:
        """UTC to the microsecond, as a store keeps it, which then need not change the job."""
        return round(self._state.clock.utc() * 1_000_000) / 1_000_000

    def _routed_alone(self, job: Job, now: float) -> Lone:
        if job.run_at is not None:
            return Lone(job)
        slot = self._router.place_new(job)
        if slot is None:
            return Lone(job, note=self._router.explain(job))
        return Lone(self._router.as_running(job, slot.view, now), slot)

    async def _submit_batch(
        self, requests: Sequence[JobRequest], principal: str, trace_context: str | None
    ) -> Sequence[SubmitAnswer]:
        now = self._now()
        admitted = self._admission.jobs(requests, now, trace_context)
        key = self._admission.key
        keys = [
            None if request.idempotency_key is None else key(request, principal, now)
            for request in requests
        ]
        return await self._submit_together(admitted, keys, now)

    async def _submit_together(
        self, jobs: Sequence[Job], keys: Sequence[IdempotencyKey | None], now: float
    ) -> Sequence[SubmitAnswer]:
        """Store all of these jobs or none."""
        batch = self._route(jobs, now)
        submitted = await self._store(
            batch.jobs, keys, batch.slots, batch.waiting, scheduled=batch.scheduled
        )
        wait = Acceptances()
        waiters = self._hand_over(submitted, batch, wait)
        if waiters:
            self._patience.bound((wait,))
            await wait.all_in()
        answers = []
        notes = batch.notes
        for index, entry in enumerate(submitted):
            job = entry.job
            if entry.repeated:
                answers.append(repeated(job))
            elif index in waiters:
                answers.append(routed(job, waiters[index]))
            elif job.state is _SCHEDULED:
                answers.append(SubmitAnswer(job=job, routed="scheduled"))
            else:
                note = notes[job.type, job.queue, job.priority]
                answers.append(SubmitAnswer(job=job, routed="queue", note=note))
        return answers

    def _route(self, jobs: Sequence[Job], now: float) -> _Batch:
        """Slots for as many as possible; once one of a kin has to wait, all that follow do too."""
        batch = _Batch()
        notes, place, reserve = batch.notes, batch.jobs.append, batch.slots.append
        for job in jobs:
            slot = None
            if job.state is _SCHEDULED:
                batch.scheduled += 1
            else:
                kin = (job.type, job.queue, job.priority)
                if kin not in notes and (slot := self._router.place_new(job)) is None:
                    notes[kin] = self._router.explain(job)
                if slot is None:
                    batch.waiting[job.queue] += 1
                else:
                    job = self._router.as_running(job, slot.view, now)
            place(job)
            reserve(slot)
        return batch

    async def _store(
        self,
        jobs: Sequence[Job],
        keys: Sequence[IdempotencyKey | None],
        slots: Sequence[Reservation | None],
        waiting: Mapping[str, int],
        scheduled: int = 0,
    ) -> Sequence[Submitted]:
        """Commit the jobs; `slots` are given back where that fails.

        The commit and the hand-over to the dispatcher belong together, whatever becomes of the
        client's connection meanwhile: no cancellation comes through here, and none may be let in
        before the hand-over. The store bounds the wait.
        """
        try:
            self._depth.take(waiting, scheduled)
        except BaseException:
            _cancel(slots)
            raise
        submission = Submission(jobs=tuple(jobs), keys=tuple(keys))
        try:
            with trio.CancelScope(shield=True):
                submitted = await self._state.jobs.insert(submission)
        except BaseException as error:
            if isinstance(error, OutcomeUnknown):
                self._lines.adopt_later([job.id for job in jobs])
            _cancel(slots)
            raise
        finally:
            self._depth.settle(waiting, scheduled)
        return submitted

    def _hand_over(
        self, submitted: Sequence[Submitted], batch: _Batch, wait: Acceptances
    ) -> dict[int, Waiter]:
        """Tell the ledger and the dispatchers what is committed; who is waited for, by index."""
        fresh: dict[tuple[_Kin, State], list[Job]] = {}
        last: tuple[_Kin, State] | None = None
        jobs: list[Job] = []
        direct: list[int] = []
        for index, (entry, slot) in enumerate(zip(submitted, batch.slots, strict=True)):
            job = entry.job
            if entry.repeated:
                if slot is not None:
                    slot.cancel()
                continue
            alike = ((job.type, job.queue, job.priority), job.state)
            if alike != last:
                last, jobs = alike, fresh.setdefault(alike, [])
            jobs.append(job)
            if slot is not None:
                direct.append(index)
        for (kin, state), jobs in fresh.items():
            self._ledger.inserted(jobs, note=batch.notes[kin] if state is _QUEUED else "")
        return {
            index: self._send(submitted[index].job, slot, wait)
            for index in direct
            if (slot := batch.slots[index])
        }

    def _send(self, job: Job, slot: Reservation, wait: Acceptances) -> Waiter:
        waiter = wait.expect()
        self._lines.send(slot.view, self._router.commit(slot, job), waiter)
        return waiter


def _cancel(slots: Sequence[Reservation | None]) -> None:
    for slot in slots:
        if slot is not None:
            slot.cancel()
