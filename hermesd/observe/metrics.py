"""The Prometheus metrics of an api, over a registry of its own or one that is handed in.

Job types become labels up to MAX_TYPE_LABELS, later ones count as `other`; queues are those of the
configuration. What is read at a scrape is in observe/views.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from hermesd.core.broker import LineStatus
from hermesd.core.job import Job, Rung
from hermesd.core.outcome import Settlement
from hermesd.core.records import Counts
from hermesd.core.schedule import FireKind
from hermesd.core.states import Move
from hermesd.observe.dispatches import Dispatches
from hermesd.observe.flow import Flow
from hermesd.observe.instruments import DURATIONS, SIZES
from hermesd.observe.role_metrics import RoleMetrics
from hermesd.observe.views import (
    CommitStats,
    Level,
    broker_view,
    fleet_view,
    jobs_view,
    queues_view,
    rung_view,
    store_view,
)
from hermesd.ports import FleetView

__all__ = ["INVARIANTS", "ApiMetrics", "CommitStats"]

INVARIANTS: Final = (
    "lease-regression",
    "owner",
    "double-outcome",
    "unrouted-type",
    "lost-job",
)
_LATENCIES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_WAITS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)


class ApiMetrics(RoleMetrics):
    """What an api measures. `outcome` labels are moves: succeed, fail, retry, release, ...

    `accepted` is the number of jobs accepted since the start, `accepted_elsewhere` those of which
    other apis have told; `flow` has the same by type, with what percentiles are made of.
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, process_collectors: bool = False
    ) -> None:
        super().__init__("hermesd", registry, process_collectors)
        self.accepted = 0
        self.accepted_elsewhere = 0
        self.flow = Flow()
        self._add_submits()
        self._add_attempts()
        self._add_queue()
        self._add_faults()
        self._dispatches = Dispatches()
        self._add(self._dispatches.view)

    def _add_submits(self) -> None:
        self._submits = self._counter("submits", "Jobs accepted.", ("type", "queue", "result"))
        self._refusals = self._counter(
            "submit_refusals", "Submits not accepted, by problem.", ("reason",)
        )
        self._submit_seconds = self._histogram(
            "submit_seconds",
            "From a whole submit to its answer: of one job, or of a batch.",
            _LATENCIES,
            ("kind",),
        )
        self._fires = self._counter(
            "schedule_fires", "Fires of schedules, by what became of them.", ("fate",)
        )
        for fate in FireKind:
            self._fires.add((str(fate),), 0)

    def _add_attempts(self) -> None:
        self._started = self._counter(
            "jobs_started", "Attempts given to a worker.", ("type", "rung")
        )
        self._submit_to_start = self._histogram(
            "submit_to_start_seconds",
            "From a submit, or the time that it was scheduled for, to its job's first start.",
            _WAITS,
            ("type",),
        )
        self._waited = self._histogram(
            "job_wait_seconds",
            "Time in a queue at the start of an attempt.",
            _WAITS,
            ("queue", "rung"),
        )
        self._settled = self._counter(
            "jobs_settled", "Recorded outcomes, retries included.", ("type", "queue", "outcome")
        )
        self._durations = self._histogram(
            "job_duration_seconds", "Time in a handler.", DURATIONS, ("type",)
        )
        self._pruned = self._counter(
            "jobs_pruned", "Finished jobs deleted by retention.", ("state",)
        )

    def _add_queue(self) -> None:
        counter = self._counter
        self._published = counter(
            "queue_publishes", "Messages published to the broker, by fate.", ("fate",)
        )
        self._claims = counter("queue_claims", "Claims of pulled messages.", ("verdict",))
        self._taken_back = counter(
            "queue_taken_back", "Jobs taken back from the broker to the store.", ("reason",)
        )
        self._returned = counter(
            "queue_returned", "Messages that the broker gave back, by its reason.", ("reason",)
        )
        self._pulled = counter(
            "queue_pulled_outcomes", "Outcomes that came through the broker.", ("verdict",)
        )
        self._dispatch_seconds = self._histogram(
            "dispatch_seconds", "From a dispatch POST to its answer.", _LATENCIES
        )
        self._dispatch_jobs = self._histogram(
            "dispatch_batch_jobs", "Jobs in a dispatch POST.", SIZES
        )

    def _add_faults(self) -> None:
        self._dropped = self._counter(
            "outcomes_dropped", "Outcomes not recorded, by verdict.", ("verdict",)
        )
        self._lost_races = self._counter(
            "assign_conflicts",
            "Waiting jobs that were gone when a worker was to have them.",
            ("queue",),
        )
        self._breaches = self._counter(
            "invariant_breaches", "Must stay 0: a defect of hermesd.", ("invariant",)
        )
        for invariant in INVARIANTS:
            self._breaches.add((invariant,), 0)

    def submitted(self, job_type: str, queue: str, result: str, jobs: int = 1) -> None:
        """So many jobs are committed; `result` is direct, queue, scheduled or repeated."""
        label = self._types.of(job_type)
        if result != "repeated":
            self.accepted += jobs
            self.flow.submitted(label, jobs)
        self._submits.add((label, queue, result), jobs)

    def fired(self, fate: str) -> None:
        """A schedule's fire is recorded; `fate` is its kind: fired, missed, overlapped, ..."""
        self._fires.add((fate,))

    def refused(self, reason: str) -> None:
        """A submit was not accepted; `reason` is the problem's slug."""
        self._refusals.add((reason,))

    def submit_answered(self, seconds: float, kind: str = "one") -> None:
        """A submit took so long until its answer; `kind` is one or batch."""
        self._submit_seconds.observe(seconds, (kind,))

    def started(self, job: Job, jobs: int = 1) -> None:
        """An attempt was given to a worker, of `job` and of others of its type on its rung."""
        self._started.add((self._types.of(job.type), job.rung or ""), jobs)

    def waited_all(self, jobs: Sequence[Job], started_at: float) -> None:
        """Attempts began at that UTC second: of jobs alike in type, queue and rung."""
        alike = jobs[0]
        label = self._types.of(alike.type)
        # Those of one submit have waited equally long, so that few values come many times.
        waits = Counter(
            started_at - at if (at := job.enqueued_at or started_at) < started_at else 0.0
            for job in jobs
        )
        self.flow.started(label, waits)
        self._waited.observe_all(waits, (alike.queue, alike.rung or ""))
        firsts = waits
        if not all(map(_is_fresh, jobs)):
            firsts = Counter(_first_wait(job, started_at) for job in jobs if job.attempts == 1)
        self._submit_to_start.observe_all(firsts, (label,))

    def lost_race(self, queue: str) -> None:
        """A waiting job was not given to a worker, since another api or an operator was faster."""
        self._lost_races.add((queue,))

    def published(self, fate: str, jobs: int) -> None:
        """So many messages had this fate."""
        self._published.add((fate,), jobs)

    def claimed(self, verdict: str) -> None:
        """A worker asked for a job that it had pulled."""
        self._claims.add((verdict,))

    def taken_back(self, reason: str, jobs: int) -> None:
        """So many jobs wait in the store again."""
        self._taken_back.add((reason,), jobs)

    def returned(self, reason: str) -> None:
        """The broker gave a message back."""
        self._returned.add((reason,))

    def pulled(self, verdict: str) -> None:
        """An outcome came through the broker."""
        self._pulled.add((verdict,))

    def settled(self, job: Job, settlement: Settlement) -> None:
        """An outcome is recorded."""
        label = self._types.of(job.type)
        self._settled.add((label, job.queue, settlement.move))
        seconds = None
        if settlement.started_at:
            seconds = max(settlement.at - settlement.started_at, 0.0)
            self._durations.observe(seconds, (label,))
        self.flow.ended(label, settlement.move, seconds)

    def succeeded_all(self, job: Job, settlements: Sequence[Settlement]) -> None:
        """Successes of `job` and of others of its type and queue are recorded."""
        label = self._types.of(job.type)
        self._settled.add((label, job.queue, Move.SUCCEED), len(settlements))
        runs = Counter(
            settlement.at - since if (since := settlement.started_at) < settlement.at else 0.0
            for settlement in settlements
            if settlement.started_at
        )
        self._durations.observe_all(runs, (label,))
        self.flow.succeeded_all(label, len(settlements), runs)

    def cancelled(self, job: Job) -> None:
        """A job was cancelled that no worker had."""
        label = self._types.of(job.type)
        self._settled.add((label, job.queue, Move.CANCEL))
        self.flow.ended(label, Move.CANCEL, None)

    def dispatched(self, worker_id: str, jobs: int, seconds: float) -> None:
        """A dispatch POST with so many jobs was answered."""
        self._dispatch_jobs.observe(jobs)
        self._dispatch_seconds.observe(seconds)
        self._dispatches.add(worker_id, seconds)

    def dropped(self, verdict: str) -> None:
        """An outcome was late, doubled or of an unknown job."""
        self._dropped.add((verdict,))

    def pruned(self, state: str, jobs: int) -> None:
        """So many jobs that had ended in `state` were deleted by retention."""
        self._pruned.add((state,), jobs)

    def breach(self, invariant: str) -> None:
        """An invariant of INVARIANTS did not hold."""
        self._breaches.add((invariant,))

    def watch(
        self,
        *,
        counts: Callable[[], Counts],
        fleet: FleetView,
        commits: Callable[[], CommitStats] | None = None,
        rung: Callable[[], Rung] | None = None,
        broker: Callable[[], LineStatus] | None = None,
        at_broker: Callable[[], Mapping[Level, int]] = dict,
        oldest: Callable[[], Mapping[Level, float]] = dict,
        paused: Callable[[], Mapping[str, bool]] = dict,
    ) -> None:
        """Show what these say at each scrape.

        `commits`: the store's group commit; `rung`: where jobs wait now; `broker`: how its line is
        (None: there is none), `at_broker` how many wait there; `oldest`: for how many seconds the
        oldest job of a queue and priority has waited; `paused`: which queues are, all by name.
        """
        self._dispatches.fleet = fleet
        self._add(jobs_view(counts, at_broker, oldest))
        self._add(fleet_view(fleet))
        self._add(queues_view(paused))
        if commits is not None:
            self._add(store_view(commits))
        if rung is not None:
            self._add(rung_view(rung, with_broker=broker is not None))
        if broker is not None:
            self._add(broker_view(broker, lambda: sum(at_broker().values())))


def _is_fresh(job: Job) -> bool:
    """Whether it has waited from its submit to its first attempt."""
    return job.attempts == 1 and job.run == 1 and job.created_at == job.enqueued_at


def _first_wait(job: Job, started_at: float) -> float:
    """Seconds until the first attempt; a new run of a job could start when it was queued."""
    since = (job.run_at or job.created_at) if job.run == 1 else job.enqueued_at or started_at
    return max(started_at - since, 0.0)
