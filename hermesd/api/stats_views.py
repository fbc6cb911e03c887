"""What `GET /stats` answers."""

from __future__ import annotations

from collections.abc import Mapping

from hermesd.api.recent_views import FlowView, RecentView, quantiles_view
from hermesd.api.views import View
from hermesd.core.job import Rung
from hermesd.core.points import Point
from hermesd.core.sketch import Sketch
from hermesd.observe.flow import COUNTED


class WaitingView(View, frozen=True, kw_only=True):
    """Queued jobs."""

    total: int
    by_queue: Mapping[str, int]
    by_priority: Mapping[str, int]


class FleetFlowView(FlowView, frozen=True, kw_only=True):
    """About the last five minutes at all apis of the store, up to the last full five seconds.

    `window_seconds` is how long that is; 0 while this api has just started.
    """

    window_seconds: float


class StatsView(View, frozen=True, kw_only=True):
    """Counts from this api's memory; `since_start` are events that it saw, or was told of.

    `rung` is where jobs wait that no worker can take; `rung_reason` says why not at the broker,
    where one is configured. `recent` is what this api itself did, with percentiles, by type too;
    `recent_fleet` what all apis did, all types together.
    """

    name: str
    version: str
    role: str
    api: str
    uptime_seconds: float
    jobs: Mapping[str, int]
    waiting: WaitingView
    workers: Mapping[str, int]
    rung: Rung
    rung_reason: str
    since_start: Mapping[str, int]
    recent: RecentView
    recent_fleet: FleetFlowView


def fleet_flow_view(point: Point | None) -> FleetFlowView:
    """What a step that long was; shares of a step of which no more is known are rounded."""
    step = point or Point(at=0, seconds=0.0)
    return FleetFlowView(
        window_seconds=round(step.seconds, 3),
        **{name: round(getattr(step, name)) for name in COUNTED},
        wait=quantiles_view(Sketch.unpacked(step.wait)),
        run=quantiles_view(Sketch.unpacked(step.run)),
    )
