"""From a request to a committed job: admit, route, store, and wait a moment for the worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import trio

from hermesd.api.acceptance import Acceptances, Patience
from hermesd.api.admission import Admission, JobRequest
from hermesd.api.depth import Depth
from hermesd.api.ledger import Ledger
from hermesd.api.lines import Lines
from hermesd.api.route import Reservation, Router
from hermesd.api.state import ApiState
from hermesd.core.errors import OutcomeUnknown, QueueFull
from hermesd.core.job import Job
from hermesd.core.records import IdempotencyKey, Submission, Submitted

__all__ = ["JobRequest", "SubmitAnswer", "Submitter"]


class SubmitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a committed job when the client is answered.

    `direct` means that `worker_id` has accepted it; `queue` that it waits, as `note` says.
    """

    job: Job
    routed: Literal["direct", "queue"]
    worker_id: str | None = None
    note: str | None = None
    repeated: bool = False


class Submitter:
    """Accepts jobs: a returned answer means that all of them are committed."""

    def __init__(
        self,
        state: ApiState,
        admission: Admission,
        router: Router,
        lines: Lines,
        ledger: Ledger,
        patience: Patience,
    ):
        self._depth = Depth(state.config, state.tally)
        self._patience = patience
        self._state = state
        self._admission = admission
        self._router = router
        self._lines = lines
        self._ledger = ledger
        self._pending = 0

    async def submit(
        self, requests: Sequence[JobRequest], *, principal: str = ""
    ) -> Sequence[SubmitAnswer]:
        """Store all jobs or none, and hand those with a slot to their workers.

        Raises the error of a lone request itself, InvalidBatch with `errors` by index otherwise;
        QueueFull past the depth limit; StoreUnavailable and OutcomeUnknown as the store does.
        """
        if self._pending >= self._state.config.api.max_pending_submits:
            raise QueueFull("too many submits wait for their commit", retry_after_seconds=1)
        now = self._state.clock.utc()
        jobs = self._admission.jobs(requests, now)
        keys = tuple(self._admission.key(r, principal, now) for r in requests)
        self._pending += 1
        try:
            # The commit and the hand-over to the dispatcher belong together, whatever becomes of
            # the client's connection meanwhile; the store bounds the wait, then our patience.
            with trio.CancelScope(shield=True):
                submitted, notes, wait = await self._commit(jobs, keys, now)
                if wait is not None:
                    self._patience.begin(wait)
                    await wait.all_in()
        finally:
            self._pending -= 1
        return [self._answer(s, notes[i], wait, i) for i, s in enumerate(submitted)]

    async def _commit(
        self, jobs: Sequence[Job], keys: tuple[IdempotencyKey | None, ...], now: float
    ) -> tuple[Sequence[Submitted], list[str], Acceptances | None]:
        slots = [self._router.place_new(job) for job in jobs]
        waiting = [job for job, slot in zip(jobs, slots, strict=True) if slot is None]
        notes = self._notes(jobs, slots)
        routed = tuple(
            self._router.as_running(job, slot.view, now) if slot else job
            for job, slot in zip(jobs, slots, strict=True)
        )
        try:
            self._depth.take(waiting)
        except BaseException:
            _cancel(slots)
            raise
        try:
            submitted = await self._state.jobs.insert(Submission(jobs=routed, keys=keys))
        except BaseException as error:
            if isinstance(error, OutcomeUnknown):
                self._lines.adopt_later([job.id for job in routed])
            _cancel(slots)
            raise
        finally:
            self._depth.settle(waiting)
        return submitted, notes, self._hand_over(submitted, slots, notes)

    def _notes(self, jobs: Sequence[Job], slots: Sequence[Reservation | None]) -> list[str]:
        """Why each job waits; said once for all that wait alike, as a batch's mostly do."""
        known: dict[tuple[str, str, int], str] = {}
        notes = []
        for job, slot in zip(jobs, slots, strict=True):
            alike = (job.type, job.queue, job.priority)
            if slot is None and alike not in known:
                known[alike] = self._router.explain(job)
            notes.append("" if slot else known[alike])
        return notes

    def _hand_over(
        self,
        submitted: Sequence[Submitted],
        slots: Sequence[Reservation | None],
        notes: Sequence[str],
    ) -> Acceptances | None:
        """Tell the ledger and the dispatchers what is committed; whose words to wait for."""
        wait = Acceptances()
        for index, (entry, slot) in enumerate(zip(submitted, slots, strict=True)):
            if entry.repeated:
                if slot:
                    slot.cancel()
                continue
            self._ledger.inserted(entry.job, note=notes[index])
            if slot:
                held = self._router.commit(slot, entry.job)
                self._lines.send(slot.view, held, wait.expect(index))
        return wait if wait.expected else None

    def _answer(
        self, entry: Submitted, note: str, wait: Acceptances | None, index: int
    ) -> SubmitAnswer:
        job = entry.job
        if entry.repeated:
            routed: Literal["direct", "queue"] = "direct" if job.worker_id else "queue"
            return SubmitAnswer(
                job=job,
                routed=routed,
                worker_id=job.worker_id,
                note=None if job.worker_id else "the first job of this idempotency key",
                repeated=True,
            )
        if wait is None or not wait.expects(index):
            return SubmitAnswer(job=job, routed="queue", note=note)
        worker_id = wait.accepted_by(index)
        if worker_id is None:
            reason = wait.note(index) or "committed; the worker has not answered yet"
            return SubmitAnswer(job=job, routed="queue", note=reason)
        return SubmitAnswer(job=job, routed="direct", worker_id=worker_id)


def _cancel(reservations: Sequence[Reservation | None]) -> None:
    for slot in reservations:
        if slot:
            slot.cancel()
