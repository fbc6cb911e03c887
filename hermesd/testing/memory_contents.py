"""What a store in memory holds."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from hermesd.core.apis import ApiLife
from hermesd.core.fleet import Incarnation
from hermesd.core.job import Job, Owner
from hermesd.core.notes import KeptLine
from hermesd.core.records import EventRecord, KnownType
from hermesd.core.states import State
from hermesd.stores.micros import micros
from hermesd.stores.moves import Change


def size_of(job: Job) -> int:
    """What a job carries, in bytes."""
    return len(bytes(job.payload)) + len(bytes(job.result or b""))


def brief(job: Job) -> Job:
    """See `ports.JobReader`."""
    return replace(job, payload=msgspec.Raw(b""), result=None)


class KeptKey(msgspec.Struct, frozen=True):
    """An idempotency key's first use; `final_state` is set when its job is purged."""

    body_hash: str
    job_id: str
    expires_at: float
    final_state: State | None = None


class Contents(msgspec.Struct, kw_only=True):
    """All that a store holds."""

    store_id: str
    jobs: dict[str, Job] = {}
    places: dict[str, int] = {}
    published: dict[str, float] = {}  # when, of those that wait at the broker
    last_place: int = 0
    events: list[EventRecord] = []
    lines: dict[str, list[KeptLine]] = {}
    keys: dict[tuple[str, str], KeptKey] = {}
    incarnations: dict[str, Incarnation] = {}
    apis: dict[str, ApiLife] = {}
    types: dict[str, KnownType] = {}

    def enter(self, job: Job, at: float) -> None:
        """Give a job a new place in its queue."""
        self.last_place = max(self.last_place + 1, micros(at))
        self.places[job.id] = self.last_place

    def apply(self, change: Change | None) -> Job | None:
        """Make a change; answers the job after it."""
        if change is None:
            return None
        job = change.after
        self.jobs[job.id] = job
        if job.owner is not Owner.AMQP:
            self.published.pop(job.id, None)
        if change.new_place:
            self.enter(job, job.enqueued_at or 0.0)
        if change.event is not None:
            self.events.append(change.event)
        return job

    def is_living(self, incarnation: str | None) -> bool:
        """Whether an incarnation is known and not fenced."""
        known = self.incarnations.get(incarnation or "")
        return known is not None and not known.fenced
