"""Group commit: everything that piled up during the last commit goes into the next transaction.

One task takes what waits and hands it to a `Backend` as one transaction, never waiting to fill a
group: an idle store answers after one commit, a loaded one shares the commit. `Committer` knows
how. One job's own change, where nothing waits or is under way, is committed in its caller's task:
that saves two turns of the event loop. Not after a group of several: callers who were answered
together come again together, and would share one commit (measured, four of them on PostgreSQL: 0.5
commits a job against 0.84, and a third less processor time). And one job's outcome may wait a
moment for the next job, see `Company`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import Broken, StoreUnavailable
from hermesd.resting import Resting
from hermesd.stores.backend import Backend, Part, Verb
from hermesd.stores.committer import Ahead, Committer
from hermesd.stores.company import Company
from hermesd.stores.divider import trace
from hermesd.stores.hand import OwnThread
from hermesd.stores.pace import Pace
from hermesd.stores.tending import Tending
from hermesd.stores.work import Work

# What comes once for each job: the changes that are worth it.
_A_JOBS_OWN: Final = frozenset({Verb.BEAR, Verb.SETTLE})


class GroupCommit:
    """Callers `do()`; one task commits. `max_group` and `max_pending` count rows.

    For `pace` and `ahead` see `Committer`; `may_wait` says which outcomes can wait for company.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        max_group: int,
        max_pending: int,
        log: FilteringBoundLogger,
        pace: Pace | None = None,
        ahead: Ahead | None = None,
        may_wait: Callable[[Part], bool] = lambda _: False,
    ) -> None:
        self._backend = backend
        self._max_group = max_group
        self._max_pending = max_pending
        self._log = log
        self._waiting: deque[Work] = deque()
        self._resting = Resting()  # the committing task, when it has nothing to do
        self._alone = False  # a change is under way in its caller's task, and that one rests
        self._company = Company()
        self._may_wait = may_wait
        self._shared = False  # the last group was several callers'
        self._thread = OwnThread("hermesd-store")
        self._committer = Committer(backend, self._thread, log=log, pace=pace, ahead=ahead)
        self._tending = Tending(backend, self._thread, self._rouse, log)
        self.stats = self._committer.stats
        self._rows = 0  # that wait or are under way; touched by the event loop only
        self._open = True
        self._ended = False
        self._turns = 0

    @property
    def pending(self) -> int:
        """The rows that wait or are under way."""
        return self._rows + self._company.keeps

    def owed(self) -> int | None:
        """None while nothing waits; else a number that changes with every group that is answered.

        Once the committing task has ended it never changes again.
        """
        return self._turns if self.pending or self._ended else None

    async def do(
        self, verb: Verb, items: Sequence[Any], at: float, *, rows: int = 0, whole: bool = False
    ) -> list[Any]:
        """The answer for each item, exceptions included; a `whole` call is never split.

        Raises StoreUnavailable when too much waits already. A caller that is cancelled takes its
        items back if their transaction has not begun, and harms nobody if it has; where it is
        committed in its own task it waits for the end of that, which the backend bounds.
        """
        weight = max(rows, len(items), 1)
        if not self._open:
            raise StoreUnavailable("the store is closing")
        if self.pending >= self._max_pending:
            raise StoreUnavailable(f"{self.pending} changes wait for the store already")
        work = Work(Part(verb=verb, items=tuple(items), at=at), whole=whole, weight=weight)
        if weight == 1 and verb in _A_JOBS_OWN and self._idle and await self._lone(work):
            return work.answers
        if self._ended:
            raise StoreUnavailable("the store's writer has ended")
        if not work.tried:
            self._join(work)
        await work.done()
        return work.answers

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the committing task within the block; what waits at its end is still committed."""
        ended = trio.Event()
        # A task of the system's, since it must outlive a cancellation of the block.
        trio.lowlevel.spawn_system_task(self._work, ended)
        try:
            yield
        finally:
            self.close()
            with trio.CancelScope(shield=True):  # bounded by the database's busy timeout
                await ended.wait()

    def close(self) -> None:
        """Take nothing more; what waits is still committed."""
        self._open = False
        self._waiting.extend(self._kept())
        self._rouse()

    def _rouse(self) -> None:
        """Let the committing task go on; where a change is under way alone, its end does that."""
        if not self._alone:
            self._resting.call()

    async def _work(self, ended: trio.Event) -> None:
        try:
            while self._waiting or self._open or self._company.keeps:
                if self._waiting:
                    await self._commit_next()
                else:
                    await self._resting.rest()
                await self._tending.go_on()
            while self._tending.under_way:
                await self._resting.rest()
        except Exception as error:  # a defect must reach the callers, not end the program
            self._log.error("the store's committing task has ended", trace=trace(error))
        finally:
            self._ended = True
            self._abandon()
            try:
                self._thread.close()
                self._backend.close()
            finally:
                ended.set()

    @property
    def _idle(self) -> bool:
        """Whether a change can be committed in its caller's task."""
        nothing = not self._waiting and not self._alone and not self._shared
        return bool(nothing and self._resting)

    async def _lone(self, work: Work) -> bool:
        """Commit one job's change in this task, or have another one do it with its own.

        False where it has to be committed with what waits.
        """
        company, now = self._company, trio.current_time()
        if work.part.verb is Verb.BEAR:
            company.expected.came(now)
        elif (
            not company.keeps
            and (seconds := company.expected.seconds(now))
            and self._may_wait(work.part)
        ):
            try:
                if await company.keep(work, seconds):
                    return True
            finally:
                if not self._open:  # the committing task waits for what is kept
                    self._rouse()
            if not self._open or not self._idle:
                return False
        return await self._commit_alone((*self._kept(), work))

    async def _commit_alone(self, group: Sequence[Work]) -> bool:
        """Commit them in the task of the last, as the store is idle; False where that failed.

        What comes meanwhile waits for the committing task, which is roused at the end. Where the
        commit is on the loop's thread that is once a turn of the loop, so that what else comes in
        it is one commit, and the loop does not stand still for many in a row.
        """
        work, others = group[-1], group[:-1]
        self._alone = True
        self._rows += work.weight
        done = False
        try:
            done = await self._committer.alone(group)
        except Exception as defect:
            self._log.error("store change failed", trace=trace(defect))
            for each in group:
                each.fail(Broken(f"the store failed: {defect!r}"))
            done = True
        finally:
            self._alone = False
            if done or not work.tried:
                self._rows -= work.weight
            if done:
                self._deliver(others)
            else:
                self._waiting.extendleft(reversed(group if work.tried else others))
                self._turns += 1
            self._rouse()
        return done

    def _kept(self) -> Sequence[Work]:
        """What waits for company: whoever asks has it committed."""
        kept = self._company.taken()
        self._rows += len(kept)
        return kept

    def _join(self, work: Work) -> None:
        """Let it be committed with what waits."""
        self._waiting.extend(self._kept())
        self._waiting.append(work)
        self._rows += work.weight
        self._rouse()

    async def _commit_next(self) -> None:
        """One group."""
        group = self._next_group()
        self._shared = len(group) > 1
        # One that was tried is gone through with: it may be committed, and that is looked up.
        live = [work for work in group if work.tried or not work.withdrawn]
        try:
            if live:
                await self._committer.commit(live)
        except Exception as defect:
            for work in group:
                work.fail(Broken(f"the store failed: {defect!r}"))
            raise
        finally:
            self._deliver(group)
        if self._waiting:
            await trio.lowlevel.checkpoint()

    def _next_group(self) -> list[Work]:
        """At most `max_group` rows of what waits, but one work at least; what was tried, whole."""
        group = [self._waiting.popleft()]
        if group[0].tried:
            while self._waiting and self._waiting[0].tried:
                group.append(self._waiting.popleft())
            return group
        rows = group[0].weight
        while self._waiting and rows + self._waiting[0].weight <= self._max_group:
            group.append(self._waiting.popleft())
            rows += group[-1].weight
        return group

    def _abandon(self) -> None:
        """Answer what is left when the task has ended, which is something only on a defect."""
        self._open = False
        left = list(self._waiting)
        self._waiting.clear()
        for work in left:
            work.fail(StoreUnavailable("the store's writer has ended"))
        self._deliver(left)

    def _deliver(self, group: Sequence[Work]) -> None:
        self._turns += 1
        for work in group:
            self._rows -= work.weight
            work.wake()
