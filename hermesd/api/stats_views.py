"""What `GET /stats` answers."""

from __future__ import annotations

from collections.abc import Mapping

from hermesd.api.recent_views import RecentView
from hermesd.api.views import View
from hermesd.core.job import Rung


class WaitingView(View, frozen=True, kw_only=True):
    """Queued jobs."""

    total: int
    by_queue: Mapping[str, int]
    by_priority: Mapping[str, int]


class StatsView(View, frozen=True, kw_only=True):
    """Counts from this api's memory; `since_start` are events that it saw, or was told of.

    `rung` is where jobs wait that no worker can take; `rung_reason` says why not at the broker,
    where one is configured. `recent` is what percentiles are of.
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
