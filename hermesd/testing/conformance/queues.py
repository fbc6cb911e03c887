"""The suite for Queues."""

from __future__ import annotations

from hermesd.core.orders import QueuePause
from hermesd.core.states import Move
from hermesd.testing.conformance.scene import Conformance, Scene


class QueuesConformance(Conformance):
    """Every sentence of ports.Queues."""

    async def test_a_paused_queue_is_known_until_it_is_resumed(self, scene: Scene) -> None:
        """With since when, by whom and why."""
        queues = scene.store.queues
        assert await queues.paused() == []
        pause = await queues.pause("mail", reason="a quote ' and ünicode", by="ada@host")
        assert pause == QueuePause(
            queue="mail", since=scene.clock.utc(), reason="a quote ' and ünicode", by="ada@host"
        )
        await queues.pause("bulk", reason="", by="")
        assert [each.queue for each in await queues.paused()] == ["bulk", "mail"]
        assert (await queues.paused())[1] == pause
        assert await queues.resume("bulk") is True
        assert await queues.resume("bulk") is False
        assert await queues.paused() == [pause]

    async def test_a_second_pause_changes_the_reason_only(self, scene: Scene) -> None:
        """It has been paused since the first one."""
        queues, since = scene.store.queues, scene.clock.utc()
        await queues.pause("mail", reason="one", by="ada")
        scene.clock.advance(60)
        again = await queues.pause("mail", reason="two", by="bob")
        assert (again.since, again.reason, again.by) == (since, "two", "bob")
        assert await queues.paused() == [again]

    async def test_a_pause_leaves_jobs_alone(self, scene: Scene) -> None:
        """They come, wait, and are given out as ever: who asks for them has to know."""
        await scene.store.queues.pause("default", reason="", by="")
        job = await scene.queued()
        assert await scene.waiting() == [job.id]
        assert await scene.assign(job) is not None

    async def test_running_jobs_are_counted_by_queue(self, scene: Scene) -> None:
        """Those that run now."""
        queues = scene.store.queues
        assert await queues.running() == {}
        await scene.running(queue="a")
        await scene.running(queue="a")
        ended = await scene.running(queue="b")
        await scene.queued(queue="c")
        assert await queues.running() == {"a": 2, "b": 1}
        await scene.settle(ended, Move.SUCCEED)
        assert await queues.running() == {"a": 2}

    async def test_the_oldest_of_each_place_is_found(self, scene: Scene) -> None:
        """Of those that are asked for; where none waits nothing is answered."""
        queues, start = scene.store.queues, scene.clock.utc()
        first, second, third = ("a", "x", 3), ("a", "y", 9), ("b", "x", 3)
        for queue, job_type, priority in (first, first, second, third):
            await scene.queued(queue=queue, type=job_type, priority=priority)
            scene.clock.advance(10)
        await scene.running(queue="a", type="z")
        found = await queues.oldest([first, second, third, ("a", "z", 3), ("c", "x", 3)])
        assert found == {first: start, second: start + 20, third: start + 30}
        assert await queues.oldest([second]) == {second: start + 20}
        assert await queues.oldest([]) == {}

    async def test_jobs_at_the_broker_are_as_old_as_any(self, scene: Scene) -> None:
        """Whoever owns it, the older one counts."""
        queues, place = scene.store.queues, ("a", "x", 3)
        at_broker, start = await scene.at_broker(queue="a", type="x", priority=3), scene.clock.utc()
        scene.clock.advance(10)
        await scene.queued(queue="a", type="x", priority=3)
        assert await queues.oldest([place]) == {place: start}
        assert await scene.store.jobs.cancel(at_broker.id)
        assert await queues.oldest([place]) == {place: start + 10}
