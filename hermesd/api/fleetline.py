"""One log line about the whole fleet, now and then."""

from __future__ import annotations

from collections.abc import Mapping

from hermesd.api.fleet import FleetBoard
from hermesd.api.state import ApiState
from hermesd.api.story import Story
from hermesd.observe.flow import COUNTED, TypeFlow, whole


class FleetLine:
    """The agent that writes it, every `log.fleet_seconds`."""

    def __init__(self, state: ApiState, board: FleetBoard, story: Story):
        self._state = state
        self._board = board
        self._story = story
        self._told_at = state.clock.monotonic()
        self._flow: Mapping[str, TypeFlow] = {}
        self._left_out = 0

    async def run(self) -> None:
        """Write a line at every interval."""
        while True:
            await self._state.rest(lambda config: config.log.fleet_seconds)
            self.run_once()

    def run_once(self) -> None:
        """Write one line: workers by status, slots, jobs by state, and what came since the last.

        `rates` are jobs a second at this api, `lines_left_out` those on single jobs that were not
        written (log.jobs).
        """
        tally = self._state.tally
        states = {str(state): number for state, number in tally.states.items() if number}
        self._state.log.info(
            "fleet",
            **self._board.totals(),
            waiting=tally.waiting_total,
            jobs=states,
            rates=self._rates(),
            lines_left_out=self._story.left_out - self._left_out,
        )
        self._left_out = self._story.left_out

    def _rates(self) -> Mapping[str, float]:
        now, flow = self._state.clock.monotonic(), self._state.metrics.flow
        since, seconds = whole(flow.since(self._flow).values()), max(now - self._told_at, 1e-3)
        self._flow, self._told_at = flow.copy(), now
        rates = {name: round(getattr(since, name) / seconds, 3) for name in COUNTED}
        return {name: rate for name, rate in rates.items() if rate}
