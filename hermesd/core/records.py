"""What goes to the store and the queue, and what they answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import accumulate

import msgspec

from hermesd.core.errors import HermesError
from hermesd.core.fleet import SlotView
from hermesd.core.job import ErrorInfo, Job, Rung, Token
from hermesd.core.jobtype import JobType
from hermesd.core.outcome import Outcome
from hermesd.core.states import Move, State


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A client's promise that two requests are the same one; hashes are hex SHA-256."""

    principal: str
    key_hash: str
    body_hash: str
    expires_at: float


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs to be stored together, already routed: running with a lease and incarnation, or waiting.

    `keys` is as long as `jobs`. Those that are `apart` have nothing to do with each other, and no
    keys: each is stored or not by itself.
    """

    jobs: tuple[Job, ...]
    keys: tuple[IdempotencyKey | None, ...] = ()
    apart: bool = False


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """One stored job, or the first job of its idempotency key (`repeated`).

    `error`: why it was not stored, while others of a submission were whose jobs are apart.
    """

    job: Job
    repeated: bool = False
    error: HermesError | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Give the job of `token` (its lease as it is now) to an incarnation.

    `move` is ASSIGN for a queued job, REASSIGN for a running one that its worker refused. `job` is
    the job as it was read at that lease, if it was: it saves the store reading it again.
    """

    token: Token
    worker_id: str
    incarnation: str
    assigned_by: str
    rung: Rung
    at: float
    move: Move = Move.ASSIGN
    job: Job | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A worker asks for a job it pulled; `token` is the message's.

    Only a heartbeat after number `heartbeat` to the asked api can prove that it is not held.
    `queue` is the message's; "" where the worker does not say.
    """

    store_id: str
    token: Token
    worker_id: str
    incarnation: str
    heartbeat: int = 0
    queue: str = ""
    assigned_by: str = ""
    at: float = 0.0


class ClaimVerdict(StrEnum):
    """Why a claim was granted or refused; all but GRANTED and PAUSED are for good."""

    GRANTED = "granted"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    RUNNING_ELSEWHERE = "running-elsewhere"
    STALE = "stale"
    UNKNOWN = "unknown"
    FENCED = "fenced"
    FOREIGN_STORE = "foreign-store"
    PAUSED = "paused"  # its queue is, so the message has to go back


class ClaimAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`job` with its new lease where granted; `repeated`: it had been granted before."""

    verdict: ClaimVerdict
    job: Job | None = None
    repeated: bool = False


class Verdict(StrEnum):
    """What became of one outcome; every one of them is final for the worker but RETRY."""

    RECORDED = "recorded"
    DROPPED = "dropped"  # late or doubled: the lease has moved on, or the run has ended
    UNKNOWN = "unknown"  # no such job
    UNSTORABLE = "unstorable"  # could not be stored
    RETRY = "retry"  # not taken now, report it again


class Cancelled(msgspec.Struct, frozen=True):
    """A job as it was, and as it is: cancelled, or marked to be."""

    before: Job
    now: Job


class BrokerRange(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of a queue that wait at the broker: of priorities `lowest` to `highest`, both included.

    Only those published before that UTC second, and at most `limit`.
    """

    queue: str
    lowest: int
    highest: int
    published_before: float
    limit: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of one incarnation, with the view of its slots as they were taken."""

    incarnation: str
    api_boot: str
    view: SlotView
    outcomes: tuple[Outcome, ...]


class ReportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict for each outcome, in order."""

    verdicts: tuple[Verdict, ...]
    register_again: bool = False


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Which waiting jobs are wanted: the first over all the (queue, type) pairs.

    At most `limit`, and with `most_bytes` of payload together, but for a first one that has more.
    """

    pairs: tuple[tuple[str, str], ...]
    limit: int
    most_bytes: int

    def fitting(self, sizes: Sequence[int]) -> int:
        """How many of the first jobs are answered, whose payloads have so many bytes."""
        within = bisect_right(list(accumulate(sizes)), self.most_bytes)
        return min(max(within, 1), len(sizes), max(self.limit, 0))

    def head(self, jobs: Sequence[Job]) -> Head:
        """The answer, of jobs best first: all that wait, or no fewer than are wanted and one."""
        fitting = self.fitting([len(job.payload) for job in jobs])
        return Head(jobs=jobs[:fitting], everything=fitting == len(jobs) < self.limit)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first of the waiting jobs, best first; `everything`: there are surely no others."""

    jobs: Sequence[Job]
    everything: bool


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing asks for; None and empty ask for nothing. Times are UTC seconds.

    `text` is within the id, or the error's kind, message or traceback, ASCII letters in either
    case; `error` is the text of a group of errors (core/errorgroups.py).
    """

    states: tuple[State, ...] = ()
    types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    priorities: tuple[int, ...] = ()
    worker_id: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    created_after: float | None = None
    created_before: float | None = None
    finished_after: float | None = None
    finished_before: float | None = None
    text: str | None = None
    error_kind: str | None = None
    error: str | None = None


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, and the cursor to go on from (None: that was all).

    `searched_to`: the page ended before it was full, since so many jobs had been looked at: down
    to the one that was created in that UTC second.
    """

    jobs: tuple[Job, ...]
    next_cursor: str | None = None
    searched_to: float | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs by state, and waiting ones by (queue, type, priority)."""

    states: Mapping[State, int]
    waiting: Mapping[tuple[str, str, int], int]


class EndedRange(msgspec.Struct, frozen=True, kw_only=True):
    """Which ended jobs are wanted: some of the next `limit` jobs by id between `after` and `until`.

    Of those, each whose state is in `before` and that ended at that UTC second or earlier.
    """

    after: str
    until: str
    limit: int
    before: Mapping[State, float]


class EndedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What tells whether a job that has ended is still to be kept; the time is in UTC seconds.

    `size_bytes` is that of its payload and result, which deleting it takes time for.
    """

    id: str
    type: str
    state: State
    finished_at: float
    size_bytes: int = 0


class EndedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Ended jobs by id, and the last id that was looked at (None: there are none in the range)."""

    jobs: tuple[EndedJob, ...]
    last_id: str | None


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth telling of a job. Kinds: core/events.py.

    The last three are of an attempt that it ended: when it had begun, in UTC seconds, by what way
    the job had reached its worker, and what went wrong.
    """

    time: float
    job_id: str
    job_type: str
    kind: str
    worker_id: str | None = None
    message: str = ""
    run: int = 1
    attempt: int = 0
    started_at: float | None = None
    rung: Rung | None = None
    error: ErrorInfo | None = None


class KnownType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of the catalogue, when it was last heard of (UTC seconds) and from whom."""

    type: JobType
    last_seen: float
    source: str


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a queue serves; `reason` says why it does not."""

    serving: bool
    reason: str = ""
