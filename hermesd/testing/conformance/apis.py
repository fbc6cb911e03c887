"""The suite for Apis."""

from __future__ import annotations

import trio

from hermesd.core.apis import ApiLife
from hermesd.core.states import Move
from hermesd.testing.conformance.scene import API, INCARNATION, Conformance, Scene

LIVES = 10


def life(name: str = API, boot: str = "boot-1") -> ApiLife:
    """A life as an api tells of itself."""
    return ApiLife(name=name, boot=boot, url=f"http://{name}.test:1")


class ApisConformance(Conformance):
    """Every sentence of ports.Apis."""

    async def test_an_api_is_known_from_its_first_renewal(self, scene: Scene) -> None:
        """And seen when it was last renewed, by the store's clock."""
        apis = scene.store.apis
        assert await apis.renew(life("api-2")) is False
        assert await apis.renew(life("api-1")) is False
        scene.clock.advance(5)
        assert await apis.renew(life("api-1")) is True
        first, second = await apis.lives()
        assert [first.name, first.boot, first.url] == ["api-1", "boot-1", "http://api-1.test:1"]
        assert first.last_seen == scene.clock.utc()
        assert second.last_seen == scene.clock.utc() - 5

    async def test_the_next_life_takes_the_place_of_the_one_before(self, scene: Scene) -> None:
        """A name has one row."""
        apis = scene.store.apis
        await apis.renew(life(boot="boot-1"))
        assert await apis.renew(life(boot="boot-2")) is False
        assert [known.boot for known in await apis.lives()] == ["boot-2"]

    async def test_every_renewal_shows(self, scene: Scene) -> None:
        """Also where the clock stands still or was set back."""
        apis = scene.store.apis
        seen = set()
        for step in (0.0, 0.0, -3600.0, 0.0):
            scene.clock.jump(step)
            await apis.renew(life())
            [known] = await apis.lives()
            seen.add(known.last_seen)
        assert len(seen) == 4

    async def test_only_one_that_has_not_moved_is_dismissed(self, scene: Scene) -> None:
        """And by one caller only; afterwards it is not known, as it learns itself."""
        apis = scene.store.apis
        await apis.renew(life())
        [before] = await apis.lives()
        scene.clock.advance(1)
        await apis.renew(life())
        assert not await apis.dismiss(before)
        [still] = await apis.lives()
        done: list[bool] = []

        async def one() -> None:
            done.append(await apis.dismiss(still))

        async with trio.open_nursery() as nursery:
            for _ in range(LIVES):
                nursery.start_soon(one)
        assert done.count(True) == 1
        assert await apis.lives() == []
        assert await apis.renew(life()) is False

    async def test_an_api_retires_its_own_life_only(self, scene: Scene) -> None:
        """Not that of its successor."""
        apis = scene.store.apis
        await apis.renew(life(boot="boot-2"))
        await apis.retire(life(boot="boot-1"))
        assert [known.boot for known in await apis.lives()] == ["boot-2"]
        await apis.retire(life(boot="boot-2"))
        assert await apis.lives() == []

    async def test_running_jobs_of_absent_apis_are_adopted_once(self, scene: Scene) -> None:
        """By one of many; lease and state stay, so that their outcomes count."""
        apis = scene.store.apis
        names = [f"adopter-{number}" for number in range(LIVES)]
        for name in names:
            await apis.renew(life(name))
        jobs = [await scene.running() for _ in range(5)]
        adopted: list[tuple[str, str]] = []

        async def adopt(name: str) -> None:
            adopted.extend((job_id, name) for job_id in await apis.adopt(name, [INCARNATION], 100))

        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(adopt, name)
        assert sorted(job_id for job_id, _ in adopted) == sorted(job.id for job in jobs)
        for job_id, name in adopted:
            [job] = [job for job in jobs if job.id == job_id]
            now = await scene.now(job)
            assert (now.assigned_by, now.token, now.state) == (name, job.token, job.state)
            await scene.settle(job, Move.SUCCEED)

    async def test_jobs_of_present_apis_are_let_alone(self, scene: Scene) -> None:
        """So are those that do not run; no more are taken than the limit says."""
        apis = scene.store.apis
        await apis.renew(life())
        await scene.running()
        await scene.queued()
        assert await apis.adopt("api-2", [INCARNATION], 100) == []
        [known] = await apis.lives()
        await apis.dismiss(known)
        await apis.renew(life("api-2"))
        await scene.running()
        assert len(await apis.adopt("api-2", [INCARNATION], 1)) == 1
        assert len(await apis.adopt("api-2", [INCARNATION], 100)) == 1
        assert await apis.adopt("api-2", [INCARNATION], 100) == []

    async def test_only_jobs_of_the_named_incarnations_are_adopted(self, scene: Scene) -> None:
        """However many are named; none are, where none is."""
        apis = scene.store.apis
        jobs = [await scene.running(incarnation=f"inc-{number}") for number in range(100)]
        await scene.running(incarnation="another")
        named = [job.incarnation or "" for job in jobs]
        assert await apis.adopt("api-2", [], 1000) == []
        assert await apis.adopt("api-2", named, 1000) == [job.id for job in jobs]

    async def test_what_an_api_disowns_is_for_others(self, scene: Scene) -> None:
        """Of one incarnation, and what it had assigned itself."""
        apis = scene.store.apis
        for name in (API, "api-2"):
            await apis.renew(life(name))
        job = await scene.running()
        kept = [await scene.running(incarnation="inc-2"), await scene.running(assigned_by="api-2")]
        await apis.disown(API, INCARNATION)
        assert await apis.adopt("api-2", [INCARNATION, "inc-2"], 100) == [job.id]
        assert [(await scene.now(one)).assigned_by for one in kept] == [API, "api-2"]

    async def test_the_running_jobs_of_an_incarnation_are_found(self, scene: Scene) -> None:
        """Whoever assigned them."""
        ours = [
            await scene.running(incarnation="inc-7"),
            await scene.running(incarnation="inc-7", assigned_by="api-9"),
        ]
        await scene.running(incarnation="inc-8")
        ended = await scene.running(incarnation="inc-7")
        await scene.settle(ended, Move.SUCCEED)
        found = await scene.store.apis.held_by("inc-7")
        assert list(found) == sorted(job.id for job in ours)
