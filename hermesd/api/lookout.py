"""What is kept for people to look at: ages of what waits, the history, summaries."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hermesd.api.ages import Ages
from hermesd.api.history import Historian
from hermesd.api.state import ApiState
from hermesd.api.summaries import Summaries
from hermesd.api.summary import Sources, Summarist
from hermesd.observe.lag import sample_lag
from hermesd.ports import FleetView, Points


class Lookout:
    """The agents that look and do nothing else; `broker_fault` and `types_version`: see Sources."""

    def __init__(
        self,
        state: ApiState,
        points: Points,
        fleet: FleetView,
        *,
        broker_fault: Callable[[], str],
        types_version: Callable[[], int],
    ):
        self.ages = Ages(state)
        self.history = Historian(state, points, fleet, self.ages)
        sources = Sources(fleet, self.ages, broker_fault, types_version)
        self.summaries = Summaries(state, Summarist(state, sources))
        self._state = state

    async def run(self) -> None:
        """Look for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ages.run)
            nursery.start_soon(self.history.run)
            nursery.start_soon(self.summaries.run)
            nursery.start_soon(sample_lag, self._lagged)

    def _lagged(self, seconds: float) -> None:
        self._state.metrics.loop_lag(seconds)
        self.history.lagged(seconds)
