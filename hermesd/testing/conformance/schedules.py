"""The suite for Schedules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from hermesd.core.errors import Conflict, NotFound, Unstorable
from hermesd.core.job import Job, Owner
from hermesd.core.schedule import (
    FireKind,
    Firing,
    FiringAnswer,
    Misfire,
    Overlap,
    PlannedFire,
    Schedule,
    ScheduleDefinition,
    Source,
)
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import Conformance, Scene

MINUTE = 60.0


class SchedulesConformance(Conformance):
    """Every sentence of ports.Schedules."""

    async def test_a_schedule_is_kept_whole(self, scene: Scene) -> None:
        """Its definition, payload byte for byte, comes back as it was given."""
        definition = ScheduleDefinition(
            cron="*/5 * * * *",
            timezone="Europe/Berlin",
            type="email.send",
            payload=msgspec.Raw('{"to": "ü", "n": 1.0}'.encode()),
            queue="mail",
            priority="high",
            max_attempts=2,
            timeout=7.5,
            labels={"team": "a"},
            jitter_seconds=3.0,
            misfire=Misfire.CATCH_UP,
            misfire_grace_seconds=9.0,
            catch_up_limit=4,
            overlap=Overlap.SKIP,
            description="every five minutes",
        )
        made = await self._put(scene, definition=definition, next_at=scene.clock.utc() + 1.5)
        assert made == await self._get(scene)
        assert bytes(made.definition.payload) == b'{"to": "\xc3\xbc", "n": 1.0}'
        payload = made.definition.payload
        assert msgspec.structs.replace(definition, payload=payload) == made.definition
        now = scene.clock.utc()
        assert (made.created_at, made.updated_at, made.next_at) == (now, now, now + 1.5)
        assert (made.source, made.paused, made.revision) == (Source.API, False, 1)

    async def test_a_replaced_schedule_is_at_a_new_revision(self, scene: Scene) -> None:
        """Its age stays."""
        first = await self._put(scene)
        scene.clock.advance(5)
        second = await self._put(scene, definition=self._definition("other"), replace=True)
        assert (second.revision, second.definition.type) == (2, "other")
        assert (second.created_at, second.updated_at) == (first.created_at, scene.clock.utc())

    async def test_a_schedule_is_not_made_twice(self, scene: Scene) -> None:
        """Unless it is to be replaced."""
        await self._put(scene)
        with pytest.raises(Conflict):
            await self._put(scene, definition=self._definition("other"))
        assert (await self._get(scene)).definition.type == "test.echo"

    async def test_the_configurations_schedules_are_its_own(self, scene: Scene) -> None:
        """They are neither changed nor deleted from outside; it may take over another one."""
        await self._put(scene)
        await self._put(scene, source=Source.CONFIG, replace=True)
        with pytest.raises(Conflict):
            await self._put(scene, replace=True)
        with pytest.raises(Conflict):
            await scene.store.schedules.delete("s", Source.API)
        assert (await self._get(scene)).source is Source.CONFIG
        await scene.store.schedules.delete("s", Source.CONFIG)
        assert await scene.store.schedules.get("s") is None

    async def test_what_is_not_there_is_told(self, scene: Scene) -> None:
        """When it is read, deleted, changed or triggered."""
        schedules = scene.store.schedules
        assert await schedules.get("s") is None
        assert await schedules.fires("s", 10) == []
        assert await schedules.pause("s", 1, paused=True, next_at=None) is None
        with pytest.raises(NotFound):
            await schedules.delete("s", Source.API)
        with pytest.raises(NotFound):
            await schedules.fire(Firing(schedule="s"))
        assert not (await schedules.fire(Firing(schedule="s", revision=1, expected=1.0))).done

    async def test_all_come_by_name(self, scene: Scene) -> None:
        """Up to the limit."""
        for name in ("c", "a", "b"):
            await self._put(scene, name=name)
        assert [one.name for one in await scene.store.schedules.all(10)] == ["a", "b", "c"]
        assert [one.name for one in await scene.store.schedules.all(2)] == ["a", "b"]

    async def test_due_ones_come_by_their_time(self, scene: Scene) -> None:
        """Those whose time has come, and the earliest time of all."""
        now, schedules = scene.clock.utc(), scene.store.schedules
        assert (await schedules.due(10), await schedules.next_at()) == ([], None)
        for name, after in (("later", 20.0), ("soon", 10.0), ("now", 0.0), ("never", None)):
            await self._put(scene, name=name, next_at=None if after is None else now + after)
        assert [one.name for one in await schedules.due(10)] == ["now"]
        assert await schedules.next_at() == now
        scene.clock.advance(20)
        assert [one.name for one in await schedules.due(10)] == ["now", "soon", "later"]
        assert [one.name for one in await schedules.due(2)] == ["now", "soon"]

    async def test_a_paused_schedule_is_not_due(self, scene: Scene) -> None:
        """Nor once it is changed, until it goes on with the time that it is given."""
        now, schedules = scene.clock.utc(), scene.store.schedules
        await self._put(scene)
        paused = await schedules.pause("s", 1, paused=True, next_at=None)
        assert paused == await self._get(scene)
        assert (paused.paused, paused.next_at, paused.revision) == (True, None, 2)
        changed = await self._put(scene, next_at=now, replace=True)
        assert (changed.paused, changed.next_at, changed.revision) == (True, None, 3)
        assert (await schedules.due(10), await schedules.next_at()) == ([], None)
        assert await schedules.pause("s", 2, paused=False, next_at=now) is None
        resumed = await schedules.pause("s", 3, paused=False, next_at=now + 1)
        assert resumed == await self._get(scene)
        assert (resumed.paused, resumed.next_at, resumed.revision) == (False, now + 1, 4)

    async def test_a_fire_stores_its_job_and_moves_the_schedule(self, scene: Scene) -> None:
        """All in one step; the job waits as one that was submitted."""
        now = scene.clock.utc()
        schedule = await self._put(scene)
        job = scene.job()
        answer = await self._fire(scene, schedule, job)
        assert answer.done
        (fired,) = answer.fires
        assert (fired.time, fired.kind) == (now, FireKind.FIRED)
        assert fired.job == await scene.now(job)
        assert (fired.job.state, fired.job.owner) == (State.QUEUED, Owner.STORE)
        assert await scene.waiting() == [job.id]
        after = await self._get(scene)
        assert (after.next_at, after.revision, after.oldest_fire) == (now + MINUTE, 1, now)
        (record,) = await scene.store.schedules.fires("s", 10)
        assert (record.time, record.kind, record.job_id) == (now, FireKind.FIRED, job.id)
        assert record.created_at == now

    async def test_a_fire_may_start_later(self, scene: Scene) -> None:
        """Its job is scheduled then."""
        now = scene.clock.utc()
        job = scene.job(state=State.SCHEDULED, run_at=now + 5)
        await self._fire(scene, await self._put(scene), job)
        assert (await scene.now(job)).owner is Owner.TIMER
        assert await scene.store.jobs.next_due() == now + 5

    async def test_only_one_of_two_moves_a_schedule(self, scene: Scene) -> None:
        """The second finds it moved, and stores nothing."""
        schedule = await self._put(scene)
        first, second = scene.job(), scene.job()
        assert (await self._fire(scene, schedule, first)).done
        answer = await self._fire(scene, schedule, second)
        assert answer == FiringAnswer(done=False)
        assert await scene.store.reader.get(second.id) is None

    async def test_of_many_at_once_one_fires(self, scene: Scene) -> None:
        """However they meet."""
        schedule = await self._put(scene)
        jobs = [scene.job() for _ in range(20)]
        answers: list[FiringAnswer] = []

        async def fire(job: Job) -> None:
            answers.append(await self._fire(scene, schedule, job))

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(fire, job)
        assert sorted(answer.done for answer in answers) == [False] * 19 + [True]
        assert len(await scene.waiting()) == 1

    async def test_a_change_of_the_schedule_stops_a_fire_of_the_old_one(self, scene: Scene) -> None:
        """So does a pause; both are at another revision."""
        schedule = await self._put(scene)
        await self._put(scene, definition=self._definition("other"), replace=True)
        assert not (await self._fire(scene, schedule, scene.job())).done
        changed = await self._get(scene)
        await scene.store.schedules.pause("s", 2, paused=True, next_at=None)
        assert not (await self._fire(scene, changed, scene.job())).done
        assert await scene.waiting() == []

    async def test_a_fire_is_never_twice(self, scene: Scene) -> None:
        """Though the schedule was moved back to a time that it has fired at."""
        now = scene.clock.utc()
        schedule = await self._put(scene)
        job, again = scene.job(), scene.job()
        await self._fire(scene, schedule, job)
        back = Firing(schedule="s", revision=1, expected=now + MINUTE, next_at=now)
        assert (await scene.store.schedules.fire(back)).done
        answer = await self._fire(scene, schedule, again)
        assert answer.done
        assert [(one.kind, one.job) for one in answer.fires] == [(None, None)]
        assert await scene.store.reader.get(again.id) is None
        assert (await self._get(scene)).next_at == now + MINUTE

    async def test_several_fires_are_recorded_in_one_step(self, scene: Scene) -> None:
        """With and without jobs; the jobs wait in the order of their times."""
        now = scene.clock.utc()
        await self._put(scene)
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
        assert (await self._get(scene)).next_at is None

    async def test_a_job_that_cannot_be_stored_leaves_no_fire(self, scene: Scene) -> None:
        """All or nothing: the schedule has not moved either."""
        schedule = await self._put(scene)
        known = await scene.queued()
        with pytest.raises(Unstorable):
            await self._fire(scene, schedule, scene.job(id=known.id))
        assert await scene.store.schedules.fires("s", 10) == []
        assert (await self._get(scene)).next_at == schedule.next_at

    async def test_a_fire_by_hand_leaves_the_next_time(self, scene: Scene) -> None:
        """Also while the schedule is paused."""
        now = scene.clock.utc()
        await self._put(scene, next_at=now + 5)
        for n in range(2):
            fire = PlannedFire(time=now + n / 2, kind=FireKind.TRIGGERED, job=scene.job())
            answer = await scene.store.schedules.fire(Firing(schedule="s", fires=(fire,)))
            assert (answer.done, answer.fires[0].kind) == (True, FireKind.TRIGGERED)
            assert (await self._get(scene)).next_at == (None if n else now + 5)
            revision = (await self._get(scene)).revision
            await scene.store.schedules.pause("s", revision, paused=True, next_at=None)
        assert len(await scene.waiting()) == 2

    async def test_a_lonely_fire_waits_for_the_end_of_the_last_ones_job(self, scene: Scene) -> None:
        """Queued, running or scheduled, it lives; once it has ended, the next fire has a job."""
        now = scene.clock.utc()
        job = scene.job(state=State.SCHEDULED, run_at=now)
        kinds = [await self._lonely(scene, job)]
        kinds.append(await self._lonely(scene, scene.job()))
        (due,) = await scene.store.jobs.release_due(1)
        kinds.append(await self._lonely(scene, scene.job()))
        await scene.living("inc-1")
        running = await scene.assign(due)
        assert running is not None
        kinds.append(await self._lonely(scene, scene.job()))
        await scene.settle(running, Move.SUCCEED)
        kinds.append(await self._lonely(scene, scene.job()))
        kinds.append(await self._lonely(scene, scene.job()))
        expected = [FireKind.FIRED] + [FireKind.OVERLAPPED] * 3
        assert kinds == [*expected, FireKind.FIRED, FireKind.OVERLAPPED]
        assert len(await scene.waiting()) == 1

    async def test_of_several_lonely_fires_in_one_step_the_first_has_a_job(
        self, scene: Scene
    ) -> None:
        """The others see it live."""
        now = scene.clock.utc()
        await self._put(scene)
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
        await self._put(scene)
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
        assert (await self._get(scene)).oldest_fire == now + 4
        assert await schedules.prune("other", before=now, keep=1) == 0

    async def test_a_deleted_schedule_leaves_its_jobs(self, scene: Scene) -> None:
        """Of its fires nothing is known any more."""
        schedule = await self._put(scene)
        job = scene.job()
        await self._fire(scene, schedule, job)
        await scene.store.schedules.delete("s", Source.API)
        assert await scene.store.schedules.fires("s", 10) == []
        assert await scene.waiting() == [job.id]

    async def _put(
        self,
        scene: Scene,
        *,
        name: str = "s",
        definition: ScheduleDefinition | None = None,
        source: Source = Source.API,
        next_at: float | None = -1.0,
        replace: bool = False,
    ) -> Schedule:
        return await scene.store.schedules.put(
            name,
            definition or self._definition(),
            source,
            next_at=scene.clock.utc() if next_at == -1.0 else next_at,
            replace=replace,
        )

    def _definition(self, job_type: str = "test.echo") -> ScheduleDefinition:
        return ScheduleDefinition(cron="* * * * *", type=job_type)

    async def _get(self, scene: Scene) -> Schedule:
        found = await scene.store.schedules.get("s")
        assert found is not None
        return found

    async def _fire(self, scene: Scene, schedule: Schedule, job: Job) -> FiringAnswer:
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

    async def _lonely(self, scene: Scene, job: Job) -> Any:
        """What became of the next fire, each at its own time."""
        known = await scene.store.schedules.get("s")
        if known is None:
            known = await self._put(scene)
        time = known.next_at
        assert time is not None
        fire = PlannedFire(time=time, kind=FireKind.FIRED, job=job, alone=True)
        answer = await scene.store.schedules.fire(
            Firing(schedule="s", revision=1, expected=time, next_at=time + MINUTE, fires=(fire,))
        )
        return answer.fires[0].kind
