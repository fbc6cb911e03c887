"""The metrics of both roles, as a scrape reads them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec
import prometheus_client
import pytest
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from hermesd.core.broker import LineStatus
from hermesd.core.buckets import Buckets
from hermesd.core.fleet import FleetEntry, Load, WorkerStatus
from hermesd.core.job import Job, Rung
from hermesd.core.outcome import Settlement
from hermesd.core.records import Counts
from hermesd.core.states import Move, State
from hermesd.observe.described import (
    Described,
    api_metrics,
    process_metrics,
    worker_metrics,
)
from hermesd.observe.instruments import MAX_TYPE_LABELS, render
from hermesd.observe.metrics import INVARIANTS, ApiMetrics, CommitStats
from hermesd.observe.views import MAX_WORKER_LABELS
from hermesd.observe.worker_metrics import WorkerMetrics

JOB = Job(id="j1", type="email.send", payload=msgspec.Raw(b"{}"), queue="mail")


def scrape(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    text = prometheus_client.generate_latest(registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One sample, None where there is none."""
    return scrape(registry).get((f"hermesd_{name}", frozenset(labels.items())))


class OneWorker:
    """A fleet of one worker, or of as many as there are `names`."""

    def __init__(self) -> None:
        self.names = ["w1"]

    def entries(self) -> Sequence[FleetEntry]:
        """See FleetView."""
        return [
            FleetEntry(
                worker_id=name,
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
                breaker="open",
            )
            for name in self.names
        ]

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
        if name == "hermesd_submit_seconds_bucket" and ("kind", "one") in labels
    }
    at = float(first_bucket)
    assert counted == {le: float(float(le) >= at) for le in counted}
    assert value(metrics.registry, "submit_seconds_sum", kind="one") == seconds


def test_a_series_says_since_when_it_is() -> None:
    """From its first event on, however late it is scraped."""
    metrics = ApiMetrics()
    metrics.started(JOB)
    created = value(metrics.registry, "jobs_started_created", type="email.send", rung="")
    assert created
    metrics.started(JOB)
    assert value(metrics.registry, "jobs_started_created", type="email.send", rung="") == created


def test_outcomes_are_counted_and_timed() -> None:
    """By type, queue and move; the time is that in the handler."""
    metrics = ApiMetrics()
    settlement = Settlement(token=JOB.token, move=Move.SUCCEED, at=12.0, started_at=10.0)
    metrics.settled(JOB, settlement)
    metrics.settled(JOB, Settlement(token=JOB.token, move=Move.RETRY, at=12.0))
    metrics.cancelled(JOB)
    labels = {"type": "email.send"}
    for outcome in ("succeed", "retry", "cancel"):
        settled = {"queue": "mail", "outcome": outcome, **labels}
        assert value(metrics.registry, "jobs_settled_total", **settled) == 1
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


def test_waits_are_by_queue_and_from_the_submit_by_type() -> None:
    """Both of several jobs alike at once; a retry waits again, and was submitted once."""
    metrics = ApiMetrics()
    times = {"created_at": 10.0, "enqueued_at": 12.0, "attempts": 1, "rung": Rung.STORE}
    job = msgspec.structs.replace(JOB, **times)
    metrics.waited_all([job] * 3, 15.0)
    for change in ({"run_at": 12.0}, {"attempts": 2}, {"run": 2}):
        metrics.waited_all([msgspec.structs.replace(job, **change)], 15.0)
    queued, typed = {"queue": "mail", "rung": "store"}, {"type": "email.send"}
    assert value(metrics.registry, "job_wait_seconds_count", **queued) == 6
    assert value(metrics.registry, "job_wait_seconds_sum", **queued) == 18
    assert value(metrics.registry, "submit_to_start_seconds_count", **typed) == 5
    assert value(metrics.registry, "submit_to_start_seconds_sum", **typed) == 3 * 5 + 3 + 3


