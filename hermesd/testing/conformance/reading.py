"""Questions: pages, filters, counts, events."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from hermesd.core.errors import InvalidValue
from hermesd.core.job import ErrorInfo, Job, Rung
from hermesd.core.records import JobFilter
from hermesd.core.searches import Reach
from hermesd.core.states import Move, State
from hermesd.stores.portion import MOST_BYTES
from hermesd.testing.conformance.scene import API, WORKER, Conformance, Scene, in_brief


class ReadingConformance(Conformance):
    """JobReader."""

    async def test_what_is_not_there_is_none(self, scene: Scene) -> None:
        """An unknown id is no error, alone or among others."""
        job = await scene.queued()
        assert await scene.store.reader.get("no-such-job") is None
        found = await scene.store.reader.get_many([job.id, "no-such-job", job.id])
        assert list(found) == [in_brief(job)]
        assert list(await scene.store.reader.get_many([])) == []

    async def test_many_jobs_are_read_without_what_they_carry(self, scene: Scene) -> None:
        """Alone each is whole."""
        job = await scene.running()
        await scene.settle(job, Move.SUCCEED, result=b'"done"')
        ended = await scene.now(job)
        assert (bytes(ended.payload), bytes(ended.result or b"")) == (bytes(job.payload), b'"done"')
        assert list(await scene.store.reader.get_many([job.id])) == [in_brief(ended)]

    async def test_a_page_of_large_jobs_ends_early(self, scene: Scene) -> None:
        """With no more than a portion of payloads and results, and what comes next is not lost."""
        half = msgspec.Raw(b'"%s"' % (b"x" * (MOST_BYTES // 2 - 2)))
        ended = await scene.running(payload=half)
        await scene.settle(ended, Move.SUCCEED, result=bytes(half))
        large = [await scene.queued(payload=half) for _ in range(3)]
        wanted, pages, cursor = JobFilter(), list[list[str]](), None
        while cursor is not None or not pages:
            page = await scene.store.reader.page(wanted, cursor, 10)
            pages.append([job.id for job in page.jobs])
            cursor = page.next_cursor
        newest = [job.id for job in reversed(large)]
        assert pages == [newest[:2], newest[2:], [ended.id]]

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

    async def test_each_filter_of_ended_jobs_picks_its_jobs(self, scene: Scene) -> None:
        """By the time of the end, by text, by the group of the error, and by priority."""
        waiting = await scene.queued(priority=7)
        first = await self._failed(scene, 'No "room" for 12 \\ things', traceback="at Kind line\n7")
        scene.clock.advance(5)
        then = scene.clock.utc()
        other = await self._failed(scene, 'No "room" for 7 \\ things\nat all', kind="timeout")
        group = 'No "room" for # \\ things'
        for wanted, expected in (
            (JobFilter(priorities=(7, 8)), [waiting]),
            (JobFilter(finished_after=then), [other]),
            (JobFilter(finished_before=then), [first]),
            (JobFilter(text='"ROOM" for'), [first, other]),
            (JobFilter(text="12 \\"), [first]),
            (JobFilter(text="KIND line\n"), [first]),
            (JobFilter(text="timeout"), [other]),
            (JobFilter(text="message"), []),
            (JobFilter(text="kind"), [first]),
            (JobFilter(text="%"), []),
            (JobFilter(text=waiting.id[6:].upper()), [waiting]),
            (JobFilter(error_kind="error", error=group), [first]),
            (JobFilter(error=group, states=(State.FAILED,)), [first, other]),
            (JobFilter(error=group), [first, other]),
            (JobFilter(error="No"), []),
            (JobFilter(error=""), []),
        ):
            await self._check(scene, wanted, expected)

    async def _failed(self, scene: Scene, message: str, **error: str) -> Job:
        job = await scene.running()
        given = ErrorInfo(**{"kind": "error", "message": message, **error})
        await scene.settle(job, Move.FAIL, error=given)
        return await scene.now(job)

    async def test_a_walk_meets_each_job_once(self, scene: Scene) -> None:
        """Stretch by stretch, the oldest first, up to the last one that is meant."""
        failed = [await scene.failed(payload=msgspec.Raw(b'"%d"' % place)) for place in range(5)]
        later = await scene.scheduled(after=5)
        await scene.queued()
        last = await scene.failed()
        dead = JobFilter(states=(State.FAILED,))
        met: list[str] = []
        start: str | None = ""
        while start is not None:
            reach = Reach(start=start, until=failed[-1].id, rows=2)
            walked = await scene.store.reader.walk(dead, reach)
            met += [job.id for job in walked.jobs]
            start = walked.next_start
        assert met == [job.id for job in failed]
        both = JobFilter(states=(State.FAILED, State.SCHEDULED))
        reach = Reach(start=failed[4].id, until=last.id, rows=9)
        walked = await scene.store.reader.walk(both, reach)
        assert [(job.id, job.state) for job in walked.jobs] == [
            (job.id, job.state) for job in (failed[4], later, last)
        ]
        assert walked.jobs[0].size_bytes == 3
        ids = (later.id, failed[0].id, "no-such-job")
        some = await scene.store.reader.walk(replace(dead, ids=ids), reach)
        assert some.jobs == ()
        reach = Reach(until="~", rows=1)
        some = await scene.store.reader.walk(replace(both, ids=ids), reach)
        assert [job.id for job in some.jobs] == [failed[0].id, later.id]
        assert some.next_start is None

    async def test_a_walk_looks_at_a_bounded_number_of_jobs(self, scene: Scene) -> None:
        """Whether they fit or not."""
        for kind in ("mail", "test.echo", "mail"):
            await scene.failed(type=kind)
        wanted = JobFilter(states=(State.FAILED,), types=("test.echo",))
        walked = await scene.store.reader.walk(wanted, Reach(until="~", rows=1))
        assert walked.jobs == ()
        assert walked.next_start is not None

    async def test_failed_jobs_are_grouped_by_their_error(self, scene: Scene) -> None:
        """Type, kind and first line, with numbers and ids as one; most jobs first."""
        begun = scene.clock.utc()
        await self._failed(scene, "job 3d6f0a1c-0000-4000-8000-00000000beef: 5 of 10 left")
        scene.clock.advance(3)
        newest = await self._failed(
            scene, f"job {'4' * 8}-{'b' * 4}-4000-8000-{'c' * 12}: 7 of 9 left"
        )
        await self._failed(scene, "no é\tleft\nsecond line")
        mail = await scene.failed(type="mail")
        await scene.queued()
        found = await scene.store.reader.error_groups(JobFilter())
        assert found.complete
        assert [(one.type, one.error, one.count) for one in found.groups][:1] == [
            ("test.echo", "job #: # of # left", 2)
        ]
        assert {(one.type, one.error_kind, one.error) for one in found.groups[1:]} == {
            ("test.echo", "error", "no é\tleft"),
            ("mail", "", ""),
        }
        first = found.groups[0]
        assert (first.oldest, first.newest, first.newest_id) == (begun, begun + 3, newest.id)
        narrow = await scene.store.reader.error_groups(JobFilter(types=("mail",)))
        assert [one.newest_id for one in narrow.groups] == [mail.id]

    async def _check(self, scene: Scene, wanted: JobFilter, expected: list[Job]) -> None:
        ids = [job.id for job in expected]
        assert await self._all_pages(scene, wanted, 2) == ids[::-1], wanted

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
        assert list(await scene.store.reader.assigned(API)) == [in_brief(mine)]

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

    async def test_events_that_end_an_attempt_tell_of_it(self, scene: Scene) -> None:
        """When it began, by which way, and the whole error; others tell nothing of one."""
        job = await scene.running(started_at=scene.clock.utc())
        begun = scene.clock.utc()
        scene.clock.advance(2.5)
        error = ErrorInfo(kind="error", message="n\u00e9 \x01 \\u0000", traceback="at line\n7")
        await scene.settle(job, Move.RETRY, error=error)
        await scene.store.jobs.requeue([job.id])
        again = await scene.assign(await scene.now(job))
        assert again is not None
        started = scene.clock.utc() + 1
        scene.clock.advance(3)
        await scene.store.jobs.cancel(job.id)
        await scene.settle(again, Move.FAIL, error=error, started_at=started)
        events = await scene.store.reader.events(job.id)
        assert [(event.kind, event.started_at, event.rung, event.error) for event in events] == [
            ("retry", begun, Rung.PUSH, error),
            ("due", None, None, None),
            ("cancel-requested", None, None, None),
            ("failed", started, Rung.PUSH, error),
        ]
