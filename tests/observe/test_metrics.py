"""The metrics of both roles, as a scrape reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from hermesd.core.fleet import FleetEntry, Load, WorkerStatus
from hermesd.core.job import Job
from hermesd.core.outcome import Settlement
from hermesd.core.records import Counts
from hermesd.core.states import Move, State
from hermesd.observe.instruments import MAX_TYPE_LABELS, render
from hermesd.observe.metrics import INVARIANTS, ApiMetrics, CommitStats
from hermesd.observe.worker_metrics import WorkerMetrics

JOB = Job(id="j1", type="email.send", payload=msgspec.Raw(b"{}"), queue="mail")


def scrape(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    text, content_type = render(registry)
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One sample, None where there is none."""
    return scrape(registry).get((f"hermesd_{name}", frozenset(labels.items())))


class OneWorker:
    """A fleet of one worker."""

    def entries(self) -> Sequence[FleetEntry]:
        """See FleetView."""
        entry = FleetEntry(
            worker_id="w1",
            incarnation="i1",
            address="127.0.0.1:1",
            machine="m",
            last_seen_unix=0.0,
            load=Load(),
            slots={"async": 8, "thread": 2},
            free={"async": 5, "thread": 2},
            status=WorkerStatus.BUSY,
            types=(),
            queues=(),
            version="1",
        )
        return [entry]

    def totals(self) -> Mapping[str, int]:
        """See FleetView."""
        return {}


def test_every_invariant_is_there_at_zero() -> None:
    """An alert on a breach needs the sample before the first breach."""
    metrics = ApiMetrics()
    for invariant in INVARIANTS:
        assert value(metrics.registry, "invariant_breaches_total", invariant=invariant) == 0
    metrics.breach("owner")
    assert value(metrics.registry, "invariant_breaches_total", invariant="owner") == 1


def test_submits_are_counted_by_type_queue_and_result() -> None:
    """And `accepted` leaves repeated ones out."""
    metrics = ApiMetrics()
    for result in ("direct", "queue", "repeated", "direct"):
        metrics.submitted("a", "default", result)
    labels = {"type": "a", "queue": "default"}
    assert value(metrics.registry, "submits_total", result="direct", **labels) == 2
    assert metrics.accepted == 3


def test_counts_go_on_from_scrape_to_scrape() -> None:
    """A scrape neither loses nor doubles what came before it."""
    metrics = ApiMetrics()
    labels = {"type": "a", "queue": "default", "result": "queue"}
    for expected in (500, 1000, 1000):
        if value(metrics.registry, "submits_total", **labels) != 1000:
            metrics.submitted("a", "default", "queue", 500)
        assert value(metrics.registry, "submits_total", **labels) == expected
    assert metrics.accepted == 1000


@pytest.mark.parametrize(
    ("seconds", "first_bucket"),
    [(-1.0, "0.001"), (0.001, "0.001"), (0.002, "0.0025"), (9.0, "+Inf")],
)
def test_an_observation_is_in_the_first_bucket_that_takes_it(
    seconds: float, first_bucket: str
) -> None:
    """Upper bounds belong to their bucket, and buckets add up."""
    metrics = ApiMetrics()
    metrics.submit_answered(seconds)
    counted = {
        dict(labels)["le"]: number
        for (name, labels), number in scrape(metrics.registry).items()
        if name == "hermesd_submit_seconds_bucket"
    }
    at = float(first_bucket)
    assert counted == {le: float(float(le) >= at) for le in counted}
    assert value(metrics.registry, "submit_seconds_sum") == seconds


def test_a_series_says_since_when_it_is() -> None:
    """From its first event on, however late it is scraped."""
    metrics = ApiMetrics()
    metrics.started(JOB)
    created = value(metrics.registry, "jobs_started_created", type="email.send", rung="")
    assert created
    metrics.started(JOB)
    assert value(metrics.registry, "jobs_started_created", type="email.send", rung="") == created


def test_outcomes_are_counted_and_timed() -> None:
    """By type and move; the time is that in the handler."""
    metrics = ApiMetrics()
    settlement = Settlement(token=JOB.token, move=Move.SUCCEED, at=12.0, started_at=10.0)
    metrics.settled(JOB, settlement)
    metrics.settled(JOB, Settlement(token=JOB.token, move=Move.RETRY, at=12.0))
    labels = {"type": "email.send"}
    assert value(metrics.registry, "jobs_settled_total", outcome="succeed", **labels) == 1
    assert value(metrics.registry, "jobs_settled_total", outcome="retry", **labels) == 1
    assert value(metrics.registry, "job_duration_seconds_sum", **labels) == 2.0
    assert value(metrics.registry, "job_duration_seconds_count", **labels) == 1


