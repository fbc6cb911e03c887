"""Ends a worker whose event loop stands still, so that what blocks it is found out and charged.

A handler that blocks the loop stops heartbeats and all other jobs with it. Silence is never charged
to a job, so it would be given back and block one worker after the other; the death of the process
is charged, and in the end quarantines it.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.daemon.endings import EX_TEMPFAIL

TICK_SECONDS: Final = 0.5
LEAST_SECONDS: Final = 5.0
SHARE_OF_TTL: Final = 0.5  # before the apis' patience ends, since their verdict charges nobody
MAX_STACK_CHARS: Final = 4000


class LoopWatchdog:
    """A thread that ends the process with status 75 when the loop has not turned for so long.

    The thread counts its own ticks, so that time in which the whole process was stopped does not
    count.
    """

    def __init__(self, ttl_seconds: float, log: FilteringBoundLogger):
        self._limit_seconds = max(ttl_seconds * SHARE_OF_TTL, LEAST_SECONDS)
        self._log = log
        self._still_seconds = 0.0
        self._over = threading.Event()
        self._watched = threading.get_ident()

    async def run(self) -> None:
        """Watch the loop that this runs in, until cancelled."""
        threading.Thread(target=self._watch, name="hermesd-loop-watchdog", daemon=True).start()
        try:
            while True:
                self._still_seconds = 0.0
                await trio.sleep(TICK_SECONDS)
        finally:
            self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            self._still_seconds += TICK_SECONDS
            if self._still_seconds >= self._limit_seconds:
                self._end()

    def _end(self) -> None:
        frame = sys._current_frames().get(self._watched)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        self._log.critical(
            "event loop stands still, ending",
            seconds=self._still_seconds,
            stack=stack[-MAX_STACK_CHARS:],
        )
        os._exit(EX_TEMPFAIL)
