"""The suite for what is kept of schedules."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import pytest
import trio

from hermesd.core.errors import ChangedMeanwhile, Conflict, NotFound
from hermesd.core.schedule import (
    Firing,
    Misfire,
    Overlap,
    Schedule,
    ScheduleDefinition,
    Source,
)
from hermesd.testing.conformance.scene import Conformance, Scene


async def put(
    scene: Scene,
    *,
    name: str = "s",
    definition: ScheduleDefinition | None = None,
    source: Source = Source.API,
    next_at: float | None = -1.0,
    replace: bool = False,
    expected: Collection[str] | None = None,
) -> Schedule:
    """Make or replace a schedule, by default one that is due now."""
    return await scene.store.schedules.put(
        name,
        definition or every_minute(),
        source,
        next_at=scene.clock.utc() if next_at == -1.0 else next_at,
        replace=replace,
        expected=expected,
    )


def every_minute(job_type: str = "test.echo") -> ScheduleDefinition:
    """A definition."""
    return ScheduleDefinition(cron="* * * * *", type=job_type)


async def stored(scene: Scene) -> Schedule:
    """The schedule as it is now."""
    found = await scene.store.schedules.get("s")
    assert found is not None
    return found


class KeepingConformance(Conformance):
    """Schedules are made, read, changed, paused and deleted."""

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
        made = await put(scene, definition=definition, next_at=scene.clock.utc() + 1.5)
        assert made == await stored(scene)
        assert bytes(made.definition.payload) == b'{"to": "\xc3\xbc", "n": 1.0}'
        payload = made.definition.payload
        assert msgspec.structs.replace(definition, payload=payload) == made.definition
        now = scene.clock.utc()
        assert (made.created_at, made.updated_at, made.next_at) == (now, now, now + 1.5)
        assert (made.source, made.paused, made.revision) == (Source.API, False, 1)

    async def test_a_replaced_schedule_is_at_a_new_revision(self, scene: Scene) -> None:
        """Its age stays."""
        first = await put(scene)
        scene.clock.advance(5)
        second = await put(scene, definition=every_minute("other"), replace=True)
        assert (second.revision, second.definition.type) == (2, "other")
        assert (second.created_at, second.updated_at) == (first.created_at, scene.clock.utc())

    async def test_a_schedule_is_not_made_twice(self, scene: Scene) -> None:
        """Unless it is to be replaced."""
        await put(scene)
        with pytest.raises(Conflict):
            await put(scene, definition=every_minute("other"))
        assert (await stored(scene)).definition.type == "test.echo"

    async def test_the_configurations_schedules_are_its_own(self, scene: Scene) -> None:
        """They are neither changed nor deleted from outside; it may take over another one."""
        await put(scene)
        await put(scene, source=Source.CONFIG, replace=True)
        with pytest.raises(Conflict):
            await put(scene, replace=True)
        with pytest.raises(Conflict):
            await scene.store.schedules.delete("s", Source.API)
        assert (await stored(scene)).source is Source.CONFIG
        await scene.store.schedules.delete("s", Source.CONFIG)
        assert await scene.store.schedules.get("s") is None

    async def test_only_what_has_the_etag_still_is_replaced_and_deleted(self, scene: Scene) -> None:
        """It is another one with each definition, and the same while a schedule is paused."""
        delete, first = scene.store.schedules.delete, await put(scene)
        other = await put(
            scene, definition=every_minute("other"), replace=True, expected=[first.etag]
        )
        for refused in ([first.etag], [f"W/{other.etag}"], []):
            with pytest.raises(ChangedMeanwhile):
                await put(scene, replace=True, expected=refused)
            with pytest.raises(ChangedMeanwhile):
                await delete("s", Source.API, expected=refused)
        assert await stored(scene) == other
        await scene.store.schedules.pause("s", 2, paused=True, next_at=None)
        again = await put(scene, replace=True, expected=["x", other.etag])
        assert (again.etag, again.revision) == (first.etag, 4)
        await delete("s", Source.API, expected=["*"])
        with pytest.raises(ChangedMeanwhile):
            await put(scene, replace=True, expected=["*"])
        with pytest.raises(NotFound):
            await delete("s", Source.API, expected=["*"])

    async def test_of_many_that_change_the_same_at_once_one_does(self, scene: Scene) -> None:
        """The others are told."""
        tag, done = (await put(scene)).etag, list[str]()

        async def change(job_type: str) -> None:
            try:
                await put(scene, definition=every_minute(job_type), replace=True, expected=[tag])
                done.append(job_type)
            except ChangedMeanwhile:
                pass

        async with trio.open_nursery() as nursery:
            for n in range(10):
                nursery.start_soon(change, f"other{n}")
        assert done == [(await stored(scene)).definition.type]

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
            await put(scene, name=name)
        assert [one.name for one in await scene.store.schedules.all(10)] == ["a", "b", "c"]
        assert [one.name for one in await scene.store.schedules.all(2)] == ["a", "b"]

    async def test_due_ones_come_by_their_time(self, scene: Scene) -> None:
        """Those whose time has come, and the earliest time of all."""
        now, schedules = scene.clock.utc(), scene.store.schedules
        assert (await schedules.due(10), await schedules.next_at()) == ([], None)
        for name, after in (("later", 20.0), ("soon", 10.0), ("now", 0.0), ("never", None)):
            await put(scene, name=name, next_at=None if after is None else now + after)
        assert [one.name for one in await schedules.due(10)] == ["now"]
        assert await schedules.next_at() == now
        scene.clock.advance(20)
        assert [one.name for one in await schedules.due(10)] == ["now", "soon", "later"]
        assert [one.name for one in await schedules.due(2)] == ["now", "soon"]

    async def test_a_paused_schedule_is_not_due(self, scene: Scene) -> None:
        """Nor once it is changed, until it goes on with the time that it is given."""
        now, schedules = scene.clock.utc(), scene.store.schedules
        await put(scene)
        paused = await schedules.pause("s", 1, paused=True, next_at=None)
        assert paused == await stored(scene)
        assert (paused.paused, paused.next_at, paused.revision) == (True, None, 2)
        changed = await put(scene, next_at=now, replace=True)
        assert (changed.paused, changed.next_at, changed.revision) == (True, None, 3)
        assert (await schedules.due(10), await schedules.next_at()) == ([], None)
        assert await schedules.pause("s", 2, paused=False, next_at=now) is None
        resumed = await schedules.pause("s", 3, paused=False, next_at=now + 1)
        assert resumed == await stored(scene)
        assert (resumed.paused, resumed.next_at, resumed.revision) == (False, now + 1, 4)
