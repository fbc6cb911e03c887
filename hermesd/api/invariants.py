"""Checks at run time what must always hold, and counts what does not in a metric that stays 0.

A breach is a defect of hermesd, not of a job or an operator. What can be healed is healed (a lost
job is taken up again), but it is counted and logged all the same.
"""

from __future__ import annotations

import trio

from hermesd.api.cancels import Cancels
from hermesd.api.lines import Lines
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import Job
from hermesd.core.states import State

CHECK_SECONDS = 10.0
MOST_NAMED = 20
MOST_COUNTED = 20_000


class InvariantChecker:
    """The agent that compares memory with the store every CHECK_SECONDS."""

    def __init__(self, state: ApiState, lines: Lines, cancels: Cancels):
        self._state = state
        self._cancels = cancels
        self._lines = lines
        # Running jobs of a registered worker that nobody here holds, as of the last pass: between
        # commit and memory a job may be so for a moment, but not for a whole pass.
        self._unheld: set[tuple[str, int]] = set()
        # The rows are read before memory is looked at, so that a lease given between the two looks
        # like this once; but not twice.
        self._regressed: set[tuple[str, int]] = set()
        self._counted: set[tuple[str, str, int]] = set()

    async def run(self) -> None:
        """Check for ever; a store that is away is not a breach."""
        while True:
            await trio.sleep(CHECK_SECONDS)
            try:
                await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                self._state.log.debug("cannot check invariants now", why=error.detail)

    async def run_once(self) -> None:
        """One pass; each breach is counted once."""
        for job in await self._state.reader.misowned(MOST_NAMED):
            self._breach("owner", job, f"{job.state} but owned by {job.owner}")
        rows = {job.id: job for job in await self._state.reader.assigned(self._state.name)}
        self._cancels.seen(rows.values())  # of which another api has told in vain
        self._check_held(rows)
        self._check_unheld(rows)

    def _check_held(self, rows: dict[str, Job]) -> None:
        regressed: dict[tuple[str, int], Job] = {}
        for view in self._state.registry:
            for held in view.held.values():
                row = rows.get(held.job.id)
                if row is not None and row.lease < held.job.lease:
                    regressed[row.id, held.job.lease] = row
                if held.batch and view.registration.types and not view.spoke(held.job.type):
                    self._breach("unrouted-type", held.job, f"{view.worker_id} has no such type")

        for (job_id, lease), row in regressed.items():
            if (job_id, lease) in self._regressed:
                told = f"lease {lease} was given, the store has {row.lease}"
                self._breach("lease-regression", row, told)
        self._regressed = set(regressed)

    def _check_unheld(self, rows: dict[str, Job]) -> None:
        """Running here by the store, unknown to memory twice in a row: take it up again."""
        unheld = set()
        for job in rows.values():
            view = self._state.registry.get(job.incarnation or "")
            if view is None or job.state is not State.RUNNING:
                continue  # the reaper's business
            held = view.held.get(job.id)
            if held is None or held.job.lease < job.lease:
                unheld.add((job.id, job.lease))
        for job_id, lease in unheld & self._unheld:
            self._breach("lost-job", rows[job_id], f"nobody holds lease {lease}")
        self._lines.adopt_later([job_id for job_id, _ in unheld & self._unheld])
        self._unheld = unheld

    def _breach(self, invariant: str, job: Job, told: str) -> None:
        key = (invariant, job.id, job.lease)
        if key in self._counted:
            return
        if len(self._counted) >= MOST_COUNTED:
            self._counted.clear()
        self._counted.add(key)
        self._state.metrics.breach(invariant)
        self._state.log.error("invariant broken", invariant=invariant, job_id=job.id, why=told)
