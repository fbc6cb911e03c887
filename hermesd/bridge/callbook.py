"""Which calls of peers are under way, so that a server can end in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, Self, TypeVar

import trio

from hermesd.core.errors import Busy

CallP = ParamSpec("CallP")
ResultT = TypeVar("ResultT")


class Attendance:
    """Counts who is inside of it; entered and left from either flavour."""

    def __init__(self) -> None:
        self._inside = 0
        self._empty = trio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._inside

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Be counted until `leave`."""
        if self._inside == 0:
            self._empty = trio.Event()
        self._inside += 1

    def leave(self) -> None:
        """Be counted no more."""
        self._inside -= 1
        if self._inside == 0:
            self._empty.set()

    async def empty(self) -> None:
        """Wait until nobody is inside."""
        await self._empty.wait()


class CallBook:
    """Runs at most `limit` calls at once, each in a scope of its own."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._closing = False
        self._scopes: set[trio.CancelScope] = set()
        self._running = Attendance()

    async def run(
        self, call: Callable[CallP, Awaitable[ResultT]], *args: CallP.args, **kwargs: CallP.kwargs
    ) -> ResultT:
        """The result of the call; Busy when full, or when it was ended by `close`."""
        if self._closing:
            raise Busy("the api is shutting down")
        if len(self._running) >= self._limit:
            raise Busy(f"{self._limit} calls are under way, the limit")
        with self._running, trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                return await call(*args, **kwargs)
            finally:
                self._scopes.discard(scope)
        raise Busy("the api is shutting down")

    def refuse(self) -> None:
        """Begin no further call."""
        self._closing = True

    async def close(self) -> None:
        """Cancel what is under way and wait until it has ended."""
        self.refuse()
        for scope in self._scopes:
            scope.cancel()
        await self._running.empty()
