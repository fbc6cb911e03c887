"""The jobs in the store: every change of them, and what is asked about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hermesd.core.job import Job, Token
from hermesd.core.notes import JobNotes, KeptLine, NoteKept, Told
from hermesd.core.outcome import Settlement
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import (
    Assignment,
    BrokerRange,
    Cancelled,
    Claim,
    ClaimAnswer,
    Counts,
    EndedPage,
    EndedRange,
    EventRecord,
    Head,
    JobFilter,
    JobPage,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)
from hermesd.core.searches import ErrorGroups, Reach, Walked


class JobStore(Protocol):
    """Every change of a job. Each is a compare-and-set on state and lease, committed durably."""

    async def insert(self, submission: Submission) -> Sequence[Submitted]:
        """Store all jobs of a submission or none; a known idempotency key answers the first job.

        Raises IdempotencyConflict (with `index`) where a key was used with another body. Of jobs
        that are `apart` each is stored or not by itself: an answer with an `error` says that not.
        """

    async def assign(self, assignments: Sequence[Assignment]) -> Sequence[Job | None]:
        """Move queued (or, for a reassignment, running) jobs to a worker; None: the token is old.

        The answered job carries its new lease, which is the expected one plus one.
        """

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """Grant waiting jobs to workers that pulled them; idempotent by (job, lease, worker)."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Verdict]:
        """Record what became of running jobs; late and doubled ones are dropped and say so."""

    async def release_due(self, limit: int) -> Sequence[Job]:
        """Move up to `limit` scheduled jobs whose time has come to queued; they are answered.

        Fewer where their payloads are large together; none only where there are none.
        """

    async def next_due(self) -> float | None:
        """The UTC second at which the earliest scheduled job is due, None where none is."""

    async def waiting(self, wanted: Waiting) -> Head:
        """Queued jobs of the wanted (queue, type) pairs, highest priority first, oldest first."""

    async def cancel(self, job_id: str) -> Job:
        """Cancel a waiting job, or mark a running one; raises NotFound, IllegalMove if ended."""

    async def cancel_many(self, job_ids: Sequence[str]) -> Sequence[Cancelled | None]:
        """The same of many at once; None for those that there are not, and where nothing changed.

        Nothing changes what has ended, or is marked already.
        """

    async def requeue(self, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """Start a new run of failed jobs, and make scheduled ones due now; None: not possible."""

    async def release_orphans(self, limit: int) -> Sequence[Job]:
        """Queue running jobs again whose incarnation is fenced or absent; answers them, queued.

        A job whose cancel was asked for is cancelled instead. Silence is not charged to a job.
        As many as `release_due`.
        """

    async def purge(self, job_ids: Sequence[str]) -> int:
        """Delete jobs that have ended, with their events; answers how many there were."""


class Outbox(Protocol):
    """The jobs that wait at the broker instead of in the store; their rows are its outbox.

    Times are UTC seconds. A job's owner says where it waits, and its lease which message is valid.
    """

    async def hand_over(self, tokens: Sequence[Token], at: float) -> Sequence[bool]:
        """The broker has confirmed these jobs' messages; False where a token is old by now.

        The lease stays as it is, since the message carries it.
        """

    async def take_back(self, tokens: Sequence[Token], at: float) -> Sequence[Job | None]:
        """Let jobs wait in the store, under a new lease and in their old places; None: old token.

        One that was not handed over yet gets a new lease too, so that it cannot be any more. What
        is answered has no payload (it is empty).
        """

    async def with_broker(self, wanted: BrokerRange) -> Sequence[Token]:
        """Jobs that wait at the broker, those published first foremost."""

    async def broker_counts(self, published_before: float) -> Mapping[tuple[str, int], int]:
        """How many jobs wait at the broker by (queue, priority), published before that time."""

    async def settle_pulled(
        self, outcomes: Sequence[PulledOutcome], at: float
    ) -> Sequence[PulledAnswer]:
        """Record claim and outcome together, of jobs that wait or that this incarnation claimed.

        DROPPED where the lease has moved on otherwise. RETRY where an outcome could not be taken
        while others were, or has no settlement but needs one: read its job and ask again.
        """


class JobReader(Protocol):
    """What is asked about jobs; reads never wait for writes.

    Many jobs are answered in brief where it says so: their payloads are empty, and there is no
    result. Either may be megabytes long.
    """

    async def get(self, job_id: str) -> Job | None:
        """One job, or None."""

    async def get_many(self, job_ids: Sequence[str]) -> Sequence[Job]:
        """Those of the jobs that exist, in brief, in no particular order."""

    async def page(self, wanted: JobFilter, cursor: str | None, limit: int) -> JobPage:
        """Jobs newest first; the cursor is stable under inserts. InvalidValue for a bad one.

        Looks at a bounded number of jobs: a page can end, and say so, before it is full. It ends
        early too where payloads and results are large together.
        """

    async def walk(self, wanted: JobFilter, reach: Reach) -> Walked:
        """The jobs of a stretch that fit; with `ids` in the filter, all of these."""

    async def error_groups(self, wanted: JobFilter) -> ErrorGroups:
        """What the errors of the newest failed jobs have in common, of those that fit."""

    async def counts(self, *, live: bool = False) -> Counts:
        """How many jobs there are by state, and waiting by (queue, type, priority).

        `live`: of the states that are no end only, which costs nothing for the jobs that ended.
        """

    async def events(self, job_id: str) -> Sequence[EventRecord]:
        """The appended events of a job, oldest first."""

    async def assigned(self, assigned_by: str) -> Sequence[Job]:
        """The running jobs that the named api assigned, in brief."""

    async def misowned(self, limit: int) -> Sequence[Job]:
        """Live jobs whose owner does not fit their state, in brief: a breach of invariant 3."""

    async def ended(self, wanted: EndedRange) -> EndedPage:
        """Ended jobs among the next ones by id, which is the order of creation.

        Looks at no more than `limit` jobs, so that walking over all of them never is one long read.
        """


class Notes(Protocol):
    """What running jobs tell of themselves. Nothing here changes a state or a lease."""

    async def write(self, news: Sequence[JobNotes]) -> Sequence[NoteKept | None]:
        """Keep the news of leases that are valid; None for each that was dropped.

        Of a run the first 1,000 lines are kept, the others are counted; lines that are `repeated`
        are kept once. A progress replaces the one before it.
        """

    async def told(self, job_ids: Sequence[str]) -> Mapping[str, Told]:
        """By id, of those of the jobs that have told anything; a new attempt has no progress."""

    async def lines(self, job_id: str, after: int, limit: int) -> Sequence[KeptLine]:
        """Up to `limit` lines of a job, of all its attempts, numbered above `after`, in order."""
