"""What a bus has heard, until its listener takes it; bounded, and what is lost is told."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from hermesd.core.words import Heard, Missed
from hermesd.signal import Signal

MOST_LETTERS: Final = 1000
MISSED: Final = Heard("", "", (Missed(),))


class Inbox:
    """Letters in the order in which they came; for one listener."""

    def __init__(self, most: int = MOST_LETTERS) -> None:
        self._most = most
        self._letters: deque[Heard] = deque()
        self._news = Signal()

    def put(self, heard: Heard) -> None:
        """A letter has come; where too many wait, all of them are missed."""
        if len(self._letters) >= self._most:
            self._letters.clear()
            self._letters.append(MISSED)
        self._letters.append(heard)
        self._news.set()

    def missed(self) -> None:
        """Others may have come, and are lost."""
        self.put(MISSED)

    async def letters(self) -> AsyncIterator[Heard]:
        """All of them, for ever."""
        while True:
            while self._letters:
                yield self._letters.popleft()
            await self._news.wait()
