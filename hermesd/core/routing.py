"""Which worker gets a job: the least loaded of those that can take it now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hermesd.core.job import Job
from hermesd.core.registry import Registry, WorkerView


class Choice(msgspec.Struct, frozen=True):
    """A worker, and the kind of slot that the job takes there."""

    worker: WorkerView
    kind: str


def choose(job: Job, registry: Registry) -> Choice | None:
    """The least-loaded routable worker with a free slot for `job`, None where there is none.

    Load is the used share of the slots of the job's kind. Ties go to the worker whose turn is
    longest ago. A suspect, which one more death would quarantine, is the only one on its worker.
    """
    best: WorkerView | None = None
    best_kind = ""
    best_load = 2.0
    for view in registry.speakers(job.type):
        kind = view.kind_of(job.type)
        if kind is None or not view.routable or job.queue not in view.queues:
            continue
        free = view.free(kind)
        if free <= 0 or (job.suspect and view.has_suspect):
            continue
        load = 1 - free / view.slots[kind]
        if load < best_load or (load == best_load and best and view.turn < best.turn):
            best, best_kind, best_load = view, kind, load
    return None if best is None else Choice(best, best_kind)


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
    unreachable = sum(not view.breaker.closed for view in serving)
    full = sum(view.routable and view.free(view.kind_of(job.type) or "") <= 0 for view in serving)
    if draining:
        parts.append(f"{draining} draining")
    if unreachable:
        parts.append(f"{unreachable} unreachable")
    if full:
        parts.append(f"{full} with no free slot")
    if not (draining or unreachable or full):
        parts.append("it waits for its turn")
    return ", ".join(parts)
