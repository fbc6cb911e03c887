"""The writes about incarnations and types, within a group's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hermesd.stores.backend import Verb
from hermesd.stores.micros import micros
from hermesd.stores.tables import FOREVER_US, FleetTables

FLEET_VERBS: Final = frozenset(
    {
        Verb.REGISTER,
        Verb.HEARD,
        Verb.FENCE,
        Verb.COUNT_AS_HEARD,
        Verb.FORGET,
        Verb.LEARN,
        Verb.TOUCH,
    }
)


def apply(fleet: FleetTables, verb: Verb, items: Sequence[Any], at: float) -> list[Any]:
    """One answer for each item of a fleet verb."""
    at_us = micros(at)
    match verb:
        case Verb.HEARD:
            known = fleet.heard(items, at_us)
            return [incarnation in known for incarnation in items]
        case Verb.LEARN:
            # Of a name that is there twice the last one counts.
            rows = {
                job_type.name: (
                    job_type.name,
                    msgspec.json.encode(job_type).decode(),
                    at_us,
                    source,
                )
                for job_type, source in items
            }
            fleet.learn(list(rows.values()))
            return [None] * len(items)
        case _:
            return [_one(fleet, verb, item, at_us) for item in items]


def _one(fleet: FleetTables, verb: Verb, item: Any, at_us: int) -> Any:
    match verb:
        case Verb.REGISTER:
            return fleet.register(item, at_us)
        case Verb.FENCE:
            incarnation, silent_us = item
            return fleet.fence(incarnation, FOREVER_US if silent_us is None else at_us - silent_us)
        case Verb.COUNT_AS_HEARD:
            return fleet.count_as_heard(at_us)
        case Verb.FORGET:
            return fleet.forget(at_us - item)
        case _:
            return fleet.touch(at_us)
