"""Lines on single jobs: all of them while they are few, and a count of the rest.

A line costs a good part of what a whole job does, so a busy daemon cannot afford one each.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from hermesd.config.choices import LoggedJobs
from hermesd.config.live import Live
from hermesd.ports import Clock

WINDOW_SECONDS: Final = 1.0
_NO_BOUND: Final = 1_000_000_000


class JobLines:
    """Writes as many as `log.jobs` lets it; for one event loop.

    Lines on jobs that do not go well have room of their own, so that a busy daemon tells of them
    too. `left_out` counts the lines that found no room, since the start; those that are not asked
    for do not count. A configuration that is replaced holds from the next second on.
    """

    def __init__(self, log: FilteringBoundLogger, live: Live, clock: Clock) -> None:
        self.left_out = 0
        self._log = log
        self._live = live
        self._clock = clock
        self._tells_all = self._tells_trouble = False
        self._room = self._room_for_trouble = 0
        self._make_room()

    def room(self, lines: int = 1) -> int:
        """How many of so many lines on jobs that go well may be written now; they will be."""
        self._look_at_clock()
        if not self._tells_all:
            return 0
        granted = min(lines, self._room)
        self._room -= granted
        self.left_out += lines - granted
        return granted

    def tell(self, event: str, **fields: Any) -> None:
        """Write a line for which there is room, without the fields that are None."""
        self._log.info(event, **_given(fields))

    def trouble(self, event: str, *, final: bool = False, **fields: Any) -> None:
        """Write a line on a job that does not go well, if there is room; `final`: it has failed."""
        self._look_at_clock()
        if not (self._tells_trouble and (final or self._heard)):
            return
        if not self._room_for_trouble:
            self.left_out += 1
            return
        self._room_for_trouble -= 1
        (self._log.warning if final else self._log.info)(event, **_given(fields))

    def _look_at_clock(self) -> None:
        if self._clock.monotonic() - self._since >= WINDOW_SECONDS:
            self._make_room()

    def _make_room(self) -> None:
        """The lines before were another second's."""
        section = self._live.config.log
        self._since = self._clock.monotonic()
        wanted, self._heard = section.jobs, self._log.is_enabled_for(logging.INFO)
        self._tells_trouble = wanted is not LoggedJobs.NONE
        self._tells_all = self._heard and wanted in (LoggedJobs.AUTO, LoggedJobs.ALL)
        most = _NO_BOUND if wanted is LoggedJobs.ALL else section.jobs_per_second
        self._room = self._room_for_trouble = most


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
