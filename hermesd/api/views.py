"""What the HTTP API answers, as structs; JSON and OpenAPI are both made from them.

Times are RFC 3339 in UTC with microseconds. Absent values are null, except in the answers on
submits, which leave out what does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hermesd.core.fleet import Load
from hermesd.core.job import Rung
from hermesd.core.states import State

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
AnyJson = Annotated[msgspec.Raw, Meta(description="any JSON value")]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The root of all answers."""


class ErrorView(View, frozen=True, kw_only=True):
    """Why a run failed."""

    kind: str
    message: str
    traceback: str


class JobView(View, frozen=True, kw_only=True):
    """One job; what it has told of itself is in the answers on reads only."""

    id: str
    type: str
    payload: AnyJson
    queue: str
    priority: int
    state: State
    attempts: int
    max_attempts: int
    timeout: float
    labels: Mapping[str, str]
    run: int
    rung: Rung | None
    worker_id: str | None
    cancel_requested: bool
    crash_count: int
    created_at: Time
    updated_at: Time
    run_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    result: AnyJson | None
    error: ErrorView | None
    progress: float | UnsetType | None = UNSET
    progress_note: str | UnsetType | None = UNSET
    progress_at: Time | UnsetType | None = UNSET
    logs_dropped: int | UnsetType = UNSET


class AttemptView(View, frozen=True, kw_only=True):
    """One attempt of a job. `ended_at` null: it runs.

    `outcome` is running, succeeded, or the kind of the event that ended it. What ended before this
    was kept has no `started_at`, `rung` and `error`.
    """

    run: int
    attempt: int
    worker_id: str | None
    rung: Rung | None
    started_at: Time | None
    ended_at: Time | None
    outcome: str
    error: ErrorView | None


class AttemptList(View, frozen=True, kw_only=True):
    """The attempts of a job, oldest first."""

    attempts: Sequence[AttemptView]


class JobAnswer(View, frozen=True, kw_only=True):
    """A single job."""

    job: JobView


class JobPageView(View, frozen=True, kw_only=True):
    """Jobs, newest first; `next_cursor` leads to the next page, null: that was all.

    A request looks at a bounded number of jobs: where that ended the page before it was full,
    `searched_to` is the time of creation down to which was looked, and the next page goes on.
    """

    jobs: Sequence[JobView]
    next_cursor: str | None
    searched_to: Time | None


class SubmitView(View, frozen=True, kw_only=True):
    """A committed job. `direct`: `worker_id` has taken it; `queue`: it waits, `note` says why.

    `scheduled`: it waits for its `run_at`.
    """

    job: JobView
    routed: str
    worker_id: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    repeated: bool | UnsetType = UNSET


class BatchItemView(View, frozen=True, kw_only=True):
    """A committed job of a batch."""

    id: str
    routed: str
    worker_id: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    repeated: bool | UnsetType = UNSET


class BatchView(View, frozen=True, kw_only=True):
    """A committed batch, in the order of the request; `repeated` ones are not counted else."""

    count: int
    direct: int
    queued: int
    scheduled: int
    repeated: int
    jobs: Sequence[BatchItemView]


class EventView(View, frozen=True, kw_only=True):
    """Something that happened to a job, or to a worker (then without a job)."""

    time: Time
    job_id: str
    job_type: str
    kind: str
    worker_id: str | None
    message: str
    run: int
    attempt: int


class EventList(View, frozen=True, kw_only=True):
    """Events."""

    count: int
    events: Sequence[EventView]


class LogLineView(View, frozen=True, kw_only=True):
    """One line of a job's log; `number` rises from line to line."""

    number: int
    time: Time
    run: int
    attempt: int
    level: str
    line: str


class LogView(View, frozen=True, kw_only=True):
    """Lines of a job's log, oldest first; `next_after` leads to the next page, null: no more yet.

    `dropped` lines of the job were too many and are not kept.
    """

    lines: Sequence[LogLineView]
    next_after: int | None
    dropped: int


class WorkerView(View, frozen=True, kw_only=True):
    """One worker as this api sees it; `since_unix` and `reason` are of its pause or its drain."""

    worker_id: str
    incarnation: str
    address: str
    machine: str
    last_seen_unix: float
    load: Load
    slots: Mapping[str, int]
    free: Mapping[str, int]
    status: str
    types: Sequence[str]
    queues: Sequence[str]
    version: str
    breaker: str
    labels: Mapping[str, str]
    since_unix: float | None
    reason: str


class MachineView(View, kw_only=True, frozen=True):
    """The workers of one host."""

    workers: int
    slots: int
    free: int


class WorkerList(View, frozen=True, kw_only=True):
    """The fleet."""

    count: int
    total_slots: int
    total_workers: int
    machines: Mapping[str, MachineView]
    workers: Sequence[WorkerView]


class HealthView(View, frozen=True, kw_only=True):
    """The process lives."""

    status: str
    name: str
    version: str
    role: str
    api: str


class CheckView(View, frozen=True, kw_only=True):
    """Whether one thing that the api needs is there."""

    ok: bool
    reason: str
    rung: Rung | UnsetType = UNSET


class ReadyView(View, frozen=True, kw_only=True):
    """Whether this api takes jobs; it does without its broker, since the store is left."""

    ready: bool
    checks: Mapping[str, CheckView]


class ServiceView(View, frozen=True, kw_only=True):
    """What answers here, and where to go on."""

    name: str
    version: str
    role: str
    links: Mapping[str, str]
