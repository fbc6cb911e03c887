"""Jobs submitted one by one: what came in one turn of the loop goes on together.

One call of the store, one entry in the ledger and one deadline for all of them: that takes 27 % of
the instructions from a submit (measured with callgrind, 128 connections: 672,000 to 493,000 a job,
HTTP and SQLite included). A job that comes while there is nothing to gather is seen through in its
own task, which takes five turns of the loop from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final

import trio

from hermesd.api.acceptance import Patience, Waiter, stay
from hermesd.api.depth import Depth
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown
from hermesd.core.job import Job
from hermesd.core.records import Submission, Submitted
from hermesd.core.states import State

MOST_JOBS: Final = 500  # in one call of the store
MOST_IDLE: Final = 8
QUIET: Final = 4  # so many jobs came one after another, and the next one is not waited for company

_Alike = tuple[str, str, int, State, str]


class Lone:
    """A job that is submitted by itself, from its routing until its client can be answered.

    `note` says why it waits where it has no `slot`; `waiter` has its worker's word where it has.
    """

    __slots__ = ("_error", "_task", "job", "note", "slot", "waiter")

    def __init__(self, job: Job, slot: Reservation | None = None, note: str = "") -> None:
        self.job = job
        self.slot = slot
        self.note = note
        self.waiter: Waiter | None = None
        self._task: trio.lowlevel.Task | None = None
        self._error: BaseException | None = None

    async def done(self) -> None:
        """Return when somebody calls `go_on`, raise if `fail`; no cancellation comes through."""
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(stay)
        self.check()

    def check(self) -> None:
        """Raise what it has failed with, if it has."""
        if self._error is not None:
            raise self._error

    @property
    def refused(self) -> bool:
        """Whether it has failed."""
        return self._error is not None

    def go_on(self) -> None:
        """Its client can be answered; once is enough."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def fail(self, error: BaseException) -> None:
        """The job is not stored, as far as is known."""
        self._error = error
        self.go_on()


