"""Outcomes: exactly one for each run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from hermesd.core.errors import IllegalMove
from hermesd.core.job import ErrorInfo, Job, Owner, Token
from hermesd.core.outcome import Settlement
from hermesd.core.records import Verdict
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import Conformance, Scene

BAD = ErrorInfo(kind="error", message="it broke", traceback="line 1\nline 2")


class SettlingConformance(Conformance):
    """JobStore.settle."""

    async def test_a_success_keeps_its_result_byte_for_byte(self, scene: Scene) -> None:
        """The result is stored as it was given, and nobody owns the job any more."""
        job = await scene.running(error=BAD)
        scene.clock.advance(3)
        started = scene.clock.utc() - 1
        result = b'{"a" :  [1.50, "\\u0000\xc3\xa4"]}'
        assert await scene.settle(job, Move.SUCCEED, result=result, started_at=started) is (
            Verdict.RECORDED
        )
        done = await scene.now(job)
        assert (done.state, done.owner, done.lease) == (State.SUCCEEDED, Owner.NONE, job.lease)
        assert done.result is not None
        assert bytes(done.result) == result
        assert done.error is None
        assert (done.started_at, done.finished_at) == (started, scene.clock.utc())
        assert await scene.event_kinds(job) == []

    async def test_a_doubled_outcome_is_dropped(self, scene: Scene) -> None:
        """The second of two outcomes changes nothing, in the same call or a later one."""
        job = await scene.running()
        good = scene.outcome(job, Move.SUCCEED, result=b"1")
        verdicts = await scene.store.jobs.settle([good, scene.outcome(job, Move.FAIL)])
        assert list(verdicts) == [Verdict.RECORDED, Verdict.DROPPED]
        done = await scene.now(job)
        assert list(await scene.store.jobs.settle([good, good])) == [Verdict.DROPPED] * 2
        assert await scene.now(job) == done

    async def test_a_late_outcome_is_dropped_alone(self, scene: Scene) -> None:
        """Outcomes of old leases and unknown jobs do not touch the good ones beside them."""
        jobs = [await scene.running() for _ in range(4)]
        await scene.settle(jobs[1], Move.RELEASE)
        settlements = [scene.outcome(job, Move.SUCCEED) for job in jobs]
        settlements[2] = scene.outcome(scene.job(lease=1), Move.SUCCEED)
        verdicts = await scene.store.jobs.settle(settlements)
        assert list(verdicts) == [
            Verdict.RECORDED,
            Verdict.DROPPED,
            Verdict.UNKNOWN,
            Verdict.RECORDED,
        ]
        states = [(await scene.now(job)).state for job in jobs]
        assert states == [State.SUCCEEDED, State.QUEUED, State.RUNNING, State.SUCCEEDED]

    async def test_racing_outcomes_record_one(self, scene: Scene) -> None:
        """Of many outcomes of one lease exactly one counts."""
        job = await scene.running()
        verdicts: list[Verdict] = []

        async def one(move: Move) -> None:
            verdicts.append(await scene.settle(job, move))

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, Move.SUCCEED if number % 3 else Move.FAIL)
        assert sorted(verdicts) == [Verdict.DROPPED] * 29 + [Verdict.RECORDED]

    async def test_a_failure_keeps_its_error(self, scene: Scene) -> None:
        """The job lies in the dead-letter queue with the reason, and an event tells it."""
        job = await scene.running()
        assert await scene.settle(job, Move.FAIL, error=BAD) is Verdict.RECORDED
        failed = await scene.now(job)
        assert (failed.state, failed.owner, failed.error) == (State.FAILED, Owner.NONE, BAD)
        assert failed.finished_at == scene.clock.utc()
        (event,) = await scene.store.reader.events(job.id)
        assert (event.kind, event.message, event.attempt) == ("failed", "it broke", 1)

    async def test_a_quarantine_is_told_as_such(self, scene: Scene) -> None:
        """The event of a job past its crash limit has a kind of its own."""
        job = await scene.running()
        cause = ErrorInfo(kind="quarantined", message="ended its process 3 times")
        await scene.settle(job, Move.FAIL, error=cause, crash_count=3)
        assert (await scene.now(job)).crash_count == 3
        assert await scene.event_kinds(job) == ["quarantined"]

    @pytest.mark.parametrize("move", [Move.RETRY, Move.SNOOZE])
    async def test_a_job_to_be_tried_again_waits_for_its_time(
        self, scene: Scene, move: Move
    ) -> None:
        """It is scheduled under the next lease, the timer's, and no worker's any more."""
        job = await scene.running()
        run_at = scene.clock.utc() + 7.5
        attempts = None if move is Move.RETRY else 0
        await scene.settle(job, move, error=BAD, run_at=run_at, attempts=attempts, crash_count=2)
        later = await scene.now(job)
        assert (later.state, later.owner, later.lease) == (State.SCHEDULED, Owner.TIMER, 2)
        assert (later.run_at, later.error, later.crash_count) == (run_at, BAD, 2)
        assert later.attempts == (1 if move is Move.RETRY else 0)
        assert (later.worker_id, later.incarnation, later.assigned_by) == (None, None, None)
        kinds = {Move.RETRY: ["retry"], Move.SNOOZE: ["snoozed"]}
        assert await scene.event_kinds(job) == kinds[move]

    async def test_a_released_job_waits_under_the_next_lease(self, scene: Scene) -> None:
        """It is the store's again, with the attempt given back."""
        job = await scene.running()
        await scene.settle(job, Move.RELEASE, attempts=0)
        back = await scene.now(job)
        assert (back.state, back.owner, back.lease) == (State.QUEUED, Owner.STORE, 2)
        assert (back.attempts, back.started_at, back.finished_at) == (0, None, None)
        assert (back.worker_id, back.incarnation, back.assigned_by) == (None, None, None)
        assert await scene.event_kinds(job) == ["released"]

    @pytest.mark.parametrize("move", [Move.RETRY, Move.SNOOZE, Move.RELEASE])
    async def test_what_was_asked_to_be_cancelled_is_not_tried_again(
        self, scene: Scene, move: Move
    ) -> None:
        """A retry that did not know of the cancel ends the job in `cancelled`."""
        job = await scene.running()
        await scene.store.jobs.cancel(job.id)
        assert await scene.settle(job, move) is Verdict.RECORDED
        ended = await scene.now(job)
        assert (ended.state, ended.owner) == (State.CANCELLED, Owner.NONE)
        assert ended.finished_at == scene.clock.utc()

    @pytest.mark.parametrize(
        ("move", "state"), [(Move.SUCCEED, State.SUCCEEDED), (Move.FAIL, State.FAILED)]
    )
    async def test_what_the_worker_reports_wins_over_a_cancel(
        self, scene: Scene, move: Move, state: State
    ) -> None:
        """A job that ended before the cancel reached it ended as it did."""
        job = await scene.running()
        await scene.store.jobs.cancel(job.id)
        await scene.settle(job, move)
        assert (await scene.now(job)).state is state

    async def test_a_message_given_up_by_the_broker_fails_its_waiting_job(
        self, scene: Scene
    ) -> None:
        """The move `return` is for queued jobs only."""
        job = await scene.queued(lease=3)
        running = await scene.running()
        assert await scene.settle(running, Move.RETURN) is Verdict.DROPPED
        assert await scene.settle(job, Move.RETURN, error=BAD) is Verdict.RECORDED
        assert (await scene.now(job)).state is State.FAILED

    @pytest.mark.parametrize("move", [Move.ASSIGN, Move.REASSIGN, Move.DUE, Move.REQUEUE])
    async def test_a_move_that_is_no_outcome_is_refused(self, scene: Scene, move: Move) -> None:
        """It is a defect of the caller, and changes nothing."""
        job = await scene.running()
        with pytest.raises(IllegalMove):
            await scene.settle(job, move)
        assert await scene.now(job) == job

    async def test_an_outcome_of_an_earlier_run_is_dropped(self, scene: Scene) -> None:
        """The lease is never reset, so a requeued job does not take its first run's outcome."""
        failed = await scene.failed()
        await scene.store.jobs.requeue([failed.id])
        again = await scene.assign(await scene.now(failed))
        assert again is not None
        assert again.lease == 3
        for lease in (0, 1, 2):
            late = Settlement(
                token=Token(failed.id, lease), move=Move.SUCCEED, at=scene.clock.utc()
            )
            assert list(await scene.store.jobs.settle([late])) == [Verdict.DROPPED]

    async def test_many_outcomes_at_once_are_each_recorded(self, scene: Scene) -> None:
        """Every kind of outcome in one group, each with its own verdict and effect."""
        ends: dict[Move, State] = {
            Move.SUCCEED: State.SUCCEEDED,
            Move.FAIL: State.FAILED,
            Move.RETRY: State.SCHEDULED,
            Move.RELEASE: State.QUEUED,
            Move.CANCEL: State.CANCELLED,
        }
        jobs = [(await scene.running(), move) for move in list(ends) * 8]

        async def one(job: Job, move: Move, fields: dict[str, Any]) -> None:
            assert await scene.settle(job, move, **fields) is Verdict.RECORDED

        async with trio.open_nursery() as nursery:
            for job, move in jobs:
                nursery.start_soon(one, job, move, {"result": msgspec.json.encode(job.id)})
        for job, move in jobs:
            stored = await scene.now(job)
            assert stored.state is ends[move]
            assert stored.result == msgspec.Raw(msgspec.json.encode(job.id))
