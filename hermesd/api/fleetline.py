"""One log line about the whole fleet, now and then."""

from __future__ import annotations

import trio

from hermesd.api.fleet import FleetBoard
from hermesd.api.state import ApiState


class FleetLine:
    """The agent that writes it, every `log.fleet_seconds`."""

    def __init__(self, state: ApiState, board: FleetBoard):
        self._state = state
        self._board = board

    async def run(self) -> None:
        """Write a line at every interval."""
        while True:
            await trio.sleep(self._state.config.log.fleet_seconds)
            self.run_once()

    def run_once(self) -> None:
        """Write one line: workers by status, slots, jobs by state."""
        tally = self._state.tally
        states = {str(state): number for state, number in tally.states.items() if number}
        self._state.log.info(
            "fleet", **self._board.totals(), waiting=tally.waiting_total, jobs=states
        )
