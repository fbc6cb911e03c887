"""What the agents of one api share: its names, its view of the world, and the ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
import structlog.typing

from hermesd.api.alone import Alone
from hermesd.api.counted import CountedJobs, CountedOutbox
from hermesd.api.events import EventRing
from hermesd.api.orders import Orders
from hermesd.api.published import Published
from hermesd.api.unrecorded import Unrecorded
from hermesd.config import Config
from hermesd.config.live import Live
from hermesd.core.ahead import Ahead
from hermesd.core.neighbours import Neighbours
from hermesd.core.orders import Pauses
from hermesd.core.registry import Registry
from hermesd.core.tally import Tally
from hermesd.observe.metrics import ApiMetrics
from hermesd.observe.tracing import Tracing
from hermesd.ports import (
    Apis,
    Broker,
    Bus,
    Clock,
    Fleet,
    JobQueue,
    JobReader,
    JobStore,
    Notes,
    Outbox,
    Queues,
)


@dataclass(eq=False)
class ApiState(Live):
    """One api's state. `name` outlives restarts, `boot` does not; `chance` is from [0, 1).

    `config` is replaced as a whole by a reload, nothing else ever is.
    `url` is where people reach it, `broker` is None where the queue needs none, and `tracing` where
    nothing is traced. What `jobs` and
    `outbox` are asked to change is noted in the tally as under way.
    """

    name: str
    boot: str
    store_id: str
    config: Config
    clock: Clock
    chance: Callable[[], float]
    jobs: JobStore
    reader: JobReader
    fleet: Fleet
    outbox: Outbox
    apis: Apis
    notes: Notes
    queues: Queues
    queue: JobQueue
    ring: EventRing
    metrics: ApiMetrics
    log: structlog.typing.FilteringBoundLogger
    url: str = ""
    broker: Broker | None = None
    tracing: Tracing | None = None
    bus: Bus = field(default_factory=Alone)
    registry: Registry = field(default_factory=Registry)
    tally: Tally = field(default_factory=Tally)
    ahead: Ahead = field(default_factory=Ahead)
    published: Published = field(default_factory=Published)
    unrecorded: Unrecorded = field(default_factory=Unrecorded)
    orders: Orders = field(default_factory=Orders)
    pauses: Pauses = field(default_factory=Pauses)
    neighbours: Neighbours = field(init=False)

    def __post_init__(self) -> None:
        super().__init__(self.config)
        self.neighbours = Neighbours(self.name)
        changes = self.tally.changes
        self.jobs = CountedJobs(self.jobs, changes)
        self.outbox = CountedOutbox(self.outbox, changes)
