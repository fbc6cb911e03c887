"""Schedules and their fires as rows, in SQL that both dialects take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from hermesd.core.schedule import FireKind, FireRecord, Schedule, ScheduleDefinition, Source
from hermesd.stores.micros import seconds, seconds_or_none

# Runs a statement with its values, `?` each, and answers its rows.
Execute = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]

_COLUMNS: Final = (
    "name, definition, source, paused, revision, created_us, updated_us, next_us, "
    "(SELECT min(fire_us) FROM fires WHERE fires.schedule = schedules.name)"
)
ONE: Final = f"SELECT {_COLUMNS} FROM schedules WHERE name = ?"
ALL: Final = f"SELECT {_COLUMNS} FROM schedules ORDER BY name LIMIT ?"
DUE: Final = f"SELECT {_COLUMNS} FROM schedules WHERE next_us <= ? ORDER BY next_us LIMIT ?"
NEXT: Final = "SELECT min(next_us) FROM schedules"
FIRES: Final = (
    "SELECT fire_us, what, job_id, created_us FROM fires WHERE schedule = ? "
    "ORDER BY fire_us DESC LIMIT ?"
)


class _Stored(ScheduleDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """As a newer hermesd may have written it: what this one does not know is left out."""


def _read(text: str) -> ScheduleDefinition:
    stored = msgspec.json.decode(text, type=_Stored)
    names = ScheduleDefinition.__struct_fields__
    return ScheduleDefinition(**{name: getattr(stored, name) for name in names})


def one(execute: Execute, name: str) -> Schedule | None:
    """A schedule, or None."""
    found = schedules(execute, ONE, (name,))
    return found[0] if found else None


def schedules(execute: Execute, statement: str, values: Sequence[Any]) -> list[Schedule]:
    """Those that ONE, ALL or DUE selects."""
    return [_schedule(*row) for row in execute(statement, values)]


def next_at(execute: Execute) -> float | None:
    """When the earliest fire of all schedules is due."""
    ((next_us,),) = execute(NEXT, ())
    return seconds_or_none(next_us)


def fires(execute: Execute, name: str, limit: int) -> list[FireRecord]:
    """The newest fires of a schedule, the newest first."""
    return [
        FireRecord(
            time=seconds(fire_us), kind=FireKind(what), job_id=job_id, created_at=seconds(created)
        )
        for fire_us, what, job_id, created in execute(FIRES, (name, limit))
    ]


def _schedule(
    name: str,
    definition: str,
    source: str,
    paused: int,
    revision: int,
    created_us: int,
    updated_us: int,
    next_us: int | None,
    oldest_us: int | None,
) -> Schedule:
    return Schedule(
        name=name,
        definition=_read(definition),
        source=Source(source),
        paused=bool(paused),
        revision=revision,
        created_at=seconds(created_us),
        updated_at=seconds(updated_us),
        next_at=seconds_or_none(next_us),
        oldest_fire=seconds_or_none(oldest_us),
    )
