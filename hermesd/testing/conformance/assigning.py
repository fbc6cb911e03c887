"""Assignments and claims: one lease for one worker."""

from __future__ import annotations

import msgspec
import trio

from hermesd.core.job import Owner, Rung, Token
from hermesd.core.records import Claim, ClaimVerdict, Verdict
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import API, INCARNATION, WORKER, Conformance, Scene


class AssigningConformance(Conformance):
    """JobStore.assign and JobStore.claim."""

    async def test_an_assignment_raises_lease_and_attempt(self, scene: Scene) -> None:
        """A queued job goes to its worker under the next lease."""
        await scene.living(INCARNATION)
        job = await scene.queued(lease=4)
        scene.clock.advance(2)
        given = await scene.assign(job)
        assert given is not None
        assert given == await scene.now(job)
        assert (given.state, given.owner, given.lease) == (State.RUNNING, Owner.INCARNATION, 5)
        assert (given.attempts, given.rung, given.started_at) == (1, Rung.PUSH, scene.clock.utc())
        assert (given.worker_id, given.incarnation) == (WORKER, INCARNATION)
        assert given.assigned_by == API

    async def test_an_old_token_assigns_nothing(self, scene: Scene) -> None:
        """Wrong lease, wrong state, no such job: None, and nothing changes."""
        job = await scene.queued(lease=4)
        older = msgspec.structs.replace(job, lease=3)
        assert await scene.assign(older) is None
        assert await scene.assign(job, move=Move.REASSIGN) is None
        assert await scene.assign(scene.job()) is None
        assert await scene.now(job) == job

    async def test_a_refused_job_moves_to_the_next_worker(self, scene: Scene) -> None:
        """A reassignment raises the lease and not the attempt, and the old lease is void."""
        job = await scene.running()
        await scene.living("inc-2")
        moved = await scene.assign(job, move=Move.REASSIGN, incarnation="inc-2")
        assert moved is not None
        assert (moved.lease, moved.attempts, moved.incarnation) == (2, 1, "inc-2")
        assert await scene.settle(job, Move.SUCCEED) is Verdict.DROPPED

    async def test_racing_assignments_give_one_lease(self, scene: Scene) -> None:
        """Of many assignments of one token one is granted."""
        job = await scene.queued()
        granted: list[int] = []

        async def one(number: int) -> None:
            given = await scene.assign(job, incarnation=f"inc-{number}")
            if given is not None:
                granted.append(given.lease)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one, number)
        assert granted == [1]

    async def test_each_of_several_is_assigned_by_itself(self, scene: Scene) -> None:
        """The answers come in order, None among them."""
        jobs = [await scene.queued() for _ in range(3)]
        await scene.store.jobs.cancel(jobs[1].id)
        orders = [scene.assignment(job, Move.ASSIGN, INCARNATION) for job in jobs]
        answers = await scene.store.jobs.assign(orders)
        assert [answer and answer.id for answer in answers] == [jobs[0].id, None, jobs[2].id]

    async def test_a_claim_is_granted_once_and_again(self, scene: Scene) -> None:
        """The same claim repeated by the same incarnation gets the same answer."""
        await scene.living(INCARNATION)
        job = await scene.queued(lease=2)
        claim = await scene.claim(job)
        (first,) = await scene.store.jobs.claim([claim])
        scene.clock.advance(1)
        (again,) = await scene.store.jobs.claim([claim])
        assert first.verdict is again.verdict is ClaimVerdict.GRANTED
        assert (first.repeated, again.repeated) == (False, True)
        assert first.job is not None
        assert first.job == again.job == await scene.now(job)
        assert (first.job.lease, first.job.attempts, first.job.rung) == (3, 1, Rung.AMQP)

    async def test_fifty_racing_claims_give_one_lease(self, scene: Scene) -> None:
        """One incarnation gets the job, all others are told that it runs elsewhere."""
        job = await scene.queued()
        verdicts: list[ClaimVerdict] = []
        for number in range(50):
            await scene.living(f"inc-{number}")

        async def one(number: int) -> None:
            claim = await scene.claim(job, incarnation=f"inc-{number}")
            verdicts.append(await self._verdict(scene, claim))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(one, number)
        assert verdicts.count(ClaimVerdict.GRANTED) == 1
        assert verdicts.count(ClaimVerdict.RUNNING_ELSEWHERE) == 49
        assert (await scene.now(job)).lease == 1

    async def test_a_claim_of_what_was_pushed_is_refused(self, scene: Scene) -> None:
        """To the very worker that claims, too: it must not run the job twice."""
        await scene.living(INCARNATION)
        job = await scene.queued()
        claim = await scene.claim(job)
        pushed = await scene.assign(job)
        assert await self._verdict(scene, claim) is ClaimVerdict.RUNNING_ELSEWHERE
        assert await scene.now(job) == pushed

    async def test_a_claim_of_what_ended_is_refused(self, scene: Scene) -> None:
        """Finished and cancelled are told apart."""
        await scene.living(INCARNATION)
        ended = await scene.running()
        message = await scene.claim(msgspec.structs.replace(ended, lease=0))
        await scene.settle(ended, Move.SUCCEED)
        assert await self._verdict(scene, message) is ClaimVerdict.FINISHED
        waiting = await scene.queued()
        message = await scene.claim(waiting)
        await scene.store.jobs.cancel(waiting.id)
        assert await self._verdict(scene, message) is ClaimVerdict.CANCELLED

    async def test_a_claim_with_an_older_lease_is_stale(self, scene: Scene) -> None:
        """The job waits again under a newer lease, or waits for its time."""
        job = await scene.running()
        message = await scene.claim(msgspec.structs.replace(job, lease=0))
        await scene.settle(job, Move.RELEASE)
        assert await self._verdict(scene, message) is ClaimVerdict.STALE
        later = await scene.scheduled(after=60)
        assert await self._verdict(scene, await scene.claim(later)) is ClaimVerdict.STALE

    async def test_a_claim_that_cannot_be_is_refused(self, scene: Scene) -> None:
        """An unknown job, a fenced or unknown incarnation, another store."""
        await scene.living(INCARNATION)
        job = await scene.queued()
        claim = await scene.claim(job)
        missing = msgspec.structs.replace(claim, token=Token("no-such-job", 0))
        assert await self._verdict(scene, missing) is ClaimVerdict.UNKNOWN
        foreign = msgspec.structs.replace(claim, store_id="another")
        assert await self._verdict(scene, foreign) is ClaimVerdict.FOREIGN_STORE
        stranger = msgspec.structs.replace(claim, incarnation="stranger")
        assert await self._verdict(scene, stranger) is ClaimVerdict.FENCED
        await scene.store.fleet.fence(INCARNATION, silent_for_seconds=None)
        assert await self._verdict(scene, claim) is ClaimVerdict.FENCED
        assert await scene.now(job) == job

    async def test_each_of_several_claims_is_answered_by_itself(self, scene: Scene) -> None:
        """In order; one message that is there twice is one job."""
        await scene.living(INCARNATION)
        jobs = [await scene.queued() for _ in range(3)]
        await scene.store.jobs.cancel(jobs[1].id)
        claims = [await scene.claim(job) for job in (*jobs, jobs[0])]
        claims.insert(2, msgspec.structs.replace(claims[0], store_id="another"))
        answers = await scene.store.jobs.claim(claims)
        granted, foreign = ClaimVerdict.GRANTED, ClaimVerdict.FOREIGN_STORE
        verdicts = [granted, ClaimVerdict.CANCELLED, foreign, granted, granted]
        assert [answer.verdict for answer in answers] == verdicts
        assert answers[0].job == answers[4].job == await scene.now(jobs[0])
        assert await scene.store.jobs.claim([]) == []

    async def _verdict(self, scene: Scene, claim: Claim) -> ClaimVerdict:
        (answer,) = await scene.store.jobs.claim([claim])
        return answer.verdict
