"""Compares the counts in memory with the store's, as often as it is worth."""

from __future__ import annotations

from typing import Final

from hermesd.api.state import ApiState
from hermesd.core.changes import Mark

# How soon the counts are compared: when they look wrong, and in any case.
SUSPECT_SECONDS: Final = 10.0
RECONCILE_SECONDS: Final = 60.0
# The share of the time, at most, in which jobs that have ended are counted: a million takes a
# second. More where an api came or went, whose last words may be counted twice or not at all.
COUNT_ENDED_SHARE: Final = 0.001
DOUBT_SHARE: Final = 0.02
SETTLING_SECONDS: Final = 1.0  # in which others tell of what was in a count already


class Recount:
    """When to count, and what it comes to."""

    def __init__(self, state: ApiState):
        self._state = state
        self._counted_at = state.clock.monotonic()
        self._ended_counted_at = self._counted_at
        self._ended_seconds = 0.0  # what that took
        self._in_doubt = False  # until the ended ones were counted while nothing changed
        self._quiet_since: Mark | None = None
        self._neighbours = 0  # their changes, as far as they are dealt with

    def doubt(self) -> None:
        """Others' changes may have been missed: count all as soon as may be."""
        self._in_doubt = True
        self._quiet_since = None
        self._counted_at = float("-inf")

    async def when_due(self, seconds: float) -> None:
        """Set the counts right by the store, unless that was done in the last `seconds`.

        Sooner where a change had an unknown fate. A job that waits in the store and is not counted
        would wait for ever. Those that have ended are counted too rarely to matter, however many
        there are.
        """
        now, changes = self._state.clock.monotonic(), self._state.tally.changes
        self._settle(now)
        if self._neighbours != self._state.neighbours.changes:
            self._neighbours = self._state.neighbours.changes
            self.doubt()
        if changes.doubtful or self._in_doubt:
            seconds = min(seconds, SUSPECT_SECONDS)
        if now - self._counted_at >= seconds:
            self._counted_at = now
            await self._count(now)

    async def _count(self, now: float) -> None:
        tally = self._state.tally
        share = DOUBT_SHARE if self._in_doubt else COUNT_ENDED_SHARE
        live = now < self._ended_counted_at + self._ended_seconds / share
        mark = tally.changes.mark()
        counts = await self._state.reader.counts(live=live)
        if not live:
            self._ended_counted_at = now
            self._ended_seconds = self._state.clock.monotonic() - now
            if self._counted_at == now:  # else a doubt has come meanwhile
                self._quiet_since = mark
        tally.reconcile(counts, tally.changes.since(mark))
        self._state.ahead.doubt(tally.counts().waiting)

    def _settle(self, now: float) -> None:
        """Whether the last count of all was in time for nothing, or for everything."""
        if self._quiet_since is not None and now >= self._counted_at + SETTLING_SECONDS:
            if not self._state.tally.changes.since(self._quiet_since):
                self._in_doubt = False
            self._quiet_since = None