class Intake:
    """Stores lone jobs and hands those with a slot to their workers; its tasks run in `nursery`.

    A clerk is a task that takes what has come, all of it, and is idle when that is committed. The
    next one starts at once with what comes meanwhile, since the store makes one commit of all that
    waits for it.
    """

    def __init__(
        self,
        state: ApiState,
        router: Router,
        lines: Lines,
        ledger: Ledger,
        patience: Patience,
        nursery: trio.Nursery,
    ):
        self.depth = Depth(state, state.tally)
        self.patience = patience
        self._state = state
        self._router = router
        self._lines = lines
        self._ledger = ledger
        self._nursery = nursery
        self._come: list[Lone] = []
        self._called = False  # a clerk is on its way to what has come
        self._idle: list[trio.lowlevel.Task] = []
        self._under_way = 0
        self._quiet = 0  # so many in a row had nobody beside them

    async def store(self, lone: Lone) -> None:
        """Return when the job is committed, and its worker has answered or has had its time.

        Raises QueueFull past the depth limit; StoreUnavailable and OutcomeUnknown as the store
        does. The slot is given back then.
        """
        if lone.slot is None:
            self.depth.take(*_waiting(lone.job))
        if self._under_way:
            self._quiet = 0
        self._under_way += 1
        try:
            if self._quiet >= QUIET:
                await self._see_through(lone)
            else:
                self._come.append(lone)
                if not self._called:
                    self._call()
                await lone.done()
        finally:
            self._under_way -= 1
            self._quiet += 1

    def _call(self) -> None:
        self._called = True
        if self._idle:
            trio.lowlevel.reschedule(self._idle.pop())
        else:
            self._nursery.start_soon(self._clerk)

    async def _clerk(self) -> None:
        while self._called:
            self._called = False
            group, self._come = self._come[:MOST_JOBS], self._come[MOST_JOBS:]
            if self._come:
                self._call()
            # The commit and the hand-over belong together: no cancellation comes through here. The
            # store bounds the wait.
            with trio.CancelScope(shield=True):
                stored = await self._commit(group)
            self._hand_over(group, stored)
            if len(self._idle) < MOST_IDLE:
                await self._rest()

    async def _rest(self) -> None:
        task = trio.lowlevel.current_task()

        def leave(_: object) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self._idle.append(task)
        await trio.lowlevel.wait_task_rescheduled(leave)

    async def _see_through(self, lone: Lone) -> None:
        """What a clerk and a dispatcher do, for one job and in its own task."""
        with trio.CancelScope(shield=True):
            stored = await self._commit((lone,))
            try:
                if self._stored((lone,), stored) and lone.slot is not None:
                    await self._carry(lone, lone.slot)
            except Exception as defect:
                self._not_handed_over((lone,), defect)
        lone.check()

    async def _commit(self, group: Sequence[Lone]) -> Sequence[Submitted]:
        """What the store says of each; where it says nothing, all are refused."""
        jobs = tuple([lone.job for lone in group])
        stored: Sequence[Submitted] = ()
        error: BaseException = OutcomeUnknown("the submit was broken off")
        try:
            stored = await self._state.jobs.insert(Submission(jobs=jobs, apart=True))
        except Exception as raised:
            error = raised
        finally:
            for lone in group:
                if lone.slot is None:
                    self.depth.settle(*_waiting(lone.job))
            if not stored:
                for lone in group:
                    # A copy each: an exception that several tasks raise gathers their tracebacks.
                    self._refuse(lone, copy(error))
        return stored

    def _hand_over(self, group: Sequence[Lone], stored: Sequence[Submitted]) -> None:
        try:
            waiters = [
                self._send(lone, lone.slot)
                for lone in self._stored(group, stored)
                if lone.slot is not None
            ]
            if waiters:
                self.patience.bound(waiters)
        except Exception as defect:  # must not end the clerk, on whom all clients wait
            self._not_handed_over(group, defect)

    def _not_handed_over(self, group: Sequence[Lone], defect: Exception) -> None:
        """Answer all that wait: their jobs are committed, and those not sent are looked up."""
        self._state.log.error("committed jobs were not handed over", error=repr(defect))
        unsent = [lone for lone in group if not lone.refused and lone.waiter is None]
        for lone in unsent:
            if lone.slot is not None:
                lone.slot.cancel()
        self._lines.adopt_later([lone.job.id for lone in unsent if lone.slot is not None])
        for lone in group:
            lone.go_on()

    def _stored(self, group: Sequence[Lone], stored: Sequence[Submitted]) -> Sequence[Lone]:
        """Tell the ledger what is committed, and the clients what waits; the rest is to be sent."""
        fresh: dict[_Alike, list[Job]] = {}
        for lone, entry in zip(group, stored, strict=False):
            if entry.error is not None:
                self._refuse(lone, entry.error)
                continue
            job = lone.job = entry.job
            alike = (job.type, job.queue, job.priority, job.state, lone.note)
            fresh.setdefault(alike, []).append(job)
        for alike, jobs in fresh.items():
            self._ledger.inserted(jobs, note=alike[-1])
        routed: list[Lone] = []
        for lone in group:
            if lone.refused:
                continue
            if lone.slot is None:
                lone.go_on()
            else:
                routed.append(lone)
        return routed

    async def _carry(self, lone: Lone, slot: Reservation) -> None:
        """Hear the worker's word, by oneself where its path is idle."""
        began = trio.current_time()
        held = self._router.commit(slot, lone.job)
        waiter = lone.waiter = Waiter(lone.go_on)
        if not await self._lines.carry(slot.view, held, waiter, self.patience.seconds):
            self._lines.send(slot.view, held, waiter)
        if not waiter.told:
            self.patience.bound((waiter,), began)
            await lone.done()

    def _send(self, lone: Lone, slot: Reservation) -> Waiter:
        waiter = lone.waiter = Waiter(lone.go_on)
        self._lines.send(slot.view, self._router.commit(slot, lone.job), waiter)
        return waiter

    def _refuse(self, lone: Lone, error: BaseException) -> None:
        if isinstance(error, OutcomeUnknown):
            self._lines.adopt_later([lone.job.id])
        if lone.slot is not None:
            lone.slot.cancel()
        lone.fail(error)


def _waiting(job: Job) -> tuple[dict[str, int], int]:
    """By how much a job without a slot adds to those that wait, as Depth counts them."""
    return ({}, 1) if job.state is State.SCHEDULED else ({job.queue: 1}, 0)
