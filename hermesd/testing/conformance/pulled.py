"""Jobs that ran at a broker while no api was there: what is made of their outcomes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hermesd.core.errors import IllegalMove
from hermesd.core.job import ErrorInfo, Owner, Rung
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import ClaimVerdict, Verdict
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import INCARNATION, WORKER, Conformance, Scene
from hermesd.testing.listing import all_ids

SUCCEEDED, FAILED = OutcomeKind.SUCCEEDED, OutcomeKind.FAILED


class PulledConformance(Conformance):
    """Outbox.settle_pulled."""

    async def test_claim_and_outcome_come_together(self, scene: Scene) -> None:
        """The attempt is counted and the worker known as if it had claimed the job."""
        job = await scene.at_broker(lease=4)
        scene.clock.advance(10)
        outcome = scene.pulled(job, SUCCEEDED, result=b"[1]")
        (answer,) = await scene.store.outbox.settle_pulled([outcome], scene.clock.utc())
        assert (answer.verdict, answer.waiting) == (Verdict.RECORDED, job)
        now, ran = await scene.now(job), answer.running
        assert ran is not None
        assert (ran.state, ran.lease, ran.attempts) == (State.RUNNING, 5, 1)
        assert answer.settlement is not None
        assert (answer.settlement.token, answer.settlement.move) == (ran.token, Move.SUCCEED)
        assert (now.state, now.owner, now.lease) == (State.SUCCEEDED, Owner.NONE, 5)
        assert (now.attempts, now.rung, now.worker_id) == (1, Rung.AMQP, WORKER)
        assert now.incarnation == INCARNATION
        assert (now.started_at, now.finished_at) == (scene.clock.utc() - 2, scene.clock.utc())
        assert now.result is not None
        assert bytes(now.result) == b"[1]"

    async def test_the_same_outcome_twice_is_dropped(self, scene: Scene) -> None:
        """In one call or in two, and the claim that comes later is refused."""
        await scene.living(INCARNATION)
        job = await scene.at_broker()
        outcome = scene.pulled(job, SUCCEEDED)
        assert await scene.settle_pulled(outcome, outcome) == [Verdict.RECORDED, Verdict.DROPPED]
        now = await scene.now(job)
        assert await scene.settle_pulled(outcome) == [Verdict.DROPPED]
        (answer,) = await scene.store.jobs.claim([await scene.claim(job)])
        assert answer.verdict is ClaimVerdict.FINISHED
        assert await scene.now(job) == now

    async def test_a_job_that_was_claimed_after_all_is_settled(self, scene: Scene) -> None:
        """By the incarnation that claimed it and by no other; the attempt is counted once."""
        await scene.living(INCARNATION)
        job = await scene.at_broker()
        outcomes = [scene.pulled(job, SUCCEEDED, incarnation=who) for who in ("x", INCARNATION)]
        await scene.store.jobs.claim([await scene.claim(job)])
        claimed = await scene.now(job)
        answers = await scene.store.outbox.settle_pulled(outcomes, scene.clock.utc())
        assert [one.verdict for one in answers] == [Verdict.DROPPED, Verdict.RECORDED]
        assert (answers[1].waiting, answers[1].running) == (None, claimed)
        now = await scene.now(job)
        assert (now.state, now.attempts, now.lease) == (State.SUCCEEDED, 1, 1)

    async def test_a_job_that_was_never_handed_over_is_settled(self, scene: Scene) -> None:
        """The api died between publishing and hand-over."""
        job = await scene.queued()
        assert await scene.settle_pulled(scene.pulled(job, SUCCEEDED)) == [Verdict.RECORDED]
        assert (await scene.now(job)).state is State.SUCCEEDED
        assert await scene.waiting() == []

    async def test_a_failure_is_tried_again_or_ends_the_job(self, scene: Scene) -> None:
        """By the attempts that it makes, this one included."""
        error = ErrorInfo(kind="error", message="no luck")
        first = await scene.at_broker(max_attempts=2, lease=3)
        last = await scene.at_broker(max_attempts=1)
        outcomes = [scene.pulled(job, FAILED, error=error) for job in (first, last)]
        assert await scene.settle_pulled(*outcomes) == [Verdict.RECORDED] * 2
        again, dead = await scene.now(first), await scene.now(last)
        assert (again.state, again.owner, again.lease) == (State.SCHEDULED, Owner.TIMER, 5)
        assert (again.attempts, again.error) == (1, error)
        assert again.run_at is not None
        assert again.run_at > scene.clock.utc()
        assert (dead.state, dead.attempts, dead.error) == (State.FAILED, 1, error)
        assert await scene.event_kinds(first) == ["retry"]
        assert await scene.event_kinds(last) == ["failed"]

    async def test_a_job_that_was_handed_back_waits_in_the_store(self, scene: Scene) -> None:
        """In its old place, the attempt given back."""
        job, later = await scene.at_broker(), await scene.queued()
        scene.clock.advance(3)
        outcome = scene.pulled(job, OutcomeKind.INTERRUPTED)
        assert await scene.settle_pulled(outcome) == [Verdict.RECORDED]
        now = await scene.now(job)
        assert (now.owner, now.lease, now.attempts) == (Owner.STORE, 2, 0)
        assert now.enqueued_at == job.enqueued_at
        assert await scene.waiting() == [job.id, later.id]

    async def test_what_moved_on_is_dropped(self, scene: Scene) -> None:
        """Taken back, cancelled, or no such job: nothing changes."""
        back, cancelled = await scene.at_broker(), await scene.at_broker()
        outcomes = [scene.pulled(job, SUCCEEDED) for job in (back, cancelled, scene.job())]
        await scene.store.outbox.take_back([back.token], scene.clock.utc())
        await scene.store.jobs.cancel(cancelled.id)
        before = [await scene.now(job) for job in (back, cancelled)]
        verdicts = [Verdict.DROPPED, Verdict.DROPPED, Verdict.UNKNOWN]
        assert await scene.settle_pulled(*outcomes) == verdicts
        assert [await scene.now(job) for job in (back, cancelled)] == before
        assert len(await all_ids(scene.store.reader)) == 2

    async def test_a_cancel_that_was_asked_for_ends_it(self, scene: Scene) -> None:
        """As with every outcome, what would be tried again is not."""
        await scene.living(INCARNATION)
        job = await scene.at_broker()
        outcome = scene.pulled(job, FAILED)
        await scene.store.jobs.claim([await scene.claim(job)])
        await scene.store.jobs.cancel(job.id)
        assert await scene.settle_pulled(outcome) == [Verdict.RECORDED]
        assert (await scene.now(job)).state is State.CANCELLED

    async def test_only_a_success_needs_no_settlement(self, scene: Scene) -> None:
        """For all else its job has to be read first."""
        jobs = [await scene.at_broker() for _ in range(2)]
        bare = [
            replace(scene.pulled(job, kind), settlement=None)
            for job, kind in zip(jobs, (SUCCEEDED, FAILED), strict=True)
        ]
        assert await scene.settle_pulled(*bare) == [Verdict.RECORDED, Verdict.RETRY]
        assert (await scene.now(jobs[0])).state is State.SUCCEEDED
        assert await scene.now(jobs[1]) == jobs[1]

    async def test_what_is_no_outcome_is_refused(self, scene: Scene) -> None:
        """An error for the caller, and nothing is recorded."""
        job = await scene.at_broker()
        strange = replace(scene.pulled(job, SUCCEEDED), settlement=scene.outcome(job, Move.DUE))
        with pytest.raises(IllegalMove):
            await scene.settle_pulled(scene.pulled(job, SUCCEEDED), strange)
        assert await scene.now(job) == job
