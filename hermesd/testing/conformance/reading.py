"""Questions: pages, filters, counts, events."""

from __future__ import annotations

import pytest

from hermesd.core.errors import InvalidValue
from hermesd.core.job import ErrorInfo, Job
from hermesd.core.records import JobFilter
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import API, WORKER, Conformance, Scene


class ReadingConformance(Conformance):
    """JobReader."""

    async def test_what_is_not_there_is_none(self, scene: Scene) -> None:
        """An unknown id is no error, alone or among others."""
        job = await scene.queued()
        assert await scene.store.reader.get("no-such-job") is None
        found = await scene.store.reader.get_many([job.id, "no-such-job", job.id])
        assert list(found) == [job]
        assert list(await scene.store.reader.get_many([])) == []

    async def test_pages_are_newest_first_and_complete(self, scene: Scene) -> None:
        """Every job once, the last page without a cursor."""
        jobs = [(await scene.queued()).id for _ in range(7)]
        assert await self._all_pages(scene, JobFilter(), 3) == jobs[::-1]
        page = await scene.store.reader.page(JobFilter(), None, 7)
        assert page.next_cursor is None

    async def test_a_cursor_is_stable_under_inserts(self, scene: Scene) -> None:
        """What comes in between two pages moves nothing."""
        jobs = [(await scene.queued()).id for _ in range(4)]
        first = await scene.store.reader.page(JobFilter(), None, 2)
        await scene.queued()
        await scene.store.jobs.cancel(jobs[3])
        rest = await scene.store.reader.page(JobFilter(), first.next_cursor, 2)
        assert [job.id for job in rest.jobs] == [jobs[1], jobs[0]]

    @pytest.mark.parametrize("cursor", ["", "x", "!!!", "ü", "bm9uZQ", "A" * 5000, "ajE6_w"])
    async def test_a_bad_cursor_is_refused(self, scene: Scene, cursor: str) -> None:
        """InvalidValue for what no listing has given out."""
        with pytest.raises(InvalidValue):
            await scene.store.reader.page(JobFilter(), cursor, 2)

    async def test_each_filter_picks_its_jobs(self, scene: Scene) -> None:
        """One field at a time, and two together."""
        plain = await scene.queued()
        mail = await scene.queued(type="mail", queue="slow", labels={"tenant": 'a"b', "x": "1"})
        running = await scene.running()
        scene.clock.advance(10)
        failed = await scene.failed(type="mail")
        await scene.settle(await scene.running(), Move.FAIL, error=ErrorInfo(kind="timeout"))
        slow = (await scene.store.reader.page(JobFilter(error_kind="timeout"), None, 9)).jobs
        later = scene.clock.utc()
        for wanted, expected in (
            (JobFilter(states=(State.QUEUED,)), [plain, mail]),
            (JobFilter(states=(State.FAILED,)), [failed, *slow]),
            (JobFilter(states=(State.QUEUED, State.RUNNING)), [plain, mail, running]),
            (JobFilter(types=("mail",)), [mail, failed]),
            (JobFilter(types=("mail",), states=(State.QUEUED,)), [mail]),
            (JobFilter(queues=("slow", "none")), [mail]),
            (JobFilter(ids=(plain.id, running.id, "no-such-job")), [plain, running]),
            (JobFilter(worker_id=WORKER), [running, failed, *slow]),
            (JobFilter(labels=(("tenant", 'a"b'),)), [mail]),
            (JobFilter(labels=(("tenant", 'a"b'), ("x", "2"))), []),
            (JobFilter(created_after=later), [failed, *slow]),
            (JobFilter(created_before=later), [plain, mail, running]),
            (JobFilter(error_kind="none"), []),
        ):
            await self._check(scene, wanted, expected)

    async def _check(self, scene: Scene, wanted: JobFilter, expected: list[Job]) -> None:
        ids = [job.id for job in expected]
        assert await self._all_pages(scene, wanted, 2) == ids[::-1], wanted
        assert await scene.store.reader.count(wanted) == len(ids)
        assert list(await scene.store.reader.matching_ids(wanted, 100)) == ids
        assert list(await scene.store.reader.matching_ids(wanted, 1)) == ids[:1]

    async def _all_pages(self, scene: Scene, wanted: JobFilter, limit: int) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            page = await scene.store.reader.page(wanted, cursor, limit)
            assert len(page.jobs) <= limit
            ids += [job.id for job in page.jobs]
            cursor = page.next_cursor
            if cursor is None:
                return ids

    async def test_counts_are_by_state_and_by_what_waits(self, scene: Scene) -> None:
        """All states are named, those with no job too."""
        for priority in (3, 3, 7):
            await scene.queued(priority=priority)
        await scene.queued(queue="slow", type="mail")
        await scene.running()
        await scene.scheduled(after=5)
        counts = await scene.store.reader.counts()
        assert counts.states == {
            State.QUEUED: 4,
            State.RUNNING: 1,
            State.SCHEDULED: 1,
            State.SUCCEEDED: 0,
            State.FAILED: 0,
            State.CANCELLED: 0,
        }
        assert counts.waiting == {
            ("default", "test.echo", 3): 2,
            ("default", "test.echo", 7): 1,
            ("slow", "mail", 3): 1,
        }
        live = await scene.store.reader.counts(live=True)
        assert live.states == {State.QUEUED: 4, State.RUNNING: 1, State.SCHEDULED: 1}
        assert live.waiting == counts.waiting

    async def test_an_api_finds_the_jobs_it_assigned(self, scene: Scene) -> None:
        """Running ones only, and only its own."""
        mine = await scene.running()
        await scene.running(assigned_by="another")
        await scene.failed()
        assert list(await scene.store.reader.assigned(API)) == [mine]

    async def test_events_are_in_order_with_their_run(self, scene: Scene) -> None:
        """Oldest first, each with its time, run and attempt."""
        job = await scene.running()
        await scene.settle(job, Move.RETRY, error=ErrorInfo(kind="error", message="again"))
        scene.clock.advance(1)
        await scene.store.jobs.cancel(job.id)
        events = await scene.store.reader.events(job.id)
        assert [(event.kind, event.message) for event in events] == [
            ("retry", "again"),
            ("cancelled", ""),
        ]
        assert [event.time for event in events] == [scene.clock.utc() - 1, scene.clock.utc()]
        assert {(event.job_type, event.run, event.attempt) for event in events} == {
            ("test.echo", 1, 1)
        }
        assert events[0].worker_id == WORKER
