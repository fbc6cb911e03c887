"""The bus of an api that has its store for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from hermesd.core.words import Heard, Word


class Alone:
    """See ports.Bus; nobody hears, and nobody is heard."""

    @property
    def shared(self) -> bool:
        """Never."""
        return False

    def tell(self, word: Word) -> None:
        """To nobody."""

    async def words(self) -> AsyncIterator[Heard]:
        """None, for ever."""
        await trio.sleep_forever()
        for heard in ():  # which makes this a generator
            yield heard
