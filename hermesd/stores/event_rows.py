"""Events as rows of a table, the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.core.job import ErrorInfo, Rung
from hermesd.core.records import EventRecord
from hermesd.stores.micros import micros, micros_or_none, seconds, seconds_or_none
from hermesd.stores.tables import EVENT

OF_JOB: Final = f"SELECT {', '.join(EVENT)} FROM events WHERE job_id = ? ORDER BY id"


def event_row(event: EventRecord) -> tuple[object, ...]:
    """The values of EVENT."""
    return (
        micros(event.time),
        event.job_id,
        event.job_type,
        event.kind,
        event.worker_id,
        event.message,
        event.run,
        event.attempt,
        micros_or_none(event.started_at),
        event.rung,
        None if event.error is None else msgspec.json.encode(event.error).decode(),
    )


def to_event(row: Sequence[Any]) -> EventRecord:
    """The event of a row in the order of EVENT."""
    values = dict(zip(EVENT, row, strict=True))
    time_us, started_us = values.pop("time_us"), values.pop("started_us")
    rung, error = values.pop("rung"), values.pop("error")
    return EventRecord(
        time=seconds(time_us),
        started_at=seconds_or_none(started_us),
        rung=None if rung is None else Rung(rung),
        error=None if error is None else msgspec.json.decode(error, type=ErrorInfo),
        **values,
    )
