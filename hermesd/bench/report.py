"""What a run has shown, as structs that go out as JSON. Rates are per second, latencies in ms."""

from __future__ import annotations

import msgspec

from hermesd.bench.latencies import Latencies
from hermesd.bench.plan import Mode, Plan
from hermesd.bench.recorded import Recorded
from hermesd.bench.tally import Tally


class LatencyView(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles to 1 %, the maximum exact."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class SliceView(msgspec.Struct, frozen=True, kw_only=True):
    """The submits that were answered around `at_seconds` after the start."""

    at_seconds: float
    requests: int
    latency: LatencyView


class RecordedView(msgspec.Struct, frozen=True, kw_only=True):
    """All accepted jobs have ended: in how long from the first submit, and in which states."""

    seconds: float
    jobs_per_second: float
    states: dict[str, int]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. A request is a submit with all its repeats; its latency includes their pauses.

    `errors` and `retries` count requests by kind. `recorded` is None where it was not waited
    for, or not reached in time. `seconds` is from the first submit to the last answer.
    """

    mode: Mode
    url: str
    interrupted: bool
    seconds: float
    requests: int
    requests_per_second: float
    accepted_jobs: int
    accepted_per_second: float
    refused_jobs: int
    latency: LatencyView
    errors: dict[str, int]
    retries: dict[str, int]
    recorded: RecordedView | None
    timeline: tuple[SliceView, ...]


def reported(plan: Plan, tally: Tally, recorded: Recorded | None, *, interrupted: bool) -> Report:
    """The report of a run that has ended."""
    seconds = tally.last_answer - tally.began
    return Report(
        mode=plan.mode,
        url=plan.url,
        interrupted=interrupted,
        seconds=round(seconds, 6),
        requests=tally.requests,
        requests_per_second=_rate(tally.requests, seconds),
        accepted_jobs=tally.accepted_jobs,
        accepted_per_second=_rate(tally.accepted_jobs, seconds),
        refused_jobs=tally.refused_jobs,
        latency=_view(tally.timeline.whole()),
        errors=dict(tally.errors),
        retries=dict(tally.retries),
        recorded=None if recorded is None else _recorded_view(recorded, tally),
        timeline=tuple(
            SliceView(at_seconds=at, requests=latencies.total, latency=_view(latencies))
            for at, latencies in tally.timeline.slices()
            if latencies.total
        ),
    )


def _recorded_view(recorded: Recorded, tally: Tally) -> RecordedView:
    seconds = recorded.at - tally.began
    return RecordedView(
        seconds=round(seconds, 6),
        jobs_per_second=_rate(tally.accepted_jobs, seconds),
        states=recorded.states,
    )


def _view(latencies: Latencies) -> LatencyView:
    p50, p95, p99 = (round(latencies.within(share) * 1e3, 4) for share in (0.5, 0.95, 0.99))
    maximum = round(latencies.max_seconds * 1e3, 4)
    return LatencyView(p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=maximum)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 2) if seconds > 0 else 0.0
