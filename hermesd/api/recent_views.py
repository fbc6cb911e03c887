"""What came of the jobs of the last minutes, as the HTTP API answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hermesd.api.history import Recent
from hermesd.api.views import View
from hermesd.core.sketch import Sketch
from hermesd.observe.flow import COUNTED, TypeFlow

_SHARES: Final = (0.5, 0.95, 0.99)


class QuantilesView(View, frozen=True, kw_only=True):
    """Seconds that half of them, 95 % and 99 % stayed within; at most 2.5 % off."""

    p50: float
    p95: float
    p99: float


class FlowView(View, frozen=True, kw_only=True):
    """Jobs that came and attempts that ended; null where none started, or none ended.

    `wait` is from the moment at which a job began to wait (its submit, its time, its retry) to the
    start of the attempt; `run` is the time in a handler. `retried` are attempts that failed and are
    tried again.
    """

    submitted: int
    started: int
    succeeded: int
    failed: int
    retried: int
    cancelled: int
    wait: QuantilesView | None
    run: QuantilesView | None


class RecentView(View, frozen=True, kw_only=True):
    """About the last five minutes at this api: what it accepted, gave out and recorded itself.

    Other apis of the same store answer for what they did. Types without a job are left out.
    """

    window_seconds: float
    all: FlowView
    types: Mapping[str, FlowView]


def recent_view(recent: Recent) -> RecentView:
    """By type, and of all together."""
    return RecentView(
        window_seconds=round(recent.window_seconds, 3),
        all=flow_view(recent.whole()),
        types={name: flow_view(flow) for name, flow in sorted(recent.types.items())},
    )


def flow_view(flow: TypeFlow) -> FlowView:
    """Of one type, or of all."""
    counted = {name: getattr(flow, name) for name in COUNTED}
    return FlowView(**counted, wait=quantiles_view(flow.wait), run=quantiles_view(flow.run))


def quantiles_view(sketch: Sketch) -> QuantilesView | None:
    """None where there are no durations."""
    found = [seconds for seconds in sketch.quantiles(_SHARES) if seconds is not None]
    if len(found) < len(_SHARES):
        return None
    p50, p95, p99 = (round(seconds, 6) for seconds in found)
    return QuantilesView(p50=p50, p95=p95, p99=p99)