def test_jobs_are_read_at_the_scrape() -> None:
    """By state, all of them; waiting ones by queue, priority and rung, with the oldest's age."""
    metrics = ApiMetrics()
    waiting = {("default", "a", 3): 2, ("default", "b", 3): 5, ("mail", "a", 7): 1}
    counts = [Counts(states={State.QUEUED: 8}, waiting=waiting)]
    broker, ages = {("default", 3): 4}, {("default", 3): 12.5}
    metrics.watch(
        counts=lambda: counts[-1],
        fleet=OneWorker(),
        at_broker=lambda: broker,
        oldest=lambda: ages,
    )
    registry = metrics.registry
    assert value(registry, "jobs", state="queued") == 8
    assert value(registry, "jobs", state="failed") == 0
    place = {"queue": "default", "priority": "3"}
    assert value(registry, "jobs_waiting", rung="amqp", **place) == 4
    assert value(registry, "jobs_waiting", rung="store", **place) == 3
    assert value(registry, "jobs_waiting", queue="mail", priority="7", rung="store") == 1
    assert value(registry, "jobs_waiting", queue="mail", priority="7", rung="amqp") is None
    assert value(registry, "jobs_waiting_oldest_seconds", **place) == 12.5
    counts.append(Counts(states={}, waiting={}))
    broker.clear()
    ages.clear()
    assert value(registry, "jobs_waiting", rung="store", **place) == 0
    assert value(registry, "jobs_waiting_oldest_seconds", **place) == 0


def test_the_fleet_is_read_at_the_scrape() -> None:
    """Slots by kind, workers by status (all of them), the path to each."""
    metrics = ApiMetrics()
    metrics.dispatched("w1", 2, 0.5)
    metrics.dispatched("w1", 2, 0.25)
    metrics.dispatched("gone", 2, 0.25)
    metrics.watch(counts=lambda: Counts(states={}, waiting={}), fleet=OneWorker())
    registry = metrics.registry
    assert value(registry, "slots", kind="async") == 8
    assert value(registry, "slots_free", kind="async") == 5
    assert value(registry, "slots", kind="process") == 0
    assert value(registry, "workers", status="busy") == 1
    assert value(registry, "workers", status="unreachable") == 0
    assert value(registry, "dispatch_breaker_state", worker="w1") == 2
    assert value(registry, "dispatch_worker_seconds_count", worker="w1") == 2
    assert value(registry, "dispatch_worker_seconds_sum", worker="w1") == 0.75
    assert value(registry, "dispatch_worker_seconds_count", worker="gone") is None


def test_workers_past_the_bound_have_no_samples_of_their_own() -> None:
    """However many come and go."""
    metrics = ApiMetrics()
    fleet = OneWorker()
    fleet.names = [f"w{number}" for number in range(MAX_WORKER_LABELS + 50)]
    for name in fleet.names:
        metrics.dispatched(name, 1, 0.5)
    metrics.watch(counts=lambda: Counts(states={}, waiting={}), fleet=fleet)
    found = Counter(name for name, labels in scrape(metrics.registry) if "worker" in dict(labels))
    assert found["hermesd_dispatch_breaker_state"] == MAX_WORKER_LABELS
    assert found["hermesd_dispatch_worker_seconds_sum"] == MAX_WORKER_LABELS
    assert value(metrics.registry, "workers", status="busy") == MAX_WORKER_LABELS + 50


def test_store_and_broker_are_read_at_the_scrape() -> None:
    """Commits with their times and sizes, and whether either serves."""
    metrics = ApiMetrics()
    stats = CommitStats(
        commits=3,
        changes=40,
        repeats=1,
        failures=2,
        pending=7,
        serving=False,
        seconds=Buckets((0.01, 0.1)),
        sizes=Buckets((1, 10)),
    )
    stats.seconds.observe(0.05)
    stats.sizes.observe(11)
    metrics.watch(
        counts=lambda: Counts(states={}, waiting={}),
        fleet=OneWorker(),
        commits=lambda: stats,
        rung=lambda: Rung.STORE,
        broker=lambda: LineStatus(connected=True, blocked=True),
        at_broker=lambda: {("default", 3): 4, ("mail", 7): 1},
    )
    registry = metrics.registry
    for name, expected in (
        ("store_commits_total", 3),
        ("store_changes_total", 40),
        ("store_repeats_total", 1),
        ("store_failures_total", 2),
        ("store_pending_changes", 7),
        ("store_serving", 0),
        ("store_commit_seconds_sum", 0.05),
        ("store_commit_changes_count", 1),
        ("broker_serving", 0),
        ("broker_blocked", 1),
        ("jobs_with_broker", 5),
    ):
        assert value(registry, name) == expected, name
    assert value(registry, "store_commit_seconds_bucket", le="0.01") == 0
    assert value(registry, "store_commit_seconds_bucket", le="0.1") == 1
    assert value(registry, "store_commit_changes_bucket", le="10.0") == 0
    assert value(registry, "queue_rung_serving", rung="store") == 1
    assert value(registry, "queue_rung_serving", rung="amqp") == 0


