"""Job types as clients see them, and how their jobs fare; see `views` for the conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hermesd.api.history import Recent
from hermesd.api.present import rfc3339
from hermesd.api.recent_views import FlowView, flow_view
from hermesd.api.views import Time, View
from hermesd.core.fleet import FleetEntry
from hermesd.core.jobtype import TypeDefaults
from hermesd.core.records import Counts, KnownType


class TypeView(View, frozen=True, kw_only=True):
    """A known job type; `workers` speak it now, and so many of its jobs are `waiting` in queues.

    `recent` is what came of its jobs in the last minutes, null where there were none.
    """

    name: str
    kind: str
    description: str
    schema: Mapping[str, Any]
    defaults: TypeDefaults
    last_seen: Time
    source: str
    workers: int
    waiting: int
    recent: FlowView | None


class TypeList(View, frozen=True, kw_only=True):
    """The catalogue; `recent` is of the last `window_seconds`, and of this api alone."""

    count: int
    window_seconds: float
    types: Sequence[TypeView]


def type_list(
    known: Sequence[KnownType], entries: Sequence[FleetEntry], counts: Counts, recent: Recent
) -> TypeList:
    """The catalogue, with what the fleet and the queues have of each type."""
    waiting: dict[str, int] = {}
    for (_, name, _), jobs in counts.waiting.items():
        waiting[name] = waiting.get(name, 0) + jobs
    types = [_type_view(one, entries, waiting.get(one.type.name, 0), recent) for one in known]
    window_seconds = round(recent.window_seconds, 3)
    return TypeList(count=len(types), window_seconds=window_seconds, types=types)


def _type_view(
    known: KnownType, entries: Sequence[FleetEntry], waiting: int, recent: Recent
) -> TypeView:
    flow = recent.types.get(known.type.name)
    return TypeView(
        name=known.type.name,
        kind=known.type.kind,
        description=known.type.description,
        schema=known.type.schema,
        defaults=known.type.defaults,
        last_seen=rfc3339(known.last_seen),
        source=known.source,
        workers=sum(known.type.name in entry.types for entry in entries),
        waiting=waiting,
        recent=None if flow is None else flow_view(flow),
    )
