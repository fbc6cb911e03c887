"""What workers and apis tell each other about the fleet.

Slots are counted by kind of execution: {"async": 128, "thread": 16, "process": 2}.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from hermesd.core.job import Job, Token
from hermesd.core.jobtype import JobType
from hermesd.core.orders import WorkerOrder

Slots = Mapping[str, int]


class Incarnation(msgspec.Struct, frozen=True, kw_only=True):
    """One life of one worker process. Times are UTC seconds by the store's clock."""

    incarnation: str
    worker_id: str
    address: str
    machine: str = ""
    last_seen: float = 0.0
    fenced: bool = False


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A worker presents itself. `address` is host:port of its dispatch endpoint.

    `pulls`: whether it pulls from the broker; None where it does not say, as with `drain_seconds`:
    for how long it lets its jobs run on when it is told to leave.
    """

    worker_id: str
    incarnation: str
    address: str
    machine: str
    version: str
    slots: Slots
    types: tuple[JobType, ...]
    queues: tuple[str, ...]
    held: tuple[Token, ...] = ()
    labels: Mapping[str, str] = {}
    pulls: bool | None = None
    drain_seconds: float | None = None


class RegistrationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`invalid`: held leases that are valid no longer; fenced: come back as a new incarnation.

    `takes_notes`: the api knows what to do with what running jobs tell; older ones do not.
    `paused_queues`: nothing is to be pulled from these.
    """

    api_name: str
    api_boot: str
    store_id: str
    invalid: tuple[Token, ...] = ()
    fenced: bool = False
    heartbeat_seconds: float = 5.0
    takes_notes: bool = False
    paused_queues: tuple[str, ...] = ()


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker process is doing."""

    cpu: float = 0.0
    loop_lag_seconds: float = 0.0
    rss_bytes: int = 0
    running: int = 0
    unreported: int = 0


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    """The free slots as of `version`, which rises with each view that a worker gives out.

    `last_batch` is the number of the last batch of the asking api that the view reflects.
    """

    version: int
    free: Slots
    last_batch: int = 0


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Numbered per incarnation; `held` are the running leases and those with an unsettled outcome.

    `fenced_batch` echoes the answer's `fence_batch`: nothing up to it will be accepted any more, so
    that what is not in `held` surely does not run here. A worker that is `paused` takes no new jobs
    until it is resumed; `since` (UTC seconds, 0: never) and `reason` are of that, or of its drain.
    `order_taken` echoes the id of the answer's `order`.
    """

    incarnation: str
    api_boot: str
    number: int
    view: SlotView
    held: tuple[Token, ...] = ()
    load: Load = Load()
    draining: bool = False
    fenced_batch: int = 0
    paused: bool = False
    since: float = 0.0
    reason: str = ""
    order_taken: str = ""


class HeartbeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, repeated in every answer until they are obeyed.

    `fence_batch` > 0: refuse batches of this api up to that number that were not received yet.
    `paused_queues`: nothing is to be pulled from these.
    """

    register_again: bool = False
    fenced: bool = False
    cancels: tuple[Token, ...] = ()
    drain: bool = False
    fence_batch: int = 0
    order: WorkerOrder | None = None
    paused_queues: tuple[str, ...] = ()


class Deregistration(msgspec.Struct, frozen=True, kw_only=True):
    """The last word of an incarnation; what it holds still is given back, and not charged."""

    incarnation: str
    reason: str = ""


class WorkerStatus(StrEnum):
    """How a worker looks from an api."""

    IDLE = "idle"
    BUSY = "busy"
    PAUSED = "paused"
    DRAINING = "draining"
    UNREACHABLE = "unreachable"
    ELSEWHERE = "elsewhere"  # it lives by the store, and is registered with other apis only


class FleetEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One worker in `GET /workers`. `last_seen_unix` is in UTC seconds.

    `since_unix` is when it was paused or told to leave, and `reason` why; None where it was not.
    """

    worker_id: str
    incarnation: str
    address: str
    machine: str
    last_seen_unix: float
    load: Load
    slots: Slots
    free: Slots
    status: WorkerStatus
    types: tuple[str, ...]
    queues: tuple[str, ...]
    version: str
    breaker: str = "closed"
    labels: Mapping[str, str] = {}
    since_unix: float | None = None
    reason: str = ""


class DispatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker needs of a job to run it; `payload` is JSON."""

    id: str
    lease: int
    type: str
    payload: msgspec.Raw
    queue: str
    priority: int
    attempt: int
    max_attempts: int
    timeout: float
    run: int = 1
    labels: Mapping[str, str] = {}
    trace_context: str | None = None

    @property
    def token(self) -> Token:
        """What the outcome must carry."""
        return Token(self.id, self.lease)


def item_of(job: Job) -> DispatchItem:
    """What the worker needs of a job."""
    return DispatchItem(
        id=job.id,
        lease=job.lease,
        type=job.type,
        payload=job.payload,
        queue=job.queue,
        priority=job.priority,
        attempt=job.attempts,
        max_attempts=job.max_attempts,
        timeout=job.timeout,
        run=job.run,
        labels=job.labels,
        trace_context=job.trace_context,
    )


class DispatchBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One POST /dispatch: numbered per api boot, for one incarnation only."""

    api_name: str
    api_boot: str
    store_id: str
    incarnation: str
    number: int
    jobs: tuple[DispatchItem, ...]


class Acceptance(StrEnum):
    """A worker's word on one dispatched job."""

    ACCEPTED = "accepted"
    FULL = "full"
    DRAINING = "draining"
    UNKNOWN_TYPE = "unknown-type"


class DispatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`items` in the batch's order, `number` is its own; `heartbeat` is the current number."""

    incarnation: str
    number: int
    heartbeat: int
    view: SlotView
    items: tuple[Acceptance, ...]


class ProbeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers at a dispatch address."""

    incarnation: str
    worker_id: str
    draining: bool = False