def test_the_rest_of_the_api_is_measured() -> None:
    """Refusals, latencies, dispatch, dropped outcomes, starts, loop lag."""
    metrics = ApiMetrics()
    metrics.refused("unknown-type")
    metrics.submit_answered(0.003)
    metrics.dispatched("w1", 16, 0.004)
    metrics.dropped("dropped")
    metrics.pruned("failed", 3)
    metrics.started(JOB)
    metrics.loop_lag(0.25)
    registry = metrics.registry
    assert value(registry, "submit_refusals_total", reason="unknown-type") == 1
    assert value(registry, "submit_seconds_count", kind="one") == 1
    assert value(registry, "dispatch_batch_jobs_sum") == 16
    assert value(registry, "dispatch_seconds_count") == 1
    assert value(registry, "outcomes_dropped_total", verdict="dropped") == 1
    assert value(registry, "jobs_pruned_total", state="failed") == 3
    assert value(registry, "jobs_started_total", type="email.send", rung="") == 1
    assert value(registry, "event_loop_lag_seconds_sum") == 0.25
    assert value(registry, "event_loop_lag_seconds_bucket", le="0.1") == 0
    assert value(registry, "threads") == threading.active_count()


def test_two_roles_share_a_registry_and_none_is_global() -> None:
    """An embedding program has one for all; what of it is not theirs is left alone."""
    registry = CollectorRegistry()
    own = prometheus_client.Gauge("own", "The program's own.", registry=registry)
    metrics = ApiMetrics(registry, process_collectors=True)
    worker = WorkerMetrics(registry, process_collectors=True)
    metrics.watch(counts=lambda: Counts(states={}, waiting={}), fleet=OneWorker())
    worker.watch(Gauges())
    worker.started("a")
    metrics.submitted("a", "default", "direct")
    own.set(5)
    assert value(registry, "worker_jobs_started_total", type="a") == 1
    samples = scrape(registry)
    assert ("process_resident_memory_bytes", frozenset()) not in samples
    assert value(ApiMetrics().registry, "worker_jobs_started_total", type="a") is None
    metrics.close()
    worker.close()
    assert scrape(registry) == {("own", frozenset()): 5}
    ApiMetrics(registry)  # the next life


def test_process_collectors_are_in_an_own_registry() -> None:
    """Unless they are switched off."""
    resident = ("process_resident_memory_bytes", frozenset[tuple[str, str]]())
    assert resident in scrape(ApiMetrics(process_collectors=True).registry)
    assert resident not in scrape(ApiMetrics().registry)


async def test_a_scrape_lets_others_have_their_turn() -> None:
    """Between any two metrics; the text is the whole registry's, with its content type."""
    metrics = ApiMetrics()
    metrics.submitted("a", "default", "direct")
    turns: list[int] = []

    async def count() -> None:
        while True:
            turns.append(1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        text, content_type = await render(metrics.registry)
        nursery.cancel_scope.cancel()
    assert content_type.startswith("text/plain")
    lines = text.decode().splitlines()
    whole = prometheus_client.generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in lines if "trio_tasks" not in line] == [
        line for line in whole if "trio_tasks" not in line
    ]
    assert len(turns) >= sum(line.startswith("# TYPE") for line in lines) / 3


async def test_tasks_are_counted_in_the_event_loop() -> None:
    """From a thread nobody can know them."""
    metrics = ApiMetrics()
    assert (value(metrics.registry, "trio_tasks") or 0) > 0
    outside = await trio.to_thread.run_sync(value, metrics.registry, "trio_tasks")
    assert outside is None


class Gauges:
    """A worker's gauges."""

    def slots(self) -> Mapping[str, int]:
        """See WorkerGauges."""
        return {"async": 4}

    def free(self) -> Mapping[str, int]:
        """See WorkerGauges."""
        return {"async": 1}

    def running(self) -> Mapping[str, int]:
        """See WorkerGauges."""
        return {"async": 3}

    def children(self) -> int:
        """See WorkerGauges."""
        return 2

    def unreported(self) -> int:
        """See WorkerGauges."""
        return 9

    def apis(self) -> int:
        """See WorkerGauges."""
        return 1

    def draining(self) -> bool:
        """See WorkerGauges."""
        return True

    def degraded(self) -> bool:
        """See WorkerGauges."""
        return False

    def broker(self) -> LineStatus | None:
        """See WorkerGauges."""
        return LineStatus(connected=True)


