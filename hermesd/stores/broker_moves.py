"""What becomes of jobs that wait at a message broker: pure, and the same for every store."""

from __future__ import annotations

from msgspec.structs import replace

from hermesd.core.job import Job, Owner, Rung, Token
from hermesd.core.outcome import OutcomeKind, Settlement, settle
from hermesd.core.pulled import PulledAnswer, PulledOutcome
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict, Verdict
from hermesd.core.states import Move, State
from hermesd.stores.micros import whole, whole_or_none
from hermesd.stores.moves import Change, begun, queued, settled, unstorable


def claimed(
    job: Job | None, claim: Claim, at: float, *, living: bool
) -> tuple[ClaimAnswer, Change | None]:
    """The answer to a worker that pulled a message, and what it makes of the job."""
    if not living:
        return ClaimAnswer(verdict=ClaimVerdict.FENCED), None
    if job is None:
        return ClaimAnswer(verdict=ClaimVerdict.UNKNOWN), None
    if job.state is State.QUEUED and job.lease == claim.token.lease:
        change = begun(job, claim, whole(claim.at or at), job.attempts + 1, Rung.AMQP)
        return ClaimAnswer(verdict=ClaimVerdict.GRANTED, job=change.after), change
    return _claimed_before(job, claim), None


def _claimed_before(job: Job, claim: Claim) -> ClaimAnswer:
    if job.state is State.RUNNING and job.lease > claim.token.lease:
        own = job.lease == claim.token.lease + 1 and job.incarnation == claim.incarnation
        if own and job.rung is Rung.AMQP:  # a push of it is no claim: the message is a double
            return ClaimAnswer(verdict=ClaimVerdict.GRANTED, job=job, repeated=True)
        return ClaimAnswer(verdict=ClaimVerdict.RUNNING_ELSEWHERE)
    if job.state is State.CANCELLED:
        return ClaimAnswer(verdict=ClaimVerdict.CANCELLED)
    if job.state.terminal:
        return ClaimAnswer(verdict=ClaimVerdict.FINISHED)
    return ClaimAnswer(verdict=ClaimVerdict.STALE)


def handed_over(job: Job | None, token: Token) -> Change | None:
    """A job that waits in the store, at the broker; None where the token is old."""
    if job is None or job.state is not State.QUEUED or job.lease != token.lease:
        return None
    if job.owner is not Owner.STORE:
        return None
    return Change(before=job, after=replace(job, owner=Owner.AMQP))


def taken_back(job: Job | None, token: Token, at: float) -> Change | None:
    """A waiting job in the store, in its old place; None where the token is old."""
    if job is None or job.state is not State.QUEUED or job.lease != token.lease:
        return None
    return Change(before=job, after=queued(job, at, {}))


def failed_instead(outcome: PulledOutcome, at: float, reason: str) -> PulledOutcome:
    """What is recorded in place of an outcome that the store refuses."""
    refused = outcome.settlement or Settlement(token=outcome.token, move=Move.SUCCEED, at=at)
    return replace(outcome, settlement=unstorable(refused, reason))


def pulled(
    job: Job | None, outcome: PulledOutcome, at: float
) -> tuple[PulledAnswer, Change | None]:
    """What the outcome of a job that was run without a grant makes of it, claim and all."""
    running = outcome.running(job)
    if running is None or job is None:
        late = Verdict.UNKNOWN if job is None else Verdict.DROPPED
        return PulledAnswer(verdict=late), None
    settlement = outcome.settlement
    if settlement is None and outcome.outcome.kind is OutcomeKind.SUCCEEDED:
        settlement = settle(outcome.outcome, None, at, 0.0)
    if settlement is None:
        return PulledAnswer(verdict=Verdict.RETRY), None
    running = replace(running, started_at=whole_or_none(running.started_at))
    settlement = replace(settlement, token=running.token)
    verdict, change = settled(running, settlement)
    if change is None:
        return PulledAnswer(verdict=verdict), None
    answer = PulledAnswer(
        verdict=verdict,
        waiting=job if job.state is State.QUEUED else None,
        running=running,
        settlement=settlement,
    )
    return answer, replace(change, before=job)
