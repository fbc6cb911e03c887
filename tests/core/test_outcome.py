"""What outcomes make of jobs: attempts, crashes, cancels."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.backoff import Backoff
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.outcome import Outcome, OutcomeKind, handed_back, lost, settle
from hermesd.core.states import MOVES, TERMINAL, Move, State

NOW = 1_000.0

jobs = st.builds(
    Job,
    id=st.just("j"),
    type=st.just("t"),
    payload=st.just(msgspec.Raw(b"{}")),
    state=st.just(State.RUNNING),
    attempts=st.integers(0, 5),
    max_attempts=st.integers(1, 5),
    lease=st.integers(1, 100),
    crash_count=st.integers(0, 4),
    crash_limit=st.integers(1, 4),
    cancel_requested=st.booleans(),
    backoff=st.just(Backoff(seconds=10, jitter=0)),
)
errors = st.none() | st.just(ErrorInfo(kind="error", message="no luck"))
delays = st.none() | st.floats(0, 1e6)
kinds = st.sampled_from(OutcomeKind)


def outcome_of(
    job: Job, kind: OutcomeKind, error: ErrorInfo | None, delay: float | None
) -> Outcome:
    """The report on a job's current lease."""
    return Outcome(token=job.token, kind=kind, error=error, delay_seconds=delay, started_at=1.0)


@given(jobs, kinds, errors, delays)
def test_a_settlement_is_a_possible_move_under_the_jobs_token(
    job: Job, kind: OutcomeKind, error: ErrorInfo | None, delay: float | None
) -> None:
    """With the time of the next attempt exactly where there is one, never in the past."""
    settlement = settle(outcome_of(job, kind, error, delay), job, NOW, 0.5)
    target = MOVES[State.RUNNING, settlement.move]
    assert settlement.token == job.token
    assert (settlement.run_at is not None) == (target is State.SCHEDULED)
    assert settlement.run_at is None or settlement.run_at >= NOW
    assert settlement.attempts is None or 0 <= settlement.attempts <= job.attempts


@given(jobs, kinds, errors, delays)
def test_a_job_to_be_cancelled_is_never_tried_again(
    job: Job, kind: OutcomeKind, error: ErrorInfo | None, delay: float | None
) -> None:
    """What its worker reports wins, but every way back leads to `cancelled`."""
    job = msgspec.structs.replace(job, cancel_requested=True)
    settlement = settle(outcome_of(job, kind, error, delay), job, NOW, 0.5)
    assert MOVES[State.RUNNING, settlement.move] in TERMINAL
    if kind is OutcomeKind.SUCCEEDED:
        assert settlement.move is Move.SUCCEED
    for gone in (lost(job, NOW, proven_dead=True), handed_back(job, NOW)):
        assert gone.move is Move.CANCEL


@given(jobs)
def test_only_failures_use_up_attempts(job: Job) -> None:
    """Snoozed, interrupted, crashed, lost and refused jobs get theirs back."""
    job = msgspec.structs.replace(job, cancel_requested=False, crash_count=0, crash_limit=9)
    given_back = max(job.attempts - 1, 0)
    for kind in (OutcomeKind.SNOOZED, OutcomeKind.INTERRUPTED, OutcomeKind.CRASHED):
        assert settle(outcome_of(job, kind, None, None), job, NOW, 0).attempts == given_back
    assert lost(job, NOW, proven_dead=False).attempts == given_back
    assert handed_back(job, NOW).attempts == given_back
    failed = settle(outcome_of(job, OutcomeKind.FAILED, None, None), job, NOW, 0)
    assert failed.attempts is None
    assert failed.move is (Move.FAIL if job.attempts >= job.max_attempts else Move.RETRY)


@given(jobs)
def test_silence_is_never_charged_and_death_always_is(job: Job) -> None:
    """Past the crash limit a job is quarantined, whether a child or its worker died of it."""
    job = msgspec.structs.replace(job, cancel_requested=False)
    assert lost(job, NOW, proven_dead=False).crash_count == job.crash_count
    assert lost(job, NOW, proven_dead=False).move is Move.RELEASE
    crashed = settle(outcome_of(job, OutcomeKind.CRASHED, None, None), job, NOW, 0)
    for charged in (lost(job, NOW, proven_dead=True), crashed):
        assert charged.crash_count == job.crash_count + 1
        past = job.crash_count + 1 >= job.crash_limit
        assert (charged.move is Move.FAIL) == past
        if past:
            assert charged.error is not None
            assert charged.error.kind == "quarantined"


def test_a_handlers_own_delay_beats_the_backoff() -> None:
    """Zero too; without one the job's backoff counts from its attempts."""
    job = Job(
        id="j",
        type="t",
        payload=msgspec.Raw(b"1"),
        state=State.RUNNING,
        attempts=2,
        backoff=Backoff(seconds=10, factor=3, jitter=0),
    )
    waits = [
        settle(outcome_of(job, OutcomeKind.FAILED, None, delay), job, NOW, 0.0).run_at
        for delay in (None, 0.0, 7.0)
    ]
    assert waits == [NOW + 30, NOW, NOW + 7]


def test_a_refused_job_is_told_nothing_bad_of() -> None:
    """It was never begun: there is no error to show."""
    job = Job(id="j", type="t", payload=msgspec.Raw(b"1"), state=State.RUNNING, attempts=1)
    assert handed_back(job, NOW).error is None
    assert lost(job, NOW, proven_dead=False).error is not None


def test_only_a_success_can_be_settled_without_its_job() -> None:
    """All else depends on attempts and cancels."""
    job = Job(id="j", type="t", payload=msgspec.Raw(b"1"), state=State.RUNNING)
    success = outcome_of(job, OutcomeKind.SUCCEEDED, None, None)
    assert settle(success, None, NOW, 0).move is Move.SUCCEED
    with pytest.raises(ValueError, match="without its job"):
        settle(outcome_of(job, OutcomeKind.FAILED, None, None), None, NOW, 0)
