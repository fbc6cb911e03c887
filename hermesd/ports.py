"""What the roles need from the outside, in the words of the domain; adapters are handed in.

Every method raises only errors of `core.errors`: `StoreUnavailable` when the change surely did not
happen, `OutcomeUnknown` when it may have, `Unstorable` when this very item can never be stored.
Methods that take several items apply each by itself and answer in the same order, except `insert`,
which is all or none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from hermesd.core.broker import Found, LineStatus, Message, PublishFate, QueueFacts, Topology
from hermesd.core.fleet import (
    Deregistration,
    FleetEntry,
    Heartbeat,
    HeartbeatAnswer,
    Incarnation,
    Registration,
    RegistrationAnswer,
)
from hermesd.core.job import Job, Rung, Token
from hermesd.core.jobtype import JobType
from hermesd.core.messages import JobMessage, OutcomeMessage
from hermesd.core.outcome import Settlement
from hermesd.core.records import (
    Assignment,
    BrokerRange,
    Claim,
    ClaimAnswer,
    Counts,
    EndedPage,
    EndedRange,
    EventRecord,
    JobFilter,
    JobPage,
    KnownType,
    PulledAnswer,
    PulledOutcome,
    QueueStatus,
    Report,
    ReportAnswer,
    Submission,
    Submitted,
    Verdict,
    Waiting,
)


class Clock(Protocol):
    """Time, monotonic inside and UTC at the boundary."""

    def utc(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""


class JobStore(Protocol):
    """Every change of a job. Each is a compare-and-set on state and lease, committed durably."""

    async def insert(self, submission: Submission) -> Sequence[Submitted]:
        """Store all jobs of a submission or none; a known idempotency key answers the first job.

        Raises IdempotencyConflict (with `index`) where a key was used with another body.
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
        """Move up to `limit` scheduled jobs whose time has come to queued; they are answered."""

    async def next_due(self) -> float | None:
        """The UTC second at which the earliest scheduled job is due, None where none is."""

    async def waiting(self, wanted: Waiting) -> Sequence[Job]:
        """Queued jobs of the wanted (queue, type) pairs, highest priority first, oldest first."""

    async def cancel(self, job_id: str) -> Job:
        """Cancel a waiting job, or mark a running one; raises NotFound, IllegalMove if ended."""

    async def requeue(self, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """Start a new run of failed jobs, and make scheduled ones due now; None: not possible."""

    async def release_orphans(self, limit: int) -> Sequence[Job]:
        """Queue running jobs again whose incarnation is fenced or absent; answers them, queued.

        A job whose cancel was asked for is cancelled instead. Silence is not charged to a job.
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

        One that was not handed over yet gets a new lease too, so that it cannot be any more.
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
    """What is asked about jobs; reads never wait for writes."""

    async def get(self, job_id: str) -> Job | None:
        """One job, or None."""

    async def get_many(self, job_ids: Sequence[str]) -> Sequence[Job]:
        """Those of the jobs that exist, in no particular order."""

    async def page(self, wanted: JobFilter, cursor: str | None, limit: int) -> JobPage:
        """Jobs newest first; the cursor is stable under inserts. InvalidValue for a bad one."""

    async def matching_ids(self, wanted: JobFilter, limit: int) -> Sequence[str]:
        """The ids of up to `limit` jobs that fit, oldest first."""

    async def count(self, wanted: JobFilter) -> int:
        """How many jobs fit; counts rows, so for operators' requests only."""

    async def counts(self, *, live: bool = False) -> Counts:
        """How many jobs there are by state, and waiting by (queue, type, priority).

        `live`: of the states that are no end only, which costs nothing for the jobs that ended.
        """

    async def events(self, job_id: str) -> Sequence[EventRecord]:
        """The appended events of a job, oldest first."""

    async def assigned(self, assigned_by: str) -> Sequence[Job]:
        """The running jobs that the named api assigned (read once, at its start)."""

    async def misowned(self, limit: int) -> Sequence[Job]:
        """Live jobs whose owner does not fit their state: a breach of invariant 3."""

    async def ended(self, wanted: EndedRange) -> EndedPage:
        """Ended jobs among the next ones by id, which is the order of creation.

        Looks at no more than `limit` jobs, so that walking over all of them never is one long read.
        """


class Fleet(Protocol):
    """The incarnations that the store knows, by the store's clock."""

    async def store_id(self) -> str:
        """The identity of this store; a restored backup has a new one."""

    async def register(self, incarnation: Incarnation) -> bool:
        """Note an incarnation as heard now; False where it is fenced."""

    async def heard(self, incarnations: Sequence[str]) -> Sequence[bool]:
        """Note that these were heard just now; False for each that is fenced or absent."""

    async def fence(self, incarnation: str, *, silent_for_seconds: float | None) -> bool:
        """Fence for good, if silent for so long (None: in any case); True if that was done now."""

    async def living(self) -> Sequence[Incarnation]:
        """All incarnations that are not fenced."""

    async def count_as_heard(self) -> None:
        """All living incarnations count as heard just now (an api has started)."""

    async def forget(self, silent_for_seconds: float) -> int:
        """Drop fenced incarnations that hold no job and were silent for so long."""


class TypeCatalogue(Protocol):
    """The job types that the store has ever been told of."""

    async def learn(self, types: Sequence[JobType], source: str) -> None:
        """Add or renew types; `source` is a worker id or `api`."""

    async def known(self) -> Sequence[KnownType]:
        """All of them."""


class JobQueue(Protocol):
    """Where jobs wait that no worker can take now, seen from the api."""

    @property
    def rung(self) -> Rung:
        """The rung of the ladder that this queue is."""

    async def offer(self, jobs: Sequence[Job]) -> Sequence[bool]:
        """Let queued jobs wait here; False for each that the queue did not take over."""

    async def take(self, wanted: Waiting) -> Sequence[Job]:
        """Jobs that wait here and can be assigned by this api, best first; they stay until then."""

    async def status(self) -> QueueStatus:
        """Whether it serves, and if not, why."""


class Delivery(Protocol):
    """A message that the broker has handed out; it has it back where none of these is called.

    Each raises Unavailable where the connection that brought it is lost: then the broker delivers
    it again, to anyone.
    """

    @property
    def queue(self) -> str:
        """Where it came from."""

    @property
    def body(self) -> bytes:
        """As it was published."""

    @property
    def headers(self) -> Mapping[str, object]:
        """As they were published, with what the broker added."""

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""

    async def ack(self) -> None:
        """It is dealt with."""

    async def requeue(self) -> None:
        """Somebody else may have it."""

    async def reject(self) -> None:
        """Nobody can use it here: it goes where its queue's dead letters go."""


class Broker(Protocol):
    """A line to a message broker that comes back by itself; every call has a time limit.

    All raise Unavailable while the line is down, and AccessRefused where the user may not.
    """

    @property
    def status(self) -> LineStatus:
        """How the line is now."""

    async def changed(self) -> None:
        """Return when the status has changed."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[PublishFate]:
        """Publish persistently and wait for the broker's word on each; never raises Unavailable."""

    async def get(self, queue: str) -> Delivery | None:
        """The oldest message of a queue, None where there is none."""

    def consume(
        self, queue: str, prefetch: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Messages as they come, at most `prefetch` unacknowledged.

        The iteration ends with Unavailable when the consumer is lost (the line, its queue or its
        channel); leaving the context gives back what was not acknowledged.
        """

    async def depth(self, queue: str) -> QueueFacts | None:
        """What the queue holds, None where it does not exist."""

    async def declare(self, topology: Topology) -> Sequence[Found]:
        """Create what is absent; what exists with other arguments is left alone and reported."""

    async def inspect(self, topology: Topology) -> Sequence[Found]:
        """The same, but nothing is created."""


class Messages(Protocol):
    """How jobs and outcomes are written into a broker's messages, and read from their bodies.

    Writing raises TooLarge, reading InvalidValue where a body is not what it should be.
    """

    def encode_job(self, message: JobMessage) -> Message:
        """Ready to be published."""

    def encode_outcome(self, message: OutcomeMessage) -> Message:
        """Ready to be published."""

    def decode_job(self, body: bytes) -> JobMessage:
        """The job's message of this body."""

    def decode_outcome(self, body: bytes) -> OutcomeMessage:
        """The outcome's message of this body."""


class ControlLink(Protocol):
    """One worker's line to one api.

    Every call has a time limit and raises Unavailable when the api cannot be reached.
    """

    @property
    def endpoint(self) -> str:
        """host:port of the api's control service."""

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """Announce an incarnation, what it can run, and the leases it holds."""

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Say what is free and held; the answer carries orders until they are obeyed."""

    async def deregister(self, deregistration: Deregistration) -> None:
        """Leave for good; the incarnation is fenced."""

    async def report(self, report: Report) -> ReportAnswer:
        """Hand over outcomes with a fresh view of the slots; one verdict each."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """Ask for jobs that were pulled from the broker, at most 200; idempotent, an answer each.

        InvalidValue where one token is none at all, TooLarge where the answer would be.
        """

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """Signals to heartbeat now; losing the stream loses nothing."""


class FleetView(Protocol):
    """What an api knows of its workers, for people."""

    def entries(self) -> Sequence[FleetEntry]:
        """One entry a worker."""

    def totals(self) -> Mapping[str, int]:
        """Sums over the fleet."""


class ControlService(Protocol):
    """The api's side of the control line, called by the gRPC server for every worker."""

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """See ControlLink.register."""

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """See ControlLink.heartbeat."""

    async def deregister(self, deregistration: Deregistration) -> None:
        """See ControlLink.deregister."""

    async def report(self, report: Report) -> ReportAnswer:
        """See ControlLink.report."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[ClaimAnswer]:
        """See ControlLink.claim; all are by one worker on one store."""

    def pokes(self, incarnation: str) -> AbstractAsyncContextManager[AsyncIterator[None]]:
        """One item for each poke; leaving the context means that the worker's stream closed."""

    async def workers(self) -> Sequence[FleetEntry]:
        """The fleet as this api sees it."""
