"""The line that `systemctl status` shows, kept true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from hermesd.systemd import Notifier

LOOK_SECONDS: Final = 1.0


class StatusLine:
    """The agent that tells what `parts` say, joined, whenever that has changed.

    `alarm` and `remark` are shown behind it for as long as they are set.
    """

    def __init__(self, notifier: Notifier, parts: Sequence[Callable[[], str]] = ()):
        self.parts = parts
        self.alarm = ""
        self.remark = ""
        self._notifier = notifier
        self._told = ""

    async def run(self) -> None:
        """Look once a second, for ever."""
        while self._notifier.heard:
            self.run_once()
            await trio.sleep(LOOK_SECONDS)

    def run_once(self) -> None:
        """Tell it, if it is not what was told last."""
        said = [*(part() for part in self.parts), self.alarm, self.remark]
        text = "; ".join(filter(None, said))
        if text != self._told:
            self._told = text
            self._notifier.status(text)
