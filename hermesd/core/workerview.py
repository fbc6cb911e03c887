"""What one api knows of one worker: its slots, the leases that it holds, and how it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hermesd.core.breaker import Breaker
from hermesd.core.entries import entry_of
from hermesd.core.fleet import (
    FleetEntry,
    Heartbeat,
    Load,
    Registration,
    SlotView,
)
from hermesd.core.job import Job, Token
from hermesd.core.jobtype import CATCH_ALL
from hermesd.core.slotcount import SlotCount


class Held(msgspec.Struct, eq=False):
    """A lease that this api knows to be with a worker and unsettled.

    `batch` is 0 while it was surely not begun: until it is sent, and again when the worker did not
    take it. `accepted_number` is the worker's heartbeat number at which it certainly held the lease
    (None: not known to be accepted). `deadline` is monotonic seconds.
    """

    job: Job
    kind: str
    deadline: float
    batch: int = 0
    accepted_number: int | None = None


class WorkerView:
    """One incarnation as this api sees it. Times are monotonic seconds unless said otherwise.

    `number` is its place among those of its registry; `unsent` counts the jobs that are reserved
    for it and in no batch yet.
    """

    def __init__(self, registration: Registration, breaker: Breaker, now: float, utc: float):
        self.breaker = breaker
        self.held: dict[str, Held] = {}
        self.revoked: set[Token] = set()
        self.load = Load()
        self.draining = False
        self.drain_requested = False
        self.paused = False
        self.pause_requested = False
        self.since_utc: float | None = None  # of the pause or the drain
        self.reason = ""
        self.condemned = False  # about to be evicted
        self.heartbeat_number = 0
        self.fence_batch = 0
        self.silence_seconds = 0.0
        self.last_message = now
        self.last_seen_utc = utc
        self.turn = 0
        self.number = 0
        self.unsent = 0
        self.batch_number = 0
        self._count = SlotCount()
        self._suspects: set[Held] = set()
        self._watchers: list[set[WorkerView]] = []
        self._retyped: Callable[[], None] = _nobody_cares
        self.renew(registration)

    def renew(self, registration: Registration) -> None:
        """Take over what a (repeated) Register says."""
        self.registration = registration
        self.incarnation = registration.incarnation
        self.worker_id = registration.worker_id
        self.address = registration.address
        self.slots = dict(registration.slots)
        self.queues = frozenset(registration.queues)
        self.pulls = registration.pulls is not False
        self.kinds = {job_type.name: str(job_type.kind) for job_type in registration.types}

    def enrol(self, number: int, retyped: Callable[[], None]) -> None:
        """A registry has it now, which is told when the types change and has it watched anew."""
        self.number = number
        self._retyped = retyped
        self._watchers.clear()

    def watch(self, changed: set[WorkerView]) -> None:
        """Put itself into `changed` whenever its slots or its turn have changed."""
        self._watchers.append(changed)

    @property
    def routable(self) -> bool:
        """Whether new jobs may be sent at all."""
        return self.breaker.closed and not (
            self.draining
            or self.drain_requested
            or self.paused
            or self.pause_requested
            or self.condemned
        )

    def kind_of(self, job_type: str) -> str | None:
        """The kind of slot that the type takes here, None where the worker cannot run it."""
        return self.kinds.get(job_type) or self.kinds.get(CATCH_ALL)

    def forget_type(self, job_type: str) -> None:
        """The worker says that it cannot run the type after all."""
        self.kinds.pop(job_type, None)
        self._retyped()

    def spoke(self, job_type: str) -> bool:
        """Whether the worker registered the type, or a catch-all."""
        return any(known.name in (job_type, CATCH_ALL) for known in self.registration.types)

    def free(self, kind: str) -> int:
        """Free slots of a kind, as far as known; may be below 0."""
        return self._count.free(kind)

    def free_slots(self) -> dict[str, int]:
        """Free slots by kind, never below 0."""
        return {kind: max(self.free(kind), 0) for kind in self.slots}

    @property
    def has_suspect(self) -> bool:
        """Whether a job that one more death would quarantine is here, or about to be."""
        return bool(self._suspects)

    def heard(self, now: float, utc: float) -> None:
        """A message of this incarnation has arrived."""
        self.silence_seconds = 0.0
        self.last_message = now
        self.last_seen_utc = utc

    def apply_standing(self, heartbeat: Heartbeat) -> None:
        """Take over what a heartbeat says of the worker's will to take jobs."""
        self.draining = heartbeat.draining
        self.paused = heartbeat.paused
        if self.paused or self.draining:
            self.since_utc, self.reason = heartbeat.since or None, heartbeat.reason
        elif not (self.drain_requested or self.pause_requested):
            self.since_utc, self.reason = None, ""

    def apply_view(self, view: SlotView) -> bool:
        """Take over a view of the slots unless a newer one is known; True if it was taken."""
        taken = self._count.apply(view, self.slots)
        if taken:
            self._changed()
        return taken

    def reserve(self, held: Held, turn: int) -> None:
        """Count a slot as taken by a job that is about to be assigned."""
        self._count.take(held.kind)
        self.unsent += 1
        self.turn = turn
        if held.job.suspect:
            self._suspects.add(held)
        self._changed()

    def reserve_all(self, kind: str, jobs: int, turn: int) -> None:
        """Count slots of a kind as taken by so many jobs that are about to be assigned.

        None of them is a suspect.
        """
        self._count.take(kind, jobs)
        self.unsent += jobs
        self.turn = turn
        self._changed()

    def unreserve(self, held: Held) -> None:
        """Give back the slot of a job that was never put into a batch."""
        self.free_unsent(held)
        self._suspects.discard(held)

    def free_unsent(self, held: Held) -> None:
        """Free the slot of a committed job that was never put into a batch."""
        self._count.give_back(held.kind)
        self.unsent -= 1
        self._changed()

    def exhausted(self, kind: str) -> None:
        """The worker refused a job for want of a slot: none is free before its next view."""
        self._count.exhausted(kind)
        self._changed()

    def hold(self, held: Held) -> None:
        """Hold a committed lease, in place of an older one of the same job."""
        before = self.held.get(held.job.id)
        if before is not None:
            self._suspects.discard(before)
        self.held[held.job.id] = held
        if held.job.suspect:
            self._suspects.add(held)

    def number_batch(self, batch: Sequence[Held]) -> int:
        """The number of a new batch of jobs that were reserved before."""
        self.batch_number += 1
        for held in batch:
            held.batch = self.batch_number
        self._count.sent(self.batch_number, [held.kind for held in batch])
        self.unsent -= len(batch)
        self._changed()
        return self.batch_number

    def forget_batch(self, number: int) -> None:
        """The batch surely never arrived: its slots are free again."""
        self._count.forget(number)
        self._changed()

    def drop(self, job_id: str, lease: int) -> Held | None:
        """Hold a lease no longer; answers it if it was held."""
        held = self.held.get(job_id)
        if held is None or held.job.lease != lease:
            return None
        del self.held[job_id]
        self._suspects.discard(held)
        return held

    def unlisted(self, heartbeat: Heartbeat) -> list[Held]:
        """Leases that the worker must have but does not list (design: Leases, "not listed")."""
        listed = {(token.job_id, token.lease) for token in heartbeat.held}
        return [
            held
            for held in self.held.values()
            if held.accepted_number is not None
            and heartbeat.number > held.accepted_number
            and (held.job.id, held.job.lease) not in listed
        ]

    def cancels(self, heartbeat: Heartbeat) -> tuple[Token, ...]:
        """The listed leases that are to be cancelled; forgets revoked ones that are gone."""
        listed = set(heartbeat.held)
        self.revoked &= listed
        asked = {
            held.job.token
            for held in self.held.values()
            if held.job.cancel_requested and held.job.token in listed
        }
        return tuple(sorted(asked | self.revoked, key=lambda token: token.job_id))

    def entry(self) -> FleetEntry:
        """This worker for `GET /workers`."""
        return entry_of(self)

    def _changed(self) -> None:
        for changed in self._watchers:
            changed.add(self)


def _nobody_cares() -> None:
    """Nothing indexes the types of a worker that is in no registry."""
