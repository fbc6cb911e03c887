"""Gives waiting jobs to workers as slots free up, the most urgent and oldest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import trio

from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.outage import Outage
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, Unavailable
from hermesd.core.job import Job
from hermesd.core.records import Assignment, Waiting
from hermesd.signal import Signal

READ_AHEAD = 1000  # jobs read at once; most of them are assigned in later rounds
MAX_ROUND = 200  # jobs in one commit: while it is under way the last round's are being sent
LOOK_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 0.5
# How soon the counts are compared with the store: when they look wrong, and in any case.
SUSPECT_SECONDS = 10.0
RECONCILE_SECONDS = 60.0


class Feeder:
    """The agent of the store rung."""

    def __init__(self, state: ApiState, router: Router, lines: Lines, ledger: Ledger, work: Signal):
        self._state = state
        self._router = router
        self._lines = lines
        self._ledger = ledger
        self._work = work
        self._reconciled_at = state.clock.monotonic()
        self._ahead: deque[Job] = deque()
        self._returned = 0

    async def run(self) -> None:
        """Work whenever a job is queued, a slot freed or a worker found; else look now and then."""
        outage = Outage(self._state.log, "cannot feed waiting jobs", "feeding waiting jobs again")
        while True:
            try:
                busy = await self.run_once()
            except (Unavailable, OutcomeUnknown) as error:
                outage.failed(error)
                await trio.sleep(RETRY_SECONDS)
                continue
            outage.worked()
            if not busy:
                await self._work.wait(LOOK_AGAIN_SECONDS)

    async def run_once(self) -> int:
        """One round: how many jobs were offered to workers.

        Some may have been cancelled meanwhile; what stands behind them is for the next round.
        """
        await self._reconcile(RECONCILE_SECONDS)
        free = self._free()
        pairs = tuple(pair for pair in self._state.tally.pairs() if self._room(*pair))
        if not pairs:
            return 0
        if self._outdated(pairs):
            self._ahead.clear()
        fresh = not self._ahead
        if fresh and not await self._read(pairs):
            await self._reconcile(SUSPECT_SECONDS)
            return 0
        placed = self._place(min(free, MAX_ROUND))
        if not placed and not fresh and await self._read(pairs):
            # What was read ahead fits no free slot, but other jobs may.
            placed = self._place(min(free, MAX_ROUND))
        return await self._assign(placed)

    async def _read(self, pairs: tuple[tuple[str, str], ...]) -> bool:
        """Read the head of what waits in these (queue, type) pairs; False where there is none."""
        self._returned = self._state.tally.returned
        jobs = await self._state.queue.take(Waiting(pairs=pairs, limit=READ_AHEAD))
        self._ahead = deque(jobs)
        return bool(jobs)

    def _outdated(self, pairs: Iterable[tuple[str, str]]) -> bool:
        """Whether something waits that goes before what was read ahead.

        A higher priority does, and a job that came back from its worker may.
        """
        tally = self._state.tally
        if not self._ahead or tally.returned != self._returned:
            return True
        return tally.highest(pairs) > self._ahead[0].priority

    def _place(self, most: int) -> list[tuple[Job, Reservation]]:
        """Slots for the first jobs of those read ahead; the others stay there."""
        placed: list[tuple[Job, Reservation]] = []
        left: deque[Job] = deque()
        while self._ahead and len(placed) < most:
            job = self._ahead.popleft()
            slot = self._router.place(job)
            if slot:
                placed.append((job, slot))
            else:
                left.append(job)
        self._ahead.extendleft(reversed(left))
        return placed

    async def _assign(self, placed: Sequence[tuple[Job, Reservation]]) -> int:
        if not placed:
            return 0
        now = self._state.clock.utc()
        assignments = [
            Assignment(
                token=job.token,
                worker_id=slot.view.worker_id,
                incarnation=slot.view.incarnation,
                assigned_by=self._state.name,
                rung=self._state.queue.rung,
                at=now,
                job=job,
            )
            for job, slot in placed
        ]
        try:
            # As in a submit: what is committed must be sent, whatever becomes of this task.
            with trio.CancelScope(shield=True):
                assigned = await self._state.jobs.assign(assignments)
        except BaseException:
            for _, slot in placed:
                slot.cancel()
            self._lines.adopt_later([job.id for job, _ in placed])
            raise
        for (before, slot), job in zip(placed, assigned, strict=True):
            if job is None:
                slot.cancel()
                continue
            held = self._router.commit(slot, job)
            self._ledger.assigned(before, job)
            self._lines.send(slot.view, held, None)
        return len(placed)

    def _room(self, queue: str, job_type: str) -> bool:
        for view in self._state.registry.speakers(job_type):
            kind = view.kind_of(job_type)
            if view.routable and queue in view.queues and kind and view.free(kind) > 0:
                return True
        return False

    def _free(self) -> int:
        return sum(sum(v.free_slots().values()) for v in self._state.registry if v.routable)

    async def _reconcile(self, seconds: float) -> None:
        """Set the counts right by the store, unless that was done in the last `seconds`.

        A job that waits in the store and is not counted would wait for ever.
        """
        now, tally = self._state.clock.monotonic(), self._state.tally
        if now - self._reconciled_at < seconds:
            return
        self._reconciled_at = now
        before = tally.waiting_changes
        counts = await self._state.reader.counts()
        if tally.waiting_changes == before:
            tally.reset(counts)
        else:
            tally.amend(counts)
