"""Summaries for all who watch: each is made once, a few times a second, and its bytes are shared.

Nobody who watches has a buffer of its own: each has a place among the last summaries, and one that
falls behind them goes on with those that are left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio

from hermesd.api.events import RingClosed
from hermesd.api.state import ApiState
from hermesd.api.summary import Summarist
from hermesd.signal import Signal

PACE_SECONDS: Final = 0.5  # between two summaries, while something happens
QUIET_SECONDS: Final = 2.0  # and while nothing does
KEPT: Final = 20


class Summaries:
    """The agent that has them made, while anybody watches."""

    def __init__(self, state: ApiState, summarist: Summarist):
        self._state = state
        self._summarist = summarist
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._number = 0
        self._watchers = 0
        self._wanted = Signal()
        self._made = trio.Event()
        self._closed = False

    async def run(self) -> None:
        """Make summaries for ever, and none while nobody watches."""
        quiet_seconds = QUIET_SECONDS
        while True:
            if not self._watchers:
                await self._wanted.wait()
                self._summarist.forget()
                quiet_seconds = QUIET_SECONDS
            if self._summarist.news or quiet_seconds >= QUIET_SECONDS:
                self.make()
                quiet_seconds = 0.0
            await trio.sleep(PACE_SECONDS)
            quiet_seconds += PACE_SECONDS

    def make(self) -> None:
        """One more."""
        self._number += 1
        data = msgspec.json.encode(self._summarist.make(self._number))
        place = b"%b-%d" % (self._state.boot.encode(), self._number)
        self._kept.append((self._number, b"event: summary\nid: %b\ndata: %b\n\n" % (place, data)))
        self._wake()

    def close(self) -> None:
        """All streams end once they have what there is; to be called when the api drains."""
        self._closed = True
        self._wake()

    @asynccontextmanager
    async def watch(self, last_id: str = "") -> AsyncIterator[Watch]:
        """Follow the summaries after the one of that id (SSE), or from now on.

        Raises Unavailable where too many streams are open already.
        """
        with self._state.ring.place():
            self._watchers += 1
            self._wanted.set()
            try:
                yield Watch(self, self._place_of(last_id))
            finally:
                self._watchers -= 1

    async def after(self, number: int) -> tuple[int, bytes]:
        """What was made after that number, when there is any, and the last one's.

        Raises RingClosed if none will come.
        """
        while self._number <= number:
            if self._closed:
                raise RingClosed
            await self._made.wait()
        return self._number, b"".join(text for made, text in self._kept if made > number)

    def _place_of(self, last_id: str) -> int:
        """After the named one, if it is of this life; else the last one is shown, if it is new."""
        boot, _, number = last_id.rpartition("-")
        if boot == self._state.boot and number.isascii() and number.isdigit():
            return min(int(number), self._number)
        return self._number - (self._watchers > 1 and self._number > 0)

    def _wake(self) -> None:
        made, self._made = self._made, trio.Event()
        made.set()


class Watch:
    """One who watches."""

    def __init__(self, summaries: Summaries, number: int):
        self._summaries = summaries
        self._number = number

    async def text(self) -> bytes:
        """All that is new, as SSE messages; raises RingClosed."""
        self._number, text = await self._summaries.after(self._number)
        return text
