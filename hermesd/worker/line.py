"""One log line about what a worker has done, now and then."""

from __future__ import annotations

from collections import Counter

from hermesd.core.outcome import OutcomeKind
from hermesd.observe.joblines import JobLines
from hermesd.worker.state import WorkerState


class WorkerLine:
    """The agent that writes it, every `log.fleet_seconds`; nothing where there is no news.

    `ended` counts attempts by how they ended; whoever ends one adds to it.
    """

    def __init__(self, state: WorkerState, lines: JobLines):
        self.ended: Counter[OutcomeKind] = Counter()
        self._state = state
        self._lines = lines
        self._left_out = 0

    async def run(self) -> None:
        """Write a line at every interval."""
        while True:
            await self._state.rest(lambda config: config.log.fleet_seconds)
            self.run_once()

    def run_once(self) -> None:
        """Write one line: what runs, what waits for an api, the slots, and what ended since."""
        state, leases = self._state, self._state.leases
        running = len(leases.running) + len(leases.unclaimed)
        ended, self.ended = self.ended, Counter()
        if running or ended:
            state.log.info(
                "worker",
                running=running,
                unreported=len(leases.unsettled) + len(leases.unpublished),
                slots=sum(state.slots.totals.values()),
                free=sum(state.slots.free().values()),
                ended={str(kind): number for kind, number in ended.items()},
                lines_left_out=self._lines.left_out - self._left_out,
            )
            self._left_out = self._lines.left_out
