"""Outcomes that came through the broker, until they are recorded.

Whoever gives jobs back waits for them: else what has run would run again, its outcome be too late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import trio

from hermesd.core.job import Token
from hermesd.core.workerview import WorkerView


async def _at_once() -> bool:
    """Without a broker nothing is on its way."""
    return True


class Unrecorded:
    """By the token of the run.

    `arrived` returns when all that was published before is recorded; False: not within its time.
    """

    def __init__(self) -> None:
        self.arrived: Callable[[], Awaitable[bool]] = _at_once
        self._tokens: Counter[Token] = Counter()
        self._changed = trio.Event()

    @contextmanager
    def noted(self, tokens: Iterable[Token]) -> Iterator[None]:
        """Their outcomes are about to be recorded."""
        mine = list(tokens)
        self._tokens.update(mine)
        try:
            yield
        finally:
            self._tokens -= Counter(mine)
            changed, self._changed = self._changed, trio.Event()
            changed.set()

    def has(self, token: Token) -> bool:
        """Whether its outcome is here."""
        return token in self._tokens

    async def none_of(self, view: WorkerView) -> None:
        """Return when no outcome of a lease that the worker held is here."""
        while any(self.has(held.job.token) for held in view.held.values()):
            await self._changed.wait()