def test_job_types_past_the_bound_are_other() -> None:
    """Labels stay bounded whatever types come."""
    metrics = ApiMetrics()
    for number in range(MAX_TYPE_LABELS + 50):
        metrics.submitted(f"t{number}", "default", "queue")
    samples = {
        dict(labels)["type"]
        for name, labels in scrape(metrics.registry)
        if name == "hermesd_submits_total"
    }
    assert len(samples) == MAX_TYPE_LABELS + 1
    labels = {"type": "other", "queue": "default", "result": "queue"}
    assert value(metrics.registry, "submits_total", **labels) == 50


def test_depths_and_slots_are_read_at_the_scrape() -> None:
    """Waiting by queue and priority, slots by kind, workers by status, commits."""
    metrics = ApiMetrics()
    waiting = {("default", "a", 3): 2, ("default", "b", 3): 5, ("mail", "a", 7): 1}
    counts = Counts(states={State.QUEUED: 8}, waiting=waiting)
    stats = CommitStats(3, 40, 0.002, repeats=1)
    metrics.watch(counts=lambda: counts, fleet=OneWorker(), commits=lambda: stats)
    registry = metrics.registry
    assert value(registry, "jobs", state="queued") == 8
    assert value(registry, "jobs_waiting", queue="default", priority="3") == 7
    assert value(registry, "jobs_waiting", queue="mail", priority="7") == 1
    assert value(registry, "slots", kind="async") == 8
    assert value(registry, "slots_free", kind="async") == 5
    assert value(registry, "workers", status="busy") == 1
    assert value(registry, "store_commits_total") == 3
    assert value(registry, "store_changes_total") == 40
    assert value(registry, "store_repeats_total") == 1
    assert value(registry, "store_last_commit_seconds") == 0.002


def test_the_rest_of_the_api_is_measured() -> None:
    """Refusals, latencies, dispatch, dropped outcomes, starts, loop lag."""
    metrics = ApiMetrics()
    metrics.refused("unknown-type")
    metrics.submit_answered(0.003)
    metrics.dispatched(16, 0.004)
    metrics.dropped("dropped")
    metrics.pruned("failed", 3)
    metrics.started(JOB)
    metrics.loop_lag(0.25)
    registry = metrics.registry
    assert value(registry, "submit_refusals_total", reason="unknown-type") == 1
    assert value(registry, "submit_seconds_count") == 1
    assert value(registry, "dispatch_batch_jobs_sum") == 16
    assert value(registry, "dispatch_seconds_count") == 1
    assert value(registry, "outcomes_dropped_total", verdict="dropped") == 1
    assert value(registry, "jobs_pruned_total", state="failed") == 3
    assert value(registry, "jobs_started_total", type="email.send", rung="") == 1
    assert value(registry, "event_loop_lag_seconds") == 0.25


def test_two_roles_share_a_registry_and_none_is_global() -> None:
    """`both` runs an api and a worker in one process over one registry."""
    registry = CollectorRegistry()
    metrics = ApiMetrics(registry, process_collectors=True)
    worker = WorkerMetrics(metrics.registry)
    worker.started("a")
    metrics.submitted("a", "default", "direct")
    assert value(registry, "worker_jobs_started_total", type="a") == 1
    assert ("process_resident_memory_bytes", frozenset()) in scrape(registry)
    assert value(ApiMetrics().registry, "worker_jobs_started_total", type="a") is None


class Gauges:
    """A worker's gauges."""

    def slots(self) -> Mapping[str, int]:
        """See WorkerGauges."""
        return {"async": 4}

    def free(self) -> Mapping[str, int]:
        """See WorkerGauges."""
        return {"async": 1}

    def unreported(self) -> int:
        """See WorkerGauges."""
        return 9


def test_a_worker_is_measured() -> None:
    """Starts, ends by outcome, batches, reports and gauges."""
    metrics = WorkerMetrics()
    metrics.watch(Gauges())
    metrics.ended("a", "succeeded", 0.5)
    metrics.received(3)
    metrics.reported(2)
    registry = metrics.registry
    assert value(registry, "worker_jobs_ended_total", type="a", outcome="succeeded") == 1
    assert value(registry, "worker_job_duration_seconds_sum", type="a") == 0.5
    assert value(registry, "worker_dispatch_batch_jobs_sum") == 3
    assert value(registry, "worker_report_outcomes_sum") == 2
    assert value(registry, "worker_slots_free", kind="async") == 1
    assert value(registry, "worker_unreported_outcomes") == 9


@pytest.mark.parametrize("make", [ApiMetrics, WorkerMetrics])
def test_names_follow_the_conventions(make: type[ApiMetrics] | type[WorkerMetrics]) -> None:
    """Prefix hermesd_, seconds and totals in the names of what they are."""
    for family in make().registry.collect():
        assert family.name.startswith("hermesd_")
        assert family.documentation.endswith(".")
