"""From what the daemon has opened to the state and the parts that the api role takes."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from structlog.typing import FilteringBoundLogger

from hermesd.api.agents import ApiParts
from hermesd.api.brokerside import BrokerSide
from hermesd.api.events import EventRing
from hermesd.api.state import ApiState
from hermesd.bridge.grpc_server import open_control_server
from hermesd.clock import SystemClock
from hermesd.config import Config
from hermesd.core.amqp_names import Names
from hermesd.core.jobtype import JobType
from hermesd.daemon.broker import messages_of
from hermesd.http.server import Listener
from hermesd.observe.metrics import ApiMetrics, CommitStats
from hermesd.observe.tracing import Tracing
from hermesd.ports import Broker, Bus, JobQueue
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.stores.store import Store


@dataclass(frozen=True, kw_only=True)
class Given:
    """What an api begins with; `url` is where people of other machines find it.

    `listeners` and `control` are its own; without `control` it opens the port of the configuration.
    """

    name: str
    boot: str
    url: str
    role: str
    config: Config
    clock: SystemClock
    log: FilteringBoundLogger
    installed: Sequence[JobType]
    listeners: Sequence[Listener]
    control: socket.socket | None
    metrics: ApiMetrics
    tracing: Tracing | None


async def state_of(
    given: Given, store: Store, broker: Broker | None, bus: Bus
) -> tuple[ApiState, BrokerSide | None]:
    """The state over an open store, and what the role does at its broker (None: it has none)."""
    config = given.config
    store_id = await store.fleet.store_id()
    queue, side = _queue(config, store, store_id, broker, given.metrics)
    state = ApiState(
        name=given.name,
        boot=given.boot,
        url=given.url,
        store_id=store_id,
        config=config,
        clock=given.clock,
        chance=random.random,
        jobs=store.jobs,
        reader=store.reader,
        fleet=store.fleet,
        outbox=store.outbox,
        apis=store.apis,
        notes=store.notes,
        queues=store.queues,
        queue=queue,
        ring=EventRing(config.events.ring, given.clock, config.events.max_streams),
        metrics=given.metrics,
        log=given.log,
        broker=broker,
        bus=bus,
        tracing=given.tracing,
    )
    return state, side


def parts_of(given: Given, store: Store, side: BrokerSide | None) -> ApiParts:
    """What the role is handed beside its state."""
    control = given.config.control
    return ApiParts(
        types=store.types,
        schedules=store.schedules,
        points=store.points,
        installed=given.installed,
        open_control=partial(
            open_control_server,
            host=control.host,
            port=control.port,
            max_message_bytes=control.max_message_bytes,
            log=given.log,
            listening=given.control,
        ),
        listeners=given.listeners,
        store_check=store.check,
        commits=partial(_commits, store),
        role=given.role,
        broker=side,
    )


def _commits(store: Store) -> CommitStats:
    stats = store.stats()
    return CommitStats(
        commits=stats.commits,
        changes=stats.items,
        repeats=stats.repeats,
        failures=stats.failed_groups,
        pending=store.pending(),
        serving=not stats.failing,
        seconds=stats.seconds,
        sizes=stats.sizes,
    )


def _queue(
    config: Config, store: Store, store_id: str, broker: Broker | None, metrics: ApiMetrics
) -> tuple[JobQueue, BrokerSide | None]:
    if broker is None:
        return EmbeddedQueue(store.jobs), None
    # Here, since an api without a broker needs none of it.
    from hermesd.queues.amqp import AmqpQueue
    from hermesd.queues.messages import stamp_of
    from hermesd.queues.topology import topology_of

    messages = messages_of(config.queue)
    names = Names.of(config.queue.namespace, config.queue.names)
    queue = AmqpQueue(store.jobs, broker, messages, store_id, metrics.published)
    side = BrokerSide(
        broker=broker,
        names=names,
        topology=partial(topology_of, names),
        messages=messages,
        stamp_of=stamp_of,
        fault=queue.reason,
        declared=queue.declared,
        misrouted=queue.misrouted,
    )
    return queue, side
