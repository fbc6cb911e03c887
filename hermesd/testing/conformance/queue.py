"""The suite for JobQueue; its module has fixtures `store`, `clock` and `queue` (over the store)."""

from __future__ import annotations

from msgspec.structs import replace

from hermesd.core.job import Rung
from hermesd.core.records import Waiting
from hermesd.ports import JobQueue
from hermesd.testing.conformance.scene import Conformance, Scene

HERE = Waiting(pairs=(("default", "test.echo"),), limit=10, most_bytes=1_000_000)


class JobQueueConformance(Conformance):
    """Every sentence of ports.JobQueue that holds for each rung."""

    async def test_it_is_a_rung_below_push(self, queue: JobQueue) -> None:
        """Push is not a queue."""
        assert queue.rung in (Rung.STORE, Rung.AMQP)

    async def test_it_serves(self, queue: JobQueue) -> None:
        """And has no reason not to."""
        status = await queue.status()
        assert status.serving
        assert not status.reason

    async def test_what_is_offered_can_be_taken(self, scene: Scene, queue: JobQueue) -> None:
        """One answer each; taking leaves the jobs until they are assigned."""
        jobs = [await scene.queued(), await scene.queued(priority=10)]
        assert list(await queue.offer(jobs)) == [True, True]
        for _ in range(2):
            taken = (await queue.take(HERE)).jobs
            assert [job.id for job in taken] == [jobs[1].id, jobs[0].id]

    async def test_offering_again_doubles_nothing(self, scene: Scene, queue: JobQueue) -> None:
        """An offer whose answer was lost is repeated."""
        job = await scene.queued()
        await queue.offer([job])
        await queue.offer([job])
        assert [one.id for one in (await queue.take(HERE)).jobs] == [job.id]

    async def test_only_what_is_wanted_is_taken(self, scene: Scene, queue: JobQueue) -> None:
        """Other pairs stay, and the limit holds."""
        jobs = [await scene.queued(), await scene.queued(), await scene.queued(type="other")]
        await queue.offer(jobs)
        taken = await queue.take(replace(HERE, limit=1))
        assert ([job.id for job in taken.jobs], taken.everything) == ([jobs[0].id], False)
        taken = await queue.take(replace(HERE, pairs=(("none", "test.echo"),)))
        assert (list(taken.jobs), taken.everything) == ([], True)

    async def test_nothing_offered_is_no_error(self, queue: JobQueue) -> None:
        """An empty offer is answered empty."""
        assert list(await queue.offer([])) == []
