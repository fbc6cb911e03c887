"""Inserts: all or none, as given, and once for each idempotency key."""

from __future__ import annotations

import msgspec
import pytest
import trio

from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.core.errors import (
    HermesError,
    IdempotencyConflict,
    IllegalMove,
    InvalidValue,
    Unstorable,
)
from hermesd.core.job import Job, Owner
from hermesd.core.records import Submission
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import Conformance, Scene
from hermesd.testing.listing import all_ids


class SubmittingConformance(Conformance):
    """JobStore.insert."""

    async def test_a_job_comes_back_as_it_was_answered(self, scene: Scene) -> None:
        """What insert answers is what is stored, every field of it."""
        job = scene.job(
            payload=msgspec.Raw(b'{"b" :1,\t"a": "\\u0000\xc3\xa4", "n": 1.50}'),
            labels={"tenant": "a'b\"c", "ü": ""},
            backoff=Backoff(kind=BackoffKind.LIST, delays=(0.1, 2.0)),
            timeout=0.25,
            priority=10,
            trace_context="00-ab-cd-01",
            limit_key="tenant:a",
        )
        (answer,) = await scene.submit(job)
        stored = await scene.now(job)
        assert stored == answer.job
        assert bytes(stored.payload) == bytes(job.payload)
        assert (stored.labels, stored.backoff, stored.timeout) == (
            job.labels,
            job.backoff,
            job.timeout,
        )

    async def test_jobs_that_are_apart_are_stored_each_by_itself(self, scene: Scene) -> None:
        """One that cannot be is answered with the error, in its place."""
        old = await scene.queued()
        jobs = (scene.job(), old, scene.job(state=State.RUNNING, lease=1, incarnation="inc-1"))
        stored = await scene.store.jobs.insert(Submission(jobs=jobs, apart=True))
        assert [type(one.error) for one in stored] == [type(None), Unstorable, type(None)]
        for one in (stored[0], stored[2]):
            assert await scene.now(one.job) == one.job
        assert await scene.now(old) == old
        with pytest.raises(InvalidValue):
            await scene.store.jobs.insert(Submission(jobs=jobs, keys=(None,) * 3, apart=True))

    async def test_times_that_are_missing_are_the_clocks(self, scene: Scene) -> None:
        """The store's clock dates a job that has no date."""
        job = await scene.queued()
        assert job.created_at == job.updated_at == job.enqueued_at == scene.clock.utc()

    async def test_the_state_gives_the_owner(self, scene: Scene) -> None:
        """Exactly one owner for each job that has not ended."""
        owners = [
            (await scene.queued()).owner,
            (await scene.running()).owner,
            (await scene.scheduled(after=5)).owner,
        ]
        assert owners == [Owner.STORE, Owner.INCARNATION, Owner.TIMER]

    async def test_a_job_cannot_begin_ended(self, scene: Scene) -> None:
        """A terminal state at the insert is refused, and nothing of the submission is stored."""
        with pytest.raises(IllegalMove):
            await scene.submit(scene.job(), scene.job(state=State.SUCCEEDED))
        assert len(await all_ids(scene.store.reader)) == 0

    async def test_a_submission_is_stored_whole_or_not(self, scene: Scene) -> None:
        """An id that exists already refuses the jobs beside it too."""
        first = await scene.queued()
        with pytest.raises(Unstorable):
            await scene.submit(scene.job(), scene.job(id=first.id), scene.job())
        assert len(await all_ids(scene.store.reader)) == 1

    async def test_an_empty_submission_is_no_error(self, scene: Scene) -> None:
        """Nothing in, nothing out."""
        assert list(await scene.submit()) == []

    async def test_a_bad_submission_harms_no_other(self, scene: Scene) -> None:
        """Of many at the same time only the bad ones are refused."""
        taken = await scene.queued()
        refused: list[HermesError] = []

        async def one(job: Job) -> None:
            try:
                await scene.submit(job)
            except Unstorable as error:
                refused.append(error)

        jobs = [scene.job(id=taken.id) if n % 10 == 3 else scene.job() for n in range(40)]
        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(one, job)
        assert len(refused) == 4
        assert len(await all_ids(scene.store.reader)) == 37

    async def test_a_repeated_key_answers_the_first_job(self, scene: Scene) -> None:
        """The same key and body: the first job, and nothing new."""
        (first,) = await scene.submit(scene.job(), keys=[scene.key("k")])
        (again,) = await scene.submit(scene.job(), keys=[scene.key("k")])
        assert again.repeated
        assert again.job == first.job
        assert len(await all_ids(scene.store.reader)) == 1

    async def test_a_key_with_another_body_is_a_conflict(self, scene: Scene) -> None:
        """It names the index, and the whole submission is refused."""
        await scene.submit(scene.job(), keys=[scene.key("k")])
        with pytest.raises(IdempotencyConflict) as raised:
            await scene.submit(scene.job(), scene.job(), keys=[None, scene.key("k", body="other")])
        assert raised.value.extra["index"] == 1
        assert len(await all_ids(scene.store.reader)) == 1

    async def test_a_conflict_leaves_no_key_behind(self, scene: Scene) -> None:
        """The keys of a refused submission are free."""
        await scene.submit(scene.job(), keys=[scene.key("k")])
        bad = [scene.key("free"), scene.key("k", body="other")]
        with pytest.raises(IdempotencyConflict):
            await scene.submit(scene.job(), scene.job(), keys=bad)
        (answer,) = await scene.submit(scene.job(), keys=[scene.key("free", body="new")])
        assert not answer.repeated

    async def test_a_key_twice_in_one_submission_makes_one_job(self, scene: Scene) -> None:
        """The second item gets the first's job."""
        answers = await scene.submit(
            scene.job(), scene.job(), keys=[scene.key("k"), scene.key("k")]
        )
        assert [answer.repeated for answer in answers] == [False, True]
        assert answers[0].job == answers[1].job
        assert len(await all_ids(scene.store.reader)) == 1

    async def test_keys_that_race_make_one_job(self, scene: Scene) -> None:
        """Of many submits with one key at the same time one is stored, the others get its id."""
        ids: list[tuple[bool, str]] = []

        async def one(job: Job) -> None:
            (answer,) = await scene.submit(job, keys=[scene.key("k")])
            ids.append((answer.repeated, answer.job.id))

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(one, scene.job())
        assert len({job_id for _, job_id in ids}) == 1
        assert sorted(repeated for repeated, _ in ids) == [False] + [True] * 29

    async def test_keys_of_different_principals_do_not_meet(self, scene: Scene) -> None:
        """A key belongs to its principal."""
        await scene.submit(scene.job(), keys=[scene.key("k")])
        other = msgspec.structs.replace(scene.key("k", body="x"), principal="another")
        (answer,) = await scene.submit(scene.job(), keys=[other])
        assert not answer.repeated

    async def test_a_key_expires_only_after_its_job_ended(self, scene: Scene) -> None:
        """While the job lives its key holds, expired or not; after that it is free."""
        job = await scene.running()
        (first,) = await scene.submit(scene.job(), keys=[scene.key("k", ttl=5)])
        scene.clock.advance(10)
        (again,) = await scene.submit(scene.job(), keys=[scene.key("k", ttl=5)])
        assert again.repeated
        await scene.store.jobs.cancel(first.job.id)
        (fresh,) = await scene.submit(scene.job(), keys=[scene.key("k", ttl=5)])
        assert not fresh.repeated
        assert fresh.job.id != job.id

    async def test_a_key_outlives_its_purged_job(self, scene: Scene) -> None:
        """Until it expires a repeat gets the id of the job that is gone, and runs nothing."""
        job = await scene.running()
        (first,) = await scene.submit(scene.job(), keys=[scene.key("k", ttl=60)])
        await scene.store.jobs.cancel(first.job.id)
        await scene.settle(job, Move.SUCCEED)
        assert await scene.store.jobs.purge([first.job.id]) == 1
        (again,) = await scene.submit(scene.job(), keys=[scene.key("k")])
        assert again.repeated
        assert (again.job.id, again.job.state) == (first.job.id, State.CANCELLED)
        assert await scene.store.reader.get(first.job.id) is None
