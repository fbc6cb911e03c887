"""Jobs at a message broker: handed over, taken back, and run while no api was there."""

from __future__ import annotations

import trio
from msgspec.structs import replace

from hermesd.core.job import ErrorInfo, Job, Owner, Token
from hermesd.core.outcome import OutcomeKind
from hermesd.core.records import BrokerRange, ClaimVerdict, Verdict
from hermesd.core.states import Move, State
from hermesd.testing.conformance.pulled import PulledConformance
from hermesd.testing.conformance.scene import INCARNATION, Conformance, Scene, in_brief

SUCCEEDED, FAILED = OutcomeKind.SUCCEEDED, OutcomeKind.FAILED


class HandingOverConformance(Conformance):
    """Outbox.hand_over, take_back, with_broker, broker_counts."""

    async def test_a_job_at_the_broker_is_not_given_out(self, scene: Scene) -> None:
        """Its owner changes and nothing else, so that its message stays valid."""
        job = await scene.queued(lease=4)
        other = await scene.queued()
        scene.clock.advance(1)
        now = await self._handed_over(scene, job)
        assert now == replace(job, owner=Owner.AMQP)
        assert await scene.waiting() == [other.id]
        assert await scene.assign(now) is None
        assert (await scene.store.reader.counts()).waiting == {("default", "test.echo", 3): 2}
        assert await scene.store.reader.misowned(10) == []

    async def test_each_of_several_is_handed_over_by_itself(self, scene: Scene) -> None:
        """Only what still waits in the store at that lease; the same token twice serves once."""
        job, gone, there = [await scene.queued(lease=2) for _ in range(3)]
        await scene.store.jobs.cancel(gone.id)
        await self._handed_over(scene, there)
        running, later = await scene.running(), await scene.scheduled(after=60)
        older, missing = Token(job.id, 1), Token("no-such-job", 2)
        others = [gone.token, there.token, running.token, later.token]
        tokens = [older, job.token, *others, missing, job.token]
        answers = await scene.store.outbox.hand_over(tokens, scene.clock.utc())
        assert list(answers) == [False, True] + [False] * 6
        assert (await scene.now(running), await scene.now(later)) == (running, later)
        assert list(await scene.store.outbox.hand_over([], scene.clock.utc())) == []

    async def test_a_hand_over_after_a_claim_is_refused(self, scene: Scene) -> None:
        """A message can be claimed before its hand-over is committed."""
        await scene.living(INCARNATION)
        job = await scene.queued()
        (answer,) = await scene.store.jobs.claim([await scene.claim(job)])
        assert answer.verdict is ClaimVerdict.GRANTED
        assert list(await scene.store.outbox.hand_over([job.token], scene.clock.utc())) == [False]
        assert await scene.now(job) == answer.job

    async def test_a_job_at_the_broker_can_be_claimed(self, scene: Scene) -> None:
        """By the lease of its message."""
        await scene.living(INCARNATION)
        job = await scene.at_broker(lease=3)
        (answer,) = await scene.store.jobs.claim([await scene.claim(job)])
        assert answer.job is not None
        assert answer.job == await scene.now(job)
        assert (answer.job.owner, answer.job.lease) == (Owner.INCARNATION, 4)
        assert await self._counts(scene) == {}

    async def test_a_job_that_is_taken_back_waits_in_its_old_place(self, scene: Scene) -> None:
        """Under a new lease, so that its message is void."""
        await scene.living(INCARNATION)
        job, later = await scene.at_broker(lease=4), await scene.queued()
        claim = await scene.claim(job)
        scene.clock.advance(5)
        (back,) = await scene.store.outbox.take_back([job.token], scene.clock.utc())
        now = await scene.now(job)
        assert now == replace(job, owner=Owner.STORE, lease=5, updated_at=scene.clock.utc())
        assert back == in_brief(now)
        assert await scene.waiting() == [job.id, later.id]
        assert await self._counts(scene) == {}
        (answer,) = await scene.store.jobs.claim([claim])
        assert answer.verdict is ClaimVerdict.STALE

    async def test_a_take_back_wins_over_a_hand_over_that_comes_later(self, scene: Scene) -> None:
        """The broker can return a message before its hand-over is committed."""
        job = await scene.queued()
        (back,) = await scene.store.outbox.take_back([job.token], scene.clock.utc())
        assert back is not None
        assert (back.owner, back.lease) == (Owner.STORE, 1)
        assert list(await scene.store.outbox.hand_over([job.token], scene.clock.utc())) == [False]

    async def test_an_old_token_takes_nothing_back(self, scene: Scene) -> None:
        """Wrong lease, running, ended, no such job, or taken back before."""
        job, ended = await scene.at_broker(), await scene.at_broker()
        running = await scene.running()
        await scene.store.jobs.cancel(ended.id)
        strange = [Token(job.id, 1), ended.token, running.token, Token("no-such-job", 0)]
        tokens = [*strange, job.token, job.token]
        answers = await scene.store.outbox.take_back(tokens, scene.clock.utc())
        assert [answer and answer.id for answer in answers] == [None] * 4 + [job.id, None]
        assert await scene.now(running) == running

    async def test_of_a_hand_over_and_a_claim_one_comes_first(self, scene: Scene) -> None:
        """Whichever it is, the job runs once and nobody else owns it."""
        await scene.living(INCARNATION)
        jobs = [await scene.queued() for _ in range(20)]
        handed: list[bool] = []

        async def hand_over(job: Job) -> None:
            handed.extend(await scene.store.outbox.hand_over([job.token], scene.clock.utc()))

        async def claim(job: Job) -> None:
            (answer,) = await scene.store.jobs.claim([await scene.claim(job)])
            assert answer.verdict is ClaimVerdict.GRANTED

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(hand_over, job)
                nursery.start_soon(claim, job)
        assert len(handed) == 20
        for job in jobs:
            now = await scene.now(job)
            assert (now.state, now.owner, now.lease) == (State.RUNNING, Owner.INCARNATION, 1)
        assert await self._counts(scene) == {}

    async def test_what_is_at_the_broker_is_found_by_band_and_time(self, scene: Scene) -> None:
        """The longest there first; both ends of the band are in it, the time is not."""
        jobs = []
        for priority in (3, 6, 4, 7, 2):
            jobs.append(await scene.at_broker(priority=priority))
            scene.clock.advance(1)
        await scene.at_broker(priority=4, queue="slow")
        await scene.queued(priority=4)
        before = scene.clock.utc()
        first = BrokerRange(queue="default", lowest=3, highest=6, published_before=before, limit=9)
        tokens = [jobs[place].token for place in (0, 1, 2)]
        assert list(await scene.store.outbox.with_broker(first)) == tokens
        fewer = replace(first, limit=2)
        assert list(await scene.store.outbox.with_broker(fewer)) == tokens[:2]
        earlier = replace(first, published_before=before - 4)
        assert list(await scene.store.outbox.with_broker(earlier)) == tokens[:1]
        assert list(await scene.store.outbox.with_broker(replace(first, limit=0))) == []
        all_of_them = replace(first, lowest=-1, highest=99)
        assert len(await scene.store.outbox.with_broker(all_of_them)) == 5
        assert list(await scene.store.outbox.with_broker(replace(first, lowest=7))) == []

    async def test_what_is_at_the_broker_is_counted(self, scene: Scene) -> None:
        """By queue and priority, as far as it was published before a time."""
        await scene.at_broker(priority=10)
        early = scene.clock.utc()
        scene.clock.advance(1)
        for queue in ("default", "slow", "slow"):
            await scene.at_broker(queue=queue)
        await scene.queued()
        counts = {("default", 10): 1, ("default", 3): 1, ("slow", 3): 2}
        assert await self._counts(scene) == counts
        found = await scene.store.outbox.broker_counts(early + 0.5)
        assert dict(found) == {("default", 10): 1}
        assert dict(await scene.store.outbox.broker_counts(early)) == {}

    async def test_operators_reach_what_is_at_the_broker(self, scene: Scene) -> None:
        """A cancelled job's message is void; it waits already, and is not to be purged."""
        await scene.living(INCARNATION)
        job = await scene.at_broker()
        assert await scene.store.jobs.requeue([job.id]) == [None]
        assert await scene.store.jobs.purge([job.id]) == 0
        cancelled = await scene.store.jobs.cancel(job.id)
        assert (cancelled.state, cancelled.owner) == (State.CANCELLED, Owner.NONE)
        (answer,) = await scene.store.jobs.claim([await scene.claim(job)])
        assert answer.verdict is ClaimVerdict.CANCELLED
        assert await self._counts(scene) == {}
        assert await scene.store.jobs.purge([job.id]) == 1

    async def test_a_job_that_the_broker_gave_up_can_fail(self, scene: Scene) -> None:
        """And an operator starts it anew: in the store, with nothing left of its publishing."""
        job = await scene.at_broker(lease=2)
        assert await scene.settle(job, Move.RETURN, error=ErrorInfo(kind="error")) is (
            Verdict.RECORDED
        )
        dead = await scene.now(job)
        assert (dead.state, dead.owner, dead.lease) == (State.FAILED, Owner.NONE, 2)
        (again,) = await scene.store.jobs.requeue([job.id])
        assert again is not None
        assert (again.owner, again.lease) == (Owner.STORE, 3)
        assert await scene.waiting() == [job.id]
        assert await self._counts(scene) == {}

    async def _handed_over(self, scene: Scene, job: Job) -> Job:
        assert list(await scene.store.outbox.hand_over([job.token], scene.clock.utc())) == [True]
        return await scene.now(job)

    async def _counts(self, scene: Scene) -> dict[tuple[str, int], int]:
        return dict(await scene.store.outbox.broker_counts(scene.clock.utc() + 1))


class OutboxConformance(HandingOverConformance, PulledConformance):
    """Every sentence of ports.Outbox."""
