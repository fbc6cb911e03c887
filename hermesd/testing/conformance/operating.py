"""What operators do: cancel, requeue, purge."""

from __future__ import annotations

import pytest

from hermesd.core.errors import IllegalMove, NotFound
from hermesd.core.job import ErrorInfo, Owner
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import INCARNATION, Conformance, Scene
from hermesd.testing.listing import all_ids


class OperatingConformance(Conformance):
    """JobStore.cancel, requeue, purge."""

    async def test_a_waiting_job_is_cancelled(self, scene: Scene) -> None:
        """Queued or scheduled, it ends under the next lease, so that no message can start it."""
        for job in (await scene.queued(), await scene.scheduled(after=60)):
            ended = await scene.store.jobs.cancel(job.id)
            assert ended == await scene.now(job)
            assert (ended.state, ended.owner) == (State.CANCELLED, Owner.NONE)
            assert (ended.lease, ended.finished_at) == (job.lease + 1, scene.clock.utc())
            assert await scene.event_kinds(job) == ["cancelled"]
        assert await scene.waiting() == []

    async def test_a_running_job_is_marked(self, scene: Scene) -> None:
        """It runs on with its lease; asking twice is telling once."""
        job = await scene.running()
        for _ in range(2):
            marked = await scene.store.jobs.cancel(job.id)
            assert (marked.state, marked.lease) == (State.RUNNING, job.lease)
            assert marked.cancel_requested
        assert await scene.event_kinds(job) == ["cancel-requested"]

    async def test_what_has_ended_cannot_be_cancelled(self, scene: Scene) -> None:
        """IllegalMove for an ended job, NotFound for none."""
        job = await scene.failed()
        with pytest.raises(IllegalMove):
            await scene.store.jobs.cancel(job.id)
        with pytest.raises(NotFound):
            await scene.store.jobs.cancel("no-such-job")
        assert await scene.now(job) == job

    async def test_many_are_cancelled_at_once(self, scene: Scene) -> None:
        """Each as it was and as it is; None where nothing changes, and no error."""
        queued, later = await scene.queued(), await scene.scheduled(after=60)
        running, failed = await scene.running(), await scene.failed()
        ids = [queued.id, failed.id, later.id, "no-such-job", running.id, queued.id, running.id]
        answers = await scene.store.jobs.cancel_many(ids)
        assert [answer and (answer.before, answer.now.state) for answer in answers] == [
            (queued, State.CANCELLED),
            None,
            (later, State.CANCELLED),
            None,
            (running, State.RUNNING),
            None,
            None,
        ]
        assert [one.now for one in answers if one] == [
            await scene.now(job) for job in (queued, later, running)
        ]
        assert (await scene.now(running)).cancel_requested
        assert await scene.event_kinds(queued) == ["cancelled"]
        assert await scene.event_kinds(running) == ["cancel-requested"]
        assert list(await scene.store.jobs.cancel_many([])) == []

    async def test_a_requeue_starts_a_new_run(self, scene: Scene) -> None:
        """The counts begin anew, the lease goes on."""
        job = await scene.running(attempts=3, crash_count=2)
        await scene.settle(job, Move.FAIL, error=ErrorInfo(kind="error"), result=b"1")
        failed = await scene.now(job)
        scene.clock.advance(5)
        (again,) = await scene.store.jobs.requeue([failed.id])
        assert again == await scene.now(job)
        assert again is not None
        assert (again.state, again.owner, again.run) == (State.QUEUED, Owner.STORE, 2)
        assert (again.lease, again.attempts, again.crash_count) == (failed.lease + 1, 0, 0)
        assert (again.result, again.error) == (None, None)
        assert (again.started_at, again.finished_at) == (None, None)
        assert again.enqueued_at == scene.clock.utc()
        assert await scene.event_kinds(job) == ["failed", "requeued"]

    async def test_a_requeued_job_forgets_that_it_was_to_be_cancelled(self, scene: Scene) -> None:
        """The wish belonged to the run that failed."""
        job = await scene.running()
        await scene.store.jobs.cancel(job.id)
        await scene.settle(job, Move.FAIL)
        (again,) = await scene.store.jobs.requeue([job.id])
        assert again is not None
        assert not again.cancel_requested

    async def test_a_scheduled_job_is_made_due(self, scene: Scene) -> None:
        """An operator says: now. It is the same run."""
        job = await scene.scheduled(after=3600)
        (now,) = await scene.store.jobs.requeue([job.id])
        assert now is not None
        assert (now.state, now.run, now.lease) == (State.QUEUED, 1, 1)
        assert await scene.waiting() == [job.id]
        assert await scene.event_kinds(job) == ["due"]

    async def test_others_are_not_requeued(self, scene: Scene) -> None:
        """None for jobs that wait, run, ended well or do not exist, in the order asked."""
        queued, running = await scene.queued(), await scene.running()
        failed = await scene.failed()
        ids = [queued.id, failed.id, running.id, "no-such-job", failed.id]
        answers = await scene.store.jobs.requeue(ids)
        assert [answer is not None for answer in answers] == [False, True, False, False, False]
        assert await scene.now(running) == running

    async def test_only_ended_jobs_are_purged(self, scene: Scene) -> None:
        """They go with their events; what lives stays."""
        ended = await scene.failed()
        alive = [await scene.queued(), await scene.running(), await scene.scheduled(after=9)]
        ids = [ended.id, ended.id, *(job.id for job in alive), "no-such-job"]
        assert await scene.store.jobs.purge(ids) == 1
        assert await scene.store.reader.get(ended.id) is None
        assert await scene.event_kinds(ended) == []
        assert len(await all_ids(scene.store.reader)) == 3
        assert await scene.store.jobs.purge([]) == 0

    async def test_a_purged_jobs_outcome_is_unknown(self, scene: Scene) -> None:
        """Nothing comes back to life."""
        job = await scene.running(incarnation=INCARNATION)
        await scene.settle(job, Move.SUCCEED)
        await scene.store.jobs.purge([job.id])
        assert await scene.settle(job, Move.FAIL) == "unknown"
