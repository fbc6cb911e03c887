"""The suite for the fires of schedules."""

from __future__ import annotations

import pytest
import trio

from hermesd.core.errors import Unstorable
from hermesd.core.job import Job, Owner
from hermesd.core.schedule import FireKind, Firing, FiringAnswer, PlannedFire, Schedule, Source
from hermesd.core.states import Move, State
from hermesd.testing.conformance.keeping import every_minute, put, stored
from hermesd.testing.conformance.scene import Conformance, Scene

MINUTE = 60.0


async def fire_next(scene: Scene, schedule: Schedule, job: Job) -> FiringAnswer:
    """One fire at its next time, the one after it a minute later."""
    time = schedule.next_at
    assert time is not None
    return await scene.store.schedules.fire(
        Firing(
            schedule=schedule.name,
            revision=schedule.revision,
            expected=time,
            next_at=time + MINUTE,
            fires=(PlannedFire(time=time, kind=FireKind.FIRED, job=job),),
        )
    )


async def lonely(scene: Scene, job: Job) -> FireKind | None:
    """What became of the next fire, each at its own time."""
    known = await scene.store.schedules.get("s")
    if known is None:
        known = await put(scene)
    time = known.next_at
    assert time is not None
    fire = PlannedFire(time=time, kind=FireKind.FIRED, job=job, alone=True)
    answer = await scene.store.schedules.fire(
        Firing(schedule="s", revision=1, expected=time, next_at=time + MINUTE, fires=(fire,))
    )
    return answer.fires[0].kind


