"""When the jobs have ended: read off GET /stats, by how many are live more than before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import trio

from hermesd.bench.faults import of_failure, of_response
from hermesd.bench.plan import Plan
from hermesd.bench.tally import Tally
from hermesd.bench.target import Target
from hermesd.client import BadAnswer
from hermesd.client.answers import Stats
from hermesd.core.states import State
from hermesd.http.errors import HttpCallFailed

POLL_SECONDS: Final = 0.02
_HEADERS: Final = ((b"Accept", b"application/json"),)
_LIVE: Final = tuple(str(state) for state in State if not state.terminal)


@dataclass(frozen=True)
class Recorded:
    """All jobs had ended at `at`; `states` is how many more than before are in each state."""

    at: float
    states: dict[str, int]


class Statistics:
    """The counts of a deployment, over one connection."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self._target = target
        self._timeout_seconds = plan.timeout_seconds
        self._connection = target.connection()

    async def jobs(self) -> dict[str, int]:
        """Jobs by state now; raises ClientError where there is no such answer."""
        path = self._target.prefix + "/stats"
        try:
            response = await self._connection.request(
                "GET", path, b"", _HEADERS, self._timeout_seconds
            )
        except HttpCallFailed as failure:
            raise of_failure(failure).error from failure
        if (fault := of_response(response)) is not None:
            raise fault.error
        try:
            return msgspec.json.decode(response.body, type=Stats).jobs
        except ValueError as error:
            raise BadAnswer(f"GET {path} was answered by something else: {error}") from error

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()


async def until_recorded(
    statistics: Statistics, before: dict[str, int], tally: Tally, wait_seconds: float
) -> Recorded | None:
    """Wait until no more jobs are live than `before`; None: not in time.

    Counting the live ones is right with several apis and whatever is pruned; jobs that others
    submit meanwhile are waited for too.
    """
    with trio.move_on_after(wait_seconds):
        while True:
            states = await statistics.jobs()
            live = _live(states) - _live(before)
            tally.recorded_jobs = max(tally.accepted_jobs - max(live, 0), 0)
            if live <= 0:
                names = states.keys() | before.keys()
                gained = {name: states.get(name, 0) - before.get(name, 0) for name in names}
                return Recorded(trio.current_time(), {k: n for k, n in gained.items() if n > 0})
            await trio.sleep(POLL_SECONDS)
    return None


def _live(states: dict[str, int]) -> int:
    return sum(states.get(name, 0) for name in _LIVE)
