"""Group commit: everything that piled up during the last commit goes into the next transaction.

One task takes what waits and hands it to a `Backend` as one transaction, never waiting to fill a
group: an idle store answers after one commit, a loaded one shares the commit. `Pace` decides on
which thread. One job's own change, where nothing waits or is under way, is committed in its
caller's task: that saves two turns of the event loop.

What fails is looked into by `Divider`, on the thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from typing import Any, Final, TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import Broken, StoreUnavailable
from hermesd.stores.backend import Answers, Backend, CommitUnknown, Part, Verb
from hermesd.stores.divider import Divider, trace
from hermesd.stores.hand import OwnThread
from hermesd.stores.pace import HandOff, Pace
from hermesd.stores.stats import GroupStats
from hermesd.stores.work import Work

T = TypeVar("T")

# What comes once for each job: the changes that are worth it.
_A_JOBS_OWN: Final = frozenset({Verb.BEAR, Verb.SETTLE})


class _Tending(Enum):
    """Where the looking-after of the database is."""

    NONE = "none"
    AHEAD = "ahead"  # its long part is under way
    READY = "ready"  # its short part comes after this commit


class GroupCommit:
    """Callers `do()`; one task commits. `max_group` and `max_pending` count rows.

    Without a `pace` every group is handed to a thread; but `ahead`, where there is one, is tried
    first, on the loop: it answers None where the backend's `commit` has to be called.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        max_group: int,
        max_pending: int,
        log: FilteringBoundLogger,
        pace: Pace | None = None,
        ahead: Callable[[Sequence[Part]], Awaitable[Answers | None]] | None = None,
    ) -> None:
        self.stats = GroupStats()
        self._backend = backend
        self._max_group = max_group
        self._max_pending = max_pending
        self._log = log
        self._waiting: deque[Work] = deque()
        self._resting: trio.lowlevel.Task | None = None  # the committing task, with nothing to do
        self._pace = HandOff() if pace is None else pace
        self._ahead = ahead
        self._thread = OwnThread("hermesd-store")
        self._beside = trio.CapacityLimiter(1)  # for what goes on beside that thread
        self._tending = _Tending.NONE
        self._divider = Divider(backend, self.stats, log)
        self._rows = 0  # waiting or under way; touched by the event loop only
        self._open = True
        self._ended = False
        self._turns = 0

    @property
    def pending(self) -> int:
        """The rows that wait or are under way."""
        return self._rows

    def owed(self) -> int | None:
        """None while nothing waits; else a number that changes with every group that is answered.

        Once the committing task has ended it never changes again.
        """
        return self._turns if self._rows or self._ended else None

    async def do(
        self, verb: Verb, items: Sequence[Any], at: float, *, rows: int = 0, whole: bool = False
    ) -> list[Any]:
        """The answer for each item, exceptions included; a `whole` call is never split.

        Raises StoreUnavailable when too much waits already. A caller that is cancelled takes its
        items back if their transaction has not begun, and harms nobody if it has.
        """
        weight = max(rows, len(items), 1)
        if not self._open:
            raise StoreUnavailable("the store is closing")
        if self._rows >= self._max_pending:
            raise StoreUnavailable(f"{self._rows} changes wait for the store already")
        work = Work(Part(verb=verb, items=tuple(items), at=at), whole=whole, weight=weight)
        if weight == 1 and verb in _A_JOBS_OWN and self._commit_alone(work):
            return work.answers
        self._rows += weight
        self._waiting.append(work)
        self._rouse()
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
        self._rouse()

    def _rouse(self) -> None:
        task, self._resting = self._resting, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def _rest(self) -> None:
        def give_up(_: object) -> trio.lowlevel.Abort:
            self._resting = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._resting = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(give_up)

    async def _work(self, ended: trio.Event) -> None:
        try:
            while self._waiting or self._open:
                if self._waiting:
                    await self._commit_next()
                else:
                    await self._rest()
                if self._tending is _Tending.NONE and self._backend.needs_tending():
                    self._tending = _Tending.AHEAD
                    trio.lowlevel.spawn_system_task(self._tend_ahead)
                elif self._tending is _Tending.READY:
                    await self._thread.run(self._backend.tend)
                    self._tending = _Tending.NONE
            while self._tending is _Tending.AHEAD:
                await self._rest()
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

    def _commit_alone(self, work: Work) -> bool:
        """Commit it in this task, where the store is idle; False where that was not done.

        Once a turn of the loop: what else comes in it waits for the committing task, which is
        roused, so that it is one commit, and the loop does not stand still for many in a row.
        """
        resting = self._resting is not None and not self._waiting
        if not resting or self._ahead is not None:
            return False
        if not self._pace.inline(work.weight, trio.current_time()):
            return False
        if not self._commit_here((work,)):
            work.tried = True
            return False
        self._rouse()
        return True

    async def _tend_ahead(self) -> None:
        try:
            await trio.to_thread.run_sync(self._backend.tend_ahead, limiter=self._beside)
        except Exception as error:  # no matter, and must not end the program
            self._log.warning("the store was not looked after", error=repr(error))
        finally:
            self._tending = _Tending.READY
            self._rouse()

    async def _commit_next(self) -> None:
        """One group: on this thread while that is quick, else on the other one."""
        group = self._next_group()
        # One that was tried is gone through with: it may be committed, and that is looked up.
        live = [work for work in group if work.tried or not work.withdrawn]
        try:
            if live and (live[0].tried or not await self._commit_at_once(live)):
                await self._beside_the_loop(partial(self._divider.commit, live), _weight(live))
        except Exception as defect:
            for work in group:
                work.fail(Broken(f"the store failed: {defect!r}"))
            raise
        finally:
            self._deliver(group)
        if self._waiting:
            await trio.lowlevel.checkpoint()

    async def _commit_at_once(self, group: Sequence[Work]) -> bool:
        """One try, without waiting for another program; False where it takes more than that."""
        if self._ahead is None and self._pace.inline(_weight(group), trio.current_time()):
            return self._commit_here(group)
        parts = [work.part for work in group]
        begun = time.perf_counter()
        try:
            if self._ahead is not None:
                answers = await self._ahead(parts)
            else:
                commit = self._backend.at_once(parts)
                if commit is None:
                    return False
                answers = await self._beside_the_loop(commit, _weight(group))
        except Exception as error:
            return self._failed(error)
        return self._committed(group, answers, time.perf_counter() - begun)

    async def _beside_the_loop(self, commit: Callable[[], T], rows: int) -> T:
        """What it answers or raises; only the time of the call itself counts."""

        seconds = 0.0

        def timed() -> T:
            nonlocal seconds
            begun = time.perf_counter()
            try:
                return commit()
            finally:
                seconds = time.perf_counter() - begun

        try:
            return await self._thread.run(timed)
        finally:
            self._pace.took_beside(seconds, rows, trio.current_time())

    def _commit_here(self, group: Sequence[Work]) -> bool:
        """The same on this thread, without a checkpoint."""
        parts = [work.part for work in group]
        begun = time.perf_counter()
        try:
            commit = self._backend.at_once(parts)
            answers = commit() if commit else self._backend.commit(parts, wait=False)
        except Exception as error:
            return self._failed(error)
        finally:
            seconds = time.perf_counter() - begun
            self._pace.took(seconds, trio.current_time())
        return self._committed(group, answers, seconds)

    def _failed(self, error: Exception) -> bool:
        """The divider tries again, or looks up what became of it."""
        if isinstance(error, CommitUnknown):
            self._divider.unknown = error
        return False

    def _committed(self, group: Sequence[Work], answers: Answers | None, seconds: float) -> bool:
        if answers is None:
            return False
        for work, answer in zip(group, answers, strict=True):
            work.answers = list(answer)
        self.stats.committed(seconds, sum(len(work.part.items) for work in group))
        return True

    def _next_group(self) -> list[Work]:
        """What waits, at most `max_group` rows but one work at least; one that was tried alone."""
        group = [self._waiting.popleft()]
        rows = self._max_group if group[0].tried else group[0].weight
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


def _weight(group: Sequence[Work]) -> int:
    return sum(work.weight for work in group)
