"""What the agents of one api share: its names, its view of the world, and the ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
import structlog.typing

from hermesd.api.events import EventRing
from hermesd.api.published import Published
from hermesd.config import Config
from hermesd.core.ahead import Ahead
from hermesd.core.registry import Registry
from hermesd.core.tally import Tally
from hermesd.observe.metrics import ApiMetrics
from hermesd.ports import Broker, Clock, Fleet, JobQueue, JobReader, JobStore, Outbox


@dataclass(frozen=True)
class ApiState:
    """One api's state. `name` outlives restarts, `boot` does not; `chance` is from [0, 1).

    `broker` is None where the queue needs none.
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
    queue: JobQueue
    ring: EventRing
    metrics: ApiMetrics
    log: structlog.typing.FilteringBoundLogger
    broker: Broker | None = None
    registry: Registry = field(default_factory=Registry)
    tally: Tally = field(default_factory=Tally)
    ahead: Ahead = field(default_factory=Ahead)
    published: Published = field(default_factory=Published)
