"""A proxy before PostgreSQL that ends the connection of a transaction at its COMMIT."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

import trio
from processes.proxy import Gate, Proxy


class Cut(Enum):
    """When the connection ends."""

    BEFORE = "before"  # the server never hears of the COMMIT
    AFTER = "after"  # the server has done it, and its answer is lost


class Cutter(Proxy):
    """Does so once for each item of `cuts`; a connection names COMMIT at its first one only.

    With another `mark` it does so at the chunk that has that in it.
    """

    def __init__(self, nursery: trio.Nursery, target: int) -> None:
        super().__init__(nursery, target)
        self.cuts: list[Cut] = []
        self.mark = b"COMMIT"
        self.refuse_after_cut = False  # then nobody comes through until `listen()`
        self._at_answer = False

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, gate: Gate, asks: bool
    ) -> None:
        async for chunk in source:
            if asks and self.cuts and self.mark in chunk:
                if self.cuts.pop(0) is Cut.BEFORE:
                    self.cut()
                    return
                self._at_answer = True
            elif not asks and self._at_answer:
                self._at_answer = False
                self.refuse() if self.refuse_after_cut else self.cut()
                return
            try:
                await sink.send_all(chunk)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


@asynccontextmanager
async def open_cutter(target: int) -> AsyncIterator[Cutter]:
    """A proxy that listens."""
    async with trio.open_nursery() as nursery:
        cutter = Cutter(nursery, target)
        await cutter.listen()
        yield cutter
        nursery.cancel_scope.cancel()
