"""Group commit: everything that piled up during the last commit goes into the next transaction.

One task takes what waits and hands it to a `Backend` as one transaction, never waiting to fill a
group: an idle store answers after one commit, a loaded one shares the commit. `Pace` decides on
which thread.

A group that fails because of an item is halved until that item fails alone; a group that fails
because of the database fails whole, and every waiter is told that nothing was done.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.core.errors import Broken, HermesError, OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.stores.backend import (
    Answers,
    Backend,
    CommitUnknown,
    ItemFault,
    Part,
    Verb,
)
from hermesd.stores.hand import OwnThread
from hermesd.stores.pace import HandOff, Pace
from hermesd.stores.stats import GroupStats
from hermesd.stores.work import Piece, Work


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
        self._unknown: CommitUnknown | None = None  # of the group that is under way
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
            self._log.error("the store's committing task has ended", trace=_trace(error))
        finally:
            self._ended = True
            self._thread.close()
            self._backend.close()
            self._abandon()
            ended.set()

    async def _tend_ahead(self) -> None:
        try:
            await trio.to_thread.run_sync(self._backend.tend_ahead, limiter=self._beside)
        finally:
            self._tending = _Tending.READY
            self._rouse()

    async def _commit_next(self) -> None:
        """One group: on this thread while that is quick, else on the other one."""
        group = self._next_group()
        live = [work for work in group if not work.withdrawn]
        try:
            if live and not await self._commit_at_once(live):
                await self._thread.run(partial(self._commit_group, live))
        finally:
            self._deliver(group)
        if self._waiting:
            await trio.lowlevel.checkpoint()

    async def _commit_at_once(self, group: Sequence[Work]) -> bool:
        """One try, without waiting for another program; False where it takes more than that."""
        parts = [work.part for work in group]
        inline = self._pace.inline(sum(work.weight for work in group), trio.current_time())
        begun = time.perf_counter()
        try:
            answers = await self._tried(parts, inline=inline)
        except CommitUnknown as unknown:
            self._unknown = unknown
            return False
        except Exception:
            return False
        finally:
            seconds = time.perf_counter() - begun
            if inline:
                self._pace.took(seconds, trio.current_time())
        if answers is None:
            return False
        for work, answer in zip(group, answers, strict=True):
            work.answers = list(answer)
        self._count(seconds, sum(len(part.items) for part in parts))
        return True

    async def _tried(self, parts: Sequence[Part], *, inline: bool) -> Answers | None:
        if self._ahead is not None:
            return await self._ahead(parts)
        commit = self._backend.at_once(parts)
        if commit is None and inline:
            commit = partial(self._backend.commit, parts, wait=False)
        if commit is None:
            return None
        return commit() if inline else await self._thread.run(commit)

    def _next_group(self) -> list[Work]:
        """What waits, at most `max_group` rows but one work at least."""
        group = [self._waiting.popleft()]
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

    def _commit_group(self, group: Sequence[Work]) -> None:
        for work in group:
            work.answers = [None] * len(work.part.items)
        try:
            self._store([Piece(work, 0, len(work.part.items)) for work in group])
        except Exception as error:  # a defect must reach the callers, not end the thread
            self._log.error("store group failed", trace=_trace(error))
            for work in group:
                work.fail(Broken(f"the store failed: {error!r}"))

    def _store(self, pieces: Sequence[Piece]) -> None:
        try:
            self._commit(pieces)
        except (StoreUnavailable, OutcomeUnknown) as error:
            self.stats.failed_groups += 1
            self.stats.failing = True
            self._log.warning("store commit failed", error=error.detail, changes=len(pieces))
            for piece in pieces:
                piece.fail(error)
        except Exception as error:
            self._divide(pieces, error)

    def _commit(self, pieces: Sequence[Piece]) -> None:
        parts = [piece.part() for piece in pieces]
        begun = time.perf_counter()
        unknown, self._unknown = self._unknown, None
        try:
            answers = self._look_up(unknown) if unknown else self._backend.commit(parts)
        except CommitUnknown as doubt:
            answers = self._look_up(doubt)
        self._count(time.perf_counter() - begun, sum(len(part.items) for part in parts))
        for piece, answer in zip(pieces, answers, strict=True):
            piece.answer(answer)

    def _count(self, seconds: float, items: int) -> None:
        self.stats.seconds.observe(seconds)
        self.stats.sizes.observe(items)
        self.stats.failing = False
        self.stats.commits += 1
        self.stats.items += items

    def _look_up(self, unknown: CommitUnknown) -> Answers:
        detail = "the store did not tell whether the change was committed"
        if unknown.evidence is None:
            raise OutcomeUnknown(detail)
        try:
            landed = self._backend.landed(unknown.evidence)
        except StoreUnavailable:
            raise OutcomeUnknown(detail) from None
        if not landed:
            raise StoreUnavailable("the store could not commit the change")
        return unknown.answers

    def _divide(self, pieces: Sequence[Piece], error: Exception) -> None:
        """Store each half by itself; a single item fails alone, or is replaced."""
        if len(pieces) > 1:
            middle = len(pieces) // 2
            self._store(pieces[:middle])
            self._store(pieces[middle:])
        elif halves := pieces[0].halves():
            self._store(halves[:1])
            self._store(halves[1:])
        else:
            self._fail_alone(pieces[0], error)

    def _fail_alone(self, piece: Piece, error: Exception) -> None:
        if not isinstance(error, ItemFault):
            self._log.error("store item failed", trace=_trace(error))
            piece.fail(error if isinstance(error, HermesError) else Broken(repr(error)))
            return
        self._log.warning("store item refused", error=str(error), verb=str(piece.work.part.verb))
        other = self._backend.instead(piece.part(), str(error))
        if other is None:
            piece.fail(Unstorable(str(error)))
            return
        stand_in = Work(other, whole=True, weight=1)
        self._store([Piece(stand_in, 0, 1)])
        piece.answer(stand_in.answers)


def _trace(error: Exception) -> str:
    """A traceback without local variables, which would put payloads into the log."""
    return "".join(traceback.format_exception(error))
