"""The walk over jobs that have ended, from which retention picks those to purge."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hermesd.core.job import ErrorInfo, Job
from hermesd.core.records import EndedPage, EndedRange
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import Conformance, Scene

LAST = "g"  # sorts behind every id in hexadecimal digits


class RetainingConformance(Conformance):
    """JobReader.ended."""

    async def test_ended_jobs_come_by_id_as_they_ended(self, scene: Scene) -> None:
        """Each with its type, state, time and size, whatever the order in which they ended."""
        text = msgspec.Raw('"ü"'.encode())
        first, second = await scene.running(type="mail", payload=text), await scene.queued()
        third = await scene.running()
        await scene.settle(third, Move.FAIL, error=ErrorInfo(kind="error"))
        await scene.store.jobs.cancel(second.id)
        scene.clock.advance(2.5)
        await scene.settle(first, Move.SUCCEED, result=b"12345")
        page = await self._walk(scene)
        now = scene.clock.utc()
        found = [(job.id, job.type, job.state, now - job.finished_at) for job in page.jobs]
        assert found == [
            (first.id, "mail", State.SUCCEEDED, 0.0),
            (second.id, "test.echo", State.CANCELLED, 2.5),
            (third.id, "test.echo", State.FAILED, 2.5),
        ]
        size = len(bytes(third.payload))
        assert [job.size_bytes for job in page.jobs] == [4 + 5, size, size]
        assert page.last_id == third.id

    async def test_what_lives_is_passed_by(self, scene: Scene) -> None:
        """Nothing of it is answered, but it has been looked at."""
        await scene.queued()
        await scene.running()
        last = await scene.scheduled(after=-60)
        page = await self._walk(scene)
        assert (page.jobs, page.last_id) == ((), last.id)

    async def test_each_state_has_its_time(self, scene: Scene) -> None:
        """At that time or before; a state that is not named is not wanted."""
        failed = await scene.failed()
        succeeded = await self._succeeded(scene)
        cancelled = await scene.queued()
        await scene.store.jobs.cancel(cancelled.id)
        now = scene.clock.utc()
        scene.clock.advance(60)
        times = {State.FAILED: now, State.SUCCEEDED: now - 0.000001}
        assert self._ids(await self._walk(scene, before=times)) == [failed.id]
        times = {State.SUCCEEDED: now, State.CANCELLED: now + 60}
        assert self._ids(await self._walk(scene, before=times)) == [succeeded.id, cancelled.id]

    async def test_a_requeued_job_has_not_ended(self, scene: Scene) -> None:
        """It is in a new run."""
        failed = await scene.failed()
        await scene.store.jobs.requeue([failed.id])
        assert self._ids(await self._walk(scene)) == []

    async def test_the_limit_is_on_what_is_looked_at(self, scene: Scene) -> None:
        """Live jobs count too, and the walk goes on behind the last id."""
        jobs = [await scene.queued() for _ in range(3)]
        jobs += [await scene.failed() for _ in range(4)]
        seen: list[list[str]] = []
        place: str | None = ""
        while place is not None:
            page = await self._walk(scene, after=place, limit=2)
            seen.append(self._ids(page))
            place = page.last_id
        ids = [job.id for job in jobs]
        assert seen == [[], [ids[3]], ids[4:6], ids[6:], []]

    async def test_the_range_is_between_its_ends(self, scene: Scene) -> None:
        """Neither end is in it; where nothing is, there is no last id."""
        ids = [(await scene.failed()).id for _ in range(4)]
        page = await self._walk(scene, after=ids[0], until=ids[3])
        assert (self._ids(page), page.last_id) == (ids[1:3], ids[2])
        page = await self._walk(scene, after=ids[3])
        assert (page.jobs, page.last_id) == ((), None)
        page = await self._walk(scene, after=ids[2], until=ids[1])
        assert (page.jobs, page.last_id) == ((), None)

    async def test_what_was_found_is_purged_with_its_key_kept(self, scene: Scene) -> None:
        """A repeat of the submit learns how the job ended, until its key expires."""
        (answer,) = await scene.submit(scene.job(), keys=[scene.key("k", ttl=60)])
        await scene.store.jobs.cancel(answer.job.id)
        found = self._ids(await self._walk(scene))
        assert await scene.store.jobs.purge(found) == 1
        assert self._ids(await self._walk(scene)) == []
        (again,) = await scene.submit(scene.job(), keys=[scene.key("k")])
        assert (again.repeated, again.job.id, again.job.state) == (True, found[0], State.CANCELLED)

    async def _succeeded(self, scene: Scene) -> Job:
        job = await scene.running()
        await scene.settle(job, Move.SUCCEED)
        return job

    def _ids(self, page: EndedPage) -> list[str]:
        return [job.id for job in page.jobs]

    async def _walk(
        self,
        scene: Scene,
        *,
        after: str = "",
        until: str = LAST,
        limit: int = 100,
        before: Mapping[State, float] | None = None,
    ) -> EndedPage:
        now = scene.clock.utc()
        times = {state: now for state in State if state.terminal} if before is None else before
        wanted = EndedRange(after=after, until=until, limit=limit, before=times)
        return await scene.store.reader.ended(wanted)
