"""Deletes finished jobs whose time is over, or that are too many, without being in the way.

It walks over the jobs by id, the order of their creation, a bounded number at a time, and remembers
its place, so that a pass looks only at what has come of age since the last one. Behind its place
stay those that are kept for longer or had not ended yet: for them it begins anew from the first job
as often as that costs little. No index over finished jobs is needed, which would have to be kept up
to date with every job that ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec
import trio

from hermesd.api.ledger import Ledger
from hermesd.api.state import ApiState
from hermesd.config.sections import RetentionSection
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.records import EndedRange
from hermesd.core.retention import Retention, Surplus, batches, first_id
from hermesd.core.states import State

# The share of the time in which something is asked of the store. A loaded store answers later, so
# that the pauses grow with the load.
WORK_SHARE: Final = 0.25
URGENT_SHARE: Final = 0.75  # the same where there are far too many jobs
URGENT_SURPLUS: Final = 0.1  # which is so past this share of `max_finished`
LAP_SHARE: Final = 0.01  # the share of the time in which the walk may look again at what is kept
MAX_STEPS: Final = 1000  # of one pass
KEYS_SECONDS: Final = 60.0  # how often old idempotency keys are looked for, where no job goes


class Retainer:
    """The agent that prunes; `run_once` is one pass."""

    def __init__(self, state: ApiState, ledger: Ledger):
        self._state = state
        self._ledger = ledger
        self._section = state.config.retention
        self._retention = retention_of(self._section)
        self._place = ""  # the last id that was looked at
        self._lap_seconds = 0.0  # spent in reading since the walk began at the first job
        self._next_lap_at = inf  # set when the walk has reached the youngest job that may go
        self._keys_at = -inf  # monotonic: when old idempotency keys were last looked for

    async def run(self) -> None:
        """A pass at every interval, for ever; a store that is away delays it."""
        while True:
            await self._state.rest(lambda config: config.retention.interval_seconds)
            await self._state.until(lambda config: config.retention.enabled)
            try:
                await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                self._state.log.warning("cannot prune now", why=error.detail)

    async def run_once(self) -> Counter[State]:
        """Delete what is to go now, in small steps with pauses; how many went, by state."""
        clock = self._state.clock
        self._follow(self._state.config.retention)
        if clock.monotonic() >= self._next_lap_at:
            self._place, self._lap_seconds, self._next_lap_at = "", 0.0, inf
        pruned: Counter[State] = Counter()
        try:
            for _ in range(MAX_STEPS):
                if not await self._step(pruned):
                    self._end_lap()
                    break
        finally:
            numbers = {str(state): number for state, number in pruned.items() if number}
            if numbers:
                self._state.log.info("pruned finished jobs", **numbers)
        if numbers:
            self._keys_at = clock.monotonic()  # old idempotency keys go with every purge
        elif clock.monotonic() - self._keys_at >= KEYS_SECONDS:
            self._keys_at = clock.monotonic()
            await self._state.jobs.purge(())
        return pruned

    def _follow(self, section: RetentionSection) -> None:
        """Act by a section that was reloaded: what was kept so far may have to go now."""
        if section != self._section:
            self._section, self._retention = section, retention_of(section)
            self._place, self._lap_seconds, self._next_lap_at = "", 0.0, inf

    async def _step(self, pruned: Counter[State]) -> bool:
        """Look at some jobs and delete those that are to go; False where none was left to see."""
        surplus, now = self._surplus(), self._state.clock.utc()
        begun = self._state.clock.monotonic()
        page = await self._state.reader.ended(self._range(surplus, now))
        self._lap_seconds += self._state.clock.monotonic() - begun
        await self._pause(begun)
        if page.last_id is None:
            return False
        too_many = bool(surplus)
        chosen = self._retention.choose(page.jobs, surplus, now)
        for state, ids in batches(chosen):
            begun = self._state.clock.monotonic()
            pruned[state] += await self._prune(state, ids)
            await self._pause(begun)
        # Where the last of too many has gone, those after it are to be looked at when their time
        # is over, and not before.
        self._place = chosen[-1].id if too_many and not surplus else page.last_id
        return True

    def _range(self, surplus: Surplus, now: float) -> EndedRange:
        ages = self._retention.ages(surplus)
        return EndedRange(
            after=self._place,
            until=first_id(now - min(ages.values())),
            limit=self._section.batch,
            before={state: now - age for state, age in ages.items()},
        )

    async def _prune(self, state: State, ids: Sequence[str]) -> int:
        try:
            gone = await self._state.jobs.purge(ids)
        except OutcomeUnknown:
            gone = len(ids) - len(await self._state.reader.get_many(ids))
        self._ledger.pruned(state, gone)
        return gone

    async def _pause(self, begun: float) -> None:
        """Leave the store to others, in proportion to the time since `begun`."""
        surplus = self._surplus()
        urgent_from = URGENT_SURPLUS * self._retention.max_finished
        share = URGENT_SHARE if surplus.others + surplus.failed > urgent_from else WORK_SHARE
        await trio.sleep((self._state.clock.monotonic() - begun) * (1 / share - 1))

    def _end_lap(self) -> None:
        if self._next_lap_at == inf:
            self._next_lap_at = self._state.clock.monotonic() + self._lap_seconds / LAP_SHARE

    def _surplus(self) -> Surplus:
        return Surplus(self._state.tally.states, self._retention.max_finished)


def retention_of(section: RetentionSection) -> Retention:
    """The policy that a section of the configuration asks for."""
    return Retention(
        kept_seconds={
            State.SUCCEEDED: section.succeeded_seconds,
            State.FAILED: section.failed_seconds,
            State.CANCELLED: section.cancelled_seconds,
        },
        types={
            name: {
                State(field.removesuffix("_seconds")): seconds
                for field, seconds in msgspec.structs.asdict(given).items()
                if seconds is not None
            }
            for name, given in section.types.items()
        },
        max_finished=section.max_finished,
    )
