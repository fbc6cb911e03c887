"""What the api answers, as frozen structs. Times are aware datetimes in UTC.

Members that a newer api adds are ignored; those that an older one lacks have defaults.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from hermesd.core.job import ErrorInfo
from hermesd.core.states import State

_NULL = msgspec.Raw(b"null")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The root of all answers."""


class JobView(Answer, frozen=True, kw_only=True):
    """One job. `raw_payload` and `raw_result` are the JSON texts byte for byte.

    `progress`, from 0 to 1, is that of the last attempt; `logs_dropped` is None where the api has
    no logs.
    """

    id: str
    type: str
    state: State
    queue: str = ""
    priority: int = 0
    attempts: int = 0
    max_attempts: int = 0
    timeout: float | None = None
    labels: dict[str, str] = {}
    run: int = 1
    rung: str | None = None
    worker_id: str | None = None
    cancel_requested: bool = False
    crash_count: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    run_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: ErrorInfo | None = None
    progress: float | None = None
    progress_note: str | None = None
    progress_at: datetime | None = None
    logs_dropped: int | None = None
    raw_payload: msgspec.Raw = msgspec.field(default=_NULL, name="payload")
    raw_result: msgspec.Raw = msgspec.field(default=_NULL, name="result")

    @property
    def payload(self) -> Any:
        """The payload, decoded."""
        return msgspec.json.decode(self.raw_payload)

    @property
    def result(self) -> Any:
        """What the handler returned, decoded; None while there is nothing."""
        return msgspec.json.decode(self.raw_result)


class JobAnswer(Answer, frozen=True, kw_only=True):
    """The envelope of one job."""

    job: JobView


class Submission(Answer, frozen=True, kw_only=True):
    """A job that is recorded. `routed`: `direct` (`worker_id` has it) or `queue` (`note` says why).

    Or `scheduled`: it waits for its `run_at`.
    `repeated`: its idempotency key was known, and this is the job it named then.
    """

    job: JobView
    routed: str
    worker_id: str | None = None
    note: str | None = None
    repeated: bool = False


class Accepted(Answer, frozen=True, kw_only=True):
    """One job of a batch, as in Submission."""

    id: str
    routed: str
    worker_id: str | None = None
    note: str | None = None
    repeated: bool = False


class BatchSubmission(Answer, frozen=True, kw_only=True):
    """A batch that is recorded whole; `jobs` in the order of the request."""

    count: int
    direct: int = 0
    queued: int = 0
    repeated: int = 0
    jobs: tuple[Accepted, ...] = ()


class JobPage(Answer, frozen=True, kw_only=True):
    """Jobs, newest first, and the cursor to go on from (None: that was all).

    `searched_to`: the page ended before it was full, at the jobs that were created then.
    """

    jobs: tuple[JobView, ...]
    next_cursor: str | None = None
    searched_to: datetime | None = None


class Event(Answer, frozen=True, kw_only=True):
    """Something that happened to a job or to the fleet."""

    time: datetime
    kind: str
    job_id: str | None = None
    job_type: str | None = None
    worker_id: str | None = None
    message: str = ""
    run: int | None = None
    attempt: int | None = None


class EventList(Answer, frozen=True, kw_only=True):
    """Events: of one job oldest first, of the whole daemon newest first."""

    events: tuple[Event, ...]
    count: int = 0


class LogLine(Answer, frozen=True, kw_only=True):
    """One line of a job's log; `number` rises from line to line."""

    number: int
    time: datetime
    level: str
    line: str
    run: int = 1
    attempt: int = 1


class LogPage(Answer, frozen=True, kw_only=True):
    """Lines, oldest first; `next_after` leads to those behind them (None: there are none yet).

    `dropped` lines of the job were too many and are not kept.
    """

    lines: tuple[LogLine, ...]
    next_after: int | None = None
    dropped: int = 0


class WorkerView(Answer, frozen=True, kw_only=True):
    """One worker; slots by kind of execution, `last_seen_unix` in seconds since the epoch.

    `since_unix` is when it was paused or told to leave, and `reason` why.
    """

    worker_id: str
    incarnation: str = ""
    address: str = ""
    machine: str = ""
    status: str = ""
    version: str = ""
    last_seen_unix: float = 0.0
    load: dict[str, Any] = {}
    slots: dict[str, int] = {}
    free: dict[str, int] = {}
    types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    breaker: str | None = None
    since_unix: float | None = None
    reason: str = ""


class MachineView(Answer, frozen=True, kw_only=True):
    """What the workers of one machine have together."""

    workers: int = 0
    slots: int = 0
    free: int = 0


class WorkerList(Answer, frozen=True, kw_only=True):
    """The fleet as this api sees it."""

    workers: tuple[WorkerView, ...]
    count: int = 0
    total_slots: int = 0
    total_workers: int = 0
    machines: dict[str, MachineView] = {}


class TypeView(Answer, frozen=True, kw_only=True):
    """One job type of the catalogue; `schema` is its payload's, `workers` speak it now."""

    name: str
    kind: str = ""
    description: str = ""
    schema: dict[str, Any] = {}
    defaults: dict[str, Any] | None = None
    last_seen: datetime | None = None
    source: str = ""
    workers: int = 0
    waiting: int = 0
    recent: dict[str, Any] | None = None


class TypeList(Answer, frozen=True, kw_only=True):
    """The catalogue of job types."""

    types: tuple[TypeView, ...]
    count: int = 0


class WaitingCounts(Answer, frozen=True, kw_only=True):
    """Jobs that wait for a worker."""

    total: int = 0
    by_queue: dict[str, int] = {}
    by_priority: dict[str, int] = {}


class Quantiles(Answer, frozen=True, kw_only=True):
    """Seconds that half, 95 % and 99 % of them stayed within."""

    p50: float
    p95: float
    p99: float


class Flow(Answer, frozen=True, kw_only=True):
    """Jobs that came, attempts that ended; `wait` is until an attempt started, `run` in it."""

    submitted: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    wait: Quantiles | None = None
    run: Quantiles | None = None


class Recent(Answer, frozen=True, kw_only=True):
    """What came of jobs in the last minutes at this api, in all and by type."""

    window_seconds: float = 0.0
    all: Flow = Flow()
    types: dict[str, Flow] = {}


class FleetFlow(Flow, frozen=True, kw_only=True):
    """What all apis of the store did in the last `window_seconds`."""

    window_seconds: float = 0.0


class Stats(Answer, frozen=True, kw_only=True):
    """Counts of the whole daemon; `since_start` and `recent` are of this api's process.

    `recent_fleet` is of all apis.
    """

    name: str = ""
    version: str = ""
    role: str = ""
    api: str = ""
    uptime_seconds: float = 0.0
    jobs: dict[str, int] = {}
    waiting: WaitingCounts = WaitingCounts()
    workers: dict[str, Any] = {}
    rung: str | None = None
    since_start: dict[str, Any] = {}
    recent: Recent = Recent()
    recent_fleet: FleetFlow = FleetFlow()


class Health(Answer, frozen=True, kw_only=True):
    """The process answers."""

    status: str
    name: str = ""
    version: str = ""
    role: str = ""
    api: str = ""


class ReadinessCheck(Answer, frozen=True, kw_only=True):
    """One thing that must work before jobs are taken."""

    ok: bool
    reason: str | None = None
    rung: str | None = None


class Readiness(Answer, frozen=True, kw_only=True):
    """Whether jobs are taken, and why not."""

    ready: bool
    checks: dict[str, ReadinessCheck] = {}
