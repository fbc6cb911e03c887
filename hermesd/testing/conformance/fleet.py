"""The suite for Fleet."""

from __future__ import annotations

import trio

from hermesd.core.fleet import Incarnation
from hermesd.testing.conformance.scene import Conformance, Scene


class FleetConformance(Conformance):
    """Every sentence of ports.Fleet."""

    async def test_a_store_has_an_identity(self, scene: Scene) -> None:
        """It is not empty and does not change."""
        store_id = await scene.store.fleet.store_id()
        assert store_id
        assert await scene.store.fleet.store_id() == store_id

    async def test_a_registered_incarnation_lives(self, scene: Scene) -> None:
        """It is answered as it was given, heard now; registering again renews it."""
        new = Incarnation(
            incarnation="inc-9", worker_id="w", address="127.0.0.1:7", machine="m", last_seen=1.0
        )
        assert await scene.store.fleet.register(new)
        (found,) = await scene.store.fleet.living()
        assert (found.worker_id, found.address, found.machine) == ("w", "127.0.0.1:7", "m")
        assert (found.last_seen, found.fenced) == (scene.clock.utc(), False)
        scene.clock.advance(3)
        assert await scene.store.fleet.register(new)
        (again,) = await scene.store.fleet.living()
        assert again.last_seen == scene.clock.utc()

    async def test_being_heard_renews(self, scene: Scene) -> None:
        """One answer each, False for the fenced and the absent."""
        for name in ("a", "b"):
            await scene.living(name)
        await scene.store.fleet.fence("b", silent_for_seconds=None)
        scene.clock.advance(10)
        heard = await scene.store.fleet.heard(["absent", "a", "b"])
        assert list(heard) == [False, True, False]
        assert not await scene.store.fleet.fence("a", silent_for_seconds=5)
        assert list(await scene.store.fleet.heard([])) == []

    async def test_silence_is_fenced_once(self, scene: Scene) -> None:
        """Not before the time, and by one caller only."""
        await scene.living("a")
        scene.clock.advance(14)
        assert not await scene.store.fleet.fence("a", silent_for_seconds=15)
        scene.clock.advance(1)
        done: list[bool] = []

        async def one() -> None:
            done.append(await scene.store.fleet.fence("a", silent_for_seconds=15))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
        assert done.count(True) == 1
        assert list(await scene.store.fleet.living()) == []

    async def test_a_fence_is_for_good(self, scene: Scene) -> None:
        """A fenced incarnation cannot register again; an absent one cannot be fenced."""
        await scene.living("a")
        assert await scene.store.fleet.fence("a", silent_for_seconds=None)
        assert not await scene.living("a")
        assert list(await scene.store.fleet.living()) == []
        assert not await scene.store.fleet.fence("absent", silent_for_seconds=None)

    async def test_a_starting_api_counts_all_as_heard(self, scene: Scene) -> None:
        """Time in which no api ran is not the workers' silence."""
        await scene.living("a")
        scene.clock.advance(1000)
        await scene.store.fleet.count_as_heard()
        assert not await scene.store.fleet.fence("a", silent_for_seconds=15)

    async def test_a_clock_set_back_makes_nobody_silent(self, scene: Scene) -> None:
        """An incarnation heard after the step is not older than before it."""
        await scene.living("a")
        scene.clock.jump(-3600)
        assert list(await scene.store.fleet.heard(["a"])) == [True]
        assert not await scene.store.fleet.fence("a", silent_for_seconds=15)

    async def test_the_long_fenced_are_forgotten(self, scene: Scene) -> None:
        """Unless they hold a job still; the living are never forgotten."""
        for name in ("gone", "alive"):
            await scene.living(name)
        await scene.running(incarnation="busy")
        for name in ("gone", "busy"):
            await scene.store.fleet.fence(name, silent_for_seconds=None)
        scene.clock.advance(100)
        assert await scene.store.fleet.forget(101) == 0
        assert await scene.store.fleet.forget(100) == 1
        await scene.store.jobs.release_orphans(10)
        assert await scene.store.fleet.forget(100) == 1
        assert [one.incarnation for one in await scene.store.fleet.living()] == ["alive"]
