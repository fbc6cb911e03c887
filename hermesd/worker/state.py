"""What the agents of one worker share."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from hermesd.config import Config
from hermesd.config.live import Live
from hermesd.core.fleet import DispatchAnswer, SlotView
from hermesd.core.orders import WorkerOrder
from hermesd.handlers.catalogue import Catalogue
from hermesd.observe.tracing import Tracing
from hermesd.observe.worker_metrics import WorkerMetrics
from hermesd.ports import Broker, Clock, ControlLink, Messages
from hermesd.signal import Signal
from hermesd.worker.leases import Leases
from hermesd.worker.orders import Standing
from hermesd.worker.slots import SlotTable

# The lag is sampled twice a second: where that is longer ago, this process did not run.
AWAKE_SECONDS: Final = 2.0


@dataclass
class Session:
    """What is agreed with one life of one api; `live` while it answers.

    `last_batch` and `answer` are the last batch taken and what was said of it; `fence`: batches up
    to it that have not arrived will not be accepted. `order_taken` is the last order of this api
    that was carried out, `paused_queues` are those that it said nothing is to be pulled from.
    """

    link: ControlLink
    api_name: str
    api_boot: str
    store_id: str
    heartbeat_seconds: float
    live: bool = True
    heartbeat_number: int = 0
    last_batch: int = 0
    answer: DispatchAnswer | None = None
    fence: int = 0
    takes_notes: bool = False
    order_taken: str = ""
    paused_queues: frozenset[str] = frozenset()
    registration: int = 0


@dataclass(eq=False)
class WorkerState(Live):
    """One worker process. `incarnation` changes when it is fenced; sessions are by api name.

    `answered_at` is when any api last answered anything, in monotonic seconds; time in which this
    process itself did not run is left out. `broker` and `messages` are None where jobs come from
    the apis alone, `tracing` where nothing is traced. `paused_queues` are those that some api
    which answers says are paused; while none answers, what was told last.
    """

    worker_id: str
    version: str
    config: Config
    clock: Clock
    catalogue: Catalogue
    metrics: WorkerMetrics
    log: structlog.typing.FilteringBoundLogger
    slots: SlotTable
    broker: Broker | None = None
    messages: Messages | None = None
    tracing: Tracing | None = None
    leases: Leases = field(default_factory=Leases)
    sessions: dict[str, Session] = field(default_factory=dict)
    incarnation: str = field(default_factory=lambda: secrets.token_hex(12))
    machine: str = field(default_factory=socket.gethostname)
    address: str = ""
    draining: bool = False
    standing: Standing = field(default_factory=Standing)
    paused_queues: frozenset[str] = frozenset()
    loop_lag_seconds: float = 0.0
    answered_at: float = 0.0
    outcomes: Signal = field(default_factory=Signal)  # there is something to report
    drain_asked: Signal = field(default_factory=Signal)
    beats: dict[str, Signal] = field(default_factory=dict)  # by endpoint: heartbeat now
    turns: dict[str, int] = field(default_factory=dict)  # by endpoint: that its link has taken
    registration: int = 1  # rises when the apis are to be told anew what this worker offers

    def __post_init__(self) -> None:
        super().__init__(self.config)
        self._ran_at = self.clock.monotonic()
        self.answered()

    def answered(self) -> None:
        """An api has answered something, be it a refusal."""
        self.answered_at = self.clock.monotonic()

    @property
    def degraded(self) -> bool:
        """Whether jobs are run without an api, since none has answered for one TTL."""
        now = self.clock.monotonic()
        if self.broker is None or now - self._ran_at > AWAKE_SECONDS:
            return False
        return now - self.answered_at >= self.config.liveness.ttl_seconds

    def lagged(self, seconds: float) -> None:
        """The event loop ran a timer so late."""
        self.loop_lag_seconds = seconds
        self._ran_at = self.clock.monotonic()
        if seconds > AWAKE_SECONDS:
            self.answered_at = min(self.answered_at + seconds, self._ran_at)
        self.metrics.loop_lag(seconds)

    @property
    def clogged(self) -> bool:
        """Whether so many outcomes wait for an api that no further job is taken."""
        waiting = len(self.leases.unsettled) + len(self.leases.unpublished)
        return waiting >= self.config.worker.max_unreported

    def obey(self, session: Session, order: WorkerOrder) -> None:
        """Carry out an operator's order, once; every api hears of it at once."""
        session.order_taken = order.id
        if self.standing.obey(order, self.clock.utc()):
            self.slots.pause(self.standing.paused or self.standing.leave.is_set())
            why, at_once = order.reason, order.at_once
            self.log.info("ordered", order=str(order.kind), why=why, at_once=at_once)
        self.beat_now()

    def learn_paused(self, session: Session, queues: Iterable[str]) -> None:
        """An api has said which queues are paused."""
        session.paused_queues = frozenset(queues)
        live = (each.paused_queues for each in self.sessions.values() if each.live)
        paused = frozenset[str]().union(*live)
        if paused != self.paused_queues:
            self.log.info("paused queues", queues=sorted(paused))
            self.paused_queues = paused

    def view(self, session: Session) -> SlotView:
        """The free slots as that api is to see them now."""
        return self.slots.view(session.last_batch, clogged=self.clogged)

    def lose(self, session: Session) -> None:
        """The api does not answer, or does not know us: its link registers again."""
        session.live = False
        self.beat_now()

    def tell_anew(self) -> None:
        """Slots, queues or labels are others than every api was told."""
        self.registration += 1
        self.beat_now()

    def beat_now(self) -> None:
        """Heartbeat to every api at once."""
        for signal in self.beats.values():
            signal.set()

    def reincarnate(self, fenced: str) -> None:
        """Come back as a new incarnation after `fenced` was; its leases are valid no longer."""
        if self.incarnation != fenced:
            return
        self.incarnation = secrets.token_hex(12)
        self.sessions.clear()
        self.leases.revoke_all()
        self.log.warning("fenced, coming back", fenced=fenced, incarnation=self.incarnation)
        self.beat_now()
