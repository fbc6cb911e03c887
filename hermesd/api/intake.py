"""Jobs submitted one by one: what came in one turn of the loop goes on together.

One call of the store, one entry in the ledger and one deadline for all of them: that takes 27 % of
the instructions from a submit (measured with callgrind, 128 connections: 672,000 to 493,000 a job,
HTTP and SQLite included). A job that comes while there is nothing to gather is seen through in one
task, which takes five turns of the loop from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Final

import trio

from hermesd.api.acceptance import Patience, Waiter
from hermesd.api.answering import Answering
from hermesd.api.depth import Depth
from hermesd.api.dispatch import Dispatcher
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.lone import Lone
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown
from hermesd.core.job import Job
from hermesd.core.records import Submission, Submitted
from hermesd.core.states import State
from hermesd.resting import Resting

MOST_JOBS: Final = 500  # in one call of the store
MOST_IDLE: Final = 8
QUIET: Final = 4  # so many jobs came one after another, and the next one is not waited for company

_Alike = tuple[str, str, int, State, str]


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
        self._idle = Resting()
        self._single: tuple[Lone, Callable[[], None]] | None = None
        self._seers = Resting()
        self._under_way = 0
        self._quiet = 0  # so many in a row had nobody beside them; -1 as long as there is company
        self._answering = Answering(nursery)

    async def store(self, lone: Lone) -> None:
        """Return when the job is committed, and its worker has answered or has had its time.

        Raises QueueFull past the depth limit; StoreUnavailable and OutcomeUnknown as the store
        does. The slot is given back then.
        """
        alone = self.quiet
        self._enter(lone)
        try:
            if alone:
                await self._see_through(lone)
            else:
                self._gather_in(lone)
                await lone.done()
        finally:
            self._leave()

    def begin(self, lone: Lone, answer: Callable[[Lone], None]) -> None:
        """Have `answer` called when `store` would return or raise; raises QueueFull as that does.

        `answer` must not raise.
        """
        alone = self.quiet
        self._enter(lone)
        end = partial(self._answer, lone, answer)
        if alone:
            self._single = (lone, end)
            if not self._seers.call():
                self._nursery.start_soon(self._see_to_singles)
        else:
            lone.tell(partial(self._answering.soon, end))
            self._gather_in(lone)

    def _answer(self, lone: Lone, answer: Callable[[Lone], None]) -> None:
        self._leave()
        try:
            answer(lone)
        except Exception as defect:  # must not end the task that answers all others
            self._state.log.error("a submit was not answered", error=repr(defect))

    @property
    def quiet(self) -> bool:
        """Whether a job that comes now is seen through in one task: few come, one by one."""
        return self._quiet >= QUIET and not self._under_way

    def _enter(self, lone: Lone) -> None:
        if lone.slot is None:
            self.depth.take(*_waiting(lone.job))
        if self._under_way:
            self._quiet = -1
        self._under_way += 1

    def _leave(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._quiet += 1

    def _gather_in(self, lone: Lone) -> None:
        self._come.append(lone)
        if not self._called:
            self._call()

    def _call(self) -> None:
        self._called = True
        if not self._idle.call():
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
                await self._idle.rest()

    async def _see_to_singles(self) -> None:
        """One after another: as long as one is under way, it is not quiet."""
        while self._single is not None:
            (lone, end), self._single = self._single, None
            try:
                await self._see_through(lone)
            except Exception as error:
                lone.error = error
            end()
            await self._seers.rest()

    async def _see_through(self, lone: Lone) -> None:
        """What a clerk and a dispatcher do, for one job and in one task."""
        with trio.CancelScope(shield=True):
            stored = await self._commit((lone,))
            began = trio.current_time()
            slot = lone.slot if stored and stored[0].error is None else None
            path = None if slot is None else self._lines.free(slot.view)
            try:
                if slot is not None and path is not None:
                    await self._carry(lone, slot, path, stored)
                elif self._stored((lone,), stored) and lone.slot is not None:
                    self._send(lone, lone.slot)
                if lone.waiter is not None and not lone.waiter.told:
                    self.patience.bound((lone.waiter,), began)
                    await lone.done()
            except Exception as defect:
                self._not_handed_over((lone,), defect)
        lone.check()

    async def _commit(self, group: Sequence[Lone]) -> Sequence[Submitted]:
        """What the store says of each; where it says nothing, all are refused."""
        jobs = tuple([lone.job for lone in group])
        stored: Sequence[Submitted] = ()
        error: Exception = OutcomeUnknown("the submit was broken off")
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

    async def _carry(
        self, lone: Lone, slot: Reservation, path: Dispatcher, stored: Sequence[Submitted]
    ) -> None:
        """Hear the worker's word by oneself; the worker need not wait until the books are kept."""
        held = self._router.commit(slot, stored[0].job)
        waiter = lone.waiter = Waiter(lone.go_on)
        books = partial(self._stored, (lone,), stored)
        await path.carry(held, waiter, self.patience.seconds, books)

    def _send(self, lone: Lone, slot: Reservation) -> Waiter:
        waiter = lone.waiter = Waiter(lone.go_on)
        self._lines.send(slot.view, self._router.commit(slot, lone.job), waiter)
        return waiter

    def _refuse(self, lone: Lone, error: Exception) -> None:
        if isinstance(error, OutcomeUnknown):
            self._lines.adopt_later([lone.job.id])
        if lone.slot is not None:
            lone.slot.cancel()
        lone.fail(error)


def _waiting(job: Job) -> tuple[dict[str, int], int]:
    """By how much a job without a slot adds to those that wait, as Depth counts them."""
    return ({}, 1) if job.state is State.SCHEDULED else ({job.queue: 1}, 0)
