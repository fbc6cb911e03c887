"""Takes jobs back from the broker for workers that do not pull, while they have slots free."""

from __future__ import annotations

from hermesd.api.ladder import Ladder
from hermesd.api.leftover import Leftovers
from hermesd.api.published import EVER
from hermesd.api.recovery import Recovery
from hermesd.api.state import ApiState
from hermesd.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Job
from hermesd.core.records import BrokerRange

MOST = 1000  # jobs in one commit
SOME = 200  # jobs that are looked at for one that such a worker can run
REASON = "not-pulled"


class Unpulled:
    """Looks for such workers; where nobody else serves a queue, all its jobs are taken back."""

    def __init__(self, state: ApiState, ladder: Ladder, recovery: Recovery, leftovers: Leftovers):
        self._state = state
        self._ladder = ladder
        self._recovery = recovery
        self._leftovers = leftovers

    async def run_once(self) -> None:
        """Take back what is due by now, the most urgent first."""
        views = [view for view in self._state.registry if not view.pulls and view.routable]
        queues = {
            queue for view in views if any(view.free_slots().values()) for queue in view.queues
        }
        free: dict[tuple[str, str], int] = {}
        for queue, priority in self._state.published.levels():
            if queue not in queues or queue in self._state.pauses:
                continue
            if self._ladder.pulled(queue):
                await self._take_some(queue, priority, free)
            else:
                await self._take_all(queue)

    async def _take_some(self, queue: str, priority: int, free: dict[tuple[str, str], int]) -> None:
        """As many jobs as there are slots for; those who pull will refuse their messages."""

        def chosen(job: Job) -> bool:
            pair = queue, job.type
            left = free[pair] if pair in free else self._ladder.beside(*pair)
            free[pair] = left - 1
            return left > 0

        await self._recovery.take(self._range(queue, priority, priority, SOME), REASON, chosen)

    async def _take_all(self, queue: str) -> None:
        while taken := await self._recovery.take(
            self._range(queue, LOWEST_PRIORITY, HIGHEST_PRIORITY, MOST), REASON
        ):
            self._leftovers.expect(taken)

    def _range(self, queue: str, lowest: int, highest: int, limit: int) -> BrokerRange:
        return BrokerRange(
            queue=queue, lowest=lowest, highest=highest, published_before=EVER, limit=limit
        )
