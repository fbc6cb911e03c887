"""Submits the jobs of schedules at their times, each fire once whatever the apis and clocks do.

There is no leader: every api tries, and the store lets one of them through. What is fired, when it
goes on and with which job is one transaction, so that an api that dies leaves all of it or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import trio

from hermesd.api.depth import Depth
from hermesd.api.firing import Firings, Plan
from hermesd.api.ledger import Ledger
from hermesd.api.outage import Outage
from hermesd.api.state import ApiState
from hermesd.core.errors import InvalidValue, OutcomeUnknown, QueueFull, Unavailable, Unstorable
from hermesd.core.job import Job
from hermesd.core.misfire import next_fire
from hermesd.core.schedule import (
    MAX_SCHEDULES,
    FireKind,
    Firing,
    FiringAnswer,
    Schedule,
)
from hermesd.core.states import State
from hermesd.cron import timetable
from hermesd.ports import Schedules
from hermesd.signal import Signal

# Schedules that are fired at once, so that they share a commit.
ROUND: Final = 100
# A step of the wall clock, or what another api has changed, is seen within this time.
LOOK_AGAIN_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 0.5
FULL_SECONDS: Final = 1.0
# By how much the clocks of apis may differ; a next time further ahead was set by a wrong one.
SKEW_SECONDS: Final = 5.0
# Fires are known for longer than any step of the clock that is not on purpose.
PRUNE_SECONDS: Final = 600.0
KEPT_SECONDS: Final = 25 * 3600.0
KEPT_FIRES: Final = 100


class Scheduler:
    """Sleeps until the next fire."""

    def __init__(
        self,
        state: ApiState,
        schedules: Schedules,
        firings: Firings,
        ledger: Ledger,
        changed: Signal,
    ):
        self._state = state
        self._schedules = schedules
        self._firings = firings
        self._ledger = ledger
        self._changed = changed
        self._depth = Depth(state, state.tally)
        self._look_at = self._prune_at = float("-inf")  # monotonic
        self._looked_at: dict[str, tuple[float, float]] = {}

    async def run(self) -> None:
        """Fire what is due, then sleep until more is, or until a schedule is changed."""
        outage = Outage(self._state.log, "cannot fire schedules", "firing schedules again")
        while True:
            try:
                seconds = await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                outage.failed(error)
                await trio.sleep(RETRY_SECONDS)
                continue
            outage.worked()
            await self._changed.wait(seconds)

    async def run_once(self) -> float:
        """Fire one round of due schedules; the seconds until there is more to do."""
        clock = self._state.clock
        if clock.monotonic() >= self._look_at:
            self._look_at = clock.monotonic() + LOOK_AGAIN_SECONDS
            await self._look_over(await self._schedules.all(MAX_SCHEDULES))
        due = await self._schedules.due(ROUND)
        full = await self._fire_all(due) if due else False
        if full:
            return FULL_SECONDS
        next_at = await self._schedules.next_at()
        wait = LOOK_AGAIN_SECONDS if next_at is None else next_at - clock.utc()
        if wait <= 0 and not due:
            return 0.02  # due by this clock, and not yet by the store's
        return min(wait, LOOK_AGAIN_SECONDS)

    async def fire_now(self, firing: Firing) -> Job:
        """Record one fire that has a job, and let the job go its way; raises as a submit does."""
        answer = await self._record(firing)
        (fired,) = answer.fires
        if fired.job is None:
            raise Unavailable("another fire of this very moment was first", retry_after_seconds=1)
        return fired.job

    async def _fire_all(self, due: Sequence[Schedule]) -> bool:
        """Whether some could not be fired since a queue is full; raises what stopped others."""
        faults: list[Exception] = []

        async def fire(schedule: Schedule) -> None:
            try:
                await self._fire(schedule)
            except (Unavailable, OutcomeUnknown) as error:
                faults.append(error)

        async with trio.open_nursery() as nursery:
            for schedule in due:
                nursery.start_soon(fire, schedule)
        for error in faults:
            if not isinstance(error, QueueFull):
                raise error
        return bool(faults)

    async def _fire(self, schedule: Schedule) -> None:
        plan = self._firings.due(schedule, self._state.clock.utc())
        try:
            try:
                answer = await self._record(plan.firing)
            except Unstorable as error:
                plan = self._firings.refused(plan, error.detail)
                answer = await self._record(plan.firing)
        except QueueFull as full:
            self._state.log.warning("schedule waits", schedule=schedule.name, why=full.detail)
            raise
        if answer.done:
            self._tell(plan, answer)

    async def _record(self, firing: Firing) -> FiringAnswer:
        """Ask the store; the depth limits of a submit hold for fires too."""
        jobs = [fire.job for fire in firing.fires if fire.job is not None]
        waiting = Counter(job.queue for job in jobs if job.state is State.QUEUED)
        self._depth.take(waiting)
        try:
            with trio.CancelScope(shield=True), self._state.tally.changes.of(len(jobs)):
                answer = await self._schedules.fire(firing)
        finally:
            self._depth.settle(waiting)
        self._count(firing.schedule, [fired.job for fired in answer.fires if fired.job])
        for fired in answer.fires:
            if fired.kind is not None:
                self._state.metrics.fired(fired.kind)
        return answer

    def _count(self, schedule: str, jobs: Sequence[Job]) -> None:
        for _, alike in groupby(jobs, key=lambda job: job.state):
            some = list(alike)
            self._ledger.inserted(some, note=f"fired by schedule {schedule}")
            self._state.metrics.submitted(some[0].type, some[0].queue, "queue", len(some))

    def _tell(self, plan: Plan, answer: FiringAnswer) -> None:
        """One line a firing, for what it did."""
        kinds = Counter(str(fired.kind) for fired in answer.fires if fired.kind is not None)
        if not kinds and not plan.refusal:
            return
        fields: Mapping[str, object] = {"schedule": plan.firing.schedule, **kinds}
        if plan.refusal:
            self._state.log.error("schedule cannot fire", why=plan.refusal, **fields)
        elif FireKind.MISSED in kinds:
            self._state.log.warning("schedule missed fires", **fields)
        else:
            self._state.log.info("schedule fired", **fields)

    async def _look_over(self, schedules: Sequence[Schedule]) -> None:
        """Set right next times that a clock set forward left too far ahead; forget old fires."""
        for schedule in schedules:
            await self._set_back(schedule)
        known = {schedule.name for schedule in schedules}
        self._looked_at = {n: found for n, found in self._looked_at.items() if n in known}
        monotonic = self._state.clock.monotonic()
        if monotonic >= self._prune_at:
            before = self._state.clock.utc() - KEPT_SECONDS
            for schedule in schedules:
                if schedule.oldest_fire is not None and schedule.oldest_fire < before:
                    while await self._schedules.prune(
                        schedule.name, before=before, keep=KEPT_FIRES
                    ):
                        pass
            self._prune_at = monotonic + PRUNE_SECONDS

    async def _set_back(self, schedule: Schedule) -> None:
        """No further back than the oldest fire that is known: what was before may have fired."""
        if schedule.next_at is None:
            return
        now = self._state.clock.utc()
        right_at, right_since = self._looked_at.get(schedule.name, (None, 0.0))
        if right_at == schedule.next_at and right_since <= now:
            return
        await trio.lowlevel.checkpoint()  # between two calculations
        definition = schedule.definition
        try:
            table = timetable(definition.cron, definition.timezone)
        except InvalidValue:  # told when it is due
            return
        since = max(now, schedule.oldest_fire or now)
        right, latest = next_fire(table, since), next_fire(table, since + SKEW_SECONDS)
        if right is None or latest is None or schedule.next_at <= latest:
            self._looked_at[schedule.name] = (schedule.next_at, now)
            return
        back = Firing(
            schedule=schedule.name,
            revision=schedule.revision,
            expected=schedule.next_at,
            next_at=right,
        )
        if (await self._schedules.fire(back)).done:
            self._state.log.warning(
                "schedule set back", schedule=schedule.name, seconds=schedule.next_at - right
            )
