"""How a group is committed: with one try that does not wait for another program, then in any case.

The try is on the event loop's thread while that is quick, or by `ahead`, or on the other thread.
What fails is looked into by `Divider`, on that thread.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.stores.backend import Answers, Backend, CommitUnknown, Part
from hermesd.stores.divider import Divider
from hermesd.stores.hand import OwnThread
from hermesd.stores.pace import HandOff, Pace
from hermesd.stores.stats import GroupStats
from hermesd.stores.work import Work

T = TypeVar("T")
Ahead = Callable[[Sequence[Part]], Awaitable[Answers | None]]


class Committer:
    """For one task at a time, with the `thread` of the one who calls.

    Without a `pace` every group is handed to that; but `ahead`, where there is one, is tried
    first, on the loop: it answers None where the backend's `commit` has to be called.
    """

    def __init__(
        self,
        backend: Backend,
        thread: OwnThread,
        *,
        log: FilteringBoundLogger,
        pace: Pace | None,
        ahead: Ahead | None,
    ) -> None:
        self.stats = GroupStats()
        self._backend = backend
        self._thread = thread
        self._pace = HandOff() if pace is None else pace
        self._ahead = ahead
        self._divider = Divider(backend, self.stats, log)

    async def commit(self, group: Sequence[Work]) -> None:
        """Give each its answers, exceptions included; one that was tried is looked into at once."""
        if group[0].tried or not await self._at_once(group):
            await self._beside_the_loop(partial(self._divider.commit, group), _weight(group))

    async def alone(self, group: Sequence[Work]) -> bool:
        """Try them in a caller's task; False where that was not done, or has left them `tried`.

        Then they must be the next that are committed. No cancellation comes through here: the
        backend bounds the wait.
        """
        if self._ahead is not None:
            with trio.CancelScope(shield=True):
                done = await self._tried_ahead(group, self._ahead)
        elif self._pace.inline(_weight(group), trio.current_time()):
            done = self._here(group)
        else:
            return False
        for work in group:
            work.tried = not done
        return done

    async def _at_once(self, group: Sequence[Work]) -> bool:
        """One try, without waiting for another program; False where it takes more than that."""
        if self._ahead is not None:
            return await self._tried_ahead(group, self._ahead)
        if self._pace.inline(_weight(group), trio.current_time()):
            return self._here(group)
        begun = time.perf_counter()
        try:
            commit = self._backend.at_once([work.part for work in group])
            if commit is None:
                return False
            answers = await self._beside_the_loop(commit, _weight(group))
        except Exception as error:
            return self._failed(error)
        return self._committed(group, answers, time.perf_counter() - begun)

    async def _tried_ahead(self, group: Sequence[Work], ahead: Ahead) -> bool:
        """One try by `ahead`."""
        begun = time.perf_counter()
        try:
            answers = await ahead([work.part for work in group])
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

    def _here(self, group: Sequence[Work]) -> bool:
        """One try on this thread, without a checkpoint."""
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


def _weight(group: Sequence[Work]) -> int:
    return sum(work.weight for work in group)