class FiringConformance(Conformance):
    """A fire, its job and the schedule's next time are one."""

    async def test_a_fire_stores_its_job_and_moves_the_schedule(self, scene: Scene) -> None:
        """All in one step; the job waits as one that was submitted."""
        now = scene.clock.utc()
        schedule = await put(scene)
        job = scene.job()
        answer = await fire_next(scene, schedule, job)
        assert answer.done
        (fired,) = answer.fires
        assert (fired.time, fired.kind) == (now, FireKind.FIRED)
        assert fired.job == await scene.now(job)
        assert (fired.job.state, fired.job.owner) == (State.QUEUED, Owner.STORE)
        assert await scene.waiting() == [job.id]
        after = await stored(scene)
        assert (after.next_at, after.revision, after.oldest_fire) == (now + MINUTE, 1, now)
        (record,) = await scene.store.schedules.fires("s", 10)
        assert (record.time, record.kind, record.job_id) == (now, FireKind.FIRED, job.id)
        assert record.created_at == now

    async def test_a_fire_may_start_later(self, scene: Scene) -> None:
        """Its job is scheduled then."""
        now = scene.clock.utc()
        job = scene.job(state=State.SCHEDULED, run_at=now + 5)
        await fire_next(scene, await put(scene), job)
        assert (await scene.now(job)).owner is Owner.TIMER
        assert await scene.store.jobs.next_due() == now + 5

    async def test_only_one_of_two_moves_a_schedule(self, scene: Scene) -> None:
        """The second finds it moved, and stores nothing."""
        schedule = await put(scene)
        first, second = scene.job(), scene.job()
        assert (await fire_next(scene, schedule, first)).done
        answer = await fire_next(scene, schedule, second)
        assert answer == FiringAnswer(done=False)
        assert await scene.store.reader.get(second.id) is None

    async def test_of_many_at_once_one_fires(self, scene: Scene) -> None:
        """However they meet."""
        schedule = await put(scene)
        jobs = [scene.job() for _ in range(20)]
        answers: list[FiringAnswer] = []

        async def fire(job: Job) -> None:
            answers.append(await fire_next(scene, schedule, job))

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(fire, job)
        assert sorted(answer.done for answer in answers) == [False] * 19 + [True]
        assert len(await scene.waiting()) == 1

    async def test_a_change_of_the_schedule_stops_a_fire_of_the_old_one(self, scene: Scene) -> None:
        """So does a pause; both are at another revision."""
        schedule = await put(scene)
        await put(scene, definition=every_minute("other"), replace=True)
        assert not (await fire_next(scene, schedule, scene.job())).done
        changed = await stored(scene)
        await scene.store.schedules.pause("s", 2, paused=True, next_at=None)
        assert not (await fire_next(scene, changed, scene.job())).done
        assert await scene.waiting() == []

    async def test_a_fire_is_never_twice(self, scene: Scene) -> None:
        """Though the schedule was moved back to a time that it has fired at."""
        now = scene.clock.utc()
        schedule = await put(scene)
        job, again = scene.job(), scene.job()
        await fire_next(scene, schedule, job)
        back = Firing(schedule="s", revision=1, expected=now + MINUTE, next_at=now)
        assert (await scene.store.schedules.fire(back)).done
        answer = await fire_next(scene, schedule, again)
        assert answer.done
        assert [(one.kind, one.job) for one in answer.fires] == [(None, None)]
        assert await scene.store.reader.get(again.id) is None
        assert (await stored(scene)).next_at == now + MINUTE

    async def test_several_fires_are_recorded_in_one_step(self, scene: Scene) -> None:
        """With and without jobs; the jobs wait in the order of their times."""
        now = scene.clock.utc()
        await put(scene)
        jobs = [scene.job() for _ in range(3)]
        fires = [PlannedFire(time=now - 1, kind=FireKind.MISSED)]
        fires += [
            PlannedFire(time=now + n, kind=FireKind.FIRED, job=job) for n, job in enumerate(jobs)
        ]
        firing = Firing(schedule="s", revision=1, expected=now, next_at=None, fires=tuple(fires))
        answer = await scene.store.schedules.fire(firing)
        assert [one.kind for one in answer.fires] == ["missed", "fired", "fired", "fired"]
        assert await scene.waiting() == [job.id for job in jobs]
        records = await scene.store.schedules.fires("s", 3)
        assert [record.time for record in records] == [now + 2, now + 1, now]
        assert (await stored(scene)).next_at is None

    async def test_a_job_that_cannot_be_stored_leaves_no_fire(self, scene: Scene) -> None:
        """All or nothing: the schedule has not moved either."""
        schedule = await put(scene)
        known = await scene.queued()
        with pytest.raises(Unstorable):
            await fire_next(scene, schedule, scene.job(id=known.id))
        assert await scene.store.schedules.fires("s", 10) == []
        assert (await stored(scene)).next_at == schedule.next_at

    async def test_a_fire_by_hand_leaves_the_next_time(self, scene: Scene) -> None:
        """Also while the schedule is paused."""
        now = scene.clock.utc()
        await put(scene, next_at=now + 5)
        for n in range(2):
            fire = PlannedFire(time=now + n / 2, kind=FireKind.TRIGGERED, job=scene.job())
            answer = await scene.store.schedules.fire(Firing(schedule="s", fires=(fire,)))
            assert (answer.done, answer.fires[0].kind) == (True, FireKind.TRIGGERED)
            assert (await stored(scene)).next_at == (None if n else now + 5)
            revision = (await stored(scene)).revision
            await scene.store.schedules.pause("s", revision, paused=True, next_at=None)
        assert len(await scene.waiting()) == 2

    async def test_a_lonely_fire_waits_for_the_end_of_the_last_ones_job(self, scene: Scene) -> None:
        """Queued, running or scheduled, it lives; once it has ended, the next fire has a job."""
        now = scene.clock.utc()
        job = scene.job(state=State.SCHEDULED, run_at=now)
        kinds = [await lonely(scene, job)]
        kinds.append(await lonely(scene, scene.job()))
        (due,) = await scene.store.jobs.release_due(1)
        kinds.append(await lonely(scene, scene.job()))
        await scene.living("inc-1")
        running = await scene.assign(due)
        assert running is not None
        kinds.append(await lonely(scene, scene.job()))
        await scene.settle(running, Move.SUCCEED)
        kinds.append(await lonely(scene, scene.job()))
        kinds.append(await lonely(scene, scene.job()))
        expected = [FireKind.FIRED] + [FireKind.OVERLAPPED] * 3
        assert kinds == [*expected, FireKind.FIRED, FireKind.OVERLAPPED]
        assert len(await scene.waiting()) == 1

    async def test_of_several_lonely_fires_in_one_step_the_first_has_a_job(
        self, scene: Scene
    ) -> None:
        """The others see it live."""
        now = scene.clock.utc()
        await put(scene)
        fires = tuple(
            PlannedFire(time=now + n, kind=FireKind.FIRED, job=scene.job(), alone=True)
            for n in range(3)
        )
        firing = Firing(schedule="s", revision=1, expected=now, next_at=None, fires=fires)
        answer = await scene.store.schedules.fire(firing)
        assert [one.kind for one in answer.fires] == ["fired", "overlapped", "overlapped"]

    async def test_old_fires_are_forgotten_but_the_newest(self, scene: Scene) -> None:
        """By age and by number, and never beyond the last one with a job."""
        now, schedules = scene.clock.utc(), scene.store.schedules
        await put(scene)
        for n in range(6):
            job = scene.job() if n == 4 else None
            fire = PlannedFire(time=now + n, kind=FireKind.FIRED, job=job)
            await schedules.fire(Firing(schedule="s", fires=(fire,)))
        assert await schedules.prune("s", before=now + 1, keep=1) == 1
        assert await schedules.prune("s", before=now + 10, keep=4) == 1
        assert await schedules.prune("s", before=now + 10, keep=1) == 2
        assert await schedules.prune("s", before=now + 10, keep=1) == 0
        left = [record.time for record in await schedules.fires("s", 10)]
        assert left == [now + 5, now + 4]
        assert (await stored(scene)).oldest_fire == now + 4
        assert await schedules.prune("other", before=now, keep=1) == 0

    async def test_a_deleted_schedule_leaves_its_jobs(self, scene: Scene) -> None:
        """Of its fires nothing is known any more."""
        schedule = await put(scene)
        job = scene.job()
        await fire_next(scene, schedule, job)
        await scene.store.schedules.delete("s", Source.API)
        assert await scene.store.schedules.fires("s", 10) == []
        assert await scene.waiting() == [job.id]
