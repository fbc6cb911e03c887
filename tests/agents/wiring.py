"""The state and the parts of an api over a store in memory."""

from __future__ import annotations

from typing import Any

import structlog

from hermesd.api.agents import ApiParts
from hermesd.api.events import EventRing
from hermesd.api.state import ApiState
from hermesd.clock import TrioClock
from hermesd.config import Config
from hermesd.observe.metrics import ApiMetrics, CommitStats
from hermesd.queues.embedded import EmbeddedQueue
from hermesd.testing.memory import MemoryStore


async def state_over(
    store: MemoryStore, config: Config, clock: TrioClock, **given: Any
) -> ApiState:
    """The state of api-1 in its first life; `given` has what is to be otherwise, by field."""
    return ApiState(
        **{
            "name": "api-1",
            "boot": "boot-1",
            "store_id": await store.fleet.store_id(),
            "config": config,
            "clock": clock,
            "chance": lambda: 0.5,
            "jobs": store.jobs,
            "reader": store.reader,
            "fleet": store.fleet,
            "outbox": store.outbox,
            "apis": store.apis,
            "notes": store.notes,
            "queues": store.queues,
            "queue": EmbeddedQueue(store.jobs),
            "ring": EventRing(config.events.ring, clock, config.events.max_streams),
            "metrics": ApiMetrics(),
            "log": structlog.get_logger(),
            **given,
        }
    )


def parts_over(store: MemoryStore, **given: Any) -> ApiParts:
    """What the role is handed beside; its control line is called directly, or not at all."""
    return ApiParts(
        **{
            "types": store.types,
            "schedules": store.schedules,
            "points": store.points,
            "open_control": _no_control,
            "listeners": (),
            "store_check": store.check,
            "commits": CommitStats,
            "role": "api",
            **given,
        }
    )


def _no_control(service: Any) -> Any:
    raise AssertionError("no control server is opened here")
