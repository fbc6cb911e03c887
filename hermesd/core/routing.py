"""Which worker gets a job: the least loaded of those that can take it now."""

from __future__ import annotations

from collections.abc import Sequence

from hermesd.core.job import Job
from hermesd.core.registry import Registry
from hermesd.core.roster import Choice
from hermesd.core.workerview import WorkerView


def choose(job: Job, registry: Registry, beside: WorkerView | None = None) -> Choice | None:
    """The least-loaded routable worker with a free slot for `job`, None where there is none.

    Load is the used share of the slots of the job's kind, compared as `roster.rank_of` says. Ties
    go to the worker whose turn is longest ago. A suspect, which one more death would quarantine, is
    the only one on its worker. `beside` is preferred to less loaded ones: for jobs enough to fill
    all slots, so that they go out in few batches.
    """
    roster = registry.roster(job.type, job.queue)
    if beside is None:
        return roster.first(suspect=job.suspect)
    return roster.again(beside, suspect=job.suspect)


def explain(job: Job, registry: Registry) -> str:
    """Why no worker can take `job` now, for people."""
    speakers = registry.speakers(job.type)
    if not len(registry):
        return "no worker is registered"
    if not speakers:
        return f"none of {len(registry)} workers speaks {job.type}"
    serving = [view for view in speakers if job.queue in view.queues]
    if not serving:
        return f"no worker that speaks {job.type} serves queue {job.queue}"
    return _explain_busy(job, serving, len(registry))


def _explain_busy(job: Job, serving: Sequence[WorkerView], total: int) -> str:
    parts = [f"{len(serving)} of {total} workers can run this type"]
    draining = sum(view.draining or view.drain_requested for view in serving)
    paused = sum(view.paused or view.pause_requested for view in serving)
    unreachable = sum(not view.breaker.closed for view in serving)
    full = sum(view.routable and view.free(view.kind_of(job.type) or "") <= 0 for view in serving)
    if draining:
        parts.append(f"{draining} draining")
    if paused:
        parts.append(f"{paused} paused")
    if unreachable:
        parts.append(f"{unreachable} unreachable")
    if full:
        parts.append(f"{full} with no free slot")
    if not (draining or paused or unreachable or full):
        parts.append("it waits for its turn")
    return ", ".join(parts)
