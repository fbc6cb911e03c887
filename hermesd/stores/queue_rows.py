"""Paused queues, and what waits and runs in queues, as rows: SQL that both dialects take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.core.job import Owner
from hermesd.core.orders import QueuePause
from hermesd.core.words import Place
from hermesd.stores.api_rows import Execute
from hermesd.stores.micros import micros, seconds

_PAUSE: Final = (
    "INSERT INTO queue_pauses (queue, since_us, reason, paused_by) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (queue) DO UPDATE SET reason = excluded.reason, paused_by = excluded.paused_by "
    "RETURNING queue, since_us, reason, paused_by"
)
_RESUME: Final = "DELETE FROM queue_pauses WHERE queue = ? RETURNING queue"
_PAUSED: Final = "SELECT queue, since_us, reason, paused_by FROM queue_pauses ORDER BY queue"
RUNNING: Final = "SELECT queue, count(*) FROM jobs WHERE state = 'running' GROUP BY queue"
FIRST: Final = (
    "SELECT enqueued_us FROM jobs WHERE state = 'queued' AND queue = ? AND type = ? "
    "AND priority = ? AND owner = ? ORDER BY order_key LIMIT 1"
)


class Pause(msgspec.Struct, frozen=True):
    """Pause a queue, or give a paused one a new reason; answers the pause."""

    queue: str
    reason: str
    by: str


class Resume(msgspec.Struct, frozen=True):
    """End a pause; True if there was one."""

    queue: str


Order = Pause | Resume


def apply(execute: Execute, orders: Sequence[Order], at: float) -> list[Any]:
    """One answer for each order."""
    return [_one(execute, order, at) for order in orders]


def _one(execute: Execute, order: Order, at: float) -> Any:
    match order:
        case Pause(queue, reason, by):
            (row,) = execute(_PAUSE, (queue, micros(at), reason, by))
            return _pause(*row)
        case Resume(queue):
            return bool(execute(_RESUME, (queue,)))


def paused(execute: Execute) -> list[QueuePause]:
    """All that are paused, by name."""
    return [_pause(*row) for row in execute(_PAUSED, ())]


def running(execute: Execute) -> dict[str, int]:
    """Running jobs by queue."""
    return {str(queue): int(number) for queue, number in execute(RUNNING, ())}


def oldest(execute: Execute, places: Sequence[Place]) -> dict[Place, float]:
    """When the first job of each place began to wait; two searches in an index for each."""
    found: dict[Place, float] = {}
    for place in places:
        firsts = [
            since_us
            for owner in (Owner.STORE, Owner.AMQP)
            for (since_us,) in execute(FIRST, (*place, str(owner)))
            if since_us is not None
        ]
        if firsts:
            found[place] = seconds(min(firsts))
    return found


def _pause(queue: str, since_us: int, reason: str, by: str) -> QueuePause:
    return QueuePause(queue=queue, since=seconds(since_us), reason=reason, by=by)
