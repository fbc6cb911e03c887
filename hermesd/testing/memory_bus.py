"""A bus in memory: joins several apis of one process, and can be cut."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hermesd.core.outgoing import Outgoing
from hermesd.core.words import Heard, Word, read
from hermesd.stores.inbox import Inbox


class MemoryBuses:
    """Who has joined hears all others at once."""

    def __init__(self) -> None:
        self._buses: list[MemoryBus] = []

    def join(self, api: str, boot: str = "boot-1") -> MemoryBus:
        """The bus of one api."""
        bus = MemoryBus(self, api, boot)
        self._buses.append(bus)
        return bus

    def send(self, sender: MemoryBus, text: bytes) -> None:
        """To all but the sender and those that are cut off."""
        for bus in self._buses:
            if bus is not sender:
                bus.hear(text)


class MemoryBus:
    """Bus; see `ports.Bus`. What was told is kept in `told`, until a test clears it."""

    def __init__(self, buses: MemoryBuses, api: str, boot: str) -> None:
        self._buses = buses
        self._outgoing = Outgoing(api, boot)
        self._inbox = Inbox()
        self._connected = True
        self.told: list[Word] = []

    @property
    def shared(self) -> bool:
        """It is what it is for."""
        return True

    def cut(self) -> None:
        """Say and hear nothing until `mend()`."""
        self._connected = False

    def mend(self) -> None:
        """Serve again; what was said meanwhile by others is lost, and that is told."""
        self._connected = True
        self._inbox.missed()
        self._send()

    def tell(self, word: Word) -> None:
        """At once, where it is connected."""
        self.told.append(word)
        self._outgoing.add(word)
        self._send()

    def hear(self, text: bytes) -> None:
        """A letter has come."""
        heard = read(text)
        if heard is not None and self._connected:
            self._inbox.put(heard)

    async def words(self) -> AsyncIterator[Heard]:
        """As they come."""
        async for heard in self._inbox.letters():
            yield heard

    def _send(self) -> None:
        while self._connected and (text := self._outgoing.take()) is not None:
            self._buses.send(self, text)
