"""What is done to schedules within a group's transaction, in SQL that both dialects take.

A fire's row is written in the transaction that writes its job and moves its schedule on, and the
row's key is the schedule and the time: whoever comes second, or again, finds it taken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from hermesd.core.errors import Conflict, Rejected
from hermesd.core.job import Job
from hermesd.core.schedule import (
    Fired,
    FireKind,
    Firing,
    FiringAnswer,
    PlannedFire,
    Schedule,
    ScheduleDefinition,
    Source,
    check_delete,
    check_put,
    no_schedule,
)
from hermesd.stores.backend import Evidence
from hermesd.stores.insertion import admitted
from hermesd.stores.micros import micros, micros_or_none
from hermesd.stores.order import OrderKeys
from hermesd.stores.rows import changing, identity
from hermesd.stores.schedule_rows import one
from hermesd.stores.tables import Tables, Values

ROWS_A_PRUNE: Final = 1000

CREATE: Final = (
    "INSERT INTO schedules (name, definition, source, paused, revision, created_us, updated_us, "
    "next_us) VALUES (?, ?, ?, 0, 1, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING name"
)
REPLACE: Final = (
    "UPDATE schedules SET definition = ?, source = ?, revision = revision + 1, updated_us = ?, "
    "next_us = CASE WHEN paused = 0 THEN CAST(? AS bigint) END "
    "WHERE name = ? AND revision = ? RETURNING name"
)
PAUSE: Final = (
    "UPDATE schedules SET paused = ?, next_us = ?, revision = revision + 1, updated_us = ? "
    "WHERE name = ? AND revision = ? RETURNING name"
)
DELETE: Final = "DELETE FROM schedules WHERE name = ? AND revision = ? RETURNING name"
FORGET_FIRES: Final = "DELETE FROM fires WHERE schedule = ?"
MOVE: Final = (
    "UPDATE schedules SET next_us = ? WHERE name = ? AND revision = ? AND next_us = ? "
    "RETURNING name"
)
EXISTS: Final = "SELECT name FROM schedules WHERE name = ?"
RECORD: Final = (
    "INSERT INTO fires (schedule, fire_us, job_id, what, created_us) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (schedule, fire_us) DO NOTHING RETURNING fire_us"
)
LAST_JOB: Final = (
    "SELECT state FROM jobs WHERE id = (SELECT job_id FROM fires WHERE schedule = ? "
    "AND job_id IS NOT NULL ORDER BY fire_us DESC LIMIT 1)"
)
NEWEST_KEPT: Final = (
    "SELECT fire_us FROM fires WHERE schedule = ? ORDER BY fire_us DESC LIMIT 1 OFFSET ?"
)
LAST_WITH_JOB: Final = (
    "SELECT fire_us FROM fires WHERE schedule = ? AND job_id IS NOT NULL "
    "ORDER BY fire_us DESC LIMIT 1"
)
OLDEST: Final = (
    "SELECT fire_us FROM fires WHERE schedule = ? AND fire_us < ? ORDER BY fire_us LIMIT ?"
)
PRUNE: Final = "DELETE FROM fires WHERE schedule = ? AND fire_us <= ?"
_LIVE: Final = frozenset({"scheduled", "queued", "running"})


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """Create a schedule, or `replace` it."""

    name: str
    definition: ScheduleDefinition
    source: Source
    next_at: float | None
    replace: bool
    expected: Collection[str] | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Stop its fires, or let them go on with `next_at`."""

    name: str
    revision: int
    paused: bool
    next_at: float | None


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Delete a schedule of `source`, and what is known of its fires."""

    name: str
    source: Source
    expected: Collection[str] | None = None


class Prune(msgspec.Struct, frozen=True, kw_only=True):
    """Forget fires from before a UTC second, but the newest ones."""

    name: str
    before: float
    keep: int


Order = Put | Pause | Delete | Prune | Firing


class ScheduleOrders:
    """Carries out the orders of one group, in its transaction."""

    def __init__(self, tables: Tables, keys: OrderKeys) -> None:
        self._tables = tables
        self._keys = keys
        self.evidence: Evidence | None = None  # a job that exists only if the commit happens

    def apply(self, orders: Sequence[Order], at: float) -> list[Any]:
        """One answer each; what is refused is answered by its error, and changes nothing."""
        answers: list[Any] = []
        for order in orders:
            try:
                answers.append(self._apply(order, at))
            except Rejected as refused:
                answers.append(refused)
        return answers

    def _apply(self, order: Order, at: float) -> Any:
        match order:
            case Put():
                return self._put(order, micros(at))
            case Pause():
                values = (int(order.paused), micros_or_none(order.next_at), micros(at))
                changed = self._run(PAUSE, (*values, order.name, order.revision))
                return one(self._run, order.name) if changed else None
            case Delete():
                return self._delete(order)
            case Prune():
                return self._prune(order)
            case Firing():
                return self._fire(order, at)

    def _put(self, order: Put, at_us: int) -> Schedule:
        next_us = micros_or_none(order.next_at)
        text = msgspec.json.encode(order.definition).decode()
        for _ in range(2):  # again where another api has made or changed it since it was read
            known = one(self._run, order.name)
            check_put(
                known, order.name, order.source, replace=order.replace, expected=order.expected
            )
            if known is None:
                values: Values = (order.name, text, str(order.source), at_us, at_us, next_us)
                done = self._run(CREATE, values)
            else:
                values = (text, str(order.source), at_us, next_us, order.name, known.revision)
                done = self._run(REPLACE, values)
            stored = one(self._run, order.name) if done else None
            if stored is not None:
                return stored
        raise _contended(order.name)

    def _delete(self, order: Delete) -> None:
        for _ in range(2):
            known = one(self._run, order.name)
            found = check_delete(known, order.name, order.source, order.expected)
            if self._run(DELETE, (order.name, found.revision)):
                self._run(FORGET_FIRES, (order.name,))
                return
        raise _contended(order.name)

    def _fire(self, firing: Firing, at: float) -> FiringAnswer:
        if firing.revision is None:
            if not self._run(EXISTS, (firing.schedule,)):
                raise no_schedule(firing.schedule)
        else:
            next_us, expected = micros_or_none(firing.next_at), micros_or_none(firing.expected)
            token = (firing.schedule, firing.revision, expected)
            if not self._run(MOVE, (next_us, *token)):
                return FiringAnswer(done=False)
        fires = tuple(self._record(firing.schedule, fire, at) for fire in firing.fires)
        return FiringAnswer(done=True, fires=fires)

    def _record(self, schedule: str, fire: PlannedFire, at: float) -> Fired:
        kind, job = fire.kind, fire.job
        if job is not None and fire.alone and self._last_lives(schedule):
            kind, job = FireKind.OVERLAPPED, None
        job_id = None if job is None else job.id
        row = (schedule, micros(fire.time), job_id, str(kind), micros(at))
        if not self._run(RECORD, row):
            return Fired(time=fire.time, kind=None)
        return Fired(time=fire.time, kind=kind, job=job and self._insert(job, at))

    def _insert(self, job: Job, at: float) -> Job:
        stored = admitted(job, at)
        place = self._keys.next(at)
        self._tables.jobs.insert([identity(stored) + changing(stored, place)])
        self.evidence = (stored.id, str(stored.state), stored.lease)
        return stored

    def _last_lives(self, schedule: str) -> bool:
        return any(state in _LIVE for (state,) in self._run(LAST_JOB, (schedule,)))

    def _prune(self, order: Prune) -> int:
        """Only the oldest go: whatever is after the oldest one that is left is known."""
        kept = [
            *self._run(NEWEST_KEPT, (order.name, order.keep - 1)),
            *self._run(LAST_WITH_JOB, (order.name,)),
        ]
        cutoff = min([micros(order.before), *(fire_us for (fire_us,) in kept)])
        if not kept:
            return 0
        oldest = self._run(OLDEST, (order.name, cutoff, ROWS_A_PRUNE))
        if oldest:
            self._run(PRUNE, (order.name, oldest[-1][0]))
        return len(oldest)

    def _run(self, statement: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._tables.execute(statement, values)


def _contended(name: str) -> Conflict:
    return Conflict(f"schedule {name!r} is being changed by somebody else; try again")