def test_a_worker_is_measured() -> None:
    """Starts, ends by outcome, batches, reports and gauges."""
    metrics = WorkerMetrics()
    metrics.watch(Gauges())
    metrics.ended("a", "succeeded", [0.5])
    metrics.received(3)
    metrics.reported(2, 0.5)
    registry = metrics.registry
    assert value(registry, "worker_jobs_ended_total", type="a", outcome="succeeded") == 1
    assert value(registry, "worker_job_duration_seconds_sum", type="a") == 0.5
    assert value(registry, "worker_dispatch_batch_jobs_sum") == 3
    assert value(registry, "worker_report_outcomes_sum") == 2
    assert value(registry, "worker_report_seconds_sum") == 0.5
    assert value(registry, "worker_slots", kind="async") == 4
    assert value(registry, "worker_slots_free", kind="async") == 1
    assert value(registry, "worker_jobs_running", kind="async") == 3
    for name, expected in (
        ("child_processes", 2),
        ("unreported_outcomes", 9),
        ("apis_answering", 1),
        ("draining", 1),
        ("degraded", 0),
        ("broker_serving", 1),
        ("broker_blocked", 0),
    ):
        assert value(registry, f"worker_{name}") == expected, name


@pytest.mark.parametrize("described", [api_metrics, worker_metrics])
def test_names_follow_the_conventions(described: Callable[[], Sequence[Described]]) -> None:
    """Prefix hermesd_, totals in the names of counters alone, meanings in sentences."""
    found = described()
    assert len({each.name for each in found}) == len(found) > 20
    for each in found:
        assert each.name.startswith("hermesd_")
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert each.meaning.endswith(".")


def test_what_is_described_is_what_a_scrape_says() -> None:
    """Name, kind, labels and meaning, of the metrics that have samples from the start."""
    metrics = ApiMetrics()
    metrics.watch(
        counts=lambda: Counts(states={}, waiting={}), fleet=OneWorker(), commits=CommitStats
    )
    described = {each.name: each for each in api_metrics()}
    shown = 0
    text = prometheus_client.generate_latest(metrics.registry).decode()
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        known = described[name]
        assert (known.kind, known.meaning) == (family.type, family.documentation)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(known.labels)
            shown += 1
    assert shown > 50


def test_the_process_is_described() -> None:
    """With its labels."""
    described = {each.name: each for each in process_metrics()}
    assert described["process_resident_memory_bytes"].kind == "gauge"
    assert described["python_gc_collections_total"].labels == ("generation",)


def test_jobs_alike_count_together_as_they_would_one_by_one() -> None:
    """Whatever each of them has waited and run."""
    jobs = [
        msgspec.structs.replace(
            JOB,
            id=f"j{n}",
            rung=Rung.STORE,
            attempts=1 + n % 2,
            run=1 + n % 3,
            created_at=5.0,
            enqueued_at=10.0 - n % 4,
            run_at=6.0 if n % 5 == 0 else None,
        )
        for n in range(60)
    ]
    settlements = [
        Settlement(
            token=job.token, move=Move.SUCCEED, at=20.0, started_at=19.0 - n % 3 if n % 7 else None
        )
        for n, job in enumerate(jobs)
    ]
    together, singly = ApiMetrics(), ApiMetrics()
    together.waited_all(jobs, 12.0)
    together.succeeded_all(JOB, settlements)
    for job, settlement in zip(jobs, settlements, strict=True):
        singly.waited_all([job], 12.0)
        singly.settled(job, settlement)
    assert _unstamped(together) == pytest.approx(_unstamped(singly))
    assert [flow.wait.packed() for flow in together.flow.copy().values()] == [
        flow.wait.packed() for flow in singly.flow.copy().values()
    ]
    assert [flow.run.packed() for flow in together.flow.copy().values()] == [
        flow.run.packed() for flow in singly.flow.copy().values()
    ]


def _unstamped(metrics: ApiMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What does not tell when the metrics were made."""
    found = scrape(metrics.registry)
    return {sample: found[sample] for sample in found if not sample[0].endswith("_created")}
